"""Clock changes of a time zone as the module knows them: a list of instants and offsets."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from host_tools import Refused

ZONE_CHANGES_MAX = 64
ZONE_YEARS = 30  # from the first set on: 60 clock changes where there is summer time


def zone_of(name: str, place: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(f"{place}: {name!r} is no zone; write one such as Asia/Shanghai") from error


def midnight_s(zone: ZoneInfo, day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return offset // timedelta(seconds=1) if offset is not None else 0


def offsets(zone: ZoneInfo, first_year: int) -> tuple[tuple[int, int], ...]:
    """((from_s, utc_offset_s), ...): the clock changes of ZONE_YEARS, found day by day."""
    at_s = midnight_s(zone, date(first_year, 1, 1))
    end_s = midnight_s(zone, date(first_year + ZONE_YEARS, 1, 1))
    out = [(0, _offset_s(zone, at_s))]
    while at_s < end_s and len(out) < ZONE_CHANGES_MAX:
        after_s = at_s + 86400
        offset_s = _offset_s(zone, after_s)
        if offset_s != out[-1][1]:
            low_s, high_s = at_s, after_s
            while high_s - low_s > 1:
                middle_s = (low_s + high_s) // 2
                if _offset_s(zone, middle_s) == out[-1][1]:
                    low_s = middle_s
                else:
                    high_s = middle_s
            out.append((high_s, offset_s))
        at_s = after_s
    return tuple(out)
