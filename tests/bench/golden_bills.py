"""The golden bills of tariffs.md, and a thousand random tariffs and loads against two peers each.

ratebook computes in decimals and must agree to the last digit, PySAM in binary fractions and may
differ by a ten-thousandth. What they ask is committed in tests/peers, with their versions and the
command that asked them.

    python -m tests.bench.golden_bills
"""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

from host_tools import tariffs
from host_tools.rating import periods, thresholds
from host_tools.rating.affordable import affordable_wh
from host_tools.rating.calendar import day_number
from host_tools.rating.lines import CENT_NCUR, Bill, printed_ncur
from host_tools.rating.periods import Use
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Position
from tests.bench import figures
from tests.host_tools.bills import days, evenly, instant, shipped
from tests.peers import tariff_cases
from tests.peers.tariff_cases import MONTH_DAYS, Case

PEERS = figures.ROOT / "tests" / "peers"
CUR = 10**9
NEAR_NCUR = CUR // 10_000

# What a golden bill says: exact nano-currency, and cents as printed or None where it accumulates.
Golden = tuple[Fraction | int, int | None]


def said(bill: Bill) -> Golden:
    return bill.exact_ncur, bill.printed_ncur // CENT_NCUR


def month(name: str, first: date, count: int, energy_wh: int, used: Position) -> Golden:
    of = shipped(name)
    period = days(of, first, count, used)
    return said(periods.rate(of, period, evenly(period, energy_wh)))


def registers(name: str, first: date, count: int, used: Position, *rows: list[int]) -> Golden:
    of = shipped(name)
    return said(periods.rate_registers(of, days(of, first, count, used), rows))


def beijing(energy_wh: int) -> Golden:
    return month("cn-bj-2012", date(2026, 3, 1), 31, energy_wh, Position(0, 0))


def interval(used_wh: int, hour: int, minute: int, span_s: int, energy_wh: int) -> Golden:
    of = shipped("cn-zj-tou")
    at_s = instant(of, 2026, 11, 3, hour, minute)
    start = Position(2026, used_wh)
    return tariff.charge(of.book, start, at_s, at_s + span_s, energy_wh)[0], None


def five_persons() -> Golden:
    of = shipped("cn-sh-2012")
    book = thresholds.household(of.book, [(day_number(2026, 1, 1), 100_000)])
    at_s = instant(of, 2026, 11, 3, 12)
    amount = tariff.charge(book, Position(2026, 4_300_000), at_s, at_s + 900, 50_000)[0]
    return amount, printed_ncur(amount) // CENT_NCUR


def spanish() -> Golden:
    """Printed as the page does: all energy one line, all power another."""
    of = shipped("es-2.0td")
    rows = [[60_000, 55_000, 110_000], [50_000, 45_000, 90_000]]
    bill = periods.rate_registers(of, days(of, date(2025, 5, 15), 31, mw=4_600_000), rows)
    sums = [Fraction(0), Fraction(0)]
    for line in bill.lines:
        sums[line.kind != "energy"] += line.exact_ncur
    return bill.exact_ncur, sum(printed_ncur(each) for each in sums) // CENT_NCUR


def constant(day: date, hours: int) -> Golden:
    return month("dst-tou", day, 1, hours * 1000, Position(0, 0))


def bought() -> Golden:
    """G23: watt-hours in place of cents."""
    of = shipped("cn-bj-2012")
    at_s = instant(of, 2026, 3, 10, 12)
    start = Position(tariff.position_at(of.book, Position(0, 0), at_s).period, 230_000)
    energy_wh, left_ncur = affordable_wh(of.book, start, at_s, 50 * CUR)
    return left_ncur, energy_wh


NOVEMBER = date(2026, 11, 1)
GOLDEN: dict[str, tuple[Callable[[], Golden], Golden]] = {
    "G01": (lambda: beijing(430_000), (226_969_000_000, 22_697)),
    "G02": (lambda: beijing(240_000), (117_192_000_000, 11_719)),
    "G02 + 10 Wh": (lambda: beijing(240_010), (117_197_383_000, 11_720)),
    "G04": (
        lambda: month("cn-zj-flat", NOVEMBER, 30, 400_000, Position(2026, 2_700_000)),
        (232_200_000_000, 23_220),
    ),
    "G05": (
        lambda: registers(
            "cn-zj-tou", NOVEMBER, 30, Position(2026, 2_700_000), [240_000, 160_000]
        ),
        (199_400_000_000, 19_940),
    ),
    "G07": (
        lambda: registers(
            "cn-sh-2012", NOVEMBER, 30, Position(2026, 3_000_000), [200_000, 100_000]
        ),
        (163_100_000_000, 16_310),
    ),
    "G08": (five_persons, (32_650_000_000, 3265)),
    "G10": (lambda: interval(2_759_400, 23, 0, 900, 1000), (308_000_000, None)),
    "G11": (lambda: interval(0, 21, 45, 1800, 900), (385_200_000, None)),
    "G13": (spanish, (66_635_000_000 + Fraction(46 * 31_801 * 31 * CUR, 3_650_000), 7906)),
    "G15": (
        lambda: month("in-msedcl", date(2021, 3, 1), 31, 350_000, Position(0, 0)),
        (3_425_480_000_000, 342_548),
    ),
    "G17": (
        lambda: month("za-homelight-20a", date(2024, 6, 1), 30, 497_000, Position(0, 0)),
        (1_130_382_610_000, 113_038),
    ),
    "G20 spring": (lambda: constant(date(2026, 3, 8), 23), (6_750_000_000, 675)),
    "G20 ordinary": (lambda: constant(date(2026, 6, 8), 24), (7_000_000_000, 700)),
    "G20 autumn": (lambda: constant(date(2026, 11, 1), 25), (7_250_000_000, 725)),
    "G22": (lambda: (CUR // 8, printed_ncur(CUR // 8) // CENT_NCUR), (125_000_000, 13)),
    "G23": (bought, (462_100, 93_813)),
    "G24": (lambda: beijing(333_330), (167_431_539_000, 16_743)),
}


def document_of(case: Case) -> Document:
    """A peer's case as one of our tariff files."""
    lines = list(zip(case.weekday, case.weekend, strict=True))
    kinds = list(dict.fromkeys((tuple(work), tuple(rest)) for work, rest in lines))
    season_of = [kinds.index((tuple(work), tuple(rest))) for work, rest in lines]
    seasons = {
        f"s{season}": f"{place + 1:02}-01"
        for place, season in enumerate(season_of)
        if season != season_of[place - 1] or len(kinds) == 1
    }
    bands = [
        {"rate": f"r{rate}", "times": times, "seasons": [f"s{season}"], "days": [day_type]}
        for season, pair in enumerate(kinds)
        for day_type, hours in zip(("work", "rest"), pair, strict=True)
        for rate, times in _spans(hours).items()
    ]
    one: dict[str, object] = {
        "method": "per_tier",
        "tiers_kwh": [str(Decimal(wh) / 1000) for wh in case.thresholds_wh],
        "tiers_per_day": case.per_day,
        "prices": {
            f"r{rate}": [f"{Decimal(price) / 10**6:f}" for price in row]
            for rate, row in enumerate(case.rows)
        },
        "seasons": seasons,
        "week": ["work"] * 5 + ["rest"] * 2,
        "bands": bands,
    }
    if case.fixed:
        amount = f"{Decimal(case.fixed[1]) / CUR:f}"
        one["line"] = [{"name": "service", f"per_{case.fixed[0]}": amount}]
    if case.least:
        one[f"minimum_per_{case.least[0]}"] = f"{Decimal(case.least[1]) / CUR:f}"
        one["minimum_on"] = ["energy", "service"] if case.fixed else ["energy"]
    top = {"version": 1, "name": "case", "origin": "made up", "currency": "CUR", "zone": "UTC"}
    return tariffs.document_of({**top, "set": [one]}, "case")


def _spans(hours: Sequence[int]) -> dict[int, list[str]]:
    """The hours of each rate, an hour a span."""
    out: dict[int, list[str]] = {}
    for hour, rate in enumerate(hours):
        out.setdefault(rate, []).append(f"{hour:02}:00-{hour + 1:02}:00")
    return out


def month_totals(case: Case, months: int) -> list[Fraction]:
    """The exact totals of some months of a case, in nano-currency."""
    of = document_of(case)
    out = []
    hour = 0
    for place in range(case.month, case.month + months):
        count = MONTH_DAYS[place - 1]
        period = days(of, date(case.year, place, 1), count)
        uses = [
            Use(period.from_s + at * 3600, period.from_s + (at + 1) * 3600, wh)
            for at, wh in enumerate(case.load[hour : hour + count * 24])
        ]
        hour += count * 24
        out.append(periods.rate(of, period, uses).exact_ncur)
    return out


def golden_failed() -> list[str]:
    return [name for name, (found, wanted) in GOLDEN.items() if found() != wanted]


def ratebook_differing(seeds: range) -> list[int]:
    told = json.loads((PEERS / "tariff_ratebook.json").read_text(encoding="utf-8"))["totals"]
    return [
        seed
        for seed in seeds
        if month_totals(tariff_cases.one_month(seed), 1) != [Fraction(told[seed])]
    ]


def pysam_differing(seeds: range) -> list[int]:
    told = json.loads((PEERS / "tariff_pysam.json").read_text(encoding="utf-8"))["totals"]
    out = []
    for seed in seeds:
        wanted = [Fraction(total) * CUR for total in told[seed].split()]
        found = month_totals(tariff_cases.one_year(seed), 12)
        near = (abs(a - b) <= NEAR_NCUR for a, b in zip(found, wanted, strict=True))
        if not all(near):
            out.append(seed)
    return out


def measure() -> dict[str, int]:
    found = {
        "golden_bills_failed": golden_failed(),
        "ratebook_differences": ratebook_differing(range(1000)),
        "pysam_differences": pysam_differing(range(1000)),
    }
    for figure, which in found.items():
        if which:
            print(f"    {figure}: {which[:20]}")
    return {figure: len(which) for figure, which in found.items()}


if __name__ == "__main__":
    sys.exit(figures.write("golden_bills", measure(), targets=figures.TARGETS["settlement proof"]))
