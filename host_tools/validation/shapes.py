"""What a missing interval would look like: past days of the same type, a class profile, or flat.

Shapes are whole numbers that count in proportion only; where no register closes a gap they are the
estimate. Local time decides, so that a clock change moves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from host_tools.validation.limits import Limits
from host_tools.validation.series import ACTUAL, DAY_S, VERIFIED, Case, Interval
from host_tools.validation.sharing import two_decimals

LINEAR, PAST_DAYS, PROFILE, FLAT = "linear", "past days", "profile", "flat"
SATURDAY, SUNDAY = 5, 6
_SLOT_S = 900


@dataclass(frozen=True)
class Past:
    """What is known of the time before. `profile` has 96 weights of a local day, or none."""

    intervals: Sequence[Interval] = ()
    holidays: frozenset[int] = frozenset()  # local days as ordinals; treated as Sundays
    profile: tuple[int, ...] = ()
    daily_wh: int | None = None  # average daily use; None where nothing tells it
    reference: Mapping[int, int] = field(default_factory=dict)  # check meter: Wh by start


def past_of(known: Past, step_s: int, examples: Sequence[Interval]) -> Past:
    """What is known of a point with examples from before: those of one step, and their average."""
    whole = [each for each in examples if each.end_s - each.start_s == step_s]
    seconds = sum(each.end_s - each.start_s for each in examples)
    used_wh = sum(each.energy_wh for each in examples)
    daily_wh = used_wh * DAY_S // seconds if seconds else None
    return Past(tuple(whole), known.holidays, known.profile, daily_wh or known.daily_wh)


class Shapes:
    """Looks up shapes; built once for a case, whose own earlier days are examples too."""

    def __init__(self, case: Case, past: Past, limits: Limits) -> None:
        self._facts = case.facts
        self._past = past
        self._limits = limits
        self._values: dict[tuple[int, int], int] = {}
        for each in (*past.intervals, *case.known):
            if each.quality in (ACTUAL, VERIFIED) and not each.failed:
                day, second, fold = self._local(each.start_s)
                # The repeated hour of an autumn day counts once, as its first half.
                if not fold:
                    self._values[day, second] = each.energy_wh

    def of(self, start_s: int, end_s: int) -> tuple[str, int]:
        """(method, Wh) of one missing interval of a longer gap."""
        seconds = end_s - start_s
        past_wh = self._past_days(start_s)
        if past_wh is not None:
            return PAST_DAYS, past_wh * seconds // self._facts.step_s
        daily_wh = two_decimals(self._past.daily_wh or 0)
        if len(self._past.profile) == DAY_S // _SLOT_S and any(self._past.profile):
            _, second, _ = self._local(start_s)
            weight = self._past.profile[second // _SLOT_S]
            return PROFILE, daily_wh * weight * seconds // (sum(self._past.profile) * _SLOT_S)
        return FLAT, daily_wh * seconds // DAY_S

    def _past_days(self, start_s: int) -> int | None:
        """Half from the same weekday, half from all work days or all rest days of those weeks.

        Four days alone carry their own chance: on the corpus of tests/bench/vee.py the mixture is
        off by 9.4 % a day, the same weekday alone by 10.0 %. Each mean is rounded down.
        """
        day, second, _ = self._local(start_s)
        kind = self._type(day)
        same: list[int] = []
        alike: list[int] = []
        for back in range(1, self._limits.weeks_max * 7 + 1):
            value = self._values.get((day - back, second))
            if value is not None:
                other = self._type(day - back)
                if (other >= SATURDAY) == (kind >= SATURDAY):
                    alike.append(value)
                if other == kind:
                    same.append(value)
        if len(same) < self._limits.weeks_min:
            return None
        return (sum(same) // len(same) + sum(alike) // len(alike)) // 2

    def _type(self, day: int) -> int:
        return SUNDAY if day in self._past.holidays else (day + 6) % 7  # ordinal 1 is a Monday

    def _local(self, time_s: int) -> tuple[int, int, int]:
        """(local day, second of its clock, fold)."""
        at = datetime.fromtimestamp(time_s, self._facts.zone)
        midnight = datetime(at.year, at.month, at.day)
        clock = at.replace(tzinfo=None, fold=0) - midnight
        return at.toordinal(), clock // timedelta(seconds=1), at.fold
