"""Checks of the register against itself, the intervals and its siblings.

V06 to V10, V19 and V20 of the table in docs/validation.md.
"""

from host_tools.validation.findings import HOLD, TAMPER, Finding, Found
from host_tools.validation.limits import Limits
from host_tools.validation.physics import (
    EXPLAINED,
    FALL,
    FORWARD,
    LEAP,
    REFUSED_ROLLOVER,
    RESET,
    ROLLOVER,
    SWAP,
    Step,
    steps,
)
from host_tools.validation.series import Case

# Units that are mistaken for one another, and current transformers that are.
UNIT_FACTORS = (10, 100, 1000, 10_000, 100_000, 1_000_000)
CT_FACTORS = (40, 80)


def _steps(case: Case, limits: Limits) -> list[Step] | None:
    found = list(steps(case, limits))
    return found or None


def v06_monotone(case: Case, limits: Limits) -> Found:
    """The register never falls, but for a rollover."""
    found = _steps(case, limits)
    if found is None:
        return None
    wrong = (REFUSED_ROLLOVER, RESET, FALL)
    return [_of_step("V06", each, HOLD) for each in found if each.kind in wrong]


def v07_rollover(case: Case, limits: Limits) -> Found:
    """A fall from the register's end is a rollover that the connection can have carried."""
    found = _steps(case, limits)
    if found is None:
        return None
    return [_of_step("V07", each, HOLD) for each in found if each.kind == REFUSED_ROLLOVER]


def v08_exchange(case: Case, limits: Limits) -> Found:
    """A new meter, or a register far below, has its work order."""
    found = _steps(case, limits)
    if found is None:
        return None
    return [_of_step("V08", each, HOLD) for each in found if each.kind in (RESET, SWAP)]


def v09_reverse(case: Case, limits: Limits) -> Found:
    """No interval is negative; an import-only point exports nothing."""
    found = [
        Finding("V09", each.start_s, each.end_s, TAMPER, f"{each.energy_wh} Wh < 0")
        for each in case.known
        if each.energy_wh < 0
    ]
    if case.export_wh is None or not case.facts.import_only:
        return found
    days: dict[int, list[int]] = {}
    for start_s in case.export_wh:
        days.setdefault(case.day_of(start_s), []).append(start_s)
    for starts in days.values():
        total_wh = sum(case.export_wh[start_s] for start_s in starts)
        if total_wh > limits.reverse_wh:
            end_s = max(starts) + case.facts.step_s
            detail = f"{total_wh} Wh > {limits.reverse_wh} Wh"
            found.append(Finding("V09", min(starts), end_s, TAMPER, detail))
    return found


def v10_sum(case: Case, limits: Limits) -> Found:
    """The intervals between two registers add up to their difference; so do all of a meter."""
    found = []
    ran = False
    for start_s, end_s, expected_wh in _explained(case, limits):
        total_wh, filled = case.between(start_s, end_s)
        if not filled:
            continue
        ran = True
        if abs(total_wh - expected_wh) > balance_max_wh(case, limits, expected_wh):
            detail = f"{total_wh} Wh != {expected_wh} Wh"
            found.append(Finding("V10", start_s, end_s, HOLD, detail))
    return found if ran else None


def v19_siblings(case: Case, limits: Limits) -> Found:
    """Time-of-use registers, and phases, add up to the total."""
    if not case.siblings:
        return None
    found = []
    for each in case.siblings:
        parts_wh = sum(each.parts_wh)
        # Each register is cut off at its own last digit.
        cut_wh = case.facts.lsb_wh * case.facts.multiplier * len(each.parts_wh)
        most_wh = max(cut_wh, abs(each.total_wh) * limits.siblings_permille // 1000)
        if abs(parts_wh - each.total_wh) > most_wh:
            detail = f"{each.name}: {parts_wh} Wh != {each.total_wh} Wh"
            found.append(Finding("V19", each.start_s, each.end_s, HOLD, detail))
    return found


def v20_unit(case: Case, limits: Limits) -> Found:
    """No value is wrong by a power of ten or by a transformer's ratio."""
    found_steps = _steps(case, limits)
    if found_steps is None:
        return None
    found = []
    for each in found_steps:
        if each.kind in (LEAP, RESET, FALL, REFUSED_ROLLOVER):
            factor = _factor(each.before.value_wh, each.after.value_wh, UNIT_FACTORS, limits)
            if factor:
                found.append(_of_step("V20", each, HOLD, factor))
    ratios = {*UNIT_FACTORS, *CT_FACTORS, case.facts.multiplier} - {1}
    for start_s, end_s, expected_wh in _explained(case, limits):
        total_wh, filled = case.between(start_s, end_s)
        if filled and abs(total_wh - expected_wh) > balance_max_wh(case, limits, expected_wh):
            factor = _factor(expected_wh, total_wh, sorted(ratios), limits)
            if factor:
                detail = f"{total_wh} Wh = {expected_wh} Wh {factor}"
                found.append(Finding("V20", start_s, end_s, HOLD, detail))
    return found


def balance_max_wh(case: Case, limits: Limits, expected_wh: int) -> int:
    """How far intervals and register may differ."""
    steps_wh = limits.balance_lsb * case.facts.lsb_wh * case.facts.multiplier
    return max(steps_wh, expected_wh * limits.balance_permille // 1000)


def _explained(case: Case, limits: Limits) -> list[tuple[int, int, int]]:
    """(start, end, energy) of each step that is understood, and of each unbroken run of them."""
    out = []
    run: list[Step] = []

    def close() -> None:
        if len(run) > 1:
            energy_wh = sum(each.energy_wh for each in run)
            out.append((run[0].before.time_s, run[-1].after.time_s, energy_wh))
        run.clear()

    for each in steps(case, limits):
        if each.kind not in EXPLAINED:
            close()
        elif each.kind in (FORWARD, ROLLOVER) and each.after.time_s > each.before.time_s:
            out.append((each.before.time_s, each.after.time_s, each.energy_wh))
            run.append(each)
    close()
    return out


def _factor(before: int, after: int, factors: tuple[int, ...] | list[int], limits: Limits) -> str:
    """Which factor leads from one value to the other, within the tolerance; or empty."""
    for factor in factors:
        for sign, low, high in (("x", before, after), ("÷", after, before)):
            if low > 0 and abs(high - low * factor) * 1000 <= low * factor * limits.unit_permille:
                return f"{sign} {factor}"
    return ""


def _of_step(code: str, step: Step, action: str, more: str = "") -> Finding:
    before, after = step.before, step.after
    detail = f"{before.value_wh} Wh -> {after.value_wh} Wh"
    if before.meter != after.meter:
        detail += f", {before.meter} -> {after.meter}"
    return Finding(code, before.time_s, after.time_s, action, f"{detail} {more}".rstrip())
