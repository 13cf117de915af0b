"""Fills what is missing, keeping the energy balance first and the shape second.

In this order: a check meter; the register difference, distributed; a line over a short gap; past
days, class profile, flat use. Between two registers that explain one another the intervals add up
to their difference to the watt-hour; nothing is estimated across one that does not. Without supply
the value is an actual zero. Deterministic: the same input gives the same watt-hours.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

from host_tools.validation.findings import HOLD, Finding
from host_tools.validation.limits import Limits
from host_tools.validation.physics import EXPLAINED, Step, energy_max_wh, steps
from host_tools.validation.series import (
    ACTUAL,
    ESTIMATED,
    SUBSTITUTED,
    Case,
    Interval,
)
from host_tools.validation.shapes import LINEAR, Past, Shapes
from host_tools.validation.sharing import cumulative_floor, linear

CHECK_METER, NO_SUPPLY = "check meter", "no supply"
REGISTER = "register"  # the total is exact, only its distribution is a guess


@dataclass(frozen=True, slots=True)
class Filled:
    """All intervals of the span that have a value now; `held` says why others have none."""

    intervals: tuple[Interval, ...]
    held: tuple[Finding, ...]


@dataclass(slots=True)
class _Piece:
    """Part of a missing interval between two cuts."""

    slot_s: int
    start_s: int
    end_s: int
    shape: int  # proportion, and the estimate itself where no register closes the gap
    energy_wh: int = 0
    method: str = ""


def estimate(case: Case, past: Past, limits: Limits) -> Filled:
    """The case's intervals with every gap filled that may be filled."""
    slots = list(_missing(case))
    if not slots:
        return Filled(case.known, ())
    replaced = [_substituted(case, past, *slot) for slot in slots]
    made = [each for each in replaced if each]
    open_slots = [slot for slot, each in zip(slots, replaced, strict=True) if not each]
    partly = replace(case, intervals=(*case.known, *made))
    shaped = _shaped(partly, past, limits, open_slots)
    spans = list(steps(case, limits))
    cuts = sorted({each.before.time_s for each in spans} | {each.after.time_s for each in spans})
    pieces = [
        _Piece(start_s, low, high, shape * (high - low - partly.off_s(low, high)), method=method)
        for (start_s, end_s), (method, shape) in zip(open_slots, shaped, strict=True)
        for low, high in _cut(start_s, end_s, cuts)
    ]
    held = _balance(partly, limits, spans, pieces)
    return Filled(
        tuple(sorted((*partly.known, *_joined(case, pieces, held)), key=lambda i: i.start_s)),
        tuple(held),
    )


def _missing(case: Case) -> Iterator[tuple[int, int]]:
    """The missing intervals, one step each; shorter where the grid is broken."""
    step_s = case.facts.step_s
    for start_s, end_s in case.gaps():
        low = start_s
        while low < end_s:
            high = min(low // step_s * step_s + step_s, end_s)
            yield low, high
            low = high


def _substituted(case: Case, past: Past, start_s: int, end_s: int) -> Interval | None:
    """A value that need not be guessed: no supply, or another meter of the same load."""
    if case.off_s(start_s, end_s) == end_s - start_s:
        return Interval(start_s, end_s, 0, ACTUAL, origin=NO_SUPPLY)
    whole = end_s - start_s == case.facts.step_s
    if whole and start_s in past.reference:
        energy_wh = past.reference[start_s]
        return Interval(start_s, end_s, energy_wh, SUBSTITUTED, origin=CHECK_METER)
    return None


def _shaped(
    case: Case, past: Past, limits: Limits, slots: list[tuple[int, int]]
) -> list[tuple[str, int]]:
    """(method, Wh) of each open interval, gap by gap."""
    shapes = Shapes(case, past, limits)
    live = [each for each in case.known if not case.off_s(each.start_s, each.end_s)]
    before = {each.end_s: each.energy_wh for each in live}
    after = {each.start_s: each.energy_wh for each in live}
    out: list[tuple[str, int]] = []
    place = 0
    while place < len(slots):
        last = place
        while last + 1 < len(slots) and slots[last][1] == slots[last + 1][0]:
            last += 1
        gap = slots[place : last + 1]
        start_s, end_s = gap[0][0], gap[-1][1]
        short = end_s - start_s <= limits.linear_s
        if short and start_s in before and end_s in after:
            out += [
                (LINEAR, max(0, value))
                for value in linear(before[start_s], after[end_s], len(gap))
            ]
        else:
            out += [shapes.of(low, high) for low, high in gap]
        place = last + 1
    return out


def _cut(start_s: int, end_s: int, cuts: list[int]) -> Iterator[tuple[int, int]]:
    low = start_s
    for cut_s in cuts:
        if low < cut_s < end_s:
            yield low, cut_s
            low = cut_s
    yield low, end_s


def _balance(case: Case, limits: Limits, spans: list[Step], pieces: list[_Piece]) -> list[Finding]:
    """Gives every piece its energy; what must not be estimated is returned instead."""
    held: list[Finding] = []
    starts = [each.start_s for each in pieces]
    # A register shows whole steps only, so known intervals may be a little ahead of it.
    ahead_wh = limits.balance_lsb * (case.facts.lsb_wh - 1) * case.facts.multiplier
    for step in spans:
        low, high = step.before.time_s, step.after.time_s
        inside = pieces[bisect_left(starts, low) : bisect_left(starts, high)]
        if not inside or low == high:
            continue
        if step.kind not in EXPLAINED:
            held.append(Finding("V08", low, high, HOLD, step.kind))
            continue
        total_wh = step.energy_wh - _known_wh(case, low, high)
        live_s = sum(
            each.end_s - each.start_s - case.off_s(each.start_s, each.end_s) for each in inside
        )
        most_wh = energy_max_wh(case.facts, limits, live_s)
        if not -ahead_wh <= total_wh <= most_wh:
            detail = f"{total_wh} Wh, 0 .. {most_wh} Wh"
            held.append(Finding("V10", low, high, HOLD, detail))
            continue
        total_wh = max(total_wh, 0)
        weights = [each.shape for each in inside]
        if not any(weights):
            weights = [
                each.end_s - each.start_s - case.off_s(each.start_s, each.end_s) for each in inside
            ]
        for each, part in zip(inside, cumulative_floor(total_wh, weights), strict=True):
            each.energy_wh, each.method = part, f"{REGISTER}, {each.method}"
    for each in pieces:
        if not each.method.startswith(REGISTER):
            each.energy_wh = each.shape // case.facts.step_s
    return held


def _known_wh(case: Case, start_s: int, end_s: int) -> int:
    """Energy of known intervals in a span; one across its edge counts with its share of time."""
    total_wh = 0
    for each in case.overlapping(start_s, end_s):
        low, high = max(each.start_s, start_s), min(each.end_s, end_s)
        length_s = each.end_s - each.start_s
        total_wh += each.energy_wh * (high - each.start_s) // length_s
        total_wh -= each.energy_wh * (low - each.start_s) // length_s
    return total_wh


def _joined(case: Case, pieces: list[_Piece], held: list[Finding]) -> Iterator[Interval]:
    """The pieces of each interval together, but for those that touch something held."""
    slots: dict[int, list[_Piece]] = {}
    for each in pieces:
        slots.setdefault(each.slot_s, []).append(each)
    for start_s, parts in slots.items():
        end_s = parts[-1].end_s
        if any(each.start_s < end_s and start_s < each.end_s for each in held):
            continue
        methods = " + ".join(dict.fromkeys(each.method for each in parts))
        energy_wh = sum(each.energy_wh for each in parts)
        yield Interval(start_s, end_s, energy_wh, ESTIMATED, origin=methods)
