"""Rating by generation: what foots, what a split or an order may not change, and the inverse."""

from datetime import date
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.rating import calendar, households, periods
from host_tools.rating.affordable import affordable_wh
from host_tools.rating.households import Household
from host_tools.rating.lines import CENT_NCUR
from host_tools.rating.periods import Period, Use
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Position
from tests.host_tools import random_books
from tests.host_tools.bills import FILES, days, document, instant, shipped

CUR = 10**9
ALL = sorted(path.stem for path in FILES.glob("*.toml"))
# Bills of these are sums of their days: no minimum, no total, no register shares.
ADDITIVE = [
    name
    for name in ALL
    if not any(
        around.schedules
        or around.minimum
        or around.tiers_per_day
        or around.alloc != "chronological"
        for _, around in shipped(name).terms
    )
]
SEEDS = st.integers(0, 1 << 32)


def random_uses(dice: Random, of: Document, period: Period) -> list[Use]:
    """Uses of whole days and of parts of them, that fill the period."""
    out = []
    first, after = (tariff.local_day(of.book, s) for s in (period.from_s, period.to_s))
    for day in range(first, after):
        begin_s, end_s = (calendar.midnight_s(of.book, d) for d in (day, day + 1))
        cut_s = dice.randrange(begin_s + 1, end_s)
        out.append(Use(begin_s, cut_s, dice.randrange(20_000)))
        out.append(Use(cut_s, end_s, dice.choice((0, dice.randrange(20_000)))))
    return out


def around_dates(dice: Random, of: Document, count: int) -> Period:
    first = date(2025, 1, 1).toordinal() + dice.randrange(900)
    return days(of, date.fromordinal(first), count, mw=dice.randrange(10) * 1_150_000)


@settings(max_examples=150)
@given(st.sampled_from(ALL), SEEDS)
def test_lines_foot_and_none_moves_by_more_than_half_a_cent(name: str, seed: int) -> None:
    dice = Random(seed)
    of = shipped(name)
    if any(around.schedules for _, around in of.terms):  # a tier period from its beginning
        period = days(of, date(2026, 1 + 2 * dice.randrange(6), 1), 59)
    else:
        period = around_dates(dice, of, dice.randrange(1, 70))
    uses = random_uses(dice, of, period)
    bill = periods.rate(of, period, uses)
    assert bill.printed_ncur == sum(line.printed_ncur for line in bill.lines)
    assert bill.exact_ncur == sum(line.exact_ncur for line in bill.lines)
    assert all(line.printed_ncur % CENT_NCUR == 0 for line in bill.lines)
    for line in bill.lines:
        if line.kind not in (terms.PERCENT, terms.MINIMUM, "rounding"):
            assert abs(line.printed_ncur - line.exact_ncur) * 2 <= CENT_NCUR
    sold_wh = sum(int(line.quantity) for line in bill.lines if line.kind == terms.ENERGY)
    assert sold_wh == sum(use.energy_wh for use in uses)


@settings(max_examples=150)
@given(st.sampled_from(ADDITIVE), SEEDS)
def test_splitting_a_period_at_any_day_does_not_change_the_sum(name: str, seed: int) -> None:
    dice = Random(seed)
    of = shipped(name)
    count = dice.randrange(2, 60)
    whole = around_dates(dice, of, count)
    uses = random_uses(dice, of, whole)
    first = tariff.local_day(of.book, whole.from_s)
    cut_s = calendar.midnight_s(of.book, first + dice.randrange(1, count))
    before = [use for use in uses if use.to_s <= cut_s]
    position = whole.position
    for use in before:
        _, position, _ = tariff.charge(of.book, position, use.from_s, use.to_s, use.energy_wh)
    parts = (
        periods.rate(of, Period(whole.from_s, cut_s, whole.position, whole.contract_mw), before),
        periods.rate(
            of, Period(cut_s, whole.to_s, position, whole.contract_mw), uses[len(before) :]
        ),
    )
    assert sum(part.exact_ncur for part in parts) == periods.rate(of, whole, uses).exact_ncur


@given(SEEDS)
def test_splitting_an_interval_at_whole_watt_hours_leaves_the_total(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice)
    pieces, span_s, each_wh = (
        dice.randrange(1, 20),
        dice.randrange(1, 90_000),
        dice.randrange(3000),
    )
    start_s = dice.choice(random_books.AROUND_S) - dice.randrange(pieces * span_s)
    position = random_books.position(dice, book, start_s)
    end_s = start_s + pieces * span_s
    whole_ncur, after, _ = tariff.charge(book, position, start_s, end_s, pieces * each_wh)
    split_ncur = 0
    for piece in range(pieces):
        at_s = start_s + piece * span_s
        amount, position, _ = tariff.charge(book, position, at_s, at_s + span_s, each_wh)
        split_ncur += amount
    assert split_ncur == whole_ncur
    assert position == after


@given(st.sampled_from(["cn-bj-2012", "cn-zj-flat", "in-msedcl", "za-homelight-20a"]), SEEDS)
def test_more_energy_never_costs_less_where_prices_rise(name: str, seed: int) -> None:
    dice = Random(seed)
    of = shipped(name)
    period = days(of, date(2024, 6, 1), 30)
    less, more = sorted(dice.randrange(3_000_000) for _ in range(2))
    bills = [
        periods.rate(of, period, [Use(period.from_s, period.to_s, wh)]) for wh in (less, more)
    ]
    assert bills[0].exact_ncur <= bills[1].exact_ncur
    assert bills[0].printed_ncur <= bills[1].printed_ncur + 2 * CENT_NCUR  # lines are rounded


# What a balance buys


def test_g23_what_50_cny_buy_after_230_kwh() -> None:
    beijing = shipped("cn-bj-2012")
    at_s = instant(beijing, 2026, 3, 10, 12)
    period = tariff.position_at(beijing.book, Position(0, 0), at_s).period
    bought = affordable_wh(beijing.book, Position(period, 230_000), at_s, 50 * CUR)
    assert bought == (93_813, 462_100)


@settings(max_examples=200)
@given(SEEDS)
def test_the_inverse_agrees_with_forward_rating_for_every_balance(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice)
    at_s = dice.choice(random_books.AROUND_S) + dice.randrange(-86400, 86400)
    position = random_books.position(dice, book, at_s)
    balance_ncur = dice.choice((0, -5, dice.randrange(10**6), dice.randrange(10**13)))
    energy_wh, left_ncur = affordable_wh(book, position, at_s, balance_ncur)
    if energy_wh is None:
        assert tariff.charge(book, position, at_s, at_s, 10**9)[0] <= max(balance_ncur, 0)
        return
    spent_ncur = tariff.charge(book, position, at_s, at_s, energy_wh)[0]
    assert balance_ncur - spent_ncur == left_ncur
    assert left_ncur >= 0 or (energy_wh == 0 and balance_ncur < 0) or spent_ncur == 0
    assert tariff.charge(book, position, at_s, at_s, energy_wh + 1)[0] > max(balance_ncur, 0)


# Hours


def test_the_three_periods_of_a_week_and_of_holidays_are_those_of_2_0_td() -> None:
    spain = shipped("es-2.0td")
    period = days(spain, date(2026, 6, 1), 7)
    bill = periods.rate(spain, period, [Use(period.from_s, period.to_s, 168_000)])
    hours = {line.name: int(line.quantity) // 1000 for line in bill.lines if line.kind == "energy"}
    assert hours == {"P1": 40, "P2": 40, "P3": 88}
    for holiday in (date(2026, 1, 6), date(2025, 12, 25), date(2026, 5, 1)):
        period = days(spain, holiday, 1)
        bill = periods.rate(spain, period, [Use(period.from_s, period.to_s, 24_000)])
        assert [line.name for line in bill.lines if line.kind == "energy"] == ["P3"]


BEIJING_COMMERCE = """
version = 1
name = "CN-BJ-CI-TOU, prices made up"
origin = "github.com/georgezhao2010/bj_sgcc_energy const.py"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { sharp = "4", peak = "3", flat = "2", valley = "1" }
seasons = { spring = "01-01", summer = "07-01", autumn = "09-01" }
[[set.bands]]
rate = "sharp"
times = ["11:00-13:00", "16:00-17:00"]
seasons = ["summer"]
[[set.bands]]
rate = "peak"
times = ["10:00-15:00", "18:00-21:00"]
[[set.bands]]
rate = "flat"
times = ["07:00-10:00", "15:00-18:00", "21:00-23:00"]
[[set.bands]]
rate = "valley"
times = ["23:00-07:00"]
"""


@pytest.mark.parametrize(
    ("month", "hours"),
    [(7, [3, 6, 7, 8]), (8, [3, 6, 7, 8]), (6, [0, 8, 8, 8]), (9, [0, 8, 8, 8])],
)
def test_of_bands_that_overlap_the_first_counts(month: int, hours: list[int]) -> None:
    of = document(BEIJING_COMMERCE)
    period = days(of, date(2026, month, 15), 1)
    bill = periods.rate(of, period, [Use(period.from_s, period.to_s, 24_000)])
    found = {line.name: int(line.quantity) // 1000 for line in bill.lines}
    assert [found.get(name, 0) for name in ("sharp", "peak", "flat", "valley")] == hours


def test_parts_of_a_price_that_are_told_apart_are_the_price() -> None:
    together = shipped("za-homepower")
    apart = document(
        'version = 1\nname = "h"\norigin = "o"\ncurrency = "ZAR"\nzone = "Africa/Johannesburg"\n'
        '[[set]]\nprices = { flat = "3.2206" }\nfixed_per_day = "6.60"\n'
        '[[set.line]]\nname = "network"\nper_kwh = "0.3298"\n'
        '[[set.line]]\nname = "ancillary"\nper_kwh = "0.0052"\n'
    )
    period = days(together, date(2026, 5, 1), 31)
    uses = [Use(period.from_s, period.to_s, 412_345)]
    bills = [periods.rate(of, period, uses) for of in (together, apart)]
    assert bills[0].exact_ncur == bills[1].exact_ncur == 412_345 * 3_555_600 + 31 * 6_600_000_000


# Example households


@settings(max_examples=40)
@given(st.integers(0, 3_000_000), st.sampled_from(["evenly", *households.PATTERNS]), SEEDS)
def test_a_household_uses_its_energy_in_every_month(
    energy_wh: int, pattern: str, seed: int
) -> None:
    dice = Random(seed)
    of = shipped(dice.choice(("dst-tou", "es-2.0td", "cn-zj-tou")))
    year, month = dice.randrange(2025, 2030), dice.randrange(1, 13)
    uses = households.month_uses(of, Household(energy_wh, pattern), year, month)
    assert sum(use.energy_wh for use in uses) == energy_wh
    assert all(use.energy_wh >= 0 and use.from_s < use.to_s for use in uses)
    edges = calendar.month_s(of.book, year, month)
    assert (uses[0].from_s, uses[-1].to_s) == edges
    assert all(one.to_s == two.from_s for one, two in zip(uses[:-1], uses[1:], strict=True))


def test_a_year_climbs_annual_tiers_once() -> None:
    flat = shipped("cn-zj-flat")
    found = households.year_ncur(flat, Household(300_000), 2026, 1)
    assert found == (2760 * Fraction("0.538") + 840 * Fraction("0.588")) * CUR
