"""The world of a module whose power fails: flash cells, meters, contact, host, and a workload.

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
from protocol import cbor, codes, facts, ledger, messages, settings, tariff_book
from tests.firmware import desk as desks

ROOT = "/cuts"
JOURNAL_SECTORS = 9
DISK_SECTORS = 16
CUR = desks.CUR
PRICE_UCUR_PER_KWH = 500000
LATER_PRICE_UCUR_PER_KWH = 900000
FIXED_NCUR = CUR // 10
EVENTS_TARGET = 32


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
    """The raw partition, noting every state slot whose programming has returned."""

    def __init__(self, device, kept):
        super().__init__(device)
        self.kept = kept

    def program(self, at, data):
        super().program(at, data)
        if len(data) == journal.STATE_SLOT_BYTES:
            _, target, length = struct.unpack_from(journal.HEADER, data)
            start = journal.HEADER_BYTES
            self.kept.append((target, bytes(data[start : start + length])))


class Meter(desks.Meter):
    """The second one also counts pulses, so that the journal keeps checkpoints of it."""

    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    async def read(self, group=0):
        pulses = self.register_wh if self.counts else None
        return desks.Seen(self.register_wh, pulses)


class World:
    """What outlives a power cut. `kept` are slots committed and not yet settled by the host."""

    def __init__(self, journal, disk):
        self.root = ROOT
        self.sectors = JOURNAL_SECTORS
        self.cells = flash.Ram(journal)
        self.disk = flash.Ram(disk)
        self.contact = desks.Contact()
        self.link = desks.NoLink()
        self.meters = (Meter(False), Meter(True))
        self.tampers = 0
        self.now_ms = desks.START_S * 1000
        self.kept = []
        self.settled = {}
        # Of each ledger: the states after its settled entries, from the one before the first.
        self.states = {number: [ledger.genesis("desk-1", number)] for number in (0, 1)}
        self.after = {}  # the same with what was waiting at the last look

    def copy_of(self):
        """What a snapshot keeps besides the cells."""
        registers = [meter.register_wh for meter in self.meters]
        return (
            self.now_ms, registers, self.contact.closed,
            list(self.kept), dict(self.settled), dict(self.states),
        )  # fmt: skip

    def restore(self, copy):
        self.now_ms, registers, self.contact.closed, kept, settled, states = copy
        for number, meter in enumerate(self.meters):
            meter.register_wh = registers[number]
        self.kept, self.settled, self.states = list(kept), dict(settled), dict(states)

    def power_on(self, supply, make_journal=Watched):
        """Mount and boot as a board does. -> the running firmware."""
        unmount()
        device = flash.Flash(self.disk, DISK_SECTORS * flash.SECTOR, supply)
        vfs.mount(vfs.VfsLfs2(device), ROOT)
        board = desks.Board(self, True, supply)
        cells = flash.Flash(self.cells, JOURNAL_SECTORS * flash.SECTOR, supply)
        board.journal = make_journal(cells, self.kept)
        firmware = main.Firmware(board, lambda item, pulses: self.meters[item.point])
        firmware.events.add(codes.BOOT, 255, 1, firmware.module.boot_id)
        return firmware


def unmount():
    try:
        vfs.umount(ROOT)
    except OSError:
        return  # nothing was mounted


def book(version=1, price_ucur_per_kwh=PRICE_UCUR_PER_KWH):
    return desks.flat_book(version, price_ucur_per_kwh, FIXED_NCUR)


def provisioned():
    """The bytes of a file system as provisioning leaves it."""
    disk = flash.Ram(bytearray(b"\xff" * (DISK_SECTORS * flash.SECTOR)))
    device = flash.Flash(disk, DISK_SECTORS * flash.SECTOR, flash.Power())
    vfs.VfsLfs2.mkfs(device)
    unmount()
    vfs.mount(vfs.VfsLfs2(device), ROOT)
    relayed = desks.point_settings(0, auto_close=1)
    metered = desks.point_settings(1, unit=2, relay=settings.NO_RELAY)
    desks.provision(ROOT, [relayed, metered], book())
    unmount()
    return bytes(disk.cells)


# Steps: (name, arguments). The world moves first, and only once; the action may be repeated.


def use(minutes, *energies_wh):
    return ("use", minutes, energies_wh)


def order(command_id, target, action, *args):
    return ("order", command_id, target, action, args)


def workload():
    """Two points over days: opening, top-ups, intervals, trip and close, a tariff, settlement.

    Long stretches without settlement fill outbox files; the journal's ring goes round.
    """
    steps = [use(0, 0, 0)]
    steps += [order(1, 0, codes.TOPUP, 2, 0, 4 * CUR)]
    steps += [order(2, 1, codes.TOPUP, 2, 0, 30 * CUR)]
    steps += [use(15, 100 + number, 10 * number) for number in range(12)]
    steps += [order(3, 0, codes.RELAY, codes.TRIP), use(1, 0, 5), use(14, 0, 40)]
    steps += [order(4, 0, codes.RELAY, codes.DIRECT_CLOSE), use(1, 0, 0), ("settle",)]
    steps += [use(720, 900, 900), order(5, 0, codes.ADJUST, 3, -CUR // 3)]
    steps += [order(6, 0, codes.TOPUP, 6, 0, 2 * CUR), use(5, 77, 11)]
    steps += [use(15, 33, number) for number in range(16)]
    new = tariff_book.to_wire(book(2, LATER_PRICE_UCUR_PER_KWH))
    steps += [order(7, 0, codes.TARIFF, new), order(8, 1, codes.TARIFF, new)]
    steps += [use(15, 55 + number, number) for number in range(14)]
    steps += [order(9, 0, codes.TOPUP, 4, 0, 2 * CUR), ("settle",)]
    steps += [use(900, 1300, 400), use(15, 3, 0), order(10, 1, codes.TOPUP, 4, 0, CUR)]
    steps += [use(15, 250, 250) for _ in range(24)]
    steps += [use(720, 9000, 9000), use(1, 0, 0)]  # both run out, and the relay opens
    steps += [order(11, 0, codes.TOPUP, 8, 0, 30 * CUR), use(1, 0, 0), ("settle",)]
    steps += [use(15, 120, 60) for _ in range(10)]
    steps += [order(12, 1, codes.TOPUP, 8, 0, 40 * CUR), use(15, 1, 1), ("settle",)]
    return steps


def expected(steps):
    """Money of each point after the workload, from the steps alone.

    -> {point: (topups, energy charged, adjustments)}, all nano-currency.
    """
    sums = {0: [0, 0, 0], 1: [0, 0, 0]}
    price = {0: PRICE_UCUR_PER_KWH, 1: PRICE_UCUR_PER_KWH}
    for step in steps:
        if step[0] == "use":
            for number, energy_wh in enumerate(step[2]):
                sums[number][1] += energy_wh * price[number]
        elif step[0] == "order":
            _, _, target, action, args = step
            if action == codes.TOPUP:
                sums[target][0] += args[2]
            elif action == codes.ADJUST:
                sums[target][2] += args[1]
            elif action == codes.TARIFF:
                price[target] = LATER_PRICE_UCUR_PER_KWH
    return {number: tuple(values) for number, values in sums.items()}


def move(world, step):
    """The part of a step that happens whether or not the module has power."""
    if step[0] == "use":
        world.now_ms += step[1] * 60000
        for number, energy_wh in enumerate(step[2]):
            world.meters[number].register_wh += energy_wh


def act(world, firmware, step):
    """The part of a step that is repeated after a power cut."""
    if step[0] == "use":
        asyncio.run(firmware.metering.poll())
    elif step[0] == "settle":
        settle(world, firmware)
    else:
        _, command_id, target, action, args = step
        command = messages.Command(command_id, target, action, 0, 1 << 33, list(args))
        firmware.commands.take(command)


def settle(world, firmware):
    """The host takes all that waits, folds it, and acknowledges what it has committed."""
    for stream in (0, 1, messages.EVENT_STREAM):
        for seq, _ in waiting(world, firmware, stream):
            world.settled[stream] = seq
        if stream in world.states:
            world.states[stream] = world.after[stream]
    world.kept[:] = []
    firmware.uplink.trim(messages.Ack(firmware.module.epoch, dict(world.settled)))


def waiting(world, firmware, stream):
    """[(seq, what it says)] of all above the settled one, out of the messages it travels in.

    Ledger entries are priced again as a host does; ValueError where chain heads differ.
    """
    upto = world.settled.get(stream, 0)
    states = list(world.states.get(stream, ()))
    out = []
    found = firmware.outbox.batch(stream, upto, 64)
    while found:
        message = messages.unpack(found[0])
        if stream == messages.EVENT_STREAM:
            said = events_of(message)
        else:
            said = entries_of(message, states)
        out += [item for item in said if item[0] > upto]
        found = firmware.outbox.batch(stream, found[1], 64)
    firmware.outbox.cursor = {}
    if [seq for seq, _ in out] != list(range(upto + 1, upto + 1 + len(out))):
        raise ValueError(f"stream {stream} has a gap")
    world.after[stream] = states
    return out


def events_of(message):
    if messages.kind_of(message) == messages.RESULT:
        return [(message.seq, (1, list(message[2:])))]
    return [(message.first_seq + place, (0, item)) for place, item in enumerate(message.items)]


def entries_of(message, states):
    """Entries of a batch; `states[n]` is the state after entry n and grows by what is new."""
    seq = message.first_seq
    if seq > len(states):
        raise ValueError(f"batch from {seq} after {len(states) - 1}")
    state = states[seq - 1]
    prices = (PRICE_UCUR_PER_KWH, LATER_PRICE_UCUR_PER_KWH)
    with_book = book(message.version, prices[message.version == 2])
    out = []
    for fact in facts.of_items(state.time_s, message.version, message.items):
        entry = facts.rebuild(state, with_book, fact)
        state = ledger.apply(state, entry)
        out.append((entry.seq, entry))
        if entry.seq == len(states):
            states.append(state)
        elif states[entry.seq] != state:
            raise ValueError(f"entry {entry.seq} is not what it was")
    if state.head != message.head:
        raise ValueError(f"head after entry {state.seq} is not its fold")
    return out


def committed(kept):
    """{(stream, seq): what it says} of committed slots; ValueError for a number used twice."""
    found = {}
    for target, payload in kept:
        key = None
        if target == EVENTS_TARGET:
            _, seq, _, what, values = cbor.decode(payload)
            key = messages.EVENT_STREAM, seq
            says = (what, values)
        elif target in (0, 1):
            says = points.unpack(payload).entry
            key = None if says is None else (target, says.seq)
        if key and found.setdefault(key, says) != says:
            raise ValueError(f"record {key} was written twice")
    return found
