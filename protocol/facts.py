"""Readings items become facts again, and facts the very entries that the module wrote.

A fact is what happened (energy until an instant, a top-up); the receiver prices it again with its
own tariff and so rebuilds the entry. A batch continues from the state after the entry before it:
its items are relative to that, and its chain head proves that both sides started from the same. A
module never loads this.
"""

from collections import namedtuple

from protocol import ledger, reading
from protocol.units import BAD_FIELD, INVALID, NCUR_MAX, SYNCHRONISED, Malformed, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.ledger import Entry, State
    from protocol.tariff import Book

# version is the tariff version it was priced with; number, channel and amount as in the entry;
# register_wh is told by an opening only, every other entry continues from the register before it;
# energy_wh of a transfer is what its tier period has used.
Fact = namedtuple(
    "Fact", "kind time_s quality energy_wh version number channel amount_ncur register_wh"
)

ENERGY_WH_MAX = const(1 << 50)
DAY_MAX = const(1 << 24)
_TIME_S_MAX = const(1 << 40)
_MONEY = (ledger.TOPUP, ledger.DEBT, ledger.ADJUSTMENT)


def of_items(base_s: int, version: int, items: list[object]) -> "list[Fact]":
    """The facts of a batch, in order. Malformed(BAD_FIELD) on any field out of range.

    `base_s` is the metered instant before the first item.
    """
    out = []
    metered_s = base_s
    for item in items:
        if isinstance(item, int) and not isinstance(item, bool):
            dt_s = reading.next_boundary_s(metered_s) - metered_s
            item = [ledger.CHARGE, dt_s, SYNCHRONISED, item]
        fact = _fact(metered_s, version, item)
        if fact.kind == ledger.CHARGE or fact.kind == ledger.OPENING:
            metered_s = fact.time_s
        out.append(fact)
    return out


def _fact(metered_s: int, version: int, item: object) -> "Fact":
    if not isinstance(item, list) or len(item) < 3:
        raise Malformed(BAD_FIELD, "item")
    for value in item:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Malformed(BAD_FIELD, "item")
    kind, dt_s, quality = item[:3]
    if not 0 <= quality <= INVALID or not -(1 << 32) < dt_s < _TIME_S_MAX:
        raise Malformed(BAD_FIELD, "item time")
    rest = item[3:]
    if kind == ledger.CHARGE and len(rest) == 1 and 0 <= rest[0] <= ENERGY_WH_MAX and dt_s >= 0:
        return Fact(kind, metered_s + dt_s, quality, rest[0], version, 0, 0, 0, 0)
    if kind == ledger.FIXED and len(rest) == 1 and dt_s == 0 and 0 <= rest[0] <= DAY_MAX:
        return Fact(kind, metered_s, quality, 0, version, rest[0], 0, 0, 0)
    if kind == ledger.OPENING and len(rest) == 1 and 0 <= rest[0] <= ENERGY_WH_MAX and dt_s >= 0:
        return Fact(kind, dt_s, quality, 0, version, 0, 0, 0, rest[0])
    if (kind in _MONEY and len(rest) == 3) or (kind == ledger.TRANSFER and len(rest) == 4):
        number, channel, amount_ncur = rest[:3]
        used_wh = rest[3] if kind == ledger.TRANSFER else 0
        if not 0 <= number <= 0xFFFFFFFF or not 0 <= channel <= 0xFFFF:
            raise Malformed(BAD_FIELD, "item number")
        if not -NCUR_MAX <= amount_ncur <= NCUR_MAX:
            raise Malformed(BAD_FIELD, "item amount")
        if not 0 <= used_wh <= ENERGY_WH_MAX:
            raise Malformed(BAD_FIELD, "item used")
        time_s = metered_s + dt_s
        return Fact(kind, time_s, quality, used_wh, version, number, channel, amount_ncur, 0)
    raise Malformed(BAD_FIELD, "item kind")


def rebuild(state: "State", book: "Book", fact: "Fact") -> "Entry":
    """The entry that the module must have written for a fact, priced with our own book."""
    kind = fact.kind
    if kind == ledger.CHARGE:
        register_wh = state.register_wh + fact.energy_wh
        return ledger.charge(state, book, fact.time_s, fact.quality, register_wh)
    if kind == ledger.FIXED:
        return ledger.fixed(state, book, fact.quality, fact.number)
    if kind == ledger.OPENING:
        return ledger.opening(state, book, fact.time_s, fact.quality, fact.register_wh)
    if kind == ledger.DEBT:
        amount_ncur = -fact.amount_ncur
        return ledger.recovered(state, fact.time_s, fact.quality, fact.number, amount_ncur)
    if kind == ledger.TRANSFER:
        figures = fact.number, fact.amount_ncur, fact.energy_wh
        return ledger.transferred(state, book, fact.time_s, fact.quality, *figures)
    make = ledger.topped_up if kind == ledger.TOPUP else ledger.adjusted
    return make(state, fact.time_s, fact.quality, fact.number, fact.channel, fact.amount_ncur)
