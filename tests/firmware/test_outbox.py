# runs on: cpython micropython
"""Records that wait: none is forgotten before it is acknowledged, or before the stated bound."""

import os

from boards.virtual import flash
from firmware import boot
from firmware import events as events_module
from firmware import point as points
from firmware.journal import Journal
from firmware.outbox import Outbox
from protocol import cbor, codes, facts, ledger, messages, reading
from protocol.units import SYNCHRONISED
from tests.firmware import desk as desks

SECTORS = 32
EPOCH = 3
BOOK = desks.flat_book()
PENDING = 40


class Box(Outbox):
    """An outbox with a journal of its own, which takes the records first."""

    def __init__(self, cells=None, epoch=EPOCH):
        size = SECTORS * flash.SECTOR
        self.cells = cells or flash.Ram(bytearray(b"\xff" * size))
        journal = Journal(flash.Journal(flash.Flash(self.cells, size, flash.Power())))
        journal.load()
        self.points = {}
        super().__init__(desks.folder("shelves"), journal, epoch)

    def put(self, stream, seq, data=None):
        """The next record of a ledger, or an event that says its own number."""
        if data is None:
            data = event(seq) if stream == 8 else self.charge(stream, seq)
        self.add(stream, seq, self.journal.commit(32 if stream == 8 else stream, data))

    def charge(self, stream, seq):
        if stream not in self.points:
            settings = desks.point_settings(stream)
            self.points[stream] = points.Point(settings, "desk-1", EPOCH, BOOK, None, None)
        point = self.points[stream]
        state = point.state
        if seq == 1:
            entry = ledger.opening(state, BOOK, desks.START_S, 0, 1000)
        else:
            at_s = reading.next_boundary_s(state.time_s)
            entry = ledger.charge(state, BOOK, at_s, SYNCHRONISED, state.register_wh + seq)
        point.slot = point.with_entry(entry)
        return points.pack(point.slot)


def event(seq, *numbers):
    values = [desks.START_S + seq, 0, codes.CLOCK_SET, 255, [seq] + list(numbers)]
    return cbor.encode([EPOCH, seq, 0, events_module.EVENT, values])


def fresh():
    desks.clean(desks.folder("shelves"))
    return Box()


def again(box, epoch=EPOCH):
    """The files as the next power-on finds them."""
    loaded = Box(box.cells, epoch)
    loaded.load()
    return loaded


def filled(box, count, streams=(0, 8), first=1):
    for seq in range(first, first + count):
        for stream in streams:
            box.put(stream, seq)


def sent(box, stream, after=0, most=8):
    """Every sequence as it travels, in order; the messages are held against each other."""
    out = []
    state = ledger.genesis("desk-1", stream)
    while True:
        found = box.batch(stream, after, most)
        if found is None:
            return out
        message = messages.unpack(found[0])
        first = message[1 if stream == 8 else 2]
        assert message.epoch == EPOCH and first <= after + 1
        if stream == 8:
            seqs = [first + place for place in range(len(message.items))]
            if not isinstance(message.items[0], int):
                assert [item[4][0] for item in message.items] == seqs
        else:
            assert first == after + 1 or first == 1 or after
            if after + 1 == first and state.seq == after:
                for fact in facts.of_items(state.time_s, message.version, message.items):
                    state = ledger.apply(state, facts.rebuild(state, BOOK, fact))
                assert state.head == message.head
            seqs = range(first, first + len(message.items))
        out += [seq for seq in seqs if seq > after]
        after = found[1]


def names(box):
    return sorted(os.listdir(box.folder))


def upto(first, last):
    return list(range(first, last + 1))


def test_few_records_wait_in_memory_and_touch_no_file():
    box = fresh()
    filled(box, 10)
    assert names(box) == [] and box.waiting() == 20
    assert sent(box, 0) == upto(1, 10) and sent(box, 8) == upto(1, 10)


def test_many_records_move_into_files_and_come_back_in_order():
    box = fresh()
    filled(box, 100)
    assert names(box) == ["00000001", "10000001"]
    for found in (box, again(box)):
        last = 100 if found is box else 200 // PENDING * PENDING // 2
        assert sent(found, 0) == upto(1, last) and sent(found, 8) == upto(1, last)
        found.cursor = {}
        assert sent(found, 8, 37) == upto(38, last)
        assert found.filed == {0: 100, 8: 100}


def test_a_batch_from_the_journal_holds_at_most_what_was_asked_for():
    box = fresh()
    filled(box, 30, streams=(0,))
    body, last = box.batch(0, 5, 7)
    assert last == 12 and len(messages.unpack(body).items) == 7
    assert box.batch(0, 30, 7) is None and box.batch(3, 0, 7) is None


def test_ninety_days_of_readings_fit_with_an_index_that_does_not_grow():
    box = fresh()
    filled(box, 8640, streams=(0,))
    shelf = box.shelves[0]
    assert shelf.last - shelf.first + 1 <= 16
    assert box.dropped == 0 and sent(again(box), 0) == upto(1, 8640)
    for name in names(box):
        assert os.stat(box.folder + "/" + name)[6] <= 4096, name


def test_events_end_where_a_gap_begins_and_the_gap_travels_as_its_number():
    box = fresh()
    for seq in (1, 2, 5, 6):
        box.put(8, seq)
    body, last = box.batch(8, 2, 9)
    assert messages.unpack(body) == messages.Events(EPOCH, 3, [2]) and last == 4
    assert messages.unpack(box.batch(8, 0, 9)[0]).items[-1][4] == [2]
    assert messages.unpack(box.batch(8, 4, 9)[0]).first_seq == 5


def test_an_acknowledgement_drops_what_it_covers_and_no_more():
    box = fresh()
    filled(box, PENDING + 5)
    box.trim(0, PENDING + 2)
    assert sent(box, 0, PENDING + 2) == upto(PENDING + 3, PENDING + 5)
    assert sent(box, 8) == upto(1, PENDING + 5)
    assert names(box) == ["10000001"]
    box.trim(8, PENDING - 1)
    assert names(box) == ["10000001"]
    box.trim(8, PENDING + 5)
    box.trim(0, PENDING + 5)
    assert names(box) == [] and box.waiting() == 0 and len(box.pending) == 0


def test_one_stream_that_is_behind_keeps_the_file_it_needs():
    box = fresh()
    filled(box, PENDING, streams=(0, 1))
    box.trim(0, PENDING)
    assert names(box) == ["00000001"] and sent(box, 1) == upto(1, PENDING)
    box.trim(1, PENDING)
    assert names(box) == []


def test_old_and_impossible_acknowledgements_change_nothing():
    box = fresh()
    filled(box, 10)
    box.trim(0, 7)
    for seq in (7, 3, 0, 11, 1000):
        box.trim(0, seq)
    box.trim(5, 1)
    assert box.acked == {0: 7} and sent(box, 0, 7) == upto(8, 10)


def test_numbers_of_files_only_rise_while_any_is_there():
    box = fresh()
    filled(box, 3000, streams=(0,))
    box.trim(0, 2500)
    found = again(box)
    assert found.shelves[0].first == box.shelves[0].first > 1
    found.points = box.points
    filled(found, 2000, streams=(0,), first=3001)
    assert found.shelves[0].last > box.shelves[0].last
    assert sent(found, 0, 2500)[0] == 2501


def test_a_file_that_was_never_finished_loses_nothing_else():
    box = fresh()
    filled(box, PENDING)
    path = box.folder + "/" + names(box)[-1]
    with open(path, "rb") as file:
        data = file.read()
    for torn in (data[:3], data[: len(data) // 2], data[:-1], data[:-1] + b"\x00"):
        with open(path, "wb") as file:
            file.write(torn)
        found = again(box)
        assert found.damaged == 1 and sent(found, 0) == upto(1, PENDING), torn
        assert len(names(found)) == 2  # it keeps its place
    with open(path, "wb") as file:
        pass  # the power went between its name and its content
    assert again(box).damaged == 0


def test_what_is_whole_in_a_damaged_file_is_sent():
    box = fresh()
    filled(box, 10 * PENDING, streams=(8,))
    path = box.folder + "/" + names(box)[0]
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[60] ^= 1
    with open(path, "wb") as file:
        file.write(data)
    found = again(box)
    assert found.damaged == 1
    body, last = found.batch(8, 0, 8)
    assert messages.unpack(body).items == [last] and 0 < last <= PENDING  # one message of them
    assert sent(found, 8, last) == upto(last + 1, 10 * PENDING)


def test_files_of_an_earlier_life_of_the_journal_are_not_sent_under_its_name():
    box = fresh()
    filled(box, PENDING, streams=(0,))
    found = again(box, EPOCH + 1)
    assert found.damaged == 1 and found.batch(0, 0, 8) is None and found.newest == {}


def test_beyond_the_bound_the_oldest_file_goes_and_is_counted():
    box = fresh()
    box.shelves[0].files_max = box.shelves[1].files_max = 2
    filled(box, 2500)
    assert len(names(box)) == 4
    events = sent(box, 8)
    first = events[1]
    assert events[0] == 1 and first > 2  # what is lost travels as one number
    begun = messages.unpack(box.batch(0, 0, 8)[0]).first_seq
    assert box.dropped == first - 1 + begun - 1 > 0
    assert events[1:] == upto(first, 2500)


def test_telemetry_never_takes_the_room_of_the_ledger():
    box = fresh()
    box.shelves[1].files_max = 1
    filled(box, 100, streams=(0,))
    filled(box, 2000, streams=(8,))
    assert sent(box, 0) == upto(1, 100) and box.dropped > 0


class FullDisk:
    """A file that takes nothing more."""

    def write(self, data):
        raise OSError(28)

    def close(self):
        pass


def test_a_full_file_system_costs_the_oldest_telemetry_and_no_entry():
    box = fresh()
    filled(box, PENDING)
    filled(box, PENDING // 2 - 1, first=PENDING + 1)
    box.shelves[0].file = FullDisk()
    box.shelves[0].used = 0
    box.put(0, PENDING + PENDING // 2)
    box.put(8, PENDING + PENDING // 2)
    assert names(box) == ["00000001"] or names(box) == ["00000001", "10000002"]
    assert box.dropped == PENDING
    assert sent(box, 0) == upto(1, PENDING + PENDING // 2)


def test_the_longest_event_has_room_in_a_file():
    box = fresh()
    for seq in upto(1, PENDING):
        box.put(8, seq, event(seq, *[-(1 << 62)] * 15))
    assert box.dropped == 0 and sent(again(box), 8) == upto(1, PENDING)
    for name in names(box):
        assert os.stat(box.folder + "/" + name)[6] <= 4096


def test_a_record_moves_into_a_file_before_the_ring_goes_over_it():
    box = fresh()
    box.put(0, 1)
    for seq in range(1, 6):
        for _ in range(box.journal.states.slots // 5):
            box.journal.commit(7, b"no record")
        box.put(8, seq)
    assert sent(box, 0) == [1] and sent(box, 8) == upto(1, 5)


def test_what_the_ring_went_over_is_counted_and_the_rest_is_kept():
    box = fresh()
    box.put(8, 1)
    box.put(8, 2)
    for _ in range(box.journal.states.slots):
        box.journal.commit(7, b"no record")
    box.put(8, 3)
    assert box.dropped == 2
    assert messages.unpack(box.batch(8, 0, 9)[0]).items == [2] and sent(box, 8, 2) == [3]


def restless(firmware, count):
    """Commits that are no records, as relay and warnings make them."""
    point = firmware.points[0]
    for _ in range(count):
        firmware.metering.commit(point, point.plain())


def test_what_a_boot_recovers_moves_into_a_file_by_its_age():
    desk = desks.Desk(desks.folder("recovered"))
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
    assert len(firmware.outbox.filed) == 2 and firmware.outbox.dropped == 0
    assert messages.unpack(firmware.outbox.batch(8, 1, 9)[0]).first_seq <= 2
    assert messages.unpack(firmware.outbox.batch(0, 0, 9)[0]).first_seq == 1


def enter(firmware):
    point = firmware.points[0]
    entry = ledger.opening(point.state, point.book, desks.START_S, 0, 1000)
    firmware.metering.enter(point, entry)


def test_a_boot_remembers_the_newest_copy_of_a_carried_record():
    desk = desks.Desk(desks.folder("carried"))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    _, firmware = desk.power_on()
    enter(firmware)
    first = firmware.journal.newest[0][0]
    while firmware.journal.newest[0][0] == first:  # both copies are there when this ends
        firmware.journal.commit(16, firmware.journal.state(16))
    outbox = Outbox(desk.root, firmware.journal, firmware.module.epoch)
    boot.recover_records(firmware.journal, outbox, firmware.points)
    (found,) = [number for stream, _, number in outbox.waiting_slots() if stream == 0]
    assert found == firmware.journal.newest[0][0]
