"""Whatever arrives: processing never fails, nothing overlaps, and what is billable balances."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_tools.validation.limits import Limits
from host_tools.validation.physics import EXPLAINED, steps
from host_tools.validation.processing import process
from host_tools.validation.registers import balance_max_wh
from host_tools.validation.series import (
    CLOCK_SET,
    MISSING,
    OUTAGE,
    QUALITIES,
    RELAY_OPEN,
    Case,
    Exchange,
    Facts,
    Frame,
    Interval,
    Register,
    Span,
)
from host_tools.validation.shapes import Past

LIMITS = Limits()
T0, Q, SLOTS = 1_767_225_600, 900, 48
ZONES = [ZoneInfo("UTC"), ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")]

PLACE = st.one_of(
    st.integers(0, SLOTS).map(lambda place: T0 + place * Q),
    st.integers(-Q, SLOTS * Q + Q).map(lambda second: T0 + second),
)
ENERGY = st.one_of(st.integers(0, 300), st.sampled_from([-5, 0, 4140, 4141, 10**7]))
INTERVAL = st.builds(
    lambda start_s, length_s, energy_wh, quality: Interval(
        start_s, start_s + length_s, energy_wh, quality, origin="x"
    ),
    PLACE,
    st.sampled_from([Q, Q, Q, 1, 3600, 450]),
    ENERGY,
    st.sampled_from(QUALITIES),
)
METERS = st.sampled_from(["M-1", "M-1", "M-1", "M-2"])
REGISTER = st.builds(Register, PLACE, st.integers(0, 10_000), METERS)
SPAN = st.builds(
    lambda kind, start_s, length_s: Span(kind, start_s, start_s + length_s),
    st.sampled_from([OUTAGE, RELAY_OPEN, CLOCK_SET]),
    PLACE,
    st.integers(0, 4 * Q),
)
EXCHANGE = st.builds(
    lambda time_s, old_wh, new_wh: Exchange("WO", time_s, "M-1", old_wh, "M-2", new_wh),
    PLACE,
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
FRAME = st.builds(
    lambda time_s, seq, value, off_s, meter: Frame(
        "gp-1", meter, "1-0:1.8.0*255", time_s, seq, value, time_s + off_s, time_s
    ),
    PLACE,
    st.integers(0, 5),
    st.integers(0, 9),
    st.sampled_from([0, 61, 181]),
    METERS,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    facts = Facts(
        "gp-1",
        "M-1",
        draw(st.sampled_from(ZONES)),
        range_wh=10_000,
        lsb_wh=draw(st.sampled_from([1, 10, 100])),
        ct_ratio=draw(st.sampled_from([1, 1, 40])),
    )
    grid = draw(st.lists(st.integers(0, SLOTS - 1), unique=True, max_size=SLOTS))
    good = [Interval(T0 + p * Q, T0 + p * Q + Q, draw(st.integers(0, 300))) for p in grid]
    return Case(
        facts,
        T0,
        T0 + SLOTS * Q,
        T0 + draw(st.sampled_from([SLOTS, SLOTS, 20])) * Q,
        intervals=(*good, *draw(st.lists(INTERVAL, max_size=4))),
        registers=tuple(draw(st.lists(REGISTER, max_size=4))),
        frames=tuple(draw(st.lists(FRAME, max_size=3))),
        spans=tuple(draw(st.lists(SPAN, max_size=3))),
        exchanges=tuple(draw(st.lists(EXCHANGE, max_size=1))),
        closed_s=draw(st.sampled_from([0, T0 + 5 * Q])),
    )


EMPTY = Case(Facts("gp-1", "M-1", ZONES[0]), T0, T0, T0)
# By 3 s: more than is snapped to the grid, less than what two snapped ones may share.
OVERLAPPING = replace(
    EMPTY,
    end_s=T0 + 2 * Q,
    now_s=T0 + 2 * Q,
    intervals=(
        Interval(T0, T0 + Q, 100),
        Interval(T0 + Q - 3, T0 + 2 * Q - 3, 100, "A", origin="x"),
    ),
)


@settings(
    max_examples=400,
)
@given(cases(), st.sampled_from([Past(), Past(daily_wh=5000), Past(reference={T0 + Q: 7})]))
@example(EMPTY, Past())
@example(OVERLAPPING, Past())
def test_any_case_comes_out_whole_and_balanced_or_held(case: Case, past: Past) -> None:
    outcome = process(case, past, LIMITS)
    assert process(case, past, LIMITS) == outcome
    made = outcome.intervals
    for before, after in zip(made, made[1:], strict=False):
        assert before.end_s <= after.start_s
    assert all(each.end_s > each.start_s for each in made)
    if not outcome.billable():
        return
    assert all(each.energy_wh >= 0 for each in made)
    until_s = min(case.end_s, case.now_s // Q * Q)
    inside = [each for each in made if case.start_s <= each.start_s < until_s]
    covered_s = sum(min(each.end_s, until_s) - each.start_s for each in inside)
    assert covered_s == max(0, until_s - case.start_s)
    whole = replace(case, intervals=tuple(each for each in made if each.quality != MISSING))
    for step in steps(case, LIMITS):
        low, high = step.before.time_s, step.after.time_s
        assert step.kind in EXPLAINED or low == high
        energy_wh, filled = whole.between(low, high)
        if filled and low < high:
            most_wh = balance_max_wh(case, LIMITS, step.energy_wh)
            assert abs(energy_wh - step.energy_wh) <= most_wh
