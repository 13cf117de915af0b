"""Thresholds of one point: a year begun late, a household that changes, and the local calendar."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import Refused
from host_tools.rating import calendar, periods
from host_tools.rating.calendar import day_number
from host_tools.rating.thresholds import first_year, household
from protocol import tariff, tariff_book
from protocol.tariff import Position
from tests.host_tools.bills import days, evenly, instant, shipped

EPOCH = date(1970, 1, 1)


def thresholds(book: tariff.Book, at_s: int) -> tuple[int, ...]:
    return tuple(tariff.in_force(book.ladders, at_s).thresholds_wh)


def test_half_a_first_year_has_half_the_tiers_and_the_next_year_all() -> None:
    shanghai = shipped("cn-sh-2012")
    book = first_year(shanghai.book, day_number(2012, 7, 1))
    assert thresholds(book, instant(shanghai, 2012, 8, 1)) == (1_560_000, 2_400_000)
    last_s = instant(shanghai, 2013, 1, 1)
    assert thresholds(book, last_s - 1) == (1_560_000, 2_400_000)
    assert thresholds(book, last_s) == (3_120_000, 4_800_000)
    assert tariff_book.from_wire(tariff_book.to_wire(book)) == book, "a module can have it"


@pytest.mark.parametrize(("month", "months"), [(1, 12), (2, 11), (12, 1)])
def test_the_month_of_the_move_counts_in_full(month: int, months: int) -> None:
    shanghai = shipped("cn-sh-2012")
    book = first_year(shanghai.book, day_number(2026, month, 28))
    at_s = instant(shanghai, 2026, month, 28)
    assert thresholds(book, at_s) == (260_000 * months, 400_000 * months)


def test_monthly_tiers_have_no_first_year() -> None:
    book = shipped("cn-bj-2012").book
    assert first_year(book, day_number(2026, 7, 1)) == book


def test_a_dated_change_in_the_first_year_is_prorated_too() -> None:
    shanghai = shipped("cn-sh-2012")
    change_s = instant(shanghai, 2026, 10, 1)
    ladder = shanghai.book.ladders[0][1]
    higher = ladder._replace(thresholds_wh=(3_600_000, 6_000_000))
    book = shanghai.book._replace(ladders=((0, ladder), (change_s, higher)))
    moved = first_year(book, day_number(2026, 9, 15))
    assert thresholds(moved, change_s - 1) == (1_040_000, 1_600_000)
    assert thresholds(moved, change_s) == (1_200_000, 2_000_000)
    assert thresholds(moved, instant(shanghai, 2027, 1, 1)) == (3_600_000, 6_000_000)


def test_g08_five_persons_all_year_move_the_first_tier_to_4320() -> None:
    shanghai = shipped("cn-sh-2012")
    book = household(shanghai.book, [(day_number(2026, 1, 1), 100_000)])
    assert thresholds(book, instant(shanghai, 2026, 11, 1)) == (4_320_000, 6_000_000)
    at_s = instant(shanghai, 2026, 11, 3, 12)
    amount, _, _ = tariff.charge(book, Position(2026, 4_300_000), at_s, at_s + 900, 50_000)
    assert amount == 32_650_000_000


def test_a_household_that_grows_in_july_has_half_the_shift_this_year() -> None:
    shanghai = shipped("cn-sh-2012")
    book = household(shanghai.book, [(day_number(2026, 7, 1), 100_000)])
    assert thresholds(book, instant(shanghai, 2026, 6, 30)) == (3_120_000, 4_800_000)
    assert thresholds(book, instant(shanghai, 2026, 7, 1)) == (3_720_000, 5_400_000)
    assert thresholds(book, instant(shanghai, 2027, 1, 1)) == (4_320_000, 6_000_000)
    again = household(
        shanghai.book, [(day_number(2026, 7, 1), 100_000), (day_number(2026, 10, 1), 0)]
    )
    assert thresholds(again, instant(shanghai, 2026, 10, 1)) == (3_420_000, 5_100_000)
    assert thresholds(again, instant(shanghai, 2027, 1, 1)) == (3_120_000, 4_800_000)


def test_only_the_first_tier_rises_where_the_tariff_says_so_and_never_above_the_second() -> None:
    beijing = shipped("cn-bj-2012")
    book = household(beijing.book, [(day_number(2026, 7, 1), 100_000)], [1])
    assert thresholds(book, instant(beijing, 2026, 7, 1)) == (340_000, 400_000)
    with pytest.raises(Refused, match="must still rise"):
        household(beijing.book, [(day_number(2026, 7, 1), 200_000)], [1])
    with pytest.raises(Refused, match="begins on the first of a month"):
        household(beijing.book, [(day_number(2026, 7, 2), 100_000)])


def test_two_month_tiers_have_no_shift_a_month() -> None:
    with pytest.raises(Refused, match="needs tier periods of a month or a year"):
        household(shipped("in-kseb").book, [(day_number(2026, 7, 1), 100_000)])


def test_a_move_in_during_the_year_is_billed_by_the_prorated_tiers() -> None:
    flat = shipped("cn-zj-flat")
    book = first_year(flat.book, day_number(2026, 12, 1))  # tier 1 to 230 kWh
    period = days(flat, date(2026, 12, 1), 31)
    amount = tariff.charge(book, Position(0, 0), period.from_s, period.to_s, 300_000)[0]
    assert amount == 230_000 * 538_000 + 70_000 * 588_000
    assert periods.rate(flat, period, evenly(period, 300_000)).exact_ncur == 300_000 * 538_000


@given(st.dates(date(1900, 1, 1), date(2200, 12, 31)))
def test_day_numbers_are_those_of_the_calendar(day: date) -> None:
    number = (day - EPOCH).days
    assert day_number(day.year, day.month, day.day) == number
    assert tariff.civil(number) == (day.year, day.month, day.day)


@given(st.dates(date(2025, 1, 1), date(2040, 12, 31)), st.sampled_from(["es-2.0td", "dst-tou"]))
def test_a_local_day_begins_when_the_clock_says_so(day: date, name: str) -> None:
    of = shipped(name)
    start_s = calendar.midnight_s(of.book, day_number(day.year, day.month, day.day))
    assert start_s == instant(of, day.year, day.month, day.day)
    assert tariff.local_day(of.book, start_s) == tariff.local_day(of.book, start_s - 1) + 1


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 500))
def test_months_of_parts_add_up(day: date, count: int) -> None:
    first = day_number(day.year, day.month, day.day)
    after = day + timedelta(days=count)
    cut = first + count // 3
    last = day_number(after.year, after.month, after.day)
    parts = calendar.months_of(first, cut) + calendar.months_of(cut, last)
    assert parts == calendar.months_of(first, last)
    begins, ends = calendar.month_days(day.year, day.month)
    assert calendar.months_of(begins, ends) == 1
