"""One service point: its ledger state, its relay state, and the slot that makes both durable.

A slot holds the state after an entry and enough of the entry to send it, so one valid slot
restores the point and is itself the outbox record. Money is nano-currency. Never talks to meter
or network.
"""

from collections import namedtuple

from firmware import prepaid, relay
from protocol import cbor, ledger, messages, reading, tariff, topup
from protocol.units import const

# relay: commanded state; rule: why; holds: bits; warned: zone last announced; acked: host has it;
# high, window: command watermark; more: integers at the places below; prev_s: metered instant
# before the entry; entry: Entry or None.
Slot = namedtuple(
    "Slot",
    "epoch state relay rule holds operations warned acked high window more prev_s entry",
)

COMMAND_WINDOW = const(32)

# Places in `more`. Those that end in _S are countdowns in monotonic seconds.
M_EMERGENCY = const(0)  # prepaid.EC_...
M_EPISODE = const(1)  # bits, prepaid.DID_...
M_TAMPER = const(2)  # latched kinds, as bits
M_LEFT_S = const(3)  # until a delayed opening, -1 when no delay was drawn
M_ORDER = const(4)  # the relay order that ends at M_ORDER_S, 0 none
M_ORDER_S = const(5)
M_HOLD_S = const(6)  # hold-supply: 0 none, -1 until its counterpart
M_CLOCK_S = const(7)  # left of the protection that an invalid clock gives
M_FAILURES = const(8)  # token entries, see protocol/lockout.py
M_LOCKED_S = const(9)
M_OFFSET_WH = const(10)  # ledger register less the meter's
M_DAY_NCUR = const(11)  # charged_ncur when the local day began
M_MEAN_NCUR = const(12)  # mean spend of the last days
M_DAYS = const(13)  # how many days it is the mean of
M_LOAD = const(14)  # openings by load limit in this run
M_DEBTS = const(15)  # empty, or what firmware/debts.py keeps
START = (0, 0, 0, -1) + (0,) * 11 + ([],)


def pack(slot):
    entry = slot.entry
    brief = None
    if entry is not None:
        brief = [
            entry.kind,
            entry.time_s,
            entry.quality,
            entry.energy_wh,
            entry.amount_ncur,
            entry.number,
            entry.channel,
        ]
    return cbor.encode(list(slot[:-1]) + [brief])


def unpack(payload):
    values = cbor.decode(payload)
    state = values[1]
    state[8] = topup.Mark(*state[8])
    state = ledger.State(*state)
    values[1] = state
    brief = values[12]
    if brief is not None:
        position = [state.version, state.period, state.used_wh]
        fields = [state.seq] + brief[:3] + [state.register_wh, brief[3]] + position
        values[12] = ledger.Entry(*(fields + brief[4:] + [state.balance_ncur]))
    return Slot(*values)


def batch(number, records):
    """The Readings message of (sequence, packed slot) in order. -> (message, how many it took).

    A batch has one tariff version, and an opening can only be its first record. Slots are unpacked
    one at a time: eight at once would be the largest thing on the heap.
    """
    items = []
    message = None
    for seq, record in records:
        slot = unpack(record)
        entry = slot.entry
        if not items:
            first = seq
            version = entry.version
            metered_s = slot.prev_s
        elif entry.version != version or entry.kind == ledger.OPENING:
            break
        items.append(reading.to_item(metered_s, entry))
        metered_s = slot.state.time_s
        message = messages.Readings(number, slot.epoch, first, version, items, slot.state.head)
    return message, len(items)


class Point:
    def __init__(self, settings, module, epoch, book, meter, contact):
        self.settings = settings
        self.number = settings.point
        self.book = book
        self.meter = meter
        self.contact = contact
        self.slot = Slot(
            epoch,
            ledger.genesis(module, settings.point),
            relay.OPEN,
            relay.BY_CREDIT,
            prepaid.HOLD_CREDIT,
            0,
            prepaid.NORMAL,
            0,
            0,
            0,
            list(START),
            0,
            None,
        )
        self.seen_wh = 0  # newest plausible register total, charged or not
        self.seen_ms = 0  # when, 0 before the first one of this power-on
        self.meter_wh = None  # what the meter showed last, plausible or not
        self.verdict = 0  # on it, see meters/readings.py
        self.refused = 0  # totals refused in a row, the last of them, and when
        self.refused_wh = self.refused_ms = 0
        self.behind = False  # the host has settled more than this storage remembers
        self.pulses = None  # raw total of a pulse meter
        self.near = False  # its next pulses may exhaust the balance
        self.current_ma = None  # of the highest phase, where the meter tells it
        self.waiting_ms = None  # since when an opening waits for the current to fall
        self.counted_ms = 0  # up to when countdowns have run
        self.saved_ms = 0
        self.protected = False  # friendly hours keep the supply on beyond the limit
        self.load = None  # load.Load, where there is a limit
        self.holds_now = 0  # what the watch wants held, not persisted: prepaid.HOLD_... bits
        self.silent = 0  # polls without an answer since the last one
        self.typing = False  # a token entry runs
        self.told_ms = 0  # when an entry without effect was an event
        self.locked_ms = 0  # tick at which M_LOCKED_S was what is left

    @property
    def state(self):
        return self.slot.state

    def limit_ncur(self):
        """The balance at which the credit of this point ends."""
        return prepaid.limit_ncur(self.settings, self.slot.more[M_EMERGENCY])

    def restore(self, payload):
        self.slot = unpack(payload)
        self.seen_wh = self.slot.state.register_wh

    def with_entry(self, entry):
        """The slot after an entry; commit it before believing it."""
        slot = self.slot
        state = ledger.apply(slot.state, entry)
        return Slot(*(slot[:1] + (state,) + slot[2:11] + (slot.state.time_s, entry)))

    def with_relay(self, state, rule, holds, moved):
        slot = self.slot
        operations = slot.operations + (1 if moved else 0)
        return Slot(*(slot[:2] + (state, rule, holds, operations) + slot[6:11] + (0, None)))

    def with_warning(self, zone):
        slot = self.slot
        return Slot(*(slot[:6] + (zone,) + slot[7:11] + (0, None)))

    def with_command(self, slot, command_id):
        """A slot that also remembers a command id as applied."""
        high, window = accept_id(slot.high, slot.window, command_id)
        return Slot(*(slot[:8] + (high, window) + slot[10:]))

    def with_more(self, slot, *changes):
        """A slot with other values in `more`: place, value, place, value, ..."""
        more = list(slot.more)
        for at in range(0, len(changes), 2):
            more[changes[at]] = changes[at + 1]
        return Slot(*(slot[:10] + (more,) + slot[11:]))

    def with_day_over(self, slot):
        """A slot with the mean spend of the last seven whole days, for warnings in days."""
        more = slot.more
        spent_ncur = slot.state.charged_ncur - more[M_DAY_NCUR]
        days = min(more[M_DAYS], 7)  # whole ones, this included
        mean_ncur = 0
        if days:
            mean_ncur = (more[M_MEAN_NCUR] * (days - 1) + spent_ncur) // days  # down
        changes = (M_DAY_NCUR, slot.state.charged_ncur, M_MEAN_NCUR, mean_ncur, M_DAYS, days + 1)
        return self.with_more(slot, *changes)

    def plain(self):
        """The present slot without an entry, to change something else in it."""
        return Slot(*(self.slot[:11] + (0, None)))

    def pending_ncur(self, now_s, spare_wh=0):
        """What the energy since the last entry costs so far, and so much more of it."""
        state = self.slot.state
        energy_wh = self.seen_wh + spare_wh - state.register_wh
        if energy_wh <= 0 or not state.seq:
            return 0
        position = tariff.Position(state.period, state.used_wh)
        upto_s = max(now_s, state.time_s)
        return tariff.charge(self.book, position, state.time_s, upto_s, energy_wh)[0]

    def statement(self):
        slot = self.slot
        state = slot.state
        brief = [state.balance_ncur, state.period, state.used_wh, state.day]
        return messages.Statement(
            self.number,
            slot.epoch,
            state.seq,
            state.time_s,
            0,
            state.register_wh,
            state.version,
            state.balance_ncur,
            state.charged_ncur,
            state.topups_ncur,
            brief + list(state.mark) + [state.head],
        )


def shared(book, points):
    """The same book once, where several points are charged by it."""
    for each in points:
        if each.book == book:
            return each.book
    return book


def accept_id(high, window, command_id):
    """Watermark and window after a command id; bit k of the window stands for high - k."""
    if command_id > high:
        window = (window << (command_id - high)) | 1
        return command_id, window & ((1 << COMMAND_WINDOW) - 1)
    return high, window | 1 << (high - command_id)


def seen_id(high, window, command_id):
    """True when an id was applied, or is too old to tell."""
    if command_id > high:
        return False
    age = high - command_id
    return age >= COMMAND_WINDOW or bool(window >> age & 1)
