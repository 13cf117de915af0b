"""Random books and readings: everything a book can hold, at zones with clock changes."""

from random import Random

from protocol import tariff
from protocol.tariff import Book, Ladder, Position, Rates
from tests.host_tools.bills import shipped

# Readings lie around these instants: clocks go forward and back, months and years end.
AROUND_S = (1_772_964_000, 1_793_523_600, 1_767_225_600, 1_774_972_800)


def book(dice: Random, cheap: bool = True) -> Book:
    """A book of two sets or one; `cheap` keeps its prices those of the world."""
    most = 2_000_000 if cheap else 10**12
    zone = shipped(dice.choice(("dst-tou", "cn-bj-2012", "es-2.0td", "in-msedcl"))).book.zone
    sets = sorted({0, dice.choice(AROUND_S) + dice.randrange(-86400, 86400)})[
        : dice.choice((1, 2))
    ]
    ladders = tuple((from_s, _ladder(dice, most)) for from_s in sets)
    rates = tuple((from_s, _rates(dice, most)) for from_s in sets)
    return Book(dice.randrange(1, 100), "CUR", zone, rates, ladders)


def _ladder(dice: Random, most: int) -> Ladder:
    period = dice.choice(
        (tariff.MONTH, tariff.YEAR, tariff.MONTHS, tariff.DAYS, tariff.BILLING_DAY)
    )
    thresholds = sorted(dice.sample(range(1, 400_000), dice.randrange(5)))
    adders = tuple(dice.randrange(most) for _ in range(len(thresholds) + 1))
    return Ladder(period, dice.randrange(1, 28), tuple(thresholds), adders)


def _rates(dice: Random, most: int) -> Rates:
    width = dice.randrange(1, 4)
    rows = tuple(
        tuple(dice.randrange(most) for _ in range(width)) for _ in range(dice.randrange(1, 4))
    )
    seasons = tuple(
        (start, dice.randrange(2)) for start in sorted(dice.sample((101, 301, 501, 1101), 2))
    )
    kinds = dice.randrange(1, 3)
    days = tuple(tuple(_slots(dice, width) for _ in range(kinds)) for _ in range(2))
    week = tuple(dice.randrange(kinds) for _ in range(7))
    special = ((20520, 0), (20758, kinds - 1))  # days of the clock changes
    return Rates(rows, dice.randrange(10**9), seasons, week, special, days)


def _slots(dice: Random, width: int) -> tuple[tuple[int, int], ...]:
    minutes = sorted({0, *(dice.randrange(1440) for _ in range(dice.randrange(5)))})
    return tuple((minute, dice.randrange(width)) for minute in minutes)


def readings(dice: Random, count: int) -> list[tuple[int, int, int]]:
    """(from_s, to_s, energy_wh), one after the other, most of a quarter of an hour."""
    at_s = dice.choice(AROUND_S) - dice.randrange(count * 900 + 1)
    out = []
    for _ in range(count):
        span_s = 900 if dice.random() < 0.9 else dice.choice((0, 1, 3600, 90_000, 9_000_000))
        energy_wh = dice.randrange(2000) if dice.random() < 0.9 else dice.choice((0, 0, 150_000))
        out.append((at_s, at_s + span_s, energy_wh))
        at_s += span_s
    return out


def position(dice: Random, of: Book, at_s: int) -> Position:
    """Where the readings begin: in their period, or one that is over."""
    period = tariff.period_of(tariff.in_force(of.ladders, at_s), tariff.local_day(of, at_s))
    return Position(period - dice.randrange(2), dice.choice((0, dice.randrange(500_000))))
