"""What validation works on: one meter over one span, with all that is known about it.

Interval energy is Wh on the primary side, after CT x PT; registers are Wh as the meter shows them;
time is Unix seconds UTC. Records only; nothing here decides.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from zoneinfo import ZoneInfo

# Quality codes of an interval, best first: the worst one of a period reaches the bill.
ACTUAL, VERIFIED, SUBSTITUTED, MANUAL, ESTIMATED, MISSING = "A", "V", "S", "M", "E", "N"
QUALITIES = (ACTUAL, VERIFIED, SUBSTITUTED, MANUAL, ESTIMATED, MISSING)

# Kinds of span on record.
OUTAGE, RELAY_OPEN, CLOCK_SET = "outage", "relay open", "clock set"

DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Interval:
    """Energy from start to end. `origin` says where it is from: a source, or method and inputs."""

    start_s: int
    end_s: int
    energy_wh: int
    quality: str = ACTUAL
    version: int = 1
    origin: str = ""
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Register:
    """The billing total as the meter showed it at an instant."""

    time_s: int
    value_wh: int
    meter: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One raw row as it arrived. `sent_s` is the meter's clock when it was sent."""

    device: str
    meter: str
    obis: str
    time_s: int
    seq: int
    value: int
    sent_s: int
    arrived_s: int
    ct_ratio: int = 1


@dataclass(frozen=True, slots=True)
class Span:
    """Something on record from one instant to another: OUTAGE, RELAY_OPEN or CLOCK_SET."""

    kind: str
    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """A work order: at one instant the old meter showed one register, the new one another."""

    order: str
    time_s: int
    old_meter: str
    old_end_wh: int
    new_meter: str
    new_start_wh: int


@dataclass(frozen=True, slots=True)
class Siblings:
    """Differences of registers that must add up to their total: TOU registers, or phases."""

    name: str
    start_s: int
    end_s: int
    total_wh: int
    parts_wh: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Average daily use before. `adjust_permille` is the degree-day factor, 1000 without one."""

    previous_wh: int | None = None
    year_ago_wh: int | None = None
    adjust_permille: int = 1000


@dataclass(frozen=True, slots=True)
class Facts:
    """Master data of the metering point. `current_max_ma` is on the primary side."""

    device: str
    meter: str
    zone: ZoneInfo
    obis: str = "1-0:1.8.0*255"
    ct_ratio: int = 1
    pt_ratio: int = 1
    step_s: int = 900
    lsb_wh: int = 1
    range_wh: int = 10**9
    voltage_mv: int = 230_000
    current_max_ma: int = 60_000
    phases: int = 1
    import_only: bool = True
    commercial: bool = False

    @property
    def multiplier(self) -> int:
        return self.ct_ratio * self.pt_ratio


@dataclass(frozen=True)
class Case:
    """One meter from `start_s` to `end_s`. What is empty or None was not told, and is not zero."""

    facts: Facts
    start_s: int
    end_s: int
    now_s: int
    intervals: tuple[Interval, ...] = ()
    registers: tuple[Register, ...] = ()
    frames: tuple[Frame, ...] = ()
    spans: tuple[Span, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    siblings: tuple[Siblings, ...] = ()
    reactive_varh: Mapping[int, int] = field(default_factory=dict)  # by start of the interval
    voltage_mv: Mapping[int, int] = field(default_factory=dict)  # by start of the interval
    export_wh: Mapping[int, int] | None = None  # by start of the interval
    history: History = field(default_factory=History)
    closed_s: int = 0  # end of the last closed period

    @cached_property
    def known(self) -> tuple[Interval, ...]:
        """The intervals that have a value, in order of time."""
        have = (each for each in self.intervals if each.quality != MISSING)
        return tuple(sorted(have, key=lambda each: each.start_s))

    @cached_property
    def _sums(self) -> tuple[list[int], list[int], list[int]]:
        starts = [each.start_s for each in self.known]
        energies = [0, *accumulate(each.energy_wh for each in self.known)]
        seconds = [0, *accumulate(each.end_s - each.start_s for each in self.known)]
        return starts, energies, seconds

    def between(self, start_s: int, end_s: int) -> tuple[int, bool]:
        """Energy of the known intervals that begin in a span, and whether they just fill it."""
        starts, energies, seconds = self._sums
        low, high = bisect_left(starts, start_s), bisect_left(starts, end_s)
        filled = seconds[high] - seconds[low] == end_s - start_s
        return energies[high] - energies[low], (
            filled and (high == low or self.known[high - 1].end_s == end_s)
        )

    def overlapping(self, start_s: int, end_s: int) -> tuple[Interval, ...]:
        """Known intervals that share time with a span; they do not overlap one another."""
        starts = self._sums[0]
        low, high = bisect_left(starts, start_s), bisect_left(starts, end_s)
        if low and self.known[low - 1].end_s > start_s:
            low -= 1
        return self.known[low:high]

    def off_s(self, start_s: int, end_s: int) -> int:
        """Seconds of a span without supply: outage or open relay, overlaps counted once."""
        total_s, upto_s = 0, start_s
        for span in self._off:
            low, high = max(span[0], upto_s), min(span[1], end_s)
            if low < high:
                total_s += high - low
                upto_s = high
        return total_s

    def inside(self, kind: str, start_s: int, end_s: int) -> bool:
        """Whether one span of the kind covers all of it."""
        return any(
            each.kind == kind and each.start_s <= start_s and end_s <= each.end_s
            for each in self.spans
        )

    @cached_property
    def _off(self) -> tuple[tuple[int, int], ...]:
        off = (each for each in self.spans if each.kind in (OUTAGE, RELAY_OPEN))
        return tuple(sorted((each.start_s, each.end_s) for each in off))

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Runs of the span in which no interval has a value; what is still to come is none."""
        end_s = self.end_s
        if self.now_s < end_s:
            end_s = self.now_s // self.facts.step_s * self.facts.step_s
        at_s = self.start_s
        for each in self.known:
            if each.start_s > at_s and at_s < end_s:
                yield at_s, min(each.start_s, end_s)
            at_s = max(at_s, each.end_s)
        if at_s < end_s:
            yield at_s, end_s

    def day_of(self, time_s: int) -> int:
        """The local calendar day, as a proleptic ordinal: 23, 24 or 25 hours long."""
        return datetime.fromtimestamp(time_s, self.facts.zone).toordinal()

    @cached_property
    def days(self) -> dict[int, list[Interval]]:
        """The known intervals by the local day in which they begin."""
        found: dict[int, list[Interval]] = {}
        for each in self.known:
            found.setdefault(self.day_of(each.start_s), []).append(each)
        return found


def worst(qualities: tuple[str, ...]) -> str:
    """The quality that a bill shows for a period."""
    return max(qualities, key=QUALITIES.index, default=ACTUAL)


def share_permille(part_s: int, whole_s: int) -> int:
    """How much of a period was estimated, rounded up: a short estimate shows too."""
    return min(1000, -(-part_s * 1000 // whole_s))
