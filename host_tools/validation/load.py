"""Checks of the load itself: what is possible, likely, and consistent with relay and outages.

V11 to V18 and V21 of the table in docs/validation.md.
"""

from collections.abc import Iterable, Iterator

from host_tools.validation.findings import (
    BLOCK_BILL,
    ESTIMATE,
    FLAG,
    HOLD,
    REVIEW,
    WARN,
    Finding,
    Found,
)
from host_tools.validation.limits import Limits
from host_tools.validation.physics import LEAP, energy_max_wh, steps
from host_tools.validation.series import DAY_S, ESTIMATED, OUTAGE, RELAY_OPEN, Case, Interval


def v11_maximum(case: Case, limits: Limits) -> Found:
    """No interval, and no step of the register, is above what the connection can carry."""
    found = [
        Finding("V11", each.before.time_s, each.after.time_s, HOLD, f"+{each.energy_wh} Wh")
        for each in steps(case, limits)
        if each.kind == LEAP
    ]
    for each in case.known:
        most_wh = energy_max_wh(case.facts, limits, each.end_s - each.start_s)
        if each.energy_wh > most_wh:
            detail = f"{each.energy_wh} Wh > {most_wh} Wh"
            found.append(Finding("V11", each.start_s, each.end_s, ESTIMATE, detail))
    return found


def v12_spike(case: Case, limits: Limits) -> Found:
    """A day's highest interval against its third highest; a flag, never more."""
    found = []
    ran = False
    for day in case.days.values():
        if len(day) < max(3, limits.spike_intervals_min):
            continue
        ran = True
        high = sorted(day, key=lambda each: each.energy_wh)
        top, third_wh = high[-1], high[-3].energy_wh
        if third_wh > 0 and (top.energy_wh - third_wh) * 1000 > third_wh * limits.spike_permille:
            detail = f"{top.energy_wh} Wh, {third_wh} Wh"
            found.append(Finding("V12", top.start_s, top.end_s, FLAG, detail))
    return found if ran else None


def v13_use(case: Case, limits: Limits) -> Found:
    """Average daily use against the month before and the same month last year."""
    before = (case.history.previous_wh, case.history.year_ago_wh)
    known = [value for value in before if value is not None]
    seconds = sum(each.end_s - each.start_s for each in case.known)
    if not known or not seconds:
        return None
    expected_wh = sum(known) * case.history.adjust_permille // (len(known) * 1000)
    daily_wh = sum(each.energy_wh for each in case.known) * DAY_S // seconds
    if expected_wh <= 0:
        return None
    share = daily_wh * 1000
    if expected_wh * limits.use_low_permille <= share <= expected_wh * limits.use_high_permille:
        return []
    block = share > expected_wh * limits.use_block_permille
    action = BLOCK_BILL if block else WARN
    detail = f"{daily_wh} Wh/d, {expected_wh} Wh/d"
    return [Finding("V13", case.start_s, case.end_s, action, detail)]


def v14_zero(case: Case, limits: Limits) -> Found:
    """Zero for long while live and with a closed relay: the meter may have stopped."""
    if not case.voltage_mv:
        return None
    live_mv = case.facts.voltage_mv * limits.live_permille // 1000
    suspect = (
        each.energy_wh == 0
        and case.voltage_mv.get(each.start_s, 0) > live_mv
        and not case.off_s(each.start_s, each.end_s)
        for each in case.known
    )
    return [
        _of_run("V14", run, REVIEW)
        for run in _runs(case.known, suspect)
        if len(run) >= limits.zero_intervals
    ]


def v15_stuck(case: Case, limits: Limits) -> Found:
    """The same value again and again, other than zero."""
    found = []
    run: list[Interval] = []
    for each in (*case.known, None):
        if run and each and each.energy_wh == run[-1].energy_wh and _follows(run[-1], each):
            run.append(each)
            continue
        if len(run) >= limits.stuck_intervals and run[0].energy_wh:
            found.append(_of_run("V15", run, WARN, f"{run[0].energy_wh} Wh"))
        run = [each] if each else []
    return found


def v16_reactive(case: Case, limits: Limits) -> Found:
    """Commercial points: reactive energy comes with active energy; the factor is plausible."""
    if not case.facts.commercial or not case.reactive_varh:
        return None
    found = []
    for day in case.days.values():
        lacking = [each for each in day if each.start_s not in case.reactive_varh]
        found += [
            Finding("V16", each.start_s, each.end_s, REVIEW, f"{each.energy_wh} Wh, - varh")
            for each in lacking
            if each.energy_wh
        ]
        both = [each for each in day if each.start_s in case.reactive_varh]
        active_wh = sum(each.energy_wh for each in both)
        reactive_varh = sum(case.reactive_varh[each.start_s] for each in both)
        # PF = active / sqrt(active² + reactive²) below the limit, squared to stay with integers.
        square = active_wh**2 * 1_000_000
        if square < limits.power_factor_permille**2 * (active_wh**2 + reactive_varh**2):
            detail = f"{active_wh} Wh, {reactive_varh} varh"
            found.append(Finding("V16", day[0].start_s, day[-1].end_s, REVIEW, detail))
    return found


def v17_inactive(case: Case, limits: Limits) -> Found:
    """Next to nothing flows while the relay is open."""
    if not any(span.kind == RELAY_OPEN for span in case.spans):
        return None
    found = []
    for day in case.days.values():
        behind = [each for each in day if case.inside(RELAY_OPEN, each.start_s, each.end_s)]
        total_wh = sum(each.energy_wh for each in behind)
        if total_wh > limits.open_wh:
            detail = f"{total_wh} Wh > {limits.open_wh} Wh"
            found.append(Finding("V17", behind[0].start_s, behind[-1].end_s, HOLD, detail))
    return found


def v18_outage(case: Case, limits: Limits) -> Found:
    """Nothing is metered in an interval that an outage covers; its zero is actual."""
    if not any(span.kind == OUTAGE for span in case.spans):
        return None
    return [
        Finding("V18", each.start_s, each.end_s, REVIEW, f"{each.energy_wh} Wh")
        for each in case.known
        if each.energy_wh and case.inside(OUTAGE, each.start_s, each.end_s)
    ]


def v21_estimated(case: Case, limits: Limits) -> Found:
    """Not too much of the period is estimated."""
    estimated_s = sum(
        each.end_s - each.start_s for each in case.known if each.quality == ESTIMATED
    )
    period_s = case.end_s - case.start_s
    share = estimated_s * 1000 > period_s * limits.estimated_permille
    if not share and estimated_s <= limits.estimated_s:
        return []
    detail = f"{estimated_s} s / {period_s} s"
    return [Finding("V21", case.start_s, case.end_s, FLAG, detail)]


def _follows(before: Interval, after: Interval) -> bool:
    return before.end_s == after.start_s


def _runs(intervals: Iterable[Interval], chosen: Iterable[bool]) -> Iterator[list[Interval]]:
    """Unbroken runs of the chosen intervals."""
    run: list[Interval] = []
    for each, wanted in zip(intervals, chosen, strict=True):
        if run and not (wanted and _follows(run[-1], each)):
            yield run
            run = []
        if wanted:
            run.append(each)
    if run:
        yield run


def _of_run(code: str, run: list[Interval], action: str, what: str = "0 Wh") -> Finding:
    return Finding(code, run[0].start_s, run[-1].end_s, action, f"{len(run)} x {what}")
