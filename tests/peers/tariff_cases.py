"""Random tariffs and loads that our engine and its peers can both price. No dependency at all.

The common subset: hours that begin at the hour, tiers of a month or of so much a day where there
is one price at a time, hours of use where there are no tiers, fixed and least amounts. Peers count
tiers by hour of use, we by the service point, so the two never come together here.
"""

from collections import namedtuple
from random import Random

# rows: prices of a rate, one a tier, in micro-currency per kWh. weekday, weekend: [month][hour]
# is a rate. fixed, least: (unit "day" or "month", nano-currency) or None. first: month of the
# load, which is watt-hours of each hour.
Case = namedtuple("Case", "rows thresholds_wh per_day weekday weekend fixed least year month load")

NCUR_PER_CENT = 10_000_000
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def below(dice, end):
    """0 to end - 1, by the one method of Random whose numbers never change."""
    return int(dice.random() * end)


def one_month(seed):
    """A tariff and a month of hours, in a year that is not a leap year."""
    dice = Random(seed)
    year = (2021, 2022, 2023, 2025)[below(dice, 4)]
    month = below(dice, 12) + 1
    return _case(dice, year, month, MONTH_DAYS[month - 1], True)


def one_year(seed):
    """A tariff and 2018, which begins with a Monday as every year of PySAM does."""
    return _case(Random(seed), 2018, 1, 365, False)


def _case(dice, year, month, days, exact):
    tiered = below(dice, 2) == 0
    seasons = 1 + below(dice, 2)
    rates = seasons if tiered else 1 + below(dice, 4)
    tiers = 1 + below(dice, 4) if tiered else 1
    rows = [[below(dice, 900_000) for _ in range(tiers)] for _ in range(rates)]
    per_day = tiered and exact and below(dice, 2) == 0
    most_wh = 40_000 if per_day else 900_000
    thresholds = sorted({1 + below(dice, most_wh) for _ in range(tiers - 1)})
    rows = [row[: len(thresholds) + 1] for row in rows]
    season_of = [0] * 12
    if seasons == 2:
        begins, length = below(dice, 12), 1 + below(dice, 11)
        for step in range(length):
            season_of[(begins + step) % 12] = 1
    weekday, weekend = [], []
    lines = [[_hours(dice, rates) for _ in range(2)] for _ in range(seasons)]
    for season in season_of:
        weekday.append([season] * 24 if tiered else lines[season][0])
        weekend.append([season] * 24 if tiered else lines[season][1])
    units = ("day", "month") if exact else ("month",)
    fixed = (units[below(dice, len(units))], below(dice, 3000) * NCUR_PER_CENT)
    least = (units[below(dice, len(units))], below(dice, 6000) * NCUR_PER_CENT)
    load = _load(dice, days)
    return Case(
        rows,
        thresholds,
        per_day,
        weekday,
        weekend,
        fixed if below(dice, 2) else None,
        least if below(dice, 3) == 0 else None,
        year,
        month,
        load,
    )


def _hours(dice, rates):
    """24 rates in a few runs."""
    out = []
    while len(out) < 24:
        out += [below(dice, rates)] * (1 + below(dice, 9))
    return out[:24]


def _load(dice, days):
    base, swing = below(dice, 1500), 1 + below(dice, 3000)
    return [base + below(dice, swing) for _ in range(days * 24)]
