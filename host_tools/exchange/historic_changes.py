"""What an import makes of a point's historic readings: what files said, and what stands instead.

Pure but for what it reads. The same lines, meter file and decisions give the same: a second run
over its own result finds nothing to change.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from host_tools.store.records import Point
from host_tools.validation.checking import Report, marked
from host_tools.validation.historic import DOUBTS, IMPORTED, MAIN, REPLACED, Historic, Value
from host_tools.validation.processing import Outcome
from host_tools.validation.series import ESTIMATED, MISSING, Case, Interval

_RE_ALIGNED = "V05"
Marks = dict[tuple[int, int], tuple[str, ...]]  # failed checks, by start and end


class Changes:
    """`said`: what the file told, with the checks that it failed; `checked`: what came of it
    where that is something else. What a person decided stands."""

    def __init__(
        self,
        historic: Historic,
        point: Point,
        case: Case,
        outcome: Outcome | None,
        fresh: Sequence[Value],
    ) -> None:
        self.said: list[Value] = list(fresh)
        self.checked: list[Value] = []
        stands = {each.key: each for each in historic.standing(point.id)}
        decided = historic.decided(point.id)
        # A line that comes after a decision about its time does not take it back.
        self.checked += [stands[each.key] for each in fresh if each.key in decided & stands.keys()]
        if outcome is None:
            return
        made = {(each.start_s, each.end_s): each for each in _made(case, outcome)}
        first = {
            (each.start_s, each.end_s): each.failed for each in marked(case.known, outcome.first)
        }
        self.said = [each._replace(failed=_said(each, made, first)) for each in fresh]
        stands |= {each.key: each for each in self.said}
        for key, each in stands.items():
            if each.is_interval_of_import() and key not in decided:
                self._compare(each, made, first)
        for (start_s, end_s), one in made.items():
            if (MAIN, start_s, end_s) not in stands:
                self.checked.append(_checked(one))

    def _compare(self, each: Value, made: dict[tuple[int, int], Interval], first: Marks) -> None:
        """Adds what stands instead of one that stands now, where that is something else."""
        one = made.get((each.start_s, each.end_s))
        if one is None:
            failed = first.get((each.start_s, each.end_s)) or (_RE_ALIGNED,)
            wanted = each._replace(quality=MISSING, origin=REPLACED, failed=failed)
        elif one.quality == MISSING:  # what was told of it stays to be seen
            wanted = each._replace(quality=MISSING, failed=one.failed)
        else:
            wanted = _checked(one)
        if _figures(wanted) != _figures(each):
            self.checked.append(wanted)


def _figures(each: Value) -> tuple[object, ...]:
    """What makes one another one; a mark that takes nothing away does not."""
    return each.value, each.quality, each.origin, DOUBTS.intersection(each.failed)


def _said(each: Value, made: dict[tuple[int, int], Interval], first: Marks) -> tuple[str, ...]:
    """What a line failed: of one whose value stands only what nothing has explained."""
    if not each.is_interval_of_import():
        return each.failed
    one = made.get((each.start_s, each.end_s))
    if one is not None and (one.energy_wh, one.quality) == (each.value, each.quality):
        return one.failed
    return first.get((each.start_s, each.end_s), ())


def _checked(one: Interval) -> Value:
    return Value(
        MAIN, one.start_s, one.end_s, one.energy_wh, one.quality, 0, one.origin or IMPORTED,
        one.failed,
    )  # fmt: skip


def _made(case: Case, outcome: Outcome) -> Iterator[Interval]:
    """The outcome by intervals of one step; one whose value stands is doubted only by what is
    held, since estimates may have explained what was found at first."""
    slots = sorted(_slots(case, outcome.intervals), key=lambda each: each.start_s)
    for each, held in zip(slots, marked(slots, Report(outcome.held, ())), strict=True):
        if each.quality in (MISSING, ESTIMATED):
            yield each
        else:
            failed = {*held.failed, *(code for code in each.failed if code not in DOUBTS)}
            yield replace(each, failed=tuple(sorted(failed)))


def _slots(case: Case, intervals: Iterable[Interval]) -> Iterator[Interval]:
    """What is missing in pieces of the grid, so that each can be decided."""
    step_s = case.facts.step_s
    for each in intervals:
        if each.quality != MISSING:
            yield each
            continue
        low = each.start_s
        while low < each.end_s:
            high = min(low // step_s * step_s + step_s, each.end_s)
            yield replace(each, start_s=low, end_s=high, origin="missing")
            low = high
