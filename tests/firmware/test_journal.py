# runs on: cpython micropython
"""The journal on NOR flash that loses power: committed is kept, torn is passed over."""

from boards.virtual import flash
from firmware.journal import COUNTER_SLOT_BYTES, STATE_SLOT_BYTES, Journal
from protocol.units import Unavailable

SECTORS = 7  # three for counters, four for states: 64 slots


class Ring:
    """Cells that survive; `on()` is one power-on."""

    def __init__(self, sectors=SECTORS):
        self.size = sectors * flash.SECTOR
        self.cells = flash.Ram(bytearray(b"\xff" * self.size))

    def on(self, power=None):
        power = power or flash.Power()
        journal = Journal(flash.Journal(flash.Flash(self.cells, self.size, power)))
        journal.load()
        assert power.violations == 0
        return journal


def payload(number):
    return b"state %d" % number * 3


def test_a_blank_journal_knows_nothing():
    journal = Ring().on()
    assert journal.state(0) is None and journal.pulses(0) == 0


def test_the_newest_state_of_every_target_comes_back():
    ring = Ring()
    journal = ring.on()
    for number in range(200):
        journal.commit(number % 5, payload(number))
        assert journal.state(number % 5) == payload(number)
    again = ring.on()
    for target in range(5):
        assert again.state(target) == payload(195 + target)


def test_a_target_that_rests_is_carried_round_the_ring():
    ring = Ring()
    journal = ring.on()
    journal.commit(9, b"rests")
    for number in range(1000):
        journal.commit(0, payload(number))
    assert ring.on().state(9) == b"rests"


def test_the_greatest_states_of_all_targets_fit():
    ring = Ring()
    journal = ring.on()
    targets = [0, 1, 2, 3, 4, 5, 6, 7, 16, 32]
    longest = bytes(journal.states.payload_max)
    for number in range(300):
        journal.commit(targets[number % 10], longest)
    again = ring.on()
    assert [again.state(target) for target in targets] == [longest] * 10


def test_a_state_that_does_not_fit_is_refused_before_it_is_written():
    ring = Ring()
    journal = ring.on()
    journal.commit(1, b"before")
    try:
        journal.commit(1, bytes(journal.states.payload_max + 1))
    except ValueError:
        assert journal.state(1) == b"before" == ring.on().state(1)
        return
    raise AssertionError("written")


def test_counters_go_on_while_states_stay():
    ring = Ring()
    journal = ring.on()
    journal.commit(0, b"state")
    for pulses in range(1, 1200):
        journal.checkpoint(pulses % 3, pulses)
    again = ring.on()
    assert [again.pulses(point) for point in range(3)] == [1197, 1198, 1199]
    assert again.state(0) == b"state"


def test_a_counter_that_rests_is_carried_round_the_ring():
    ring = Ring()
    journal = ring.on()
    journal.checkpoint(7, 123456789012345)
    for pulses in range(1000):
        journal.checkpoint(0, pulses)
    assert ring.on().pulses(7) == 123456789012345


def test_records_tells_every_state_that_is_still_there():
    ring = Ring()
    journal = ring.on()
    for number in range(20):
        journal.commit(number % 2, payload(number))
    told = set()
    journal.records(lambda number, target, data: told.add((target, data)))
    assert told == {(number % 2, payload(number)) for number in range(20)}


def test_damaged_slots_are_passed_over():
    ring = Ring()
    journal = ring.on()
    journal.commit(0, b"older")
    journal.commit(0, b"newer")
    at = journal.states._at(journal.states.newest)
    for place in (0, 4, 5, 6, 40, STATE_SLOT_BYTES - 1):
        kept = ring.cells.cells[at + place]
        ring.cells.cells[at + place] = kept ^ 0x10
        assert ring.on().state(0) == b"older", place
        ring.cells.cells[at + place] = kept
    assert ring.on().state(0) == b"newer"


class Stuck(flash.Ram):
    """Cells that do not keep what is written from some place on."""

    def __init__(self, cells, from_at, upto_at):
        super().__init__(cells)
        self.span = (from_at, upto_at)

    def write(self, at, data):
        slot = len(data) == STATE_SLOT_BYTES and bytes(data) != flash.BLANK
        if slot and self.span[0] <= at < self.span[1]:
            data = bytes(data[:-1]) + b"\x00"
        super().write(at, data)


def test_a_slot_that_does_not_keep_is_left_and_the_next_one_taken():
    ring = Ring()
    first = flash.SECTOR + STATE_SLOT_BYTES
    ring.cells = Stuck(ring.cells.cells, first, first + 2 * STATE_SLOT_BYTES)
    journal = ring.on()
    for number in range(8):
        journal.commit(0, payload(number))
    assert ring.on().state(0) == payload(7)


def test_flash_that_keeps_nothing_is_unavailable():
    ring = Ring()
    ring.cells = Stuck(ring.cells.cells, 0, ring.size)
    journal = ring.on()
    try:
        journal.commit(0, b"lost")
    except Unavailable:
        assert journal.state(0) is None
        return
    raise AssertionError("kept")


def test_a_partition_too_small_for_a_ring_is_refused():
    for sectors in (1, 3, 5):
        try:
            Ring(sectors).on()
        except ValueError:
            continue
        raise AssertionError(sectors)


def writes(journal, steps, kept):
    """States of three targets and counters of two; `kept` learns what was committed."""
    for number in steps:
        if number % 4 == 3:
            journal.checkpoint(number % 2, number)
            kept["pulses", number % 2] = number
        else:
            target = (0, 0, 5, 0, 31)[number % 5]
            journal.commit(target, payload(number))
            kept["state", target] = payload(number)


def looked(journal, kept, coming):
    """The newest committed values, or the one that was being written, and never an older one."""
    for (what, target), value in kept.items():
        found = journal.state(target) if what == "state" else journal.pulses(target)
        assert found == value or coming.get((what, target)) == found, (what, target, found)


def test_a_cut_at_any_operation_keeps_what_was_committed():
    last = 150  # beyond the ring of states
    power = flash.Power()
    writes(Ring().on(power), range(last), {})
    operations = power.ops
    tried = 0
    for operation in range(0, operations, 3):
        for torn in flash.TORN:
            ring, power, kept = Ring(), flash.Power(), {}
            power.arm(operation, torn, operation)
            done = 0
            try:
                journal = ring.on(power)
                for done in range(last):
                    writes(journal, [done], kept)
            except OSError:
                pass
            coming = {}
            writes(Ring().on(), [done], coming)
            again = ring.on()
            looked(again, kept, coming)
            writes(again, range(done, done + 40), kept)
            looked(ring.on(), kept, {})
            tried += 1
    assert tried > 200


def test_a_slot_of_counters_is_one_program_operation():
    power = flash.Power()
    journal = Ring().on(power)
    journal.checkpoint(0, 1)
    assert (power.erases, power.programs) == (1, 1)
    journal.checkpoint(0, 2)
    journal.commit(0, b"x")
    assert (power.erases, power.programs) == (2, 3)
    assert journal.counters.per_sector == flash.SECTOR // COUNTER_SLOT_BYTES


def test_a_sector_erased_ahead_is_not_erased_again_when_the_ring_enters_it():
    ring = Ring()
    power = flash.Power()
    journal = ring.on(power)
    for number in range(200):
        journal.prepare()
        erases = power.erases
        journal.commit(number % 5, payload(number))
        journal.checkpoint(0, number + 1)
        # Only the very first slot of each ring had nobody to erase for it.
        assert power.erases == erases or number == 0
    again = ring.on()
    assert [again.state(target) for target in range(5)] == [payload(195 + k) for k in range(5)]
    assert again.pulses(0) == 200


def test_a_cut_while_erasing_ahead_loses_nothing():
    for torn in flash.TORN:
        ring = Ring()
        journal = ring.on()
        for number in range(90):
            journal.commit(number % 3, payload(number))
        power = flash.Power()
        journal = ring.on(power)
        power.arm(0, torn, 5)
        try:
            journal.prepare()
        except OSError:
            pass  # the power is gone
        assert power.dead
        again = ring.on()
        assert [again.state(k) for k in range(3)] == [payload(87 + k) for k in range(3)]
        for number in range(90, 200):
            again.prepare()
            again.commit(number % 3, payload(number))
        assert ring.on().state(1) == payload(199)
