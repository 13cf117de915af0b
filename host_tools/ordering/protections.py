"""Who is never cut off, and when nobody is: `fee-control.toml` in the data folder, if it exists.

    hours = ["08:00-16:00", ..., ""]   seven local spans, Monday first, in which a trip may act
    holidays = [2026-10-01]            days without such a span
    [[protected]]                      points of the priority list
    point = "gp-1/0"
    until = 2027-01-01                 optional, the first day on which it ends
    why = "life support"

Without the file the hours are those of payment-and-billing 2.1: 08:00 to 16:00, Friday to 12:00.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from host_tools import Refused
from host_tools.config import read_toml
from protocol import tariff
from protocol.units import DAY_S

FILE = "fee-control.toml"
HOURS = ("08:00-16:00",) * 4 + ("08:00-12:00", "", "")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A point of the priority list, until a local day or for good."""

    until_day: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Protections:
    """Spans are (first, last second + 1) of a local day; days count from 1970."""

    spans: tuple[tuple[int, int], ...]
    holidays: frozenset[int]
    listed: dict[str, Listed]

    def trips_until_s(self, book: tariff.Book, now_s: int) -> int:
        """Until when a trip may act from now on; `now_s` in protected hours."""
        local_s = now_s + tariff.in_force(book.zone, now_s)
        day, second = divmod(local_s, DAY_S)
        first, end = self.spans[(day + 3) % 7]  # 1970-01-01 was a Thursday
        if day in self.holidays or not first <= second < end:
            return now_s
        return int(now_s - second + end)

    def of(self, point: str, book: tariff.Book, now_s: int) -> Listed | None:
        found = self.listed.get(point)
        if found is None or found.until_day is None:
            return found
        return found if tariff.local_day(book, now_s) < found.until_day else None


def read(folder: Path) -> Protections:
    """Refused in one line for a file that is wrong."""
    path = folder.joinpath(FILE)
    document = read_toml(path) if path.exists() else {}
    for key in document:
        if key not in ("hours", "holidays", "protected"):
            raise Refused(f"{path}: {key}: is unknown; use hours, holidays or [[protected]]")
    hours = document.get("hours", list(HOURS))
    if not isinstance(hours, list) or len(hours) != len(HOURS):
        raise Refused(f"{path}: hours: must be seven texts, Monday first")
    spans = tuple(_span(path, text) for text in hours)
    holidays = document.get("holidays", [])
    if not isinstance(holidays, list):
        raise Refused(f"{path}: holidays: must be a list of days such as 2026-10-01")
    days = frozenset(_day(path, "holidays", item) for item in holidays)
    rows = document.get("protected", [])
    if not isinstance(rows, list):
        raise Refused(f"{path}: protected: must be tables, written [[protected]]")
    return Protections(spans, days, dict(_listed(path, row) for row in rows))


def _span(path: Path, text: object) -> tuple[int, int]:
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if text == "":
        return 0, 0
    if found is None:
        raise Refused(f"{path}: hours: {text!r} must be such as 08:00-16:00, or empty")
    hour, minute, last_hour, last_minute = map(int, found.groups())
    first, end = (hour * 60 + minute) * 60, (last_hour * 60 + last_minute) * 60
    if not first < end <= DAY_S:
        raise Refused(f"{path}: hours: {text} must begin before it ends, within a day")
    return first, end


def _day(path: Path, key: str, item: object) -> int:
    if not isinstance(item, date) or isinstance(item, datetime):
        raise Refused(f"{path}: {key}: {item} must be a day such as 2026-10-01, without quotes")
    return (item - _EPOCH).days


def _listed(path: Path, row: object) -> tuple[str, Listed]:
    if not isinstance(row, dict) or not {"point", "why"} <= set(row) <= {"point", "why", "until"}:
        raise Refused(f"{path}: protected: give point and why, and until if it ends")
    point, why = row["point"], row["why"]
    if not isinstance(point, str) or not isinstance(why, str) or not why.strip():
        raise Refused(f"{path}: protected: point and why must be texts")
    if not re.fullmatch(r"[a-z0-9-]+/[0-7]", point):
        raise Refused(f"{path}: protected: point {point!r} must be such as gp-1/0")
    until = None if "until" not in row else _day(path, "protected.until", row["until"])
    return point, Listed(until, why)
