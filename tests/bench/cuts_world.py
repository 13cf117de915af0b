"""The world of a module whose power fails: flash cells, meters, contact and host.

MicroPython only: the file system is the real LittleFS on the virtual board's NOR flash. Journal
and file system hang on one supply, so that every program and erase of both is one numbered
operation. A step changes the world once and then acts; a power cut repeats the action.
"""

import asyncio
import struct

import vfs

from boards.virtual import flash
from firmware import entry, journal, main
from firmware.meters import pulse
from protocol import codes, ledger, messages, settings
from protocol.units import MODULE_TARGET
from tests.bench import cuts_day as days
from tests.bench import cuts_look as look
from tests.firmware import desk as desks

ROOT = "/cuts"
JOURNAL_SECTORS = 7
DISK_SECTORS = 16
IMP_PER_KWH = 1000
BASE_WH = 5000  # what the pulse meter's display showed at total 0
LIMIT_MW = 60000 * 276
TRIP_DELAY_S = 60


class Supply(flash.Power):
    """Tells `on_op(cells, at, pattern, size)` of each operation before it happens."""

    def __init__(self, on_op=None):
        super().__init__()
        self.on_op = on_op

    def store(self, cells, at, pattern, size):
        if self.on_op:
            self.on_op(cells, at, bytes(pattern), size)
        return super().store(cells, at, pattern, size)


class Watched(flash.Journal):
    """The raw partition, noting in the world every slot whose programming has returned."""

    def __init__(self, device, world):
        super().__init__(device)
        self.world = world

    def program(self, at, data):
        super().program(at, data)
        self.note(data)

    def note(self, data):
        if len(data) == journal.STATE_SLOT_BYTES:
            _, target, length = struct.unpack_from(journal.HEADER, data)
            start = journal.HEADER_BYTES
            self.world.log.append((target, bytes(data[start : start + length])))
        else:
            self.world.saved_pulses = checkpointed(data)


def checkpointed(slot):
    """The pulse total of a counter slot."""
    return struct.unpack_from("<Q", slot, journal.HEADER_BYTES)[0]


class Board(desks.Board):
    """Its pulse input counts from power-on, as a counter in hardware does."""

    def __init__(self, world, supply):
        super().__init__(world, True, supply)
        self.before = world.pulses

    def pulse(self, channel):
        return self.desk.pulses - self.before


class World:
    """What outlives a power cut.

    `log` are all slots committed so far; those from `kept_from` on the host has not settled.
    """

    def __init__(self, journal, disk):
        self.root = ROOT
        self.sectors = len(journal) // flash.SECTOR
        self.cells = flash.Ram(journal)
        self.disk = flash.Ram(disk)
        self.contact = desks.Contact()
        self.link = desks.NoLink()
        self.meter = desks.Meter()  # of point 0; point 1 has pulses
        self.pulses = 0
        self.saved_pulses = 0
        self.tampers = 0
        self.now_ms = desks.START_S * 1000
        self.log = []
        self.kept_from = 0
        self.settled = {}
        self.switched_wh = [None, None]  # register at which the later price began
        self.owing_s = None  # metered instant from which point 1 pays its debt
        # Of each ledger the states after its settled entries, from the one before the first.
        self.states = {number: [ledger.genesis("desk-1", number)] for number in (0, 1)}

    def kept(self):
        return self.log[self.kept_from :]

    def copy_of(self):
        """What a snapshot keeps besides the cells; log and states are shared and only grow."""
        return (
            self.now_ms, self.meter.register_wh, self.contact.closed, self.pulses,
            self.saved_pulses, self.kept_from, len(self.log), dict(self.settled),
            list(self.switched_wh), self.owing_s, [len(self.states[n]) for n in (0, 1)],
        )  # fmt: skip

    def restore(self, copy, uncut):
        self.now_ms, self.meter.register_wh, self.contact.closed, self.pulses = copy[:4]
        self.saved_pulses, first, last, settled, switched_wh, self.owing_s, known = copy[4:]
        self.log, self.kept_from = uncut.log[first:last], 0
        self.settled, self.switched_wh = dict(settled), switched_wh[:]
        self.states = {number: uncut.states[number][: known[number]] for number in (0, 1)}

    def power_on(self, supply, make_journal=Watched):
        """Mount and boot as a board does. -> the running firmware."""
        unmount()
        device = flash.Flash(self.disk, len(self.disk.cells), supply)
        vfs.mount(vfs.VfsLfs2(device), ROOT)
        board = Board(self, supply)
        cells = flash.Flash(self.cells, len(self.cells.cells), supply)
        board.journal = make_journal(cells, self)

        def meter(item, so_far):
            if item.point == 0:
                return self.meter
            return pulse.PulseMeter(board, 0, IMP_PER_KWH, so_far, BASE_WH, LIMIT_MW)

        firmware = main.Firmware(board, meter)
        firmware.events.add(codes.BOOT, MODULE_TARGET, 1, firmware.module.boot_id)
        return firmware


def unmount():
    try:
        vfs.umount(ROOT)
    except OSError:
        return  # nothing was mounted


def blank(sectors):
    return bytearray(b"\xff" * (sectors * flash.SECTOR))


def provisioned(sectors=DISK_SECTORS):
    """The bytes of a file system as provisioning leaves it."""
    disk = flash.Ram(blank(sectors))
    device = flash.Flash(disk, len(disk.cells), flash.Power())
    vfs.VfsLfs2.mkfs(device)
    unmount()
    vfs.mount(vfs.VfsLfs2(device), ROOT)
    relayed = desks.point_settings(
        0, auto_close=1, trip_delay_s=TRIP_DELAY_S, emergency_limit_ncur=days.CUR,
        emergency_offer_ncur=days.CUR // 2,
    )  # fmt: skip
    metered = desks.point_settings(
        1, meter=settings.PULSE, meter_map="", unit=0, imp_per_kwh=IMP_PER_KWH,
        register_base_wh=BASE_WH, relay=settings.NO_RELAY, debt_when_off=1,
        token_unit_ncur=days.CUR,
    )  # fmt: skip
    desks.provision(ROOT, [relayed, metered], days.book())
    unmount()
    return bytes(disk.cells)


def move(world, step):
    """The part of a step that happens whether or not the module has power."""
    if step[0] == "use":
        world.now_ms += step[1] * 1000
        if world.contact.closed:
            world.meter.register_wh += step[2]
        world.pulses += step[3]


def act(world, firmware, step):
    """The part of a step that is repeated after a power cut."""
    if step[0] == "use":
        asyncio.run(firmware.metering.poll())
    elif step[0] == "settle":
        settle(world, firmware)
    elif step[0] == "type":
        asyncio.run(entry.take(firmware.commands, firmware.points[step[1]], step[2]))
    else:
        _, command_id, target, action, args = step
        if action == codes.TARIFF:
            seen_wh = firmware.points[target].seen_wh
            world.switched_wh[target] = min(world.switched_wh[target] or seen_wh, seen_wh)
        if action == codes.DEBT:
            begun_s = firmware.points[target].state.time_s
            world.owing_s = min(world.owing_s or begun_s, begun_s)
        command = messages.Command(command_id, target, action, 0, 1 << 33, list(args))
        firmware.commands.take(command)


def settle(world, firmware):
    """The host takes all that waits, prices it again, and acknowledges what it has committed."""
    for stream in (0, 1, messages.EVENT_STREAM):
        found, states = look.waiting(world, firmware, stream)
        if found:
            world.settled[stream] = found[-1][0]
        if stream in world.states:
            world.states[stream] += states[len(world.states[stream]) :]
    world.kept_from = len(world.log)
    acknowledged = messages.Ack(firmware.module.epoch, dict(world.settled))
    firmware.uplink.trim(acknowledged)
