"""Checks of what arrives: identity, duplicates, time, sequence and gaps, interval size, age.

V01 to V05 and V22 of the table in docs/validation.md. Each takes the case and the limits, and
returns its findings, or None when it could not run.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from host_tools.validation.findings import (
    BLOCK,
    DROP,
    ESTIMATE,
    FLAG,
    LATE,
    QUARANTINE,
    REALIGN,
    REJECT,
    REVIEW,
    Finding,
    Found,
)
from host_tools.validation.limits import Limits
from host_tools.validation.series import CLOCK_SET, Case, Frame, Interval

_Item = TypeVar("_Item")


def v01_identity(case: Case, limits: Limits) -> Found:
    """Device, meter, OBIS code and CT ratio of every frame are those of the master data."""
    if not case.frames:
        return None
    facts = case.facts
    meters = {facts.meter}
    for order in case.exchanges:
        meters |= {order.old_meter, order.new_meter}
    found = []
    for frame in case.frames:
        wrong = [
            f"{name} {value} != {wanted}"
            for name, value, wanted in (
                ("device", frame.device, facts.device),
                ("obis", frame.obis, facts.obis),
                ("ct_ratio", frame.ct_ratio, facts.ct_ratio),
            )
            if value != wanted
        ]
        if frame.meter not in meters:
            wrong.append(f"meter {frame.meter} != {facts.meter}")
        if wrong:
            found.append(_of_frame("V01", case, frame, REJECT, ", ".join(wrong)))
    return found


def v02_duplicate(case: Case, limits: Limits) -> Found:
    """One (meter, register, instant, sequence) has one value; so has one interval."""
    found = []
    for frames in _alike(case.frames, lambda each: (each.meter, each.obis, each.time_s, each.seq)):
        values = sorted({each.value for each in frames})
        action = DROP if len(values) == 1 else QUARANTINE
        found.append(_of_frame("V02", case, frames[0], action, _listed(values)))
    for same in _alike(case.known, lambda each: (each.start_s, each.end_s)):
        values = sorted({each.energy_wh for each in same})
        action = DROP if len(values) == 1 else QUARANTINE
        first = same[0]
        found.append(Finding("V02", first.start_s, first.end_s, action, _listed(values)))
    return found + list(_overlaps(case, limits))


def _overlaps(case: Case, limits: Limits) -> Iterator[Finding]:
    """Intervals that share time: no one can tell which of them has it."""
    before: Interval | None = None
    for each in case.known:
        if before and each.start_s < before.end_s - 2 * limits.boundary_s:
            same = (each.start_s, each.end_s) == (before.start_s, before.end_s)
            if not same:
                end_s = max(before.end_s, each.end_s)
                detail = f"{before.energy_wh} / {each.energy_wh}"
                yield Finding("V02", before.start_s, end_s, QUARANTINE, detail)
        if before is None or each.end_s >= before.end_s:
            before = each


def v03_time(case: Case, limits: Limits) -> Found:
    """The meter's clock against the host's; an interval in which it was set is no true one."""
    clock_sets = [span for span in case.spans if span.kind == CLOCK_SET]
    if not case.frames and not clock_sets:
        return None
    found = []
    for frame in case.frames:
        off_s = frame.sent_s - frame.arrived_s
        if abs(off_s) > limits.clock_flag_s:
            action = BLOCK if abs(off_s) > limits.clock_block_s else FLAG
            found.append(_of_frame("V03", case, frame, action, f"{off_s:+d} s"))
    for span in clock_sets:
        for each in case.known:
            if each.start_s <= span.end_s and span.start_s < each.end_s:
                moved = f"{span.start_s} -> {span.end_s}"
                found.append(Finding("V03", each.start_s, each.end_s, FLAG, moved))
    return found


def v04_gap(case: Case, limits: Limits) -> Found:
    """Every interval of the span is there, and no frame is missing from the sequence."""
    found = [
        Finding("V04", start_s, end_s, ESTIMATE, _slots(case, end_s - start_s))
        for start_s, end_s in case.gaps()
        # Without supply there is nothing to estimate, V18 says so.
        if case.off_s(start_s, end_s) < end_s - start_s
    ]
    frames = sorted(case.frames, key=lambda each: (each.meter, each.seq))
    for before, after in itertools.pairwise(frames):
        if before.meter == after.meter and after.seq > before.seq + 1:
            low_s, high_s = sorted((before.time_s, after.time_s))
            lost = f"{before.seq} .. {after.seq}"
            found.append(Finding("V04", low_s, high_s, REVIEW, lost))
    return found


def v05_size(case: Case, limits: Limits) -> Found:
    """Each interval begins on the grid and is one step long."""
    step_s = case.facts.step_s
    found = []
    for each in case.known:
        off_s = (each.start_s + step_s // 2) % step_s - step_s // 2
        longer_s = each.end_s - each.start_s - step_s
        if abs(off_s) > limits.boundary_s or abs(longer_s) > limits.boundary_s:
            detail = f"{off_s:+d} s, {each.end_s - each.start_s} s != {step_s} s"
            found.append(Finding("V05", each.start_s, each.end_s, REALIGN, detail))
    return found


def v22_age(case: Case, limits: Limits) -> Found:
    """Nothing is from the future; what is older than the closed period is late data."""
    found = []
    for frame in case.frames:
        if frame.time_s > case.now_s + limits.future_s:
            ahead = f"{frame.time_s - case.now_s:+d} s"
            found.append(_of_frame("V22", case, frame, QUARANTINE, ahead))
        elif frame.time_s <= case.closed_s:
            found.append(_of_frame("V22", case, frame, LATE, f"<= {case.closed_s}"))
    for each in case.known:
        if each.end_s > case.now_s + limits.future_s:
            ahead = f"{each.end_s - case.now_s:+d} s"
            found.append(Finding("V22", each.start_s, each.end_s, QUARANTINE, ahead))
        elif each.end_s <= case.closed_s:
            found.append(Finding("V22", each.start_s, each.end_s, LATE, f"<= {case.closed_s}"))
    return found


def _of_frame(code: str, case: Case, frame: Frame, action: str, detail: str) -> Finding:
    """A frame closes the interval before it."""
    return Finding(code, frame.time_s - case.facts.step_s, frame.time_s, action, detail)


def _alike(items: Iterable[_Item], key: Callable[[_Item], Hashable]) -> list[list[_Item]]:
    """Groups of more than one item with the same key, in order."""
    groups: dict[Hashable, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return [group for group in groups.values() if len(group) > 1]


def _listed(values: list[int]) -> str:
    return " / ".join(str(value) for value in values)


def _slots(case: Case, seconds: int) -> str:
    return f"{-(-seconds // case.facts.step_s)} x {case.facts.step_s} s"
