"""One case from arrival to what may be billed: align, check, take away, estimate, check again.

Pure. A second run over its own result changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from host_tools.validation.checking import Report, check, marked
from host_tools.validation.estimating import CHECK_METER, NO_SUPPLY, estimate
from host_tools.validation.findings import QUARANTINE, UNBILLABLE, UNUSABLE, Finding
from host_tools.validation.limits import Limits
from host_tools.validation.series import ESTIMATED, MISSING, Case, Interval, share_permille, worst
from host_tools.validation.shapes import Past

UNKNOWN = "unknown"  # how an imported estimate was made


@dataclass(frozen=True, slots=True)
class Outcome:
    """`first` is the report on what arrived, `last` the one on what came of it."""

    intervals: tuple[Interval, ...]
    first: Report
    last: Report
    held: tuple[Finding, ...]  # must not be billed until a person or a register explains it

    @property
    def quality(self) -> str:
        return worst(tuple(each.quality for each in self.intervals))

    def estimated_permille(self) -> int:
        """As a bill tells it; 0 of no time."""
        whole_s = sum(each.end_s - each.start_s for each in self.intervals)
        part_s = sum(
            each.end_s - each.start_s for each in self.intervals if each.quality == ESTIMATED
        )
        return share_permille(part_s, whole_s) if whole_s else 0

    def billable(self) -> bool:
        return not self.held and all(each.quality != MISSING for each in self.intervals)


def process(case: Case, past: Past, limits: Limits) -> Outcome:
    """Everything on the page, in its order. Old estimates are made anew: a register that came
    meanwhile trues them up, and without news they come out the same."""
    case = replace(case, intervals=tuple(each for each in case.known if not _derived(each)))
    aligned = replace(case, intervals=tuple(realigned(case, limits)))
    first = check(case, limits)
    doubts = check(aligned, replace(limits, boundary_s=0))  # on the grid there is no tolerance
    kept = replace(aligned, intervals=tuple(_usable(aligned, doubts)))
    filled = estimate(kept, past, limits)
    whole = replace(case, intervals=filled.intervals)
    left = tuple(_left_out(whole))
    last = check(whole, limits)
    held = {each for each in last.findings if _holds(each, whole, left)}
    # What claims to be of the future leaves no gap behind that would tell of it.
    held |= {each for each in first.findings if (each.code, each.action) == ("V22", QUARANTINE)}
    marks = marked((*filled.intervals, *left), first)
    return Outcome(marks, first, last, tuple(sorted({*held, *filled.held})))


def _derived(each: Interval) -> bool:
    """Whether it was made here; an estimate that was imported says nothing of how, and stands."""
    ours = each.quality == ESTIMATED and each.origin not in ("", UNKNOWN)
    return ours or each.origin in (NO_SUPPLY, CHECK_METER)


def _holds(finding: Finding, whole: Case, left: Iterable[Interval]) -> bool:
    """Whether it still stands: a refused frame is harmless once its interval is filled."""
    if finding.action not in UNBILLABLE:
        return False
    if finding.action not in UNUSABLE:
        return True
    return any(finding.start_s < each.end_s and each.start_s < finding.end_s for each in left)


def _left_out(case: Case) -> Iterator[Interval]:
    for start_s, end_s in case.gaps():
        yield Interval(start_s, end_s, 0, MISSING)


def _usable(case: Case, report: Report) -> Iterator[Interval]:
    """Intervals without a finding that takes their value away; equal copies once.

    What is in doubt stays marked, so that it is no example for an estimate.
    """
    refused = tuple(each for each in report.findings if each.action in UNUSABLE)
    in_doubt = marked(case.known, Report(report.unbillable(), ()))
    copies: Counter[tuple[int, int]] = Counter()
    for doubted, each in zip(in_doubt, marked(case.known, Report(refused, ())), strict=True):
        copies[each.start_s, each.end_s] += 1
        if not each.failed and copies[each.start_s, each.end_s] == 1:
            yield doubted


def realigned(case: Case, limits: Limits) -> Iterator[Interval]:
    """Intervals beside the grid are split over it, linearly by time; the sum stays."""
    step_s = case.facts.step_s
    pieces: dict[int, list[Interval]] = {}
    for each in case.known:
        start_s, end_s = (_snapped(at_s, step_s, limits) for at_s in (each.start_s, each.end_s))
        if end_s - start_s == step_s and start_s % step_s == 0:
            snapped = (start_s, end_s) != (each.start_s, each.end_s)
            yield replace(each, start_s=start_s, end_s=end_s) if snapped else each
            continue
        for piece in _split(replace(each, start_s=start_s, end_s=end_s), step_s):
            pieces.setdefault(piece.start_s // step_s, []).append(piece)
    for slot, parts in pieces.items():
        # A slot that is only partly covered keeps its part: the rest of it is a gap.
        low, high = min(p.start_s for p in parts), max(p.end_s for p in parts)
        filled_s = sum(p.end_s - p.start_s for p in parts)
        if filled_s == high - low:
            whole = filled_s == step_s
            start_s, end_s = (slot * step_s, (slot + 1) * step_s) if whole else (low, high)
            energy_wh = sum(p.energy_wh for p in parts)
            quality = worst(tuple(p.quality for p in parts))
            yield Interval(start_s, end_s, energy_wh, quality, origin="re-aligned")


def _snapped(at_s: int, step_s: int, limits: Limits) -> int:
    near_s = (at_s + step_s // 2) // step_s * step_s
    return near_s if abs(at_s - near_s) <= limits.boundary_s else at_s


def _split(each: Interval, step_s: int) -> Iterator[Interval]:
    """At every boundary of the grid; energy up to a cut is rounded down, the rest falls late."""
    low, done_wh = each.start_s, 0
    while low < each.end_s:
        high = min(low // step_s * step_s + step_s, each.end_s)
        length_s = each.end_s - each.start_s
        upto_wh = each.energy_wh * (high - each.start_s) // length_s
        yield replace(each, start_s=low, end_s=high, energy_wh=upto_wh - done_wh)
        low, done_wh = high, upto_wh
