"""Cuts the power at every flash operation of the workload, in every torn form, and looks.

MicroPython only. The uncut run keeps what the cells held before each operation; a cut is those
cells plus what is left of that operation, booted afresh, looked at, and worked to the end.
"""

import json
import os

from boards.virtual import flash
from protocol.units import Malformed, Unavailable
from tests.bench import cuts_world as worlds

# A boot or a step after the cut may fail in these ways; each is a finding, none ends the run.
BROKEN = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, Malformed, Unavailable,
)  # fmt: skip


class Count:
    """Figures of one share; `first` says how the first failure looked."""

    def __init__(self):
        self.operations = 0
        self.tried = 0
        self.records_lost = 0
        self.double_charges = 0
        self.mount_failures = 0
        self.first = ""

    def tell(self, where, error):
        if not self.first:
            self.first = f"{where}: {error!r}"


class Uncut:
    """The uncut run: snapshots of every operation of this share, and the steps they fell in."""

    def __init__(self, share, shares, every, make_journal):
        blank = bytearray(b"\xff" * (worlds.JOURNAL_SECTORS * flash.SECTOR))
        self.world = worlds.World(blank, bytearray(worlds.provisioned()))
        self.share, self.shares, self.every = share, shares, every
        self.make_journal = make_journal
        self.step = 0
        self.operations = 0
        self.filed = 0  # most outbox files at once
        self.snapshots = []

    def run(self, steps):
        firmware = self.world.power_on(worlds.Supply(self.keep), self.make_journal)
        for self.step, step in enumerate(steps):
            worlds.move(self.world, step)
            worlds.act(self.world, firmware, step)
            self.filed = max(self.filed, len(os.listdir(firmware.outbox.folder)))
        check_end(self.world, firmware, steps)
        return firmware

    def keep(self, cells, at, pattern, size):
        number = self.operations
        self.operations += 1
        if number % self.every or number // self.every % self.shares != self.share:
            return
        world = self.world
        self.snapshots.append(
            (
                number, self.step, world.copy_of(), bytes(world.cells.cells),
                bytes(world.disk.cells), cells is world.disk, at, pattern, size,
            )
        )  # fmt: skip


def check_end(world, firmware, steps):
    """ValueError unless every watt-hour, top-up and adjustment counted exactly once."""
    for number, (topups, charged, adjusted) in worlds.expected(steps).items():
        state = firmware.points[number].state
        # The workload opens on one local day and ends on another; each begun day costs once.
        days = state.day - worlds.desks.START_S // 86400 - 1
        fixed = days * worlds.FIXED_NCUR
        said = (state.topups_ncur, state.charged_ncur, state.balance_ncur)
        owed = (topups, charged + fixed, topups + adjusted - charged - fixed)
        if said != owed or world.states[number][-1] != state:
            raise ValueError(f"point {number} ends with {said}, owed {owed}")
    closed = world.contact.closed
    if closed != (firmware.points[0].slot.relay == 0):
        raise ValueError("the contact disagrees")


def check_boot(world, firmware, committed):
    """Records lost: what was committed before the cut and is not waiting, or in another form."""
    lost = 0
    for stream in (0, 1, 8):
        upto = world.settled.get(stream, 0)
        found = worlds.waiting(world, firmware, stream)
        known = dict(found)
        numbers = [seq for other, seq in committed if other == stream and seq > upto]
        lost += len([seq for seq in numbers if known.get(seq) != committed[stream, seq]])
        # One more may have been committed as the power failed, and the boot is an event itself.
        begun = max(numbers, default=upto) + (2 if stream == 8 else 1)
        if len(found) + upto > begun:
            raise ValueError(f"stream {stream} found more than was begun")
        if stream in world.states and world.after[stream][-1] != firmware.points[stream].state:
            raise ValueError(f"balance of point {stream} is not the fold of its entries")
    return lost


def cut(count, snapshot, torn, steps, make_journal):
    """One power cut and everything after it."""
    number, at_step, copy, journal, disk, on_disk, at, pattern, size = snapshot
    world = worlds.World(bytearray(journal), bytearray(disk))
    world.restore(copy)
    power = flash.Power()
    power.torn, power.seed = torn, number
    cells = world.disk if on_disk else world.cells
    power.tear(cells, at, pattern, size)
    where = f"operation {number} torn {torn} in step {at_step}"
    count.tried += 1
    committed = worlds.committed(world.kept)
    try:
        firmware = world.power_on(worlds.Supply(), make_journal)
    except BROKEN as error:
        count.mount_failures += 1
        count.tell(where + " boot", error)
        return
    try:
        lost = check_boot(world, firmware, committed)
        if lost:
            count.tell(where, lost)
        count.records_lost += lost
    except BROKEN as error:
        count.records_lost += 1
        count.tell(where + " look", error)
        return
    try:
        worlds.act(world, firmware, worlds.use(0))  # the metering loop reads first
        for later in range(at_step, len(steps)):
            if later > at_step:
                worlds.move(world, steps[later])
            worlds.act(world, firmware, steps[later])
        check_end(world, firmware, steps)
    except BROKEN as error:
        count.double_charges += 1
        count.tell(where + " end", error)


def tried(share, shares, every, torn=flash.TORN, make_journal=worlds.Watched):
    """-> Count of one share of the operations; `every` thins them out for a short run."""
    steps = worlds.workload()
    uncut = Uncut(share, shares, every, make_journal)
    uncut.run(steps)
    count = Count()
    count.operations = uncut.operations
    for snapshot in uncut.snapshots:
        for how in torn:
            cut(count, snapshot, how, steps, make_journal)
    worlds.unmount()
    return count


def main(share, shares, every):
    print(json.dumps(tried(share, shares, every).__dict__))
