"""Erases of every flash block while a module works for days, on real LittleFS; MicroPython only.

A pulse meter moves before every checkpoint, intervals are 15 minutes. With a network the host
settles at once; without one records go to files, and the host takes them when it comes back.
"""

import gc
import json

from boards.virtual import flash
from protocol import codes
from tests.bench import cuts_day as days
from tests.bench import cuts_world as worlds

DAY_S = 86400
PULSES = 7  # in one poll: 2.5 kW at ten seconds
TOPUP_NCUR = 500 * days.CUR


class Wear:
    """Counts erases by block; `note` listens to a supply."""

    def __init__(self, world):
        self.world = world
        self.journal = [0] * (len(world.cells.cells) // flash.SECTOR)
        self.disk = [0] * (len(world.disk.cells) // flash.SECTOR)

    def note(self, cells, at, pattern, size):
        if size == flash.SECTOR:
            blocks = self.disk if cells is self.world.disk else self.journal
            blocks[at // flash.SECTOR] += 1


def worked(hours, poll_s, away_days, journal_sectors, disk_sectors):
    """-> Wear of a module; `away_days` 0 has a network, else the host comes so seldom."""
    gc.collect()
    disk = bytearray(worlds.provisioned(disk_sectors))
    world = worlds.World(worlds.blank(journal_sectors), disk)
    wear = Wear(world)
    firmware = world.power_on(worlds.Supply(wear.note))
    polls = hours * 3600 // poll_s
    paid = 0
    for number in range(polls):
        at_s = number * poll_s
        worlds.move(world, ("use", poll_s, 1, PULSES))
        worlds.act(world, firmware, ("use", 0, 0, 0))
        for target in (0, 1) if at_s % (10 * DAY_S) == 0 else ():
            paid += 1
            args = (2 * paid, 0, TOPUP_NCUR)
            worlds.act(world, firmware, days.order(paid, target, codes.TOPUP, *args))
        settles = at_s % days.AFTER_S == 0 if not away_days else at_s % (away_days * DAY_S) == 0
        if settles:
            worlds.settle(world, firmware)
            world.log = []
            world.kept_from = 0
        if at_s % DAY_S == 0:  # before a list has grown over all of the heap
            world.meter.asked = []
            gc.collect()
    worlds.unmount()
    return wear


def main(*arguments):
    wear = worked(*arguments)
    print(json.dumps({"journal": wear.journal, "disk": wear.disk}))
