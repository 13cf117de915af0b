"""The host's rating rules: golden bills of tariffs.md section 4, and the cases it asks for."""

import tomllib
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import Refused
from host_tools.rating import periods
from host_tools.rating.lines import printed_ncur
from host_tools.rating.periods import Period, Use
from host_tools.rating.registers import split_by_days, split_by_share
from host_tools.validation import recount
from protocol import tariff
from protocol.tariff import Position
from tests.host_tools.bills import cents, days, document, evenly, instant, shipped, total

CUR = 10**9
SHANGHAI_2026 = Position(2026, 3_000_000)


@pytest.mark.parametrize(
    ("energy_wh", "lines", "exact_ncur"),
    [
        (430_000, [11719, 8613, 2365], 226_969_000_000),  # G01
        (240_000, [11719], 117_192_000_000),  # G02
        (240_010, [11719, 1], 117_197_383_000),  # G02, the next 10 Wh
        (333_330, [11719, 5024], 167_431_539_000),  # G24
    ],
)
def test_monthly_tiers_print_the_published_lines(
    energy_wh: int, lines: list[int], exact_ncur: int
) -> None:
    beijing = shipped("cn-bj-2012")
    period = days(beijing, date(2026, 3, 1), 31)
    bill = periods.rate(beijing, period, evenly(period, energy_wh))
    assert cents(bill) == lines
    assert bill.exact_ncur == exact_ncur


def test_g04_an_annual_tier_is_crossed_by_a_month() -> None:
    flat = shipped("cn-zj-flat")
    period = days(flat, date(2026, 11, 1), 30, Position(2026, 2_700_000))
    bill = periods.rate(flat, period, evenly(period, 400_000))
    assert (bill.exact_ncur, total(bill)) == (232_200_000_000, 23220)


@pytest.mark.parametrize("by_interval", [True, False])
def test_g05_base_prices_and_the_tiers_addition_are_lines_of_their_own(by_interval: bool) -> None:
    zhejiang = shipped("cn-zj-tou")
    period = days(zhejiang, date(2026, 11, 1), 30, Position(2026, 2_700_000))
    if by_interval:
        noon_s = instant(zhejiang, 2026, 11, 3, 12)
        night_s = instant(zhejiang, 2026, 11, 3, 23)
        uses = [Use(noon_s, noon_s + 900, 240_000), Use(night_s, night_s + 900, 160_000)]
        bill = periods.rate(zhejiang, period, uses)
    else:
        bill = periods.rate_registers(zhejiang, period, [[240_000, 160_000]])
    assert cents(bill) == [13632, 4608, 1700]
    assert bill.exact_ncur == 199_400_000_000


@pytest.mark.parametrize("by_interval", [True, False])
def test_g07_registers_share_the_tiers_alike(by_interval: bool) -> None:
    shanghai = shipped("cn-sh-2012")
    period = days(shanghai, date(2026, 11, 1), 30, SHANGHAI_2026)
    if by_interval:  # in an order that would give another bill
        night_s = instant(shanghai, 2026, 11, 3, 23)
        noon_s = instant(shanghai, 2026, 11, 4, 12)
        uses = [Use(night_s, night_s + 900, 100_000), Use(noon_s, noon_s + 900, 200_000)]
        bill = periods.rate(shanghai, period, uses)
    else:
        bill = periods.rate_registers(shanghai, period, [[200_000, 100_000]])
    assert [(line.name, line.tier) for line in bill.lines] == [
        ("peak", 1), ("peak", 2), ("valley", 1), ("valley", 2),
    ]  # fmt: skip
    assert cents(bill) == [4936, 8124, 1228, 2022]
    assert (bill.exact_ncur, total(bill)) == (163_100_000_000, 16310)


def test_the_two_allocations_of_prices_a_tier_differ_for_the_same_use() -> None:
    shanghai = shipped("cn-sh-2012")
    by_order = document(SHANGHAI_BY_ORDER)
    period = days(shanghai, date(2026, 11, 1), 30, SHANGHAI_2026)
    night_s, noon_s = (instant(shanghai, 2026, 11, *when) for when in ((3, 23), (4, 12)))
    uses = [Use(night_s, night_s + 900, 100_000), Use(noon_s, noon_s + 900, 200_000)]
    assert periods.rate(shanghai, period, uses).exact_ncur == 163_100_000_000
    # In order of use: 100 valley and 20 peak in tier 1, 180 peak in tier 2.
    assert periods.rate(by_order, period, uses).exact_ncur == 30_700_000_000 + 20 * 617_000_000 + (
        180 * 677_000_000
    )
    with pytest.raises(Refused, match="need the order of use"):
        periods.rate_registers(by_order, period, [[200_000, 100_000]])


SHANGHAI_BY_ORDER = """
version = 1
name = "CN-SH-2012 by intervals"
origin = "tariffs.md section 3"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
method = "per_tier"
tier_period = "year"
tiers_kwh = [3120, 4800]
prices = { peak = ["0.617", "0.677", "0.977"], valley = ["0.307", "0.337", "0.487"] }
[[set.bands]]
rate = "peak"
times = ["06:00-22:00"]
[[set.bands]]
rate = "valley"
times = ["22:00-06:00"]
"""


def test_g13_a_price_change_inside_the_period_and_power_by_the_year() -> None:
    spain = shipped("es-2.0td")
    period = days(spain, date(2025, 5, 15), 31, mw=4_600_000)
    registers = [[60_000, 55_000, 110_000], [50_000, 45_000, 90_000]]
    bill = periods.rate_registers(spain, period, registers)
    energy = [line for line in bill.lines if line.kind == "energy"]
    power = [line for line in bill.lines if line.kind != "energy"]
    assert sum(line.exact_ncur for line in energy) == 66_635_000_000
    assert sum(line.exact_ncur for line in power) == Fraction(46 * 31_801, 10_000) * 31 * CUR / 365
    assert [line.quantity for line in power] == [Fraction(46 * d, 10 * 365) for d in (17, 14)]
    # Printed line by line: six of energy and two of power, where the page prints one of each.
    assert printed_ncur(sum(line.exact_ncur for line in energy)) == 66_640_000_000
    assert printed_ncur(sum(line.exact_ncur for line in power)) == 12_420_000_000


def test_one_register_over_a_price_change_is_split_by_average_use_a_day() -> None:
    spain = shipped("es-2.0td")
    period = days(spain, date(2025, 5, 15), 31)
    bill = periods.rate_registers(spain, period, [[31_000, 62_000, 31]])
    assert [int(line.quantity) for line in bill.lines if line.kind == "energy"] == [
        17_000, 34_000, 17, 14_000, 28_000, 14,
    ]  # fmt: skip
    assert split_by_days(100, [10, 20]) == [33, 67]
    with pytest.raises(Refused, match="3 rows for 2 dated sets"):
        periods.rate_registers(spain, period, [[1, 1, 1]] * 3)
    with pytest.raises(Refused, match="one reading of 0 or more for each of P1, P2, P3"):
        periods.rate_registers(spain, period, [[1, -1, 1]])


def test_g15_duty_is_taken_on_energy_wheeling_and_service() -> None:
    mumbai = shipped("in-msedcl")
    period = days(mumbai, date(2021, 3, 1), 31)
    bill = periods.rate(mumbai, period, evenly(period, 350_000))
    energy = [line for line in bill.lines if line.kind == "energy"]
    assert sum(line.exact_ncur for line in energy) == 2348 * CUR
    assert cents(bill)[len(energy) :] == [49_000, 11_500, 47_248]
    assert (bill.exact_ncur, total(bill)) == (3_425_480_000_000, 342_548)


def test_g17_a_tax_inside_the_prices_is_printed_apart() -> None:
    homelight = shipped("za-homelight-20a")
    period = days(homelight, date(2024, 6, 1), 30)
    bill = periods.rate(homelight, period, evenly(period, 497_000))
    assert [line.unit_amount for line in bill.lines] == [1_902_800, 2_156_200, 150_000]
    assert sum(line.exact_ncur for line in bill.lines[:2]) == 982_941_400_000
    assert sum(cents(bill)[:2]) == 98_294
    assert (bill.exact_ncur, total(bill)) == (1_130_382_610_000, 113_038)


@pytest.mark.parametrize(
    ("day", "hours", "lines"),
    [
        (date(2026, 3, 8), 23, [225, 450]),
        (date(2026, 6, 8), 24, [225, 475]),
        (date(2026, 11, 1), 25, [225, 500]),
    ],
)
def test_g20_short_and_long_days_are_billed_by_the_wall_clock(
    day: date, hours: int, lines: list[int]
) -> None:
    dst = shipped("dst-tou")
    period = days(dst, day, 1)
    assert period.to_s - period.from_s == hours * 3600
    assert cents(periods.rate(dst, period, evenly(period, hours * 1000))) == lines


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1)])
def test_a_daily_charge_counts_a_changing_day_once(day: date) -> None:
    dst = document(
        'version = 1\nname = "d"\norigin = "o"\ncurrency = "USD"\nzone = "America/Los_Angeles"\n'
        '[[set]]\nfrom = 2026-01-01\nfixed_per_day = "0.40"\nprices = { flat = "0.10" }\n'
        '[[set.line]]\nname = "meter"\nper_day = "0.10"\n'
    )
    period = days(dst, day, 1)
    assert cents(periods.rate(dst, period, [])) == [40, 10]


def test_g22_half_a_cent_is_rounded_away_from_zero() -> None:
    assert printed_ncur(125_000_000) == 130_000_000
    assert printed_ncur(-125_000_000) == -130_000_000
    assert printed_ncur(Fraction(CUR, 200)) == 10_000_000
    assert printed_ncur(Fraction(CUR, 200) - Fraction(1, 3)) == 0


@given(st.fractions(), st.integers(1, 10**12))
def test_a_credit_mirrors_its_debit_and_no_line_moves_by_more_than_half(
    amount: Fraction, step: int
) -> None:
    shown = printed_ncur(amount, step)
    assert shown % step == 0
    assert abs(shown - amount) * 2 <= step
    assert printed_ncur(-amount, step) == -shown


# Schedules by the total, and the cliff of a prepaid meter

MIXED = """
version = 650
name = "one price a rate, and above 200 kWh a price a rate and tier"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { peak = "0.50", valley = "0.30" }
[[set.bands]]
rate = "peak"
times = ["08:00-22:00"]
[[set.bands]]
rate = "valley"
times = ["22:00-08:00"]
[[set.schedule]]
above_kwh = 200
method = "per_tier"
tiers_kwh = [100]
prices = { peak = ["0.60", "1.00"], valley = ["0.40", "0.80"] }
"""


def test_a_schedule_of_prices_a_tier_is_billed_by_them_whatever_the_method_of_its_set() -> None:
    mixed = document(MIXED)
    period = days(mixed, date(2026, 1, 1), 31)
    uses = [
        Use(period.from_s + day * 86400, period.from_s + (day + 1) * 86400, 10_000)
        for day in range(31)
    ]
    bill = periods.rate(mixed, period, uses)
    # Of 10 kWh a day 3.333 are before 8, 5.833 until 22 and 0.834 after: tier 1 for ten days.
    assert [(line.name, line.tier, line.quantity) for line in bill.lines] == [
        ("peak", 1, 58_330), ("peak", 2, 122_493), ("valley", 1, 41_670), ("valley", 2, 87_507),
    ]  # fmt: skip
    assert cents(bill) == [3500, 12249, 1667, 7001]
    assert bill.exact_ncur == 58_330 * 600_000 + 122_493 * 1_000_000 + (
        41_670 * 400_000 + 87_507 * 800_000
    )
    with pytest.raises(Refused, match="need the order of use"):
        periods.rate_registers(mixed, period, [[180_823, 129_177]])
    rows = [(use.from_s, use.to_s, use.energy_wh) for use in uses]
    again = recount.Tariff(tomllib.loads(MIXED)).recount(rows, 0)
    assert again.energy_ncur == {
        (line.name, line.tier - 1): line.exact_ncur for line in bill.lines
    }


@pytest.mark.parametrize(
    ("kwh", "energy_cur"),
    [
        (100, "315.00"), (500, "2565.00"), (501, "2905.80"), (600, "3480.00"), (601, "3966.60"),
        (700, "4620.00"), (701, "4836.90"), (801, "5687.10"), (1000, "7100.00"), (1001, "7907.90"),
    ],
)  # fmt: skip
def test_above_a_slab_the_whole_use_has_its_price(kwh: int, energy_cur: str) -> None:
    kerala = shipped("in-kseb")
    period = days(kerala, date(2021, 1, 1), 59)
    bill = periods.rate(kerala, period, evenly(period, kwh * 1000))
    energy = sum(line.exact_ncur for line in bill.lines if line.kind == "energy")
    assert energy == Fraction(energy_cur) * CUR
    owed = sum(line.exact_ncur for line in bill.lines if line.kind != "rounding")
    assert owed == energy * Fraction(11, 10)
    assert bill.exact_ncur == bill.printed_ncur, "what is printed is owed"
    assert bill.printed_ncur % CUR == 0, "the total is whole rupees"
    assert abs(bill.printed_ncur - owed) * 2 <= CUR


def test_a_total_in_whole_rupees_is_a_line_of_its_own() -> None:
    kerala = shipped("in-kseb")
    period = days(kerala, date(2021, 1, 1), 59)
    bill = periods.rate(kerala, period, evenly(period, 500_000))
    assert [(line.kind, line.printed_ncur) for line in bill.lines[-2:]] == [
        ("percent", 256_500_000_000), ("rounding", 500_000_000),
    ]  # fmt: skip
    assert total(bill) == 282_200


@pytest.mark.parametrize(
    ("kwh", "energy_cur"), [(50, "32.50"), (100, "70.00"), (101, "81.50"), (250, "340.00")]
)
def test_a_table_is_chosen_by_the_two_month_total(kwh: int, energy_cur: str) -> None:
    chennai = shipped("in-tangedco")
    period = days(chennai, date(2021, 1, 1), 59)
    bill = periods.rate(chennai, period, evenly(period, kwh * 1000))
    energy = sum(line.exact_ncur for line in bill.lines if line.kind == "energy")
    # 250: 50 x 0.75 + 50 x 0.85 + 100 x 1.50 + 50 x 2.20
    assert energy == Fraction(energy_cur) * CUR


def test_the_least_of_two_months_is_asked_on_energy_and_service() -> None:
    chennai = shipped("in-tangedco")
    period = days(chennai, date(2021, 1, 1), 59)
    bill = periods.rate(chennai, period, evenly(period, 10_000))
    assert cents(bill) == [650, 2000, 1350]  # 2 x 20 in all
    assert total(bill) == 4000


def test_a_prepaid_cliff_is_one_adjustment_that_makes_the_slab_bill() -> None:
    kerala = shipped("in-kseb")
    start_s = instant(kerala, 2021, 1, 1)
    uses: list[Use] = []
    posted_ncur, adjustments = 0, []
    for hour in range(220):
        uses.append(Use(start_s + hour * 3600, start_s + (hour + 1) * 3600, 5000))
        due_ncur = periods.true_up_ncur(kerala, uses) - posted_ncur
        if due_ncur:
            adjustments.append((hour * 5 + 5, due_ncur))
            posted_ncur += due_ncur
    assert adjustments[0] == (505, (2929 - 2603) * CUR)  # 505 x 5.80, less 2565 and 5 x 7.60
    period = days(kerala, date(2021, 1, 1), 59)
    bill = periods.rate(kerala, period, uses)
    energy = sum(line.exact_ncur for line in bill.lines if line.kind == "energy")
    telescopic = periods._charged_ncur(kerala.book, uses)
    assert telescopic + posted_ncur == energy


def test_a_schedule_needs_the_use_of_its_whole_tier_period() -> None:
    kerala = shipped("in-kseb")
    period = days(kerala, date(2021, 1, 15), 59)
    with pytest.raises(Refused, match="one tier period from its beginning"):
        periods.rate(kerala, period, evenly(period, 1000))


# Minimum bills and tiers by the day


@pytest.mark.parametrize(
    ("kwh", "lines"),
    [
        (500, [9526, 2812]),  # 405 of 30 x 13.5 kWh at 0.23522, 95 at 0.29600
        (1700, [9526, 35964, 4149]),  # 4 x 405, then 80 at 0.51860
        (10, [235, 751]),  # the least is 30 x 0.32854 = 9.86
        (0, [986]),
    ],
)
def test_the_least_a_day_is_the_rounded_minimum_less_the_rounded_lines(
    kwh: int, lines: list[int]
) -> None:
    pge = shipped("us-pge-e1")
    period = days(pge, date(2020, 6, 11), 30)  # over the end of a month: its tiers reset with it
    bill = periods.rate(pge, period, evenly(period, kwh * 1000))
    assert cents(bill) == lines


# Tariff changes, thresholds by the day, months


def test_thresholds_are_prorated_by_days_only_where_the_tariff_says_so() -> None:
    text = """
version = 1
name = "two prices in a month"
origin = "made up"
currency = "INR"
zone = "Asia/Kolkata"
[[set]]
tiers_kwh = [90]
adders = ["0", "1"]
prices = { flat = "1" }
PRORATE
[[set]]
from = 2026-06-11
tiers_kwh = [90]
adders = ["0", "2"]
prices = { flat = "2" }
PRORATE
"""
    prorated = document(text.replace("PRORATE", "prorate_tiers = true"))
    period = days(prorated, date(2026, 6, 1), 30)
    bill = periods.rate_registers(prorated, period, [[120_000]])
    # 40 kWh in 10 days with 30 kWh of tier 1, 80 kWh in 20 days with 60 kWh.
    assert [int(line.quantity) for line in bill.lines] == [30_000, 10_000, 60_000, 20_000]
    whole = document(text.replace("PRORATE", ""))
    bill = periods.rate_registers(whole, period, [[120_000]])
    assert [int(line.quantity) for line in bill.lines] == [40_000, 50_000, 30_000]


def test_an_interval_over_a_price_change_is_split_at_the_instant() -> None:
    guangdong = shipped("cn-gd")
    period = days(guangdong, date(2026, 10, 1), 61)
    change_s = instant(guangdong, 2026, 11, 1)
    bill = periods.rate(guangdong, period, [Use(change_s - 450, change_s + 450, 901)])
    assert [(line.set_place, int(line.quantity)) for line in bill.lines] == [(0, 450), (1, 451)]


@pytest.mark.parametrize(("month", "kwh", "tier_2"), [(7, 400, 140), (12, 400, 200)])
def test_seasons_have_thresholds_of_their_own(month: int, kwh: int, tier_2: int) -> None:
    guangdong = shipped("cn-gd")
    period = days(guangdong, date(2026, month, 1), 31)
    bill = periods.rate(guangdong, period, evenly(period, kwh * 1000))
    assert bill.lines[1].quantity == tier_2 * 1000
    assert bill.exact_ncur == (kwh * 588_600 + tier_2 * 50_000) * 1000


def test_a_monthly_charge_is_shared_among_parts_of_a_month_and_adds_up() -> None:
    mumbai = shipped("in-msedcl")
    first = days(mumbai, date(2026, 6, 1), 12)
    rest = days(mumbai, date(2026, 6, 13), 18)
    lines = [periods.rate(mumbai, period, []).lines for period in (first, rest)]
    service = [line for each in lines for line in each if line.name == "service"]
    assert sum(line.exact_ncur for line in service) == 115 * CUR


def test_days_without_a_meter_are_billed_at_zero_use() -> None:
    mumbai = shipped("in-msedcl")
    bill = periods.rate(mumbai, days(mumbai, date(2026, 6, 1), 30), [])
    assert cents(bill) == [0, 11_500, 1840]


def test_what_cannot_be_billed_is_refused_in_one_line() -> None:
    beijing = shipped("cn-bj-2012")
    period = days(beijing, date(2026, 3, 1), 31)
    nothing = Period(period.from_s, period.from_s)
    with pytest.raises(Refused, match="period: it has no days"):
        periods.rate(beijing, nothing, [])
    with pytest.raises(Refused, match="energy must be 0 or more"):
        periods.rate(beijing, period, [Use(period.from_s, period.to_s, -1)])
    late = Use(period.from_s + 900, period.from_s + 1800, 5)
    for uses in (
        [late, Use(period.from_s, late.from_s, 5)],
        [Use(period.from_s, period.to_s + 1, 5)],
    ):
        with pytest.raises(Refused, match="must follow each other"):
            periods.rate(beijing, period, uses)


def test_more_sets_than_a_module_keeps_are_a_document_of_the_past() -> None:
    sets = "".join(
        f'[[set]]\nfrom = {start}\nprices = {{ flat = "{price}" }}\n'
        for start, price in (
            ("2024-04-01", "0.212"),
            ("2025-01-01", "0.241"),
            ("2025-06-01", "0.226"),
        )
    )
    text = (
        f'version = 1\nname = "s"\norigin = "o"\ncurrency = "EUR"\nzone = "Europe/Madrid"\n{sets}'
    )
    spain = document(text)
    period = days(spain, date(2024, 12, 1), 200)
    quarters = [period.from_s + part * (period.to_s - period.from_s) // 4 for part in range(5)]
    uses = [Use(*edges, 50_000) for edges in zip(quarters[:-1], quarters[1:], strict=True)]
    bill = periods.rate(spain, period, uses)
    assert [line.unit_amount for line in bill.lines] == [212_000, 241_000, 226_000]
    assert sum(int(line.quantity) for line in bill.lines) == 200_000


# Allocation of registers


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=4),
    st.lists(st.integers(1, 10**7), min_size=0, max_size=4, unique=True),
    st.integers(0, 10**7),
)
def test_shares_of_registers_add_up_by_tier_and_by_register(
    registers: list[int], thresholds: list[int], used: int
) -> None:
    rises = tuple(sorted(thresholds))
    ladder = tariff.Ladder(tariff.MONTH, 1, rises, tuple(range(len(rises) + 1)))
    rates = tariff.Rates(
        (tuple(range(len(registers))),), 0, ((101, 0),), (0,) * 7, (), ((((0, 0),),),)
    )
    parts, after = split_by_share(rates, ladder, Position(7, used), registers)
    assert all(part.energy_wh > 0 for part in parts)
    for rate, register in enumerate(registers):
        assert sum(part.energy_wh for part in parts if part.rate == rate) == register
    for tier, (low, high) in enumerate(zip((0, *rises), (*rises, 1 << 60), strict=True)):
        wanted = max(0, min(after.used_wh, high) - max(used, low))
        assert sum(part.energy_wh for part in parts if part.tier == tier) == wanted
    assert after == Position(7, used + sum(registers))


def test_an_allocation_that_changes_inside_a_period_is_billed_in_two_parts() -> None:
    later = "\n".join(SHANGHAI_BY_ORDER.split("[[set]]")[1].split("\n"))
    both = document(
        SHANGHAI_BY_ORDER.replace("[[set]]", '[[set]]\nalloc = "proportional"')
        + "[[set]]\nfrom = 2026-11-16"
        + later
    )
    whole = days(both, date(2026, 11, 1), 30)
    with pytest.raises(Refused, match="alloc: it changes inside the period"):
        periods.rate(both, whole, evenly(whole, 100_000))
    halves = [days(both, date(2026, 11, day), 15) for day in (1, 16)]
    for half in halves:
        assert periods.rate(both, half, evenly(half, 1000)).exact_ncur > 0
