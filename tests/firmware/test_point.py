# runs on: cpython micropython
"""A point's slot restores it, is its own outbox record, and fits a journal slot at its largest."""

from firmware import journal, relay
from firmware import point as points
from firmware.point import Point, Slot, accept_id, seen_id
from protocol import facts, ledger, messages, topup
from protocol.units import HOLDOVER, NCUR_MAX
from tests.bench.mutations import Dice
from tests.firmware import desk as desks

CUR = desks.CUR
START_S = desks.START_S
U32 = 0xFFFFFFFF
PAYLOAD_MAX = journal.STATE_SLOT_BYTES - journal.HEADER_BYTES - journal.CRC_BYTES


def fresh():
    return Point(desks.point_settings(), "desk-1", 3, desks.flat_book(), None, None)


def history():
    """A point, and the slots of what happened to it."""
    point = fresh()
    slots = []

    def enter(entry):
        point.slot = point.with_entry(entry)
        slots.append(points.unpack(points.pack(point.slot)))

    enter(ledger.opening(point.state, point.book, START_S, HOLDOVER, 1000))
    enter(ledger.topped_up(point.state, START_S + 5, 0, 2, ledger.BY_TOKEN, 50 * CUR))
    enter(ledger.charge(point.state, point.book, START_S + 900, 0, 1250))
    enter(ledger.fixed(point.state, point.book, 0, point.state.day + 1))
    point.book = desks.flat_book(2)
    enter(ledger.charge(point.state, point.book, START_S + 1800, 0, 1500))
    enter(ledger.adjusted(point.state, START_S + 1900, 1, 9, 2, -CUR))
    return point, slots


def test_a_fresh_point_has_no_credit_and_an_open_relay():
    slot = fresh().slot
    assert slot.relay == relay.OPEN and slot.holds and slot.entry is None
    assert slot.state.balance_ncur == 0 and slot.state.seq == 0


def test_a_slot_comes_back_as_it_went():
    point, slots = history()
    for slot in slots:
        assert points.unpack(points.pack(slot)) == slot
    assert slots[-1] == point.slot
    for other in (point.plain(), point.with_warning(2), point.with_relay(0, 4, 1, True)):
        assert points.unpack(points.pack(other)) == other


def test_a_restored_point_goes_on_where_it_was():
    point, _ = history()
    again = fresh()
    again.restore(points.pack(point.slot))
    assert again.slot == point.slot and again.seen_wh == 1500


def test_the_greatest_slot_fits_the_journal():
    mark = topup.Mark(U32, 65535, 65535, 255)
    for sign in (1, -1):
        money_ncur = sign * NCUR_MAX
        state = ledger.State(
            U32, 1 << 40, 1 << 50, money_ncur, U32, 1 << 50, 1 << 24, U32, mark,
            money_ncur, money_ncur, bytes(16),
        )  # fmt: skip
        entry = ledger.Entry(
            U32, 5, 1 << 40, 2, 1 << 50, 1 << 50, U32, U32, 1 << 50, money_ncur, U32, 65535,
            money_ncur,
        )  # fmt: skip
        # Countdowns of at most a week or a lock-out, money at its bounds.
        more = [3, 255, 0xFFFF, U32, 9, U32, U32, U32, 255, U32, 1 << 50] + [money_ncur] * 2
        more += [7, 255, [money_ncur] * 5 + [U32, U32, 65535]]
        slot = Slot(U32, state, 3, 99, 255, U32, 4, U32, U32, U32, more, 1 << 40, entry)
        payload = points.pack(slot)
        assert len(payload) <= PAYLOAD_MAX, len(payload)
        assert points.unpack(payload) == slot


def batches(slots):
    """All batches of some slots in sequence."""
    out = []
    while slots:
        message, count = points.batch(0, [(slot.state.seq, points.pack(slot)) for slot in slots])
        out.append((message, slots[:count]))
        slots = slots[count:]
    return out


def test_a_batch_has_one_version_and_says_the_state_after_it():
    _, slots = history()
    found = batches(slots)
    assert [(message.version, len(taken)) for message, taken in found] == [(1, 4), (2, 2)]
    for message, taken in found:
        assert messages.unpack(messages.pack(message)) == message
        state = taken[-1].state
        assert message.head == state.head
        assert message.first_seq == taken[0].entry.seq and message.epoch == 3


def test_the_host_rebuilds_every_entry_of_a_batch():
    point, slots = history()
    state = ledger.genesis("desk-1", 0)
    for message, _ in batches(slots):
        book = desks.flat_book(message.version)
        for fact in facts.of_items(state.time_s, message.version, message.items):
            state = ledger.apply(state, facts.rebuild(state, book, fact))
        assert state.head == message.head
    assert state == point.state


def test_an_opening_begins_a_batch():
    point, slots = history()
    opening = ledger.opening(point.state, point.book, START_S + 2000, 0, 7)
    point.slot = point.with_entry(opening)
    slots.append(point.slot)
    found = batches(slots)
    assert [len(taken) for _, taken in found] == [4, 2, 1]
    assert found[-1][0].items == [[ledger.OPENING, START_S + 2000, 0, 7]]


def test_pending_energy_costs_what_its_charge_will():
    point, _ = history()
    point.seen_wh = 1600
    now_s = START_S + 2000
    charge = ledger.charge(point.state, point.book, now_s, 0, 1600)
    assert point.pending_ncur(now_s) == -charge.amount_ncur > 0
    point.seen_wh = point.state.register_wh
    assert point.pending_ncur(now_s) == 0


def test_a_command_id_is_seen_once_it_was_accepted():
    high = window = 0
    for command_id in (5, 3, 4, 36, 7, 35):
        assert not seen_id(high, window, command_id), command_id
        high, window = accept_id(high, window, command_id)
        assert seen_id(high, window, command_id), command_id
    assert seen_id(high, window, 4)  # too old to tell
    assert not seen_id(high, window, 6) and not seen_id(high, window, 37)


def test_no_command_is_applied_twice_in_any_order():
    for seed in range(30):
        dice = Dice(seed)
        high = window = 0
        applied = []
        for _ in range(200):
            command_id = max(1, high + dice.below(50) - 40)
            if not seen_id(high, window, command_id):
                applied.append(command_id)
                high, window = accept_id(high, window, command_id)
            assert 0 <= window < 1 << points.COMMAND_WINDOW
        assert len(applied) == len(set(applied)) > 10


def test_an_accepted_command_is_in_the_slot_of_its_effect():
    point, _ = history()
    slot = point.with_command(point.with_warning(1), 77)
    assert (slot.high, slot.window, slot.warned) == (77, 1, 1)
    assert points.unpack(points.pack(slot)) == slot
