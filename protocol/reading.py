"""Readings batches: ledger entries of one point, delta-coded for the air, and back into facts.

A fact is what happened (energy until an instant, a top-up); the receiver prices it again with its
own tariff and so rebuilds the entry. Register totals stay absolute: base plus energies. Pure
codec.
"""

from collections import namedtuple

from protocol import ledger
from protocol.units import (
    BAD_FIELD,
    INTERVAL_S,
    INVALID,
    NCUR_MAX,
    SYNCHRONISED,
    Malformed,
    const,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.ledger import Entry, State
    from protocol.tariff import Book

# version is the tariff version it was priced with; number, channel and amount as in the entry.
Fact = namedtuple("Fact", "kind time_s quality energy_wh version number channel amount_ncur")

ENERGY_WH_MAX = const(1 << 50)
DAY_MAX = const(1 << 24)
_MONEY = (ledger.TOPUP, ledger.DEBT, ledger.ADJUSTMENT)


def next_boundary_s(after_s: int) -> int:
    """End of the 15-minute interval, aligned to the clock, that follows an instant."""
    return (after_s // INTERVAL_S + 1) * INTERVAL_S


def to_item(metered_s: int, entry: "Entry") -> object:
    """One entry on the wire, relative to the last metered instant.

    An interval that ends on the next boundary under a good clock is its energy alone.
    """
    kind = entry.kind
    dt_s = entry.time_s - metered_s
    if kind == ledger.CHARGE:
        if entry.time_s == next_boundary_s(metered_s) and entry.quality == SYNCHRONISED:
            return entry.energy_wh
        return [kind, dt_s, entry.quality, entry.energy_wh]
    if kind == ledger.FIXED:
        return [kind, 0, entry.quality, entry.number]
    if kind == ledger.OPENING:
        return [kind, dt_s, entry.quality]
    return [kind, dt_s, entry.quality, entry.number, entry.channel, entry.amount_ncur]


def facts(base_s: int, version: int, items: list[object]) -> "list[Fact]":
    """The facts of a batch, in order. Malformed(BAD_FIELD) on any field out of range."""
    out = []
    metered_s = base_s
    for item in items:
        if isinstance(item, int) and not isinstance(item, bool):
            item = [ledger.CHARGE, next_boundary_s(metered_s) - metered_s, SYNCHRONISED, item]
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
    if not 0 <= quality <= INVALID or not -(1 << 32) < dt_s < 1 << 40:
        raise Malformed(BAD_FIELD, "item time")
    rest = item[3:]
    if kind == ledger.CHARGE and len(rest) == 1 and 0 <= rest[0] <= ENERGY_WH_MAX and dt_s >= 0:
        return Fact(kind, metered_s + dt_s, quality, rest[0], version, 0, 0, 0)
    if kind == ledger.FIXED and len(rest) == 1 and dt_s == 0 and 0 <= rest[0] <= DAY_MAX:
        return Fact(kind, metered_s, quality, 0, version, rest[0], 0, 0)
    if kind == ledger.OPENING and not rest and dt_s >= 0:
        return Fact(kind, metered_s + dt_s, quality, 0, version, 0, 0, 0)
    if kind in _MONEY and len(rest) == 3:
        number, channel, amount_ncur = rest
        if not 0 <= number <= 0xFFFFFFFF or not 0 <= channel <= 0xFFFF:
            raise Malformed(BAD_FIELD, "item number")
        if not -NCUR_MAX <= amount_ncur <= NCUR_MAX:
            raise Malformed(BAD_FIELD, "item amount")
        return Fact(kind, metered_s + dt_s, quality, 0, version, number, channel, amount_ncur)
    raise Malformed(BAD_FIELD, "item kind")


def rebuild(state: "State", book: "Book", fact: "Fact", base_wh: int) -> "Entry":
    """The entry that the module must have written for a fact, priced with our own book.

    `base_wh` is the register total of an opening; other entries continue from the state.
    """
    kind = fact.kind
    if kind == ledger.CHARGE:
        register_wh = state.register_wh + fact.energy_wh
        return ledger.charge(state, book, fact.time_s, fact.quality, register_wh)
    if kind == ledger.FIXED:
        return ledger.fixed(state, book, fact.quality, fact.number)
    if kind == ledger.OPENING:
        return ledger.opening(state, book, fact.time_s, fact.quality, base_wh)
    if kind == ledger.DEBT:
        amount_ncur = -fact.amount_ncur
        return ledger.recovered(state, fact.time_s, fact.quality, fact.number, amount_ncur)
    make = ledger.topped_up if kind == ledger.TOPUP else ledger.adjusted
    return make(state, fact.time_s, fact.quality, fact.number, fact.channel, fact.amount_ncur)
