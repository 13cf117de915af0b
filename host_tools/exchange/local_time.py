"""The clock rules of a zone as Green Button writes them: offsets and two bit-coded rules.

A rule is 32 bits: seconds 0..11, hour 12..16, day of the week 17..19 (Monday 1), day of the month
20..24, operator 25..27 (2..6 the first to the fifth such day of the month, 7 the last), month
28..31.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_LAST = 7
_YEARS = 8  # a rule that holds for so long tells the last Sunday from the fourth one


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Seconds and rules; all rules 0 where the zone has no summer time."""

    offset_s: int
    dst_offset_s: int
    start_rule: int
    end_rule: int


def local_time(zone: ZoneInfo, year: int) -> LocalTime:
    """The rules in force in a year."""
    changes = _changes(zone, year)
    if len(changes) != 2:
        at = datetime(year, 1, 1, tzinfo=zone)
        return LocalTime(_seconds(at.utcoffset()), 0, 0, 0)
    ahead = next(each for each in changes if each[1] > each[2])
    back = next(each for each in changes if each[1] < each[2])
    return LocalTime(
        ahead[2], ahead[1] - ahead[2], _rule(zone, year, ahead), _rule(zone, year, back)
    )


def _seconds(offset: timedelta | None) -> int:
    return offset // timedelta(seconds=1) if offset is not None else 0


def _changes(zone: ZoneInfo, year: int) -> list[tuple[datetime, int, int]]:
    """(wall clock just before the change, offset after, offset before), by hours of UTC."""
    out = []
    at = datetime(year, 1, 1, tzinfo=UTC)
    before_s = _seconds(at.astimezone(zone).utcoffset())
    for _ in range(366 * 24):
        at += timedelta(hours=1)
        after_s = _seconds(at.astimezone(zone).utcoffset())
        if after_s != before_s:
            wall = (at + timedelta(seconds=before_s)).replace(tzinfo=None)
            out.append((wall, after_s, before_s))
        before_s = after_s
    return out


def _rule(zone: ZoneInfo, year: int, change: tuple[datetime, int, int]) -> int:
    wall = change[0]
    operator, day = _nth(wall), 0
    if wall.day + 7 > monthrange(wall.year, wall.month)[1] and _always_last(zone, year, wall):
        operator = _LAST
    clock = wall.hour << 12 | wall.minute * 60 + wall.second
    return wall.month << 28 | operator << 25 | day << 20 | wall.isoweekday() << 17 | clock


def _nth(wall: datetime) -> int:
    return 2 + (wall.day - 1) // 7


def _always_last(zone: ZoneInfo, year: int, wall: datetime) -> bool:
    """Whether the coming years have it on the last such day too."""
    for later in range(year + 1, year + _YEARS):
        same = [each for each, _, _ in _changes(zone, later) if each.month == wall.month]
        if not same or same[0].day + 7 <= monthrange(later, wall.month)[1]:
            return False
    return True
