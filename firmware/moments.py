"""What a richer monitoring plan tells beside energy: all that a meter shows now, in few events."""

from protocol import codes
from protocol.quantities import IDENTITY_FIRST, MOMENTS_FIRST
from protocol.units import const

_NUMBERS_MAX = const(16)  # of an event: eight pairs
# What follows from the others: apparent power, phase angle, reactive power of single phases.
_DERIVED = (69, 71, 81, 82, 83, 84, 85, 86)


def tell(events, point, values):
    """MOMENTS events with quantity and value in pairs."""
    pairs = []
    for quantity in sorted(values):
        if MOMENTS_FIRST <= quantity < IDENTITY_FIRST and quantity not in _DERIVED:
            pairs += (quantity, values[quantity])
    for at in range(0, len(pairs), _NUMBERS_MAX):
        events.add(codes.MOMENTS, point, *pairs[at : at + _NUMBERS_MAX])
