"""The ledger of one service point: entries, the fold that gives the state, and the hash chain.

Module and host build entries with the same functions from the same facts (instant, register
total, top-up), so equal facts give equal chain heads, and a head pins every nano-unit before it.
Amounts are signed effects on the balance in nano-currency. Never decides anything about the
relay.
"""

import hashlib
from collections import namedtuple

from protocol import cbor, tariff, topup
from protocol.units import BAD_FIELD, CONTRADICTORY, NCUR_MAX, REPLAYED, Malformed, const

CHARGE = const(1)  # energy since the last register total
FIXED = const(2)  # a local calendar day begins; `number` is the day; also the frozen day register
TOPUP = const(3)  # `number` is the top-up number, `channel` how it came
DEBT = const(4)  # `number` is which debt; recovered, so the amount is negative
ADJUSTMENT = const(5)  # `number` is the command id, `channel` the reason class
TRANSFER = const(6)  # from the module before; `number` is the command id, `channel` BY_COMMAND
OPENING = const(7)  # commissioning: the register total from which charging starts

BY_COMMAND = const(1)
BY_TOKEN = const(2)
BY_VOUCHER = const(3)
BY_CONSOLE = const(4)

# Reason class of an ADJUSTMENT by a SET token: `number` is the token's odd count, not a command.
SET_BY_TOKEN = const(0xFFFF)

HEAD_BYTES = const(16)
# A module that slept longer than this owes fixed charges for no more days than these.
DAYS_DUE_MAX = const(62)

Entry = namedtuple(
    "Entry",
    "seq kind time_s quality register_wh energy_wh version period used_wh"
    " amount_ncur number channel balance_ncur",
)
# time_s: instant of the register total, which only CHARGE and OPENING move;
# day: last local day whose FIXED entry is posted; charged/topups: running sums since the opening.
State = namedtuple(
    "State",
    "seq time_s register_wh balance_ncur period used_wh day version mark"
    " charged_ncur topups_ncur head",
)


def genesis(module: str, point: int) -> State:
    """The state before the first entry; the chain starts from who and where."""
    name = b"gridpurse/1 ledger " + module.encode() + b" " + str(point).encode()
    head = hashlib.sha256(name).digest()[:HEAD_BYTES]
    return State(0, 0, 0, 0, 0, 0, 0, 0, topup.START, 0, 0, head)


def extend(head: bytes, entry: Entry) -> bytes:
    """h[n] = SHA-256(h[n-1] || canonical entry), kept to 16 bytes."""
    return hashlib.sha256(head + cbor.encode(list(entry))).digest()[:HEAD_BYTES]


def apply(state: State, entry: Entry) -> State:
    """Fold one entry. Malformed when it does not continue this state."""
    if entry.seq != state.seq + 1:
        raise Malformed(REPLAYED, "entry sequence")
    if entry.balance_ncur != state.balance_ncur + entry.amount_ncur:
        raise Malformed(CONTRADICTORY, "balance")
    kind = entry.kind
    mark, charged, topups = state.mark, state.charged_ncur, state.topups_ncur
    day, time_s = state.day, state.time_s
    if kind == CHARGE or kind == OPENING:
        time_s = entry.time_s
    if kind == CHARGE or kind == FIXED:
        charged -= entry.amount_ncur
    elif kind == TOPUP or (kind == ADJUSTMENT and entry.channel == SET_BY_TOKEN):
        number = entry.number
        if number > topup.NUMBER_MAX or topup.check(mark, number) != topup.FRESH:
            raise Malformed(CONTRADICTORY, "top-up number")
        mark = topup.accept(mark, number)
        if kind == TOPUP:
            topups += entry.amount_ncur
    if kind == FIXED or kind == OPENING:
        day = entry.number
    return State(
        entry.seq,
        time_s,
        entry.register_wh,
        entry.balance_ncur,
        entry.period,
        entry.used_wh,
        day,
        entry.version,
        mark,
        charged,
        topups,
        extend(state.head, entry),
    )


def _entry(
    state: State,
    kind: int,
    time_s: int,
    quality: int,
    version: int,
    amount_ncur: int,
    number: int,
    channel: int = 0,
) -> Entry:
    """An entry that moves money only: register and tier position stay."""
    return Entry(
        state.seq + 1,
        kind,
        time_s,
        quality,
        state.register_wh,
        0,
        version,
        state.period,
        state.used_wh,
        amount_ncur,
        number,
        channel,
        _balance_ncur(state, amount_ncur),
    )


def _balance_ncur(state: State, amount_ncur: int) -> int:
    """The balance after an amount; Malformed when it leaves 64 bits."""
    balance_ncur = state.balance_ncur + amount_ncur
    if not -NCUR_MAX <= balance_ncur <= NCUR_MAX:
        raise Malformed(BAD_FIELD, "balance")
    return int(balance_ncur)


def opening(state: State, book: tariff.Book, time_s: int, quality: int, register_wh: int) -> Entry:
    """Commissioning: energy before this register total is not ours to charge."""
    day = tariff.local_day(book, time_s)
    period = tariff.position_at(book, tariff.Position(0, 0), time_s).period
    return Entry(
        state.seq + 1,
        OPENING,
        time_s,
        quality,
        register_wh,
        0,
        book.version,
        period,
        0,
        0,
        day,
        0,
        state.balance_ncur,
    )


def charge(state: State, book: tariff.Book, time_s: int, quality: int, register_wh: int) -> Entry:
    """The energy since the last register total. Malformed when it goes back or costs too much."""
    energy_wh = register_wh - state.register_wh
    position = tariff.Position(state.period, state.used_wh)
    amount, position, _ = tariff.charge(book, position, state.time_s, time_s, energy_wh)
    return Entry(
        state.seq + 1,
        CHARGE,
        time_s,
        quality,
        register_wh,
        energy_wh,
        book.version,
        position.period,
        position.used_wh,
        -amount,
        0,
        0,
        _balance_ncur(state, -amount),
    )


def fixed_days_due(state: State, book: tariff.Book, time_s: int) -> tuple[int, int]:
    """(first, last + 1) of the local days that have begun and have no FIXED entry yet."""
    today = tariff.local_day(book, time_s)
    first = state.day + 1
    if today - first >= DAYS_DUE_MAX:
        first = today - DAYS_DUE_MAX + 1
    return first, today + 1


def fixed(state: State, book: tariff.Book, quality: int, day: int) -> Entry:
    """The fixed charge of one local day, dated like the entry before it."""
    amount = tariff.fixed_ncur(book, day)
    return _entry(state, FIXED, state.time_s, quality, book.version, -amount, day)


def topped_up(
    state: State, time_s: int, quality: int, number: int, channel: int, amount_ncur: int
) -> Entry:
    """A credited top-up. The caller has checked the mark, the cap and the maximum."""
    return _entry(state, TOPUP, time_s, quality, state.version, amount_ncur, number, channel)


def adjusted(
    state: State, time_s: int, quality: int, command_id: int, reason: int, amount_ncur: int
) -> Entry:
    """A signed correction by authenticated command."""
    version = state.version
    return _entry(state, ADJUSTMENT, time_s, quality, version, amount_ncur, command_id, reason)


def transferred(
    state: State,
    book: tariff.Book,
    time_s: int,
    quality: int,
    command_id: int,
    amount_ncur: int,
    used_wh: int,
) -> Entry:
    """Money and tier position out of the ledger of the module that was here before.

    `used_wh` is what the tier period of the metered instant has used from now on.
    """
    position = tariff.Position(state.period, state.used_wh)
    period = tariff.position_at(book, position, state.time_s).period
    return Entry(
        state.seq + 1,
        TRANSFER,
        time_s,
        quality,
        state.register_wh,
        0,
        book.version,
        period,
        used_wh,
        amount_ncur,
        command_id,
        BY_COMMAND,
        _balance_ncur(state, amount_ncur),
    )


def recovered(state: State, time_s: int, quality: int, which: int, amount_ncur: int) -> Entry:
    """An amount that goes from the balance to one of the customer's debts."""
    return _entry(state, DEBT, time_s, quality, state.version, -amount_ncur, which)
