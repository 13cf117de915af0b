"""The one watermark of all top-up channels: each number is credited at most once, in any order.

Numbers are the OpenPAYGO counts: even ones add, odd ones set. The window holds the eight newest
even counts (openpaygo.md section 7). Never knows amounts; the caller commits mark and balance
together.
"""

from collections import namedtuple

from protocol.units import const

# generation of the token key; highest number used; last odd number; bitmap of used even numbers
Mark = namedtuple("Mark", "generation highest floor used")

FRESH = const(0)
USED = const(1)
TOO_OLD = const(2)

NUMBER_MAX = const(65534)
WINDOW = const(16)

START = Mark(0, 1, 1, 0)


def check(mark: Mark, number: int) -> int:
    """FRESH, USED or TOO_OLD for a number; bit k of the bitmap stands for `even - 2k`."""
    if number > mark.highest:
        return FRESH
    if number & 1 or number < 1:
        return USED
    if number <= mark.floor or number <= mark.highest - WINDOW:
        return TOO_OLD
    even = mark.highest - (mark.highest & 1)
    return USED if (mark.used >> ((even - number) // 2)) & 1 else FRESH


def accept(mark: Mark, number: int) -> Mark:
    """The mark after a FRESH number was credited."""
    if number & 1:
        return Mark(mark.generation, number, number, 0)
    even = mark.highest - (mark.highest & 1)
    if number > mark.highest:
        shift = (number - even) // 2
        used = (mark.used << shift) & 0xFF if shift < 8 else 0
        return Mark(mark.generation, number, mark.floor, used | 1)
    return Mark(mark.generation, mark.highest, mark.floor, mark.used | 1 << ((even - number) // 2))


def rotate(mark: Mark) -> Mark:
    """A new token key: numbers start again under the next generation."""
    return Mark(mark.generation + 1, 1, 1, 0)
