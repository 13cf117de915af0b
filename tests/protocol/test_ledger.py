# runs on: cpython micropython
"""The ledger: entries fold into states, heads chain, and nothing enters that does not continue."""

import hashlib

from protocol import cbor, ledger, topup
from protocol.ledger import Entry
from protocol.units import BAD_FIELD, CONTRADICTORY, NCUR_MAX, REPLAYED, Malformed
from tests.protocol import books
from tests.protocol.books import CUR, DAY_S, at

START_S = at(28800, 2026, 3, 10)
BOOK = books.book(books.rates(((500000,),), fixed=CUR))


def opened(register_wh=1000):
    state = ledger.genesis("meter-1", 0)
    return ledger.apply(state, ledger.opening(state, BOOK, START_S, 0, register_wh))


def topped(state, number, amount_ncur=100 * CUR):
    entry = ledger.topped_up(state, state.time_s, 0, number, ledger.BY_TOKEN, amount_ncur)
    return ledger.apply(state, entry)


def with_fields(entry, **fields):
    """An entry with fields replaced; MicroPython's namedtuples cannot."""
    names = "seq kind time_s quality register_wh energy_wh version period used_wh amount_ncur"
    names = (names + " number channel balance_ncur").split()
    return Entry(*[fields.get(name, entry[place]) for place, name in enumerate(names)])


def refused(state, entry):
    try:
        ledger.apply(state, entry)
    except Malformed as error:
        return error.reason
    raise AssertionError("accepted")


def test_the_chain_starts_from_who_and_where():
    heads = [
        ledger.genesis(module, point).head
        for module, point in (("meter-1", 0), ("meter-1", 1), ("meter-2", 0), ("meter-", 10))
    ]
    assert len(set(heads)) == 4 and {len(head) for head in heads} == {16}


def test_a_head_is_the_hash_of_the_head_before_and_the_entry():
    state = ledger.genesis("meter-1", 0)
    entry = ledger.opening(state, BOOK, START_S, 0, 1000)
    expected = hashlib.sha256(state.head + cbor.encode(list(entry))).digest()[:16]
    assert ledger.apply(state, entry).head == expected
    # Pinned: a change here is a change of every ledger in the field.
    assert expected.hex() == "20eddd68612545cd4fae699779c33114"


def test_one_nano_unit_changes_every_later_head():
    left, right = topped(opened(), 2, 100), topped(opened(), 2, 101)
    assert left.head != right.head
    entry = ledger.charge(left, BOOK, START_S + 900, 0, 1250)
    other = ledger.charge(right, BOOK, START_S + 900, 0, 1250)
    assert ledger.apply(left, entry).head != ledger.apply(right, other).head


def test_energy_before_the_opening_is_not_charged():
    state = opened(987654)
    assert state.balance_ncur == 0 and state.register_wh == 987654 and state.seq == 1
    assert state.day == books.day_number(2026, 3, 10) and state.version == 1


def test_a_charge_moves_register_instant_tier_and_balance():
    state = opened()
    entry = ledger.charge(state, BOOK, START_S + 900, 1, 1250)
    assert (entry.energy_wh, entry.amount_ncur, entry.quality) == (250, -125000000, 1)
    after = ledger.apply(state, entry)
    assert after.register_wh == 1250 and after.time_s == START_S + 900 and after.used_wh == 250
    assert after.balance_ncur == -125000000 == -after.charged_ncur and after.topups_ncur == 0


def test_money_moves_neither_register_nor_metered_instant():
    state = opened()
    after = topped(state, 2)
    adjusted = ledger.adjusted(after, START_S + 60, 0, 4711, 3, -CUR)
    last = ledger.apply(after, adjusted)
    assert last.time_s == START_S and last.register_wh == 1000
    assert last.balance_ncur == 99 * CUR and last.topups_ncur == 100 * CUR
    assert last.charged_ncur == 0 and (adjusted.number, adjusted.channel) == (4711, 3)


def test_a_register_that_goes_back_is_refused():
    for register_wh, time_s in ((999, START_S + 900), (1250, START_S - 1)):
        try:
            ledger.charge(opened(), BOOK, time_s, 0, register_wh)
        except Malformed as error:
            assert error.reason == BAD_FIELD
            continue
        raise AssertionError("accepted")


def test_gaps_and_repetitions_are_refused():
    state = opened()
    entry = ledger.topped_up(state, START_S, 0, 2, 1, CUR)
    assert refused(state, with_fields(entry, seq=entry.seq + 1)) == REPLAYED
    assert refused(state, with_fields(entry, seq=entry.seq - 1)) == REPLAYED
    assert refused(ledger.apply(state, entry), entry) == REPLAYED


def test_a_balance_that_does_not_follow_is_refused():
    state = opened()
    entry = ledger.topped_up(state, START_S, 0, 2, 1, CUR)
    for wrong in (entry.balance_ncur + 1, entry.balance_ncur - 1, 0):
        assert refused(state, with_fields(entry, balance_ncur=wrong)) == CONTRADICTORY


def test_a_top_up_number_is_folded_once():
    state = topped(topped(opened(), 2), 20)
    assert state.mark == topup.Mark(0, 20, 1, 1)
    for number in (20, 2, 0, -2, -(1 << 62), 65536, 1 << 62):
        entry = ledger.topped_up(state, START_S, 0, number, 1, CUR)
        assert refused(state, entry) == CONTRADICTORY
    assert topped(state, 6).topups_ncur == 300 * CUR


def test_a_token_that_sets_the_balance_moves_the_mark_once():
    state = topped(opened(), 2)

    def setting(number, reason=ledger.SET_BY_TOKEN):
        return ledger.adjusted(state, START_S, 0, number, reason, -30 * CUR)

    after = ledger.apply(state, setting(5))
    assert after.mark == topup.Mark(0, 5, 5, 0)
    assert (after.balance_ncur, after.topups_ncur) == (70 * CUR, 100 * CUR)
    assert ledger.apply(state, setting(5, 3)).mark == state.mark  # a command's id is no number
    for number in (1, 2, 65536):
        assert refused(state, setting(number)) == CONTRADICTORY
    state = after
    assert refused(state, setting(5)) == CONTRADICTORY


def test_a_balance_never_leaves_64_bits():
    state = topped(opened(), 2, NCUR_MAX)
    dear = books.book(books.rates(((10**12,),)))
    for make in (
        lambda: ledger.topped_up(state, START_S, 0, 4, 1, 1),
        lambda: ledger.adjusted(state, START_S, 0, 1, 1, 1),
        lambda: ledger.adjusted(opened(), START_S, 0, 1, 1, -NCUR_MAX - 1),
        lambda: ledger.charge(opened(), dear, START_S, 0, 1 << 50),
    ):
        try:
            make()
        except Malformed as error:
            assert error.reason == BAD_FIELD
            continue
        raise AssertionError("made")


def test_each_local_day_that_begins_costs_once():
    state = opened()
    assert ledger.fixed_days_due(state, BOOK, START_S + DAY_S - 1) == (
        state.day + 1,
        state.day + 1,
    )
    first, last = ledger.fixed_days_due(state, BOOK, START_S + 3 * DAY_S)
    assert list(range(first, last)) == [state.day + 1, state.day + 2, state.day + 3]
    for day in range(first, last):
        entry = ledger.fixed(state, BOOK, 0, day)
        assert entry.time_s == START_S and entry.amount_ncur == -CUR
        state = ledger.apply(state, entry)
    assert state.charged_ncur == 3 * CUR
    assert ledger.fixed_days_due(state, BOOK, START_S + 3 * DAY_S) == (last, last)


def test_a_long_sleep_owes_bounded_days_and_never_an_old_one():
    state = opened()
    first, last = ledger.fixed_days_due(state, BOOK, START_S + 400 * DAY_S)
    assert last - first == ledger.DAYS_DUE_MAX and last == state.day + 401
    first, last = ledger.fixed_days_due(state, BOOK, START_S + 62 * DAY_S)
    assert (first, last) == (state.day + 1, state.day + 63)


def test_a_clock_that_goes_back_owes_no_day_twice():
    state = ledger.apply(opened(), ledger.fixed(opened(), BOOK, 0, opened().day + 1))
    first, last = ledger.fixed_days_due(state, BOOK, START_S - 5 * DAY_S)
    assert list(range(first, last)) == []


def test_a_transfer_moves_money_and_tier_position_and_no_register():
    before = opened()
    entry = ledger.transferred(before, BOOK, before.time_s + 60, 0, 7, -CUR, 431)
    after = ledger.apply(before, entry)
    assert (after.balance_ncur, after.used_wh, after.period) == (-CUR, 431, before.period)
    assert (after.register_wh, after.time_s) == (before.register_wh, before.time_s)
    assert (after.charged_ncur, after.topups_ncur) == (0, 0)
