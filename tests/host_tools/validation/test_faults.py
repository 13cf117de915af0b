"""A clean year raises nothing; whatever is planted in it is found, where it is."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.validation.checking import check, marked
from host_tools.validation.limits import Limits
from host_tools.validation.series import Case
from host_tools.validation.table import CHECKS, HARD, hard
from tests.host_tools.validation import corpus
from tests.host_tools.validation.faults import PLANT, clock_set

LIMITS = Limits()
PATIENT = settings(max_examples=12)
# Days that V12 flags in a year, as docs/validation.md publishes.
FLAGGED = {"family": 2, "two_employees": 16, "two_over_65": 16, "single_under_30": 25}


def found_at(case: Case, code: str, start_s: int, end_s: int) -> bool:
    report = check(case, LIMITS, [code])  # one of them, so that a year is checked quickly
    return any(each.start_s < end_s and start_s < each.end_s for each in report.findings)


def usable(case: Case, place: int) -> int:
    """The next interval that is not one of the year's honest zeros, and stands far from them."""
    near_s = 100 * corpus.STEP_S
    while any(
        span.start_s - near_s <= case.intervals[place].start_s <= span.end_s + near_s
        for span in case.spans
    ):
        place = (place + 97) % len(case.intervals)
    return place


def test_a_clean_year_with_rollover_exchange_outage_and_open_relay_raises_nothing() -> None:
    report = check(corpus.good_year(), LIMITS)
    assert report.findings == () and report.not_run == ()


def test_every_check_can_be_planted() -> None:
    assert set(PLANT) == set(CHECKS)


@pytest.mark.parametrize("code", sorted(CHECKS))
def test_a_fault_planted_anywhere_in_a_good_year_is_found_there(code: str) -> None:
    @PATIENT
    @given(st.integers(0, len(corpus.good_year().intervals) - 1))
    def plant(place: int) -> None:
        good = corpus.good_year()
        bad, start_s, end_s = PLANT[code](good, usable(good, place))
        assert found_at(bad, code, start_s, end_s)
        if CHECKS[code].severity == HARD:
            held = check(bad, LIMITS, [code]).unbillable()
            assert any(each.start_s < end_s and start_s < each.end_s for each in held)

    plant()


@PATIENT
@given(st.integers(0, 30 * 96 - 1))
def test_an_interval_in_which_the_clock_was_set_is_marked(place: int) -> None:
    bad, start_s, end_s = clock_set(corpus.good_month(), place)
    assert found_at(bad, "V03", start_s, end_s)


@PATIENT
@given(
    st.integers(0, 30 * 96 - 1),
    st.sampled_from(["V01", "V03", "V09", "V11", "V15"]),
    st.integers(0, 30 * 96 - 1),
    st.sampled_from(["V02", "V04", "V08", "V16", "V19"]),
)
def test_two_faults_do_not_hide_one_another(
    place: int, first: str, other_place: int, second: str
) -> None:
    bad, start_s, end_s = PLANT[first](corpus.good_month(), place)
    other_place = min(other_place, len(bad.intervals) - 1)
    if first == "V15" and abs(other_place - place) < 40:
        return  # the second one lies within the run of the first
    worse, other_start_s, other_end_s = PLANT[second](bad, other_place)
    if second == "V04" and bad.intervals[other_place].start_s == start_s:
        return  # and takes the first one away
    assert found_at(worse, first, start_s, end_s)
    assert found_at(worse, second, other_start_s, other_end_s)


@pytest.mark.parametrize("curve", FLAGGED)
def test_a_real_household_s_year_has_no_hard_error_and_the_published_flags(curve: str) -> None:
    start_s = corpus.midnight_s(corpus.BERLIN, 2026, 1, 1)
    case = corpus.case_of(corpus.household(curve, start_s, 365 * 96), start_s)
    report = check(case, LIMITS)
    assert hard(report.codes()) == set() and report.unbillable() == ()
    assert Counter(each.code for each in report.findings) == {"V12": FLAGGED[curve]}


def test_checking_twice_says_the_same_and_marks_the_same_intervals() -> None:
    bad, _, _ = PLANT["V11"](corpus.good_month(), 500)
    once = check(bad, LIMITS)
    assert check(bad, LIMITS) == once
    first = marked(bad.intervals, once)
    assert marked(first, once) == first
    assert "V11" in first[500].failed and first[499].failed == ("V10",)
