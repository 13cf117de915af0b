"""Fills the outbox of a module that is alone, on MicroPython; see outbox_room."""

import gc
import json
from array import array

import vfs

from boards.virtual import flash
from firmware import outbox as outboxes
from firmware import point as points
from firmware.journal import Journal
from protocol import ledger, reading
from protocol.units import SYNCHRONISED
from tests.firmware import desk as desks

ROOT = "/room"
DISK_SECTORS = 448
TAKEN_SECTORS = 160  # two sets of the application, configuration, maps
JOURNAL_SECTORS = 64
DAYS_MAX = 1000
PENDING_MAX = 40
A_YEAR = 365


class Supply(flash.Power):
    """Counts the erases of the file system's cells."""

    erases = 0

    def store(self, cells, at, pattern, size):
        if pattern == b"\xff":
            self.erases += 1
        return super().store(cells, at, pattern, size)


def started():
    disk = flash.Ram(bytearray(b"\xff" * (DISK_SECTORS * flash.SECTOR)))
    power = Supply()
    device = flash.Flash(disk, DISK_SECTORS * flash.SECTOR, power)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), ROOT)
    for number in range(TAKEN_SECTORS):
        with open(f"{ROOT}/app{number}", "wb") as file:
            file.write(bytes(flash.SECTOR))
    size = JOURNAL_SECTORS * flash.SECTOR
    cells = flash.Ram(bytearray(b"\xff" * size))
    journal = Journal(flash.Journal(flash.Flash(cells, size, flash.Power())))
    journal.load()
    power.erases = 0
    return outboxes.Outbox(ROOT, journal, 1), power


def day(outbox, alone, book, number):
    """96 quarters of an hour and a fixed charge of every point, some events."""
    for quarter in range(96):
        for point in alone:
            state = point.state
            at_s = reading.next_boundary_s(state.time_s)
            energy_wh = 40 + (quarter * 37 + number * 11) % 700
            register_wh = state.register_wh + energy_wh
            enter(outbox, point, ledger.charge(state, book, at_s, SYNCHRONISED, register_wh))
            if quarter == 0:
                enter(outbox, point, ledger.fixed(point.state, book, 0, point.state.day + 1))


def enter(outbox, point, entry):
    point.slot = point.with_entry(entry)
    outbox.add(
        point.number, entry.seq, outbox.journal.commit(point.number, points.pack(point.slot))
    )


def main(count):
    outbox, power = started()
    book = desks.flat_book(1, 500000, desks.CUR // 10)
    alone = []
    for number in range(count):
        settings = desks.point_settings(number)
        point = points.Point(settings, "gp-101", 1, book, None, None)
        alone.append(point)
        enter(outbox, point, ledger.opening(point.state, book, desks.START_S, 0, 1234567))
    files = outbox.shelves[0]
    days = 0
    figures = {}
    while not outbox.dropped and days < DAYS_MAX:
        day(outbox, alone, book, days)
        days += 1
        if days == 90:
            figures = {
                "files_90_days": files.last - files.first + 1,
                "erases_per_record_ppm": power.erases * 1000000 // (days * 97 * count),
                "index_bytes": index_bytes(outbox),
            }
        if days == A_YEAR and count == 1:
            break
    figures["days"] = days if not outbox.dropped else days - 1
    print(json.dumps(figures))


def index_bytes(outbox):
    """What the outbox holds on the heap besides its code."""
    journal = outbox.journal
    gc.collect()
    before = gc.mem_alloc()
    again = outboxes.Outbox(ROOT, journal, 1)
    again.load()
    for place in range(PENDING_MAX - 1):
        again.pending.extend(array("I", (place, place)))
    gc.collect()
    return gc.mem_alloc() - before
