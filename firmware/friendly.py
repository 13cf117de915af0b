"""Friendly hours: weekly windows and special days in which credit opens no relay. Pure.

A calendar is settings.Point.friendly's (from_s, windows, special days); local time is the
tariff's. Loaded only for points that have one.
"""

from protocol import tariff
from protocol.units import DAY_S


def inside(calendars, book, now_s):
    """Whether an instant is protected by the calendar in force: the last that has begun."""
    found = None
    for calendar in calendars:
        if calendar[0] <= now_s:
            found = calendar
    if found is None:
        return False
    local_s = now_s + tariff.in_force(book.zone, now_s)
    day = local_s // DAY_S
    if day in found[2]:
        return True
    minute = (local_s - day * DAY_S) // 60
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    return any([bits >> weekday & 1 and start <= minute < end for bits, start, end in found[1]])
