"""Filling gaps: the balance is kept to the watt-hour, the shape follows the order of the page."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.validation.estimating import CHECK_METER, NO_SUPPLY, estimate
from host_tools.validation.limits import Limits
from host_tools.validation.processing import process, realigned
from host_tools.validation.series import (
    ACTUAL,
    ESTIMATED,
    MANUAL,
    MISSING,
    OUTAGE,
    RELAY_OPEN,
    SUBSTITUTED,
    Case,
    Exchange,
    Facts,
    Interval,
    Register,
    Span,
)
from host_tools.validation.shapes import Past
from host_tools.validation.sharing import cumulative_floor, linear, two_decimals
from tests.host_tools.validation import corpus

LIMITS = Limits()
FACTS = Facts("gp-1", "M-1", ZoneInfo("UTC"))
T0 = 1_767_225_600  # 2026-01-01 00:00 UTC, a Thursday
Q = 900
NOTHING = Past()
PATIENT = settings(max_examples=12)


def span_of(count: int, known: dict[int, int], **more: object) -> Case:
    """`count` quarter hours, of which some are known: {place: Wh}."""
    intervals = tuple(
        Interval(T0 + place * Q, T0 + (place + 1) * Q, load) for place, load in known.items()
    )
    made = Case(FACTS, T0, T0 + count * Q, T0 + count * Q + 60, intervals)
    return replace(made, **more)  # type: ignore[arg-type]


def energies(case: Case, past: Past = NOTHING) -> list[int]:
    return [each.energy_wh for each in estimate(case, past, LIMITS).intervals]


def at(place: int, value_wh: int, meter: str = "M-1") -> Register:
    return Register(T0 + place * Q, value_wh, meter)


# The golden cases


def test_a_gap_between_registers_gets_their_difference_less_what_is_known() -> None:
    case = span_of(4, {0: 400}, registers=(at(0, 1_000_000), at(4, 1_001_600)))
    assert energies(case) == [400, 400, 400, 400]


def test_a_short_gap_without_registers_is_a_line() -> None:
    filled = estimate(span_of(5, {0: 400, 4: 800}), NOTHING, LIMITS)
    assert [each.energy_wh for each in filled.intervals] == [400, 500, 600, 700, 800]
    assert {each.origin for each in filled.intervals[1:4]} == {"linear"}
    assert [each.quality for each in filled.intervals] == ["A", "E", "E", "E", "A"]


def test_a_rollover_inside_a_gap_keeps_the_balance() -> None:
    five_digits = replace(FACTS, range_wh=100_000_000, lsb_wh=100)
    case = span_of(8, {}, facts=five_digits, registers=(at(0, 99_999_600), at(8, 3200)))
    assert sum(energies(case)) == 3600


# The balance


def test_a_gap_of_two_hours_is_short_and_one_more_quarter_is_not() -> None:
    for missing, method in ((8, "linear"), (9, "flat")):
        case = span_of(missing + 2, {0: 100, missing + 1: 100})
        assert estimate(case, NOTHING, LIMITS).intervals[1].origin == method


def test_a_meter_exchange_inside_a_gap_balances_both_meters() -> None:
    order = Exchange("WO-1", T0 + 2 * Q + 300, "M-1", 5090, "M-2", 7)
    case = span_of(
        6, {0: 40, 5: 60}, exchanges=(order,), registers=(at(0, 5000), at(6, 197, "M-2"))
    )
    filled = estimate(case, NOTHING, LIMITS)
    assert sum(each.energy_wh for each in filled.intervals) == 90 + 190
    assert [each.start_s for each in filled.intervals] == [T0 + place * Q for place in range(6)]
    # What the old meter counted lies before the exchange: one and a third of a quarter hour.
    assert filled.intervals[1].energy_wh + filled.intervals[2].energy_wh >= 50


def test_nothing_is_estimated_across_a_register_that_nobody_explains() -> None:
    case = span_of(8, {0: 40, 7: 60}, registers=(at(0, 5000), at(8, 100, "M-9")))
    filled = estimate(case, NOTHING, LIMITS)
    assert len(filled.intervals) == 2 and [each.code for each in filled.held] == ["V08"]
    outcome = process(case, NOTHING, LIMITS)
    assert outcome.quality == MISSING and not outcome.billable()


@pytest.mark.parametrize("end_wh", (5099, 5000 + 60 * 4140))
def test_a_difference_that_the_gap_cannot_hold_is_held_not_spread(end_wh: int) -> None:
    case = span_of(8, {0: 40, 7: 60}, registers=(at(0, 5000), at(8, end_wh)))
    filled = estimate(case, NOTHING, LIMITS)
    assert filled.held and len(filled.intervals) == 2


def test_a_register_in_the_middle_of_an_interval_cuts_its_share() -> None:
    middle = Register(T0 + 3 * Q + 450, 5210, "M-1")
    case = span_of(6, {}, registers=(at(0, 5000), middle, at(6, 5310)))
    shares = energies(case)
    assert sum(shares) == 310 and shares[:3] == [60, 60, 60] and shares[3] == 30 + 20


def test_every_gap_between_two_registers_shares_one_difference() -> None:
    known = {place: 50 for place in range(96) if place not in (10, 11, 40, 90)}
    case = span_of(96, known, registers=(at(0, 0), at(96, 96 * 50 + 3)))
    filled = estimate(case, NOTHING, LIMITS)
    assert sum(each.energy_wh for each in filled.intervals) == 96 * 50 + 3
    made = [each.energy_wh for each in filled.intervals if each.quality == ESTIMATED]
    assert len(made) == 4 and all(50 <= each <= 51 for each in made)


def test_without_an_end_register_the_estimate_stands_until_one_comes() -> None:
    known = dict.fromkeys(range(48), 50)
    open_case = span_of(96, known, registers=(at(0, 0),))
    past = Past(daily_wh=4805)
    first = estimate(open_case, past, LIMITS).intervals
    assert {each.origin for each in first[48:]} == {"flat"}
    closed = replace(open_case, intervals=first, registers=(at(0, 0), at(96, 48 * 50 + 4000)))
    trued = process(closed, past, LIMITS)
    assert sum(each.energy_wh for each in trued.intervals) == 48 * 50 + 4000
    assert trued.intervals[60].origin == "register, flat"


def test_a_gap_over_the_month_s_end_is_closed_by_the_registers_of_both_months() -> None:
    zone = corpus.SHANGHAI
    start_s = corpus.midnight_s(zone, 2026, 1, 31)
    case = corpus.case_of(
        corpus.smooth(start_s, 2 * 96), start_s, replace(corpus.FACTS, zone=zone)
    )
    gap = range(80, 120)
    holed = replace(case, intervals=tuple(e for p, e in enumerate(case.intervals) if p not in gap))
    filled = estimate(holed, NOTHING, LIMITS).intervals
    for low, high in ((0, 96), (96, 192)):  # January and February keep their own energy
        before = sum(each.energy_wh for each in case.intervals[low:high])
        assert sum(each.energy_wh for each in filled[low:high]) == before


# Supply


def test_zeros_without_supply_are_actual_and_take_no_share() -> None:
    off = (Span(OUTAGE, T0 + 2 * Q, T0 + 4 * Q), Span(RELAY_OPEN, T0 + 5 * Q, T0 + 6 * Q))
    case = span_of(8, {0: 100, 7: 100}, spans=off, registers=(at(0, 0), at(8, 500)))
    filled = estimate(case, NOTHING, LIMITS).intervals
    assert [each.energy_wh for each in filled] == [100, 100, 0, 0, 100, 0, 100, 100]
    assert [each.quality for each in filled] == list("AEAAEAEA")
    assert {filled[place].origin for place in (2, 3, 5)} == {NO_SUPPLY}


def test_an_interval_half_without_supply_gets_half_the_share() -> None:
    off = (Span(OUTAGE, T0 + Q, T0 + Q + 450),)
    case = span_of(3, {}, spans=off, registers=(at(0, 0), at(3, 500)))
    assert energies(case) == [200, 100, 200]


def test_outage_and_lost_messages_that_overlap_do_not_count_twice() -> None:
    off = (Span(OUTAGE, T0 + Q, T0 + 3 * Q), Span(RELAY_OPEN, T0 + 2 * Q, T0 + 4 * Q))
    case = span_of(6, {0: 10}, spans=off, registers=(at(0, 0), at(6, 70)))
    assert energies(case) == [10, 0, 0, 0, 30, 30]


def test_a_check_meter_comes_first_and_is_substituted() -> None:
    case = span_of(4, {0: 10, 3: 40}, registers=(at(0, 0), at(4, 100)))
    filled = estimate(case, Past(reference={T0 + Q: 31}), LIMITS).intervals
    assert [each.energy_wh for each in filled] == [10, 31, 19, 40]
    assert (filled[1].quality, filled[1].origin) == (SUBSTITUTED, CHECK_METER)


# Shapes


def weeks_before(zone: ZoneInfo, start_s: int, days: int) -> tuple[Interval, ...]:
    """Past days whose value tells weekday and local quarter hour."""
    out = []
    case = Case(replace(FACTS, zone=zone), start_s, start_s, start_s)
    for at_s in range(start_s - days * 86_400, start_s, Q):
        weekday = (case.day_of(at_s) + 6) % 7
        out.append(Interval(at_s, at_s + Q, 100 * (weekday + 1)))
    return tuple(out)


@pytest.mark.parametrize(("weeks", "method"), [(4, "past days"), (3, "past days"), (2, "flat")])
def test_a_long_gap_looks_like_its_weekday_and_kind_of_day_of_three_weeks_at_least(
    weeks: int, method: str
) -> None:
    past = Past(weeks_before(ZoneInfo("UTC"), T0, weeks * 7), daily_wh=960)
    filled = estimate(span_of(96, {}), past, LIMITS).intervals
    assert {each.origin for each in filled} == {method}
    assert {each.energy_wh for each in filled} == ({350} if method == "past days" else {10})


def test_a_holiday_looks_like_a_sunday() -> None:
    today = Case(FACTS, T0, T0, T0).day_of(T0)
    past = Past(weeks_before(ZoneInfo("UTC"), T0, 28), holidays=frozenset({today}))
    assert set(energies(span_of(96, {}), past)) == {(700 + 650) // 2}


def test_earlier_days_of_the_same_case_are_an_example_too() -> None:
    good = corpus.good_month()
    holed_case = replace(holed(good, 26 * 96, 96), registers=())
    made = process(holed_case, NOTHING, LIMITS).intervals[26 * 96 : 27 * 96]
    assert {each.origin for each in made} == {"past days"}
    # 27 June 2026 is a Saturday: three Saturdays, and with the Sundays seven rest days.
    slots = [good.intervals[26 * 96 + 5 - 96 * back].energy_wh for back in (6, 7, 13, 14, 20, 21)]
    assert made[5].energy_wh == (sum(slots[1::2]) // 3 + sum(slots) // 6) // 2


def test_suspect_past_values_are_no_example() -> None:
    old = weeks_before(ZoneInfo("UTC"), T0, 28)
    suspect = tuple(replace(each, failed=("V11",)) for each in old)
    past = Past(suspect, daily_wh=9600, profile=tuple(range(96)))
    filled = estimate(span_of(96, {}), past, LIMITS).intervals
    assert {each.origin for each in filled} == {"profile"}
    assert filled[0].energy_wh == 0 and filled[95].energy_wh == 9600 * 95 // sum(range(96))


@pytest.mark.parametrize(("month", "day", "quarters"), ((3, 29, 92), (10, 25, 100)))
def test_a_gap_over_a_clock_change_follows_the_local_clock(
    month: int, day: int, quarters: int
) -> None:
    zone = corpus.BERLIN
    start_s = corpus.midnight_s(zone, 2026, month, day)
    end_s = corpus.midnight_s(zone, 2026, month, day + 1)
    facts = replace(FACTS, zone=zone)
    by_hour = []
    for at_s in range(start_s - 28 * 86_400 - 7200, start_s, Q):
        hour = (at_s + (3600 if month == 3 else 7200)) // 3600 % 24  # before the change
        by_hour.append(Interval(at_s, at_s + Q, 10 + hour))
    case = Case(facts, start_s, end_s, end_s, ())
    filled = estimate(case, Past(tuple(by_hour)), LIMITS).intervals
    assert len(filled) == quarters
    hours = [each.energy_wh - 10 for each in filled[::4]]
    wanted = list(range(24))
    if month == 3:
        wanted.remove(2)
    else:
        wanted.insert(2, 2)
    assert hours == wanted


def test_a_clock_change_with_a_gap_of_two_hours_over_it_keeps_the_balance() -> None:
    for month, day in ((3, 29), (10, 25)):
        start_s = corpus.midnight_s(corpus.BERLIN, 2026, month, day)
        count = (corpus.midnight_s(corpus.BERLIN, 2026, month, day + 1) - start_s) // Q
        case = corpus.case_of(corpus.smooth(start_s, count), start_s)
        holed = replace(case, intervals=case.intervals[:4] + case.intervals[12:])
        outcome = process(holed, NOTHING, LIMITS)
        assert len(outcome.intervals) == count and outcome.billable()
        assert sum(e.energy_wh for e in outcome.intervals) == sum(
            e.energy_wh for e in case.intervals
        )


# Sharing


@given(
    st.integers(0, 10**9),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=200),
)
def test_shares_add_up_and_none_is_off_by_a_whole_watt_hour(
    total: int, weights: list[int]
) -> None:
    parts = cumulative_floor(total, weights)
    assert sum(parts) == total and len(parts) == len(weights) and min(parts) >= 0
    even = weights if any(weights) else [1] * len(weights)
    for part, weight in zip(parts, even, strict=True):
        assert abs(part * sum(even) - total * weight) < sum(even)


def test_sharing_among_nothing_or_by_a_negative_weight_is_an_error() -> None:
    for weights in ([], [1, -1]):
        with pytest.raises(ValueError, match=r"nothing|negative"):
            cumulative_floor(1, weights)


def test_rounding_of_lines_and_daily_use_has_a_name_and_a_direction() -> None:
    assert linear(10, 11, 3) == [10, 10, 10] and linear(11, 10, 3) == [10, 10, 10]
    assert [two_decimals(each) for each in (0, 4, 5, 14, 15)] == [0, 0, 10, 10, 20]


# The whole


def holed(case: Case, low: int, count: int) -> Case:
    return replace(case, intervals=case.intervals[:low] + case.intervals[low + count :])


@settings(PATIENT, max_examples=5)
@given(st.integers(0, 365 * 96 - 300), st.integers(1, 288))
def test_any_gap_of_a_good_year_is_filled_to_its_registers_difference(
    low: int, count: int
) -> None:
    good = corpus.good_year()
    outcome = process(holed(good, low, count), NOTHING, LIMITS)
    assert outcome.billable() and len(outcome.intervals) == len(good.intervals)
    # From the register before the gap to the one behind it the energy is what it was.
    day = low // 96 * 96
    end = -(-(low + count) // 96) * 96
    was = sum(each.energy_wh for each in good.intervals[day:end])
    assert sum(each.energy_wh for each in outcome.intervals[day:end]) == was
    assert outcome.intervals[:day] == good.intervals[:day]


@PATIENT
@given(st.integers(0, 30 * 96 - 200), st.integers(1, 150))
def test_processing_is_deterministic_and_a_second_run_changes_nothing(
    low: int, count: int
) -> None:
    case = holed(corpus.good_month(), low, count)
    first = process(case, NOTHING, LIMITS)
    assert process(case, NOTHING, LIMITS) == first
    again = process(replace(case, intervals=first.intervals), NOTHING, LIMITS)
    assert again.intervals == first.intervals


def test_a_clean_month_comes_out_as_it_went_in() -> None:
    good = corpus.good_month()
    outcome = process(good, NOTHING, LIMITS)
    assert outcome.intervals == good.intervals and outcome.billable()
    assert outcome.quality == ACTUAL and outcome.estimated_permille() == 0


def test_a_manual_value_is_not_estimated_away() -> None:
    case = span_of(3, {0: 10, 2: 10}, registers=(at(0, 0), at(3, 60)))
    edited = Interval(T0 + Q, T0 + 2 * Q, 40, MANUAL)
    outcome = process(replace(case, intervals=(*case.intervals, edited)), NOTHING, LIMITS)
    assert outcome.intervals[1].energy_wh == 40 and outcome.quality == MANUAL


def test_an_impossible_value_is_taken_away_and_estimated_from_the_register() -> None:
    good = corpus.good_month()
    spot = 1000
    spike = replace(good.intervals[spot], energy_wh=50_000)
    bad = replace(good, intervals=(*good.intervals[:spot], spike, *good.intervals[spot + 1 :]))
    outcome = process(bad, NOTHING, LIMITS)
    made = outcome.intervals[spot]
    assert made.energy_wh == good.intervals[spot].energy_wh and made.quality == ESTIMATED
    assert {"V11", "V10"} <= set(made.failed) and outcome.billable()
    assert outcome.estimated_permille() == 1  # one interval of a month: never rounded to none


def test_a_corrected_frame_delivered_twice_is_estimated_once() -> None:
    good = corpus.good_month()
    twin = replace(good.intervals[77], energy_wh=good.intervals[77].energy_wh + 9)
    bad = replace(good, intervals=(*good.intervals, twin, twin))
    outcome = process(bad, NOTHING, LIMITS)
    assert outcome.intervals[77].quality == ESTIMATED and outcome.billable()
    assert outcome.intervals[77].energy_wh == good.intervals[77].energy_wh


def test_an_exchange_at_noon_with_the_clock_set_the_same_day_bills_both_meters() -> None:
    start_s = corpus.midnight_s(corpus.SHANGHAI, 2026, 6, 1)
    facts = replace(corpus.FACTS, zone=corpus.SHANGHAI)
    good = corpus.case_of(corpus.smooth(start_s, 3 * 96), start_s, facts, exchange_at=96 + 48)
    moved = Span("clock set", start_s + 86_400 + 3600, start_s + 86_400 + 3900)
    case = holed(replace(good, spans=(moved,)), 96 + 44, 8)
    outcome = process(case, NOTHING, LIMITS)
    assert outcome.billable()
    assert sum(e.energy_wh for e in outcome.intervals) == sum(e.energy_wh for e in good.intervals)


# Alignment


def test_intervals_beside_the_grid_are_split_over_it_and_lose_nothing() -> None:
    shifted = tuple(Interval(T0 + 300 + p * Q, T0 + 300 + (p + 1) * Q, 90) for p in range(4))
    case = Case(FACTS, T0, T0 + 5 * Q, T0 + 5 * Q, shifted)
    made = sorted(realigned(case, LIMITS), key=lambda each: each.start_s)
    assert sum(each.energy_wh for each in made) == 360
    assert [(e.start_s - T0, e.end_s - T0, e.energy_wh) for e in made] == [
        (300, 900, 60), (900, 1800, 90), (1800, 2700, 90), (2700, 3600, 90), (3600, 3900, 30),
    ]  # fmt: skip


def test_two_seconds_beside_the_grid_are_on_it() -> None:
    case = Case(FACTS, T0, T0 + Q, T0 + Q, (Interval(T0 + 2, T0 + Q - 1, 90),))
    assert list(realigned(case, LIMITS)) == [Interval(T0, T0 + Q, 90)]


def test_values_that_overlap_are_all_taken_away_and_no_energy_counts_twice() -> None:
    good = corpus.good_month()
    late = Interval(good.intervals[9].start_s + 450, good.intervals[9].end_s + 450, 77)
    outcome = process(replace(good, intervals=(*good.intervals, late)), NOTHING, LIMITS)
    assert [each.start_s for each in outcome.intervals] == [e.start_s for e in good.intervals]
    assert sum(e.energy_wh for e in outcome.intervals) == sum(e.energy_wh for e in good.intervals)
    assert [each.quality for each in outcome.intervals[8:12]] == ["A", "E", "E", "A"]


def test_an_hour_becomes_four_quarters() -> None:
    case = Case(FACTS, T0, T0 + 3600, T0 + 3600, (Interval(T0, T0 + 3600, 403),))
    made = list(realigned(case, LIMITS))
    assert [each.energy_wh for each in made] == [100, 101, 101, 101]


def test_a_reading_from_the_future_is_held_and_not_only_left_out() -> None:
    case = replace(span_of(96, dict.fromkeys(range(41), 50)), now_s=T0 + 40 * Q)
    outcome = process(case, NOTHING, LIMITS)
    assert len(outcome.intervals) == 40 and not outcome.billable()
    assert [each.code for each in outcome.held] == ["V22"]


def test_what_is_still_to_come_is_no_gap() -> None:
    case = replace(span_of(96, dict.fromkeys(range(40), 50)), now_s=T0 + 40 * Q + 30)
    outcome = process(case, NOTHING, LIMITS)
    assert len(outcome.intervals) == 40 and not outcome.held
