"""Re-rating of many points at once in 64-bit integers: the very amounts of the engine, faster.

The engine itself tells each stretch of constant price; numpy only splits energy among stretches
and tiers. Where an intermediate product could leave 63 bits, the engine rates the point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol import tariff
from protocol.tariff import GAP_S_MAX, Book, Position

Ints = NDArray[np.int64]

INT_MAX = (1 << 63) - 1
# 2000 to 2100: the stretches of a sweep are listed from its first reading to its last.
_EARLY_S, _LATE_S = 946_684_800, 4_102_444_800


@dataclass(frozen=True, slots=True)
class PointReadings:
    """One point's readings in order: even use of `energy_wh` from `from_s` to `to_s`."""

    position: Position
    from_s: Ints
    to_s: Ints
    energy_wh: Ints


@dataclass(frozen=True, slots=True)
class Charged:
    """Amounts of a point's readings, and its position after the last."""

    amount_ncur: Sequence[int] | Ints
    position: Position


@dataclass(frozen=True, slots=True)
class _Grid:
    """Stretches of constant price of a book: where each begins, its period, tiers and prices."""

    starts_s: Ints
    period: Ints
    lows_wh: Ints
    highs_wh: Ints
    prices_ucur_per_kwh: Ints


def rate_many(book: Book, points: Sequence[PointReadings]) -> list[Charged]:
    """What each point owes by a book, reading by reading: the integers of `tariff.charge`.

    Every reading must have energy of 0 or more and not end before it begins.
    """
    out: list[Charged | None] = [None] * len(points)
    dearest = _dearest(book)
    fitting = []
    for place, point in enumerate(points):
        if _fits(point, dearest):
            fitting.append(place)
        else:
            out[place] = one_by_one(book, point)
    for place, charged in zip(fitting, _rated(book, [points[p] for p in fitting]), strict=True):
        out[place] = charged
    return [charged for charged in out if charged is not None]


def adjustments_ncur(
    book: Book, points: Sequence[PointReadings], settled_ncur: Sequence[Ints]
) -> list[int]:
    """What each point's readings were charged less what a book asks: the effect on its balance."""
    out = []
    for charged, settled in zip(rate_many(book, points), settled_ncur, strict=True):
        out.append(_sum(settled) - _sum(charged.amount_ncur))
    return out


def _sum(amounts_ncur: Sequence[int] | Ints) -> int:
    """Exact; in Python's integers where 64 bits might not do."""
    if isinstance(amounts_ncur, np.ndarray):
        most = (
            max(abs(int(amounts_ncur.max())), abs(int(amounts_ncur.min())))
            if len(amounts_ncur)
            else 0
        )
        if most * len(amounts_ncur) <= INT_MAX:
            return int(amounts_ncur.sum())
        return sum(amounts_ncur.tolist())
    return sum(amounts_ncur)


def one_by_one(book: Book, point: PointReadings) -> Charged:
    """The engine, reading by reading."""
    position = point.position
    amounts = []
    rows = zip(point.from_s.tolist(), point.to_s.tolist(), point.energy_wh.tolist(), strict=True)
    for from_s, to_s, energy_wh in rows:
        amount, position, _ = tariff.charge(book, position, from_s, to_s, energy_wh)
        amounts.append(amount)
    return Charged(amounts, position)


def _dearest(book: Book) -> int:
    """No price of the book, addition included, is above this."""
    price = max(p for _, rates in book.rates for row in rates.prices_ucur_per_kwh for p in row)
    adder = max(a for _, ladder in book.ladders for a in ladder.adders_ucur_per_kwh)
    return int(price + adder)


def _fits(point: PointReadings, dearest_ucur_per_kwh: int) -> bool:
    """True when no product or sum of `_rated` can leave 63 bits.

    The split makes energy times seconds, at most the largest energy times the longest span; an
    amount, and their sum, is at most the dearest price times all energy; a position is at most
    what was used plus all.
    What is out of the engine's own bounds is the engine's to refuse.
    """
    if not len(point.energy_wh):
        return True
    most_wh, least_wh = int(point.energy_wh.max()), int(point.energy_wh.min())
    span_s = int((point.to_s - point.from_s).max())
    backwards = bool((point.to_s < point.from_s).any())
    early_s, late_s = int(point.from_s.min()), int(point.to_s.max())
    if least_wh < 0 or backwards or early_s < _EARLY_S or late_s > _LATE_S:
        return False
    total_wh = most_wh * len(point.energy_wh)
    return (
        most_wh * min(span_s, GAP_S_MAX) <= INT_MAX
        and dearest_ucur_per_kwh * total_wh <= INT_MAX
        and point.position.used_wh >= 0
        and point.position.used_wh + total_wh <= INT_MAX
    )


def _grid(book: Book, from_s: int, to_s: int) -> _Grid:
    """The engine's stretches from an instant until one is past the other."""
    tiers = max(len(ladder.adders_ucur_per_kwh) for _, ladder in book.ladders)
    starts, periods, lows, highs, prices = [], [], [], [], []
    at_s = from_s
    while True:
        rate, end_s = tariff.rate_at(book, at_s)
        ladder = tariff.in_force(book.ladders, at_s)
        thresholds = ladder.thresholds_wh
        spare = tiers - len(thresholds) - 1
        starts.append(at_s)
        periods.append(tariff.period_of(ladder, tariff.local_day(book, at_s)))
        lows.append((0, *thresholds) + (INT_MAX,) * spare)
        highs.append((*thresholds, INT_MAX) + (INT_MAX,) * spare)
        own = [tariff.price_ucur_per_kwh(book, at_s, rate, t) for t in range(len(thresholds) + 1)]
        prices.append(own + [0] * spare)
        if end_s >= to_s:
            break
        at_s = end_s
    return _Grid(
        *(np.array(values, np.int64) for values in (starts, periods, lows, highs, prices))
    )


def _rated(book: Book, points: Sequence[PointReadings]) -> list[Charged]:
    """All points of one book in one sweep."""
    counts = [len(point.energy_wh) for point in points]
    if not any(point.energy_wh.any() for point in points):
        return [Charged(np.zeros_like(p.energy_wh), p.position) for p in points]
    to_s = np.concatenate([point.to_s for point in points])
    from_s = np.maximum(np.concatenate([point.from_s for point in points]), to_s - GAP_S_MAX)
    energy_wh = np.concatenate([point.energy_wh for point in points])
    owner = np.repeat(np.arange(len(points)), counts)
    grid = _grid(book, int(from_s.min()), int(to_s.max()))

    used = np.flatnonzero(energy_wh)  # a reading of nothing moves no position
    piece_of, stretch, piece_wh = _pieces(grid, from_s[used], to_s[used], energy_wh[used])
    reading = used[piece_of]
    before_wh = _before(grid, points, owner[reading], stretch, piece_wh)
    after_wh = before_wh + piece_wh
    amounts = np.zeros(len(piece_wh), np.int64)
    for tier in range(grid.lows_wh.shape[1]):
        low, high = grid.lows_wh[stretch, tier], grid.highs_wh[stretch, tier]
        take_wh = np.minimum(after_wh, high) - np.maximum(before_wh, low)
        amounts += np.maximum(take_wh, 0) * grid.prices_ucur_per_kwh[stretch, tier]
    sums = np.zeros(len(energy_wh), np.int64)
    sums[used] = np.add.reduceat(amounts, np.flatnonzero(np.diff(reading, prepend=-1)))
    positions = [point.position for point in points]
    ends = np.flatnonzero(np.diff(owner[reading], append=-1))
    for end, place in zip(ends.tolist(), owner[reading[ends]].tolist(), strict=True):
        positions[place] = Position(int(grid.period[stretch[end]]), int(after_wh[end]))
    borders = np.cumsum(counts)[:-1]
    split = np.split(sums, borders)
    return [Charged(own, position) for own, position in zip(split, positions, strict=True)]


def _pieces(grid: _Grid, from_s: Ints, to_s: Ints, energy_wh: Ints) -> tuple[Ints, Ints, Ints]:
    """(reading, stretch, energy) of each piece; energy up to a cut by the engine's floor."""
    first = np.searchsorted(grid.starts_s, from_s, "right") - 1
    last = np.maximum(np.searchsorted(grid.starts_s, to_s, "left") - 1, first)
    count = last - first + 1
    reading = np.repeat(np.arange(len(from_s)), count)
    ends = np.cumsum(count)
    stretch = np.arange(ends[-1]) - np.repeat(ends - count, count) + np.repeat(first, count)
    upto_wh = energy_wh[reading]
    cut = np.flatnonzero(stretch < last[reading])  # all but the last piece of each reading
    of = reading[cut]
    cut_s = grid.starts_s[stretch[cut] + 1] - from_s[of]
    upto_wh[cut] = energy_wh[of] * cut_s // (to_s[of] - from_s[of])
    piece_wh = upto_wh.copy()
    inside = np.flatnonzero(stretch > first[reading])
    piece_wh[inside] -= upto_wh[inside - 1]
    return reading, stretch, piece_wh


def _before(
    grid: _Grid, points: Sequence[PointReadings], owner: Ints, stretch: Ints, piece_wh: Ints
) -> Ints:
    """Energy used in its tier period before each piece."""
    period = grid.period[stretch]
    fresh = np.flatnonzero(
        (np.diff(owner, prepend=-1) != 0) | (np.diff(period, prepend=period[0]) != 0)
    )
    sums = np.cumsum(piece_wh)  # wraps alike on both sides of the difference below
    base = (sums - piece_wh)[fresh]
    for place, begin in enumerate(fresh.tolist()):
        position = points[int(owner[begin])].position
        first = begin == 0 or owner[begin - 1] != owner[begin]
        if first and position.period == int(period[begin]):
            base[place] -= position.used_wh
    counts = np.diff(fresh, append=len(piece_wh))
    before: Ints = sums - piece_wh - np.repeat(base, counts)
    return before
