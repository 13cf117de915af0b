"""Readings batches: ledger entries of one point, delta-coded for the air.

The receiver turns the items into facts again, see facts.py. Pure codec.
"""

from protocol import ledger
from protocol.units import INTERVAL_S, SYNCHRONISED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.ledger import Entry


def next_boundary_s(after_s: int) -> int:
    """End of the 15-minute interval, aligned to the clock, that follows an instant."""
    return (after_s // INTERVAL_S + 1) * INTERVAL_S


def to_item(metered_s: int, entry: "Entry") -> object:
    """One entry on the wire, relative to the last metered instant; an opening is absolute.

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
        return [kind, entry.time_s, entry.quality, entry.register_wh]
    item = [kind, dt_s, entry.quality, entry.number, entry.channel, entry.amount_ncur]
    return item + [entry.used_wh] if kind == ledger.TRANSFER else item
