"""Runs the checks over a case: what was found, what could not run, and which intervals stand.

Pure: the same case and limits give the same report.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace

from host_tools.validation.findings import UNBILLABLE, Finding
from host_tools.validation.limits import Limits
from host_tools.validation.series import Case, Interval
from host_tools.validation.table import CHECKS


@dataclass(frozen=True, slots=True)
class Report:
    """`not_run` lists checks without their input: they did not pass."""

    findings: tuple[Finding, ...]
    not_run: tuple[str, ...]

    def codes(self) -> set[str]:
        return {each.code for each in self.findings}

    def unbillable(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.action in UNBILLABLE)


def check(case: Case, limits: Limits, codes: Iterable[str] = CHECKS) -> Report:
    """All the checks, or some of them, in the order of the table."""
    found: list[Finding] = []
    not_run = []
    wanted = set(codes)
    for code, each in CHECKS.items():
        if code not in wanted:
            continue
        result = each.run(case, limits)
        if result is None:
            not_run.append(code)
        else:
            found += result
    return Report(tuple(sorted(found)), tuple(sorted(not_run)))


def marked(intervals: Iterable[Interval], report: Report) -> tuple[Interval, ...]:
    """The intervals with the list of checks that each of them failed."""
    ordered = sorted(intervals, key=lambda each: each.start_s)
    starts = [each.start_s for each in ordered]
    failed: list[set[str]] = [set() for _ in ordered]
    longest_s = max((each.end_s - each.start_s for each in ordered), default=0)
    for finding in report.findings:
        low = bisect_left(starts, finding.start_s - longest_s)
        for place in range(low, bisect_right(starts, finding.end_s)):
            each = ordered[place]
            if each.start_s < finding.end_s and finding.start_s < each.end_s:
                failed[place].add(finding.code)
    return tuple(
        replace(each, failed=tuple(sorted(codes))) if codes != set(each.failed) else each
        for each, codes in zip(ordered, failed, strict=True)
    )
