# runs on: cpython micropython
"""Records that wait: none is forgotten before it is acknowledged, or before the stated bound."""

import os

from firmware import outbox as outboxes
from firmware.outbox import Outbox
from tests.firmware import desk as desks

ROOT = "/tmp/gridpurse-outbox"


def fresh():
    desks.clean(ROOT)
    return Outbox(ROOT)


def again():
    box = Outbox(ROOT)
    box.load()
    return box


def filled(box, count, streams=(0, 8), first=1):
    for seq in range(first, first + count):
        for stream in streams:
            box.add(stream, seq, record(stream, seq))


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
    assert len(os.listdir(box.folder)) == 200 // outboxes.PENDING_MAX
    assert taken(box, 0) == all_of(0, 1, 100) and taken(box, 8, 37) == all_of(8, 38, 100)
    loaded = again()
    assert taken(loaded, 0) == all_of(0, 1, 100) and loaded.filed(8) == 100


def test_take_gives_at_most_what_was_asked_for():
    box = fresh()
    filled(box, 50)
    assert taken(box, 0, 5, 7) == all_of(0, 6, 12)
    assert taken(box, 0, 50, 7) == [] and taken(box, 3, 0, 7) == []


def test_take_ends_where_a_gap_begins():
    box = fresh()
    for seq in (1, 2, 4, 5):
        box.add(0, seq, record(0, seq))
    assert taken(box, 0) == all_of(0, 1, 2)
    assert taken(box, 0, 2) == all_of(0, 4, 5)


def test_an_acknowledgement_drops_what_it_covers_and_no_more():
    box = fresh()
    filled(box, 45)
    box.trim(0, 30)
    assert taken(box, 0, 30) == all_of(0, 31, 45) and taken(box, 8) == all_of(8, 1, 45)
    assert len(box.files) == 2
    box.trim(8, 20)
    assert len(box.files) == 1
    box.trim(8, 45)
    box.trim(0, 45)
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
    filled(box, 60, streams=(0,))
    filled(box, 60, streams=(8,))
    names = [name for name, _ in box.files]
    box.trim(0, 60)
    filled(box, 60, streams=(0,), first=61)
    assert [name for name, _ in box.files][-1] > max(names)
    assert again().filed(0) == 100


def test_a_file_that_was_never_finished_is_removed():
    box = fresh()
    filled(box, 40)
    name = box.folder + "/" + box.files[-1][0]
    with open(name, "rb") as file:
        data = file.read()
    for torn in (b"", data[:3], data[: len(data) // 2], data[:-1], data[:-1] + b"\x00"):
        with open(name, "wb") as file:
            file.write(torn)
        loaded = again()
        assert loaded.filed(0) == 20, torn
        assert len(os.listdir(box.folder)) == 1


def test_beyond_the_bound_the_oldest_file_goes_and_is_counted():
    box = fresh()
    box.files_max = None
    extra = 3
    filled(box, (outboxes.FILES_MAX + extra) * outboxes.PENDING_MAX, streams=(0,))
    gone = extra * outboxes.PENDING_MAX
    assert len(box.files) == outboxes.FILES_MAX and box.dropped == gone
    assert taken(box, 0, 0, 5) == all_of(0, gone + 1, gone + 5)
    assert taken(again(), 0, 0, 5) == all_of(0, gone + 1, gone + 5)


def test_a_record_may_have_any_length():
    box = fresh()
    for seq, length in enumerate((0, 1, 246, 4096)):
        box.add(0, seq + 1, bytes(length))
    box.flush()
    assert [len(data) for _, data in again().take(0, 0, 9)] == [0, 1, 246, 4096]


def test_flushing_nothing_writes_nothing():
    box = fresh()
    box.flush()
    assert os.listdir(box.folder) == []
