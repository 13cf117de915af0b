# runs on: cpython micropython
"""Batches: delta-coded entries become facts again, and facts the very entries."""

from protocol import facts, ledger, reading
from protocol.facts import Fact
from protocol.units import BAD_FIELD, HOLDOVER, SYNCHRONISED, Malformed
from tests.protocol import books
from tests.protocol.books import CUR, at

START_S = at(28800, 2026, 3, 10) + 417
BOOK = books.book(books.rates(((500000,),), fixed=CUR))
QUARTER_S = START_S - START_S % 900 + 900


def entries():
    """A day in the life: every kind of entry, off and on the quarter of an hour."""
    state = ledger.genesis("meter-1", 0)
    out = []

    def enter(entry):
        out.append((state, entry))
        return ledger.apply(state, entry)

    state = enter(ledger.opening(state, BOOK, START_S, HOLDOVER, 1000))
    state = enter(ledger.charge(state, BOOK, QUARTER_S, SYNCHRONISED, 1100))
    state = enter(ledger.charge(state, BOOK, QUARTER_S + 900, SYNCHRONISED, 1350))
    state = enter(ledger.topped_up(state, QUARTER_S + 950, SYNCHRONISED, 2, 2, 50 * CUR))
    state = enter(ledger.charge(state, BOOK, QUARTER_S + 1000, SYNCHRONISED, 1360))
    state = enter(ledger.adjusted(state, QUARTER_S - 5, HOLDOVER, 7, 3, -CUR))
    state = enter(ledger.charge(state, BOOK, QUARTER_S + 1800, SYNCHRONISED, 1400))
    state = enter(ledger.charge(state, BOOK, QUARTER_S + 2700, HOLDOVER, 1500))
    state = enter(ledger.charge(state, BOOK, QUARTER_S + 90000, SYNCHRONISED, 2000))
    state = enter(ledger.transferred(state, BOOK, QUARTER_S + 90007, HOLDOVER, 8, CUR, 777))
    state = enter(ledger.fixed(state, BOOK, SYNCHRONISED, state.day + 1))
    return out


def items_of(pairs):
    return [reading.to_item(before.time_s, entry) for before, entry in pairs]


def test_an_interval_by_a_good_clock_is_its_energy_alone():
    items = items_of(entries())
    assert items == [
        [7, START_S, HOLDOVER, 1000],
        100,
        250,
        [3, 50, 0, 2, 2, 50 * CUR],
        [1, 100, 0, 10],
        [5, -1005, 1, 7, 3, -CUR],
        40,
        [1, 900, HOLDOVER, 100],
        [1, 87300, 0, 500],
        [6, 7, 1, 8, 1, CUR, 777],
        [2, 0, 0, books.day_number(2026, 3, 11)],
    ]


def test_a_batch_comes_back_as_the_entries_it_was():
    pairs = entries()
    found = facts.of_items(0, 1, items_of(pairs))
    assert len(found) == len(pairs)
    for place, (before, entry) in enumerate(pairs):
        assert facts.rebuild(before, BOOK, found[place]) == entry


def test_a_batch_may_begin_anywhere():
    pairs = entries()
    for start in range(len(pairs)):
        found = facts.of_items(pairs[start][0].time_s, 1, items_of(pairs[start:]))
        assert [fact.time_s for fact in found] == [entry.time_s for _, entry in pairs[start:]]
        assert [fact.quality for fact in found] == [entry.quality for _, entry in pairs[start:]]


def test_facts_carry_the_version_that_priced_them():
    assert {fact.version for fact in facts.of_items(0, 7, [1, [2, 0, 0, 1]])} == {7}


def test_the_next_boundary_is_later():
    for after_s, boundary_s in ((0, 900), (899, 900), (900, 1800), (901, 1800)):
        assert reading.next_boundary_s(after_s) == boundary_s


def test_the_least_and_the_greatest_item_are_facts():
    high = facts.ENERGY_WH_MAX
    assert facts.of_items(0, 1, [0]) == [Fact(1, 900, 0, 0, 1, 0, 0, 0, 0)]
    assert facts.of_items(0, 1, [high])[0].energy_wh == high
    assert facts.of_items(9, 1, [[1, 0, 2, 0]]) == [Fact(1, 9, 2, 0, 1, 0, 0, 0, 0)]
    assert facts.of_items(9, 1, [[3, -9, 0, 2, 0, -5]]) == [Fact(3, 0, 0, 0, 1, 2, 0, -5, 0)]


def test_a_bad_item_spoils_its_batch_alone():
    for item in (
        None, "1", b"1", True, -1, facts.ENERGY_WH_MAX + 1, [], [1], [1, 0], [1, 0, 0],
        [1, 0, 0, -1], [1, -1, 0, 5], [1, 0, 3, 5], [1, 0, -1, 5], [1, 0, 0, 5, 5],
        [1, 0, 0, "5"], [1, 0, 0, True], [1, 1 << 40, 0, 5], [2, 1, 0, 5], [2, 0, 0, -1],
        [2, 0, 0, facts.DAY_MAX + 1], [3, 0, 0, 2, 1], [3, 0, 0, -2, 1, 5],
        [3, 0, 0, 1 << 32, 1, 5], [3, 0, 0, 2, 1 << 16, 5], [3, 0, 0, 2, 1, 1 << 63],
        [3, -(1 << 32), 0, 2, 1, 5], [6, 0, 0, 1, 1, 1], [6, 0, 0],
        [7, 0, 0], [7, -1, 0, 5], [7, 0, 0, -1], [7, 1 << 40, 0, 5], [7, 0, 0, 5, 5],
        [0, 0, 0], [8, 0, 0], [-1, 0, 0],
    ):  # fmt: skip
        try:
            facts.of_items(START_S, 1, [5, item, 5])
        except Malformed as error:
            assert error.reason == BAD_FIELD
            continue
        raise AssertionError(item)
