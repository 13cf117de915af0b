# runs on: cpython micropython
"""Records that wait: none is forgotten before it is acknowledged, or before the stated bound."""

import os

from boards.virtual import flash
from firmware import module
from firmware import outbox as outboxes
from firmware.journal import Journal
from firmware.outbox import Outbox
from protocol import codes
from tests.firmware import desk as desks

ROOT = "/tmp/gridpurse-outbox"
SECTORS = 32
PENDING = outboxes.PENDING_MAX


class Box(Outbox):
    """An outbox with a journal of its own, which takes the records first."""

    def __init__(self, cells=None):
        size = SECTORS * flash.SECTOR
        self.cells = cells or flash.Ram(bytearray(b"\xff" * size))
        journal = Journal(flash.Journal(flash.Flash(self.cells, size, flash.Power())))
        journal.load()
        super().__init__(ROOT, journal)

    def put(self, stream, seq, data=None):
        data = record(stream, seq) if data is None else data
        self.add(stream, seq, self.journal.commit(stream, data))


def fresh():
    desks.clean(ROOT)
    return Box()


def again(box):
    """The files as the next power-on finds them."""
    loaded = Box(box.cells)
    loaded.load()
    return loaded


def filled(box, count, streams=(0, 8), first=1):
    for seq in range(first, first + count):
        for stream in streams:
            box.put(stream, seq)


def record(stream, seq):
    return b"%d of %d" % (seq, stream)


def taken(box, stream, after=0, most=1000):
    return [(seq, bytes(data)) for seq, data in box.take(stream, after, most)]


def all_of(stream, first, last):
    return [(seq, record(stream, seq)) for seq in range(first, last + 1)]


def test_few_records_wait_in_memory_and_touch_no_file():
    box = fresh()
    filled(box, 10)
    assert os.listdir(box.folder) == [] and box.waiting() == 20
    assert taken(box, 0) == all_of(0, 1, 10)


def test_many_records_move_into_files_and_come_back_in_order():
    box = fresh()
    filled(box, 100)
    assert len(os.listdir(box.folder)) == 200 // PENDING
    assert taken(box, 0) == all_of(0, 1, 100) and taken(box, 8, 37) == all_of(8, 38, 100)
    loaded = again(box)
    filed = 200 // PENDING * PENDING // 2
    assert taken(loaded, 0) == all_of(0, 1, filed) and loaded.filed(8) == filed


def test_take_gives_at_most_what_was_asked_for():
    box = fresh()
    filled(box, 50)
    assert taken(box, 0, 5, 7) == all_of(0, 6, 12)
    assert taken(box, 0, 50, 7) == [] and taken(box, 3, 0, 7) == []


def test_take_ends_where_a_gap_begins():
    box = fresh()
    for seq in (1, 2, 4, 5):
        box.put(0, seq)
    assert taken(box, 0) == all_of(0, 1, 2)
    assert taken(box, 0, 2) == all_of(0, 4, 5)


def test_an_acknowledgement_drops_what_it_covers_and_no_more():
    box = fresh()
    filled(box, PENDING + 5)  # two files of half each stream, and ten pending
    box.trim(0, PENDING)
    assert taken(box, 0, PENDING) == all_of(0, PENDING + 1, PENDING + 5)
    assert taken(box, 8) == all_of(8, 1, PENDING + 5)
    assert len(box.files) == 2
    box.trim(8, PENDING // 2)
    assert len(box.files) == 1
    box.trim(8, PENDING + 5)
    box.trim(0, PENDING + 5)
    assert box.files == [] and os.listdir(box.folder) == [] and box.waiting() == 0


def test_old_and_impossible_acknowledgements_change_nothing():
    box = fresh()
    filled(box, 10)
    box.trim(0, 7)
    for seq in (7, 3, 0, 11, 1000):
        box.trim(0, seq)
    box.trim(5, 1)
    assert box.acked == {0: 7} and taken(box, 0, 7) == all_of(0, 8, 10)


def test_names_of_files_only_rise_while_any_is_there():
    box = fresh()
    filled(box, PENDING, streams=(0,))
    filled(box, PENDING, streams=(8,))
    names = [name for name, _ in box.files]
    box.trim(0, PENDING)
    filled(box, PENDING, streams=(0,), first=PENDING + 1)
    assert [name for name, _ in box.files][-1] > max(names)
    assert again(box).filed(0) == 2 * PENDING


def test_a_file_that_was_never_finished_is_removed():
    box = fresh()
    filled(box, PENDING)
    name = box.folder + "/" + box.files[-1][0]
    with open(name, "rb") as file:
        data = file.read()
    for torn in (b"", data[:3], data[: len(data) // 2], data[:-1], data[:-1] + b"\x00"):
        with open(name, "wb") as file:
            file.write(torn)
        assert again(box).filed(0) == PENDING // 2, torn
        assert len(os.listdir(box.folder)) == 1


def test_beyond_the_bound_the_oldest_file_goes_and_is_counted():
    box = fresh()
    extra = 3
    filled(box, (outboxes.FILES_MAX + extra) * PENDING, streams=(0,))
    gone = extra * PENDING
    assert len(box.files) == outboxes.FILES_MAX and box.dropped == gone
    assert taken(box, 0, 0, 5) == all_of(0, gone + 1, gone + 5)
    assert taken(again(box), 0, 0, 5) == all_of(0, gone + 1, gone + 5)


def test_a_record_may_have_any_length():
    box = fresh()
    lengths = [0, 1, box.journal.states.payload_max]
    for seq, length in enumerate(lengths):
        box.put(0, seq + 1, bytes(length))
    box.flush()
    assert [len(data) for _, data in again(box).take(0, 0, 9)] == lengths


def test_a_record_moves_into_a_file_before_the_ring_goes_over_it():
    box = fresh()
    box.put(0, 1)
    for seq in range(1, 6):
        for _ in range(box.journal.states.slots // 5):
            box.journal.commit(7, b"no record")
        box.put(8, seq)
    assert taken(box, 0) == all_of(0, 1, 1) and taken(box, 8) == all_of(8, 1, 5)


def restless(firmware, count):
    """Commits that are no records, as relay and warnings make them."""
    point = firmware.points[0]
    for _ in range(count):
        firmware.metering.commit(point, point.plain())


def test_what_a_boot_recovers_moves_into_a_file_by_its_age():
    desk = desks.Desk("/tmp/gridpurse-recovered")
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on()
    slots = firmware.journal.states.slots
    firmware.events.add(codes.CLOCK_SET, 255, 1, 2)
    restless(firmware, slots // 3)
    enter(firmware)
    _, firmware = desk.power_on()
    restless(firmware, slots // 2 - 3)
    firmware.events.add(codes.CLOCK_SET, 255, 3, 4)
    restless(firmware, slots // 4)
    assert [seq for seq, _ in firmware.outbox.take(8, 0, 9)] == [1, 2]
    assert [seq for seq, _ in firmware.outbox.take(0, 0, 9)] == [1]


def enter(firmware):
    from protocol import ledger

    point = firmware.points[0]
    entry = ledger.opening(point.state, point.book, desks.START_S, 0, 1000)
    firmware.metering.enter(point, entry)


def test_a_boot_remembers_the_newest_copy_of_a_carried_record():
    desk = desks.Desk("/tmp/gridpurse-carried")
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on()
    enter(firmware)
    first = firmware.journal.newest[0][0]
    while firmware.journal.newest[0][0] == first:  # both copies are there when this ends
        firmware.journal.commit(16, firmware.journal.state(16))
    outbox = Outbox(desk.root, firmware.journal)
    module.recover_records(firmware.journal, outbox, firmware.points)
    (found,) = [number for stream, _, number in outbox.waiting_slots() if stream == 0]
    assert found == firmware.journal.newest[0][0]
