"""The world of a module whose power fails: flash cells, meters, contact, host, and one day.

MicroPython only: the file system is the real LittleFS on the virtual board's NOR flash. Journal
and file system hang on one supply, so that every program and erase of both is one numbered
operation. A step changes the world once and then acts; a power cut repeats the action.
"""

import asyncio
import struct

import vfs

from boards.virtual import flash
from firmware import journal, main
from firmware import point as points
from firmware.meters import pulse
from protocol import cbor, codes, ledger, messages, settings, tariff_book
from tests.firmware import desk as desks

ROOT = "/cuts"
JOURNAL_SECTORS = 7
DISK_SECTORS = 16
CUR = desks.CUR
PRICE_UCUR_PER_KWH = 500000
LATER_PRICE_UCUR_PER_KWH = 900000
FIXED_NCUR = CUR // 10
EVENTS_TARGET = 32
IMP_PER_KWH = 1000
BASE_WH = 5000  # what the pulse meter's display showed at total 0
LIMIT_MW = 60000 * 276
SLOTS_KNOWN_MAX = 4000


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
        self.meter = desks.Meter()  # of point 0; point 1 has pulses
        self.pulses = 0
        self.saved_pulses = 0
        self.now_ms = desks.START_S * 1000
        self.log = []
        self.kept_from = 0
        self.settled = {}
        self.switched_wh = [None, None]  # register at which the later price began
        self.states = {number: ledger.genesis("desk-1", number) for number in (0, 1)}

    def kept(self):
        return self.log[self.kept_from :]

    def copy_of(self):
        """What a snapshot keeps besides the cells; the log is shared and only grows."""
        return (
            self.now_ms, self.meter.register_wh, self.contact.closed, self.pulses,
            self.saved_pulses, self.kept_from, len(self.log), dict(self.settled),
            list(self.switched_wh), dict(self.states),
        )  # fmt: skip

    def restore(self, copy, log):
        self.now_ms, self.meter.register_wh, self.contact.closed, self.pulses = copy[:4]
        self.saved_pulses, first, last, settled, switched_wh, states = copy[4:]
        self.log, self.kept_from = log[first:last], 0
        self.settled, self.switched_wh, self.states = dict(settled), switched_wh[:], dict(states)

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
        firmware.events.add(codes.BOOT, 255, 1, firmware.module.boot_id)
        return firmware


def unmount():
    try:
        vfs.umount(ROOT)
    except OSError:
        return  # nothing was mounted


def book(version=1, price_ucur_per_kwh=PRICE_UCUR_PER_KWH):
    return desks.flat_book(version, price_ucur_per_kwh, FIXED_NCUR)


def blank(sectors):
    return bytearray(b"\xff" * (sectors * flash.SECTOR))


def provisioned(sectors=DISK_SECTORS):
    """The bytes of a file system as provisioning leaves it."""
    disk = flash.Ram(blank(sectors))
    device = flash.Flash(disk, len(disk.cells), flash.Power())
    vfs.VfsLfs2.mkfs(device)
    unmount()
    vfs.mount(vfs.VfsLfs2(device), ROOT)
    relayed = desks.point_settings(0, auto_close=1)
    metered = desks.point_settings(
        1, meter=settings.PULSE, meter_map="", unit=0, imp_per_kwh=IMP_PER_KWH,
        register_base_wh=BASE_WH, relay=settings.NO_RELAY,
    )  # fmt: skip
    desks.provision(ROOT, [relayed, metered], book())
    unmount()
    return bytes(disk.cells)


# Steps: ("use", seconds, Wh of point 0, pulses of point 1), ("order", ...), ("settle",). The world
# moves first, and only once; the action may be repeated.

# From this hour on: load of point 0, of point 1, in W.
LOADS = ((0, 300, 100), (6, 1500, 220), (9, 400, 220), (17, 2500, 1500), (22, 800, 250))
# (minutes of the day, step or name of a step)
ORDERS = (
    (1, (1, 0, codes.TOPUP, 2, 0, 4 * CUR)),
    (2, (2, 1, codes.TOPUP, 2, 0, 30 * CUR)),
    (330, "settle"),
    (400, (3, 0, codes.TOPUP, 4, 0, 2 * CUR)),
    (460, (4, 0, codes.RELAY, codes.TRIP)),
    (480, (5, 0, codes.RELAY, codes.DIRECT_CLOSE)),
    (500, (6, 1, codes.TOPUP, 4, 0, CUR)),
    (555, (7, 0, codes.ADJUST, 3, -CUR // 3)),
    (610, (8, 0, codes.TOPUP, 6, 0, CUR)),
    (720, "settle"),
    (840, "tariff"),
    (900, (11, 1, codes.TOPUP, 6, 0, 2 * CUR)),
    (1020, "settle"),
    (1210, (12, 0, codes.TOPUP, 8, 0, 3 * CUR)),
    (1230, (13, 1, codes.TOPUP, 8, 0, 4 * CUR)),
    (1330, "settle"),
    (1420, (14, 0, codes.TOPUP, 10, 0, 5 * CUR)),
    (1448, "settle"),
)
DAY_S = 86400
AFTER_S = 900  # into the next day, whose fixed charge begins
PULSE_UNIT = 3600  # watt-seconds of a pulse of 1 Wh


def workload(poll_s=10):
    """A day of two points: top-ups, a trip and a close, a tariff switch, running out, midnight.

    Long stretches without settlement fill outbox files; the journal's ring goes round.
    """
    steps = [("use", 0, 0, 0)]
    due = list(ORDERS)
    sums = [0, 0]
    for at_s in range(poll_s, DAY_S + AFTER_S + 1, poll_s):
        used = []
        load = [each for each in LOADS if each[0] * 3600 < at_s][-1]
        for number in (0, 1):
            before = sums[number] // PULSE_UNIT
            sums[number] += load[1 + number] * poll_s
            used.append(sums[number] // PULSE_UNIT - before)
        steps.append(("use", poll_s, used[0], used[1]))
        while due and due[0][0] * 60 <= at_s:
            steps += named(due.pop(0)[1])
    return steps


def named(what):
    if what == "settle":
        return [("settle",)]
    if what == "tariff":
        new = tariff_book.to_wire(book(2, LATER_PRICE_UCUR_PER_KWH))
        return [order(9, 0, codes.TARIFF, new), order(10, 1, codes.TARIFF, new)]
    return [order(*what)]


def order(command_id, target, action, *args):
    return ("order", command_id, target, action, args)


def orders(steps, action):
    return [step for step in steps if step[0] == "order" and step[3] == action]


def owed(world, steps, number, register_wh):
    """Money of a point from what was used and ordered alone: (topups, energy, adjustments)."""
    topups = sum([step[4][2] for step in orders(steps, codes.TOPUP) if step[2] == number])
    adjusted = sum([step[4][1] for step in orders(steps, codes.ADJUST) if step[2] == number])
    opened_wh = BASE_WH if number else desks.Meter().register_wh
    switched_wh = world.switched_wh[number]
    if switched_wh is None:
        switched_wh = register_wh
    charged = (switched_wh - opened_wh) * PRICE_UCUR_PER_KWH
    charged += (register_wh - switched_wh) * LATER_PRICE_UCUR_PER_KWH
    return topups, charged, adjusted


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
    else:
        _, command_id, target, action, args = step
        if action == codes.TARIFF:
            seen_wh = firmware.points[target].seen_wh
            world.switched_wh[target] = min(world.switched_wh[target] or seen_wh, seen_wh)
        command = messages.Command(command_id, target, action, 0, 1 << 33, list(args))
        firmware.commands.take(command)


def settle(world, firmware):
    """The host takes all that waits, folds it, and acknowledges what it has committed."""
    for stream in (0, 1, messages.EVENT_STREAM):
        for seq, record in waiting(world, firmware, stream):
            if stream in world.states:
                world.states[stream] = known.folded(world.states[stream], record)
            world.settled[stream] = seq
    world.kept_from = len(world.log)
    firmware.uplink.trim(messages.Ack(firmware.module.epoch, dict(world.settled)))


def waiting(world, firmware, stream):
    """Every record above the settled one, as the uplink would take them."""
    after = world.settled.get(stream, 0)
    out = []
    more = firmware.outbox.take(stream, after, 64)
    while more:
        out += more
        more = firmware.outbox.take(stream, out[-1][0], 64)
    if [seq for seq, _ in out] != list(range(after + 1, after + 1 + len(out))):
        raise ValueError(f"stream {stream} has a gap")
    return out


class Known:
    """What slots unpack to and ledgers fold to: cuts look at the same ones again and again."""

    def __init__(self):
        self.slots = {}
        self.states = {}

    def slot(self, payload):
        if payload not in self.slots:
            if len(self.slots) > SLOTS_KNOWN_MAX:
                self.slots = {}
            self.slots[payload] = points.unpack(payload)
        return self.slots[payload]

    def folded(self, state, payload):
        """The host's state after one record; ValueError when the module's own differs."""
        key = state.head, payload
        if key not in self.states:
            if len(self.states) > SLOTS_KNOWN_MAX:
                self.states = {}
            slot = self.slot(payload)
            after = ledger.apply(state, slot.entry)
            if after != slot.state:
                raise ValueError(f"state of entry {slot.entry.seq} is not its fold")
            self.states[key] = after
        return self.states[key]


known = Known()  # of this process


def committed(kept):
    """{(stream, seq): record} of committed slots; ValueError for a number used twice."""
    found = {}
    for target, payload in kept:
        key = None
        if target == EVENTS_TARGET:
            key = messages.EVENT_STREAM, cbor.decode(payload)[1]
        elif target in (0, 1):
            slot = known.slot(payload)
            key = None if slot.entry is None else (target, slot.entry.seq)
        if key and found.setdefault(key, payload) != payload:
            raise ValueError(f"record {key} was written twice")
    return found
