"""Local days, months and stints of a book as instants. Days are numbers since 1970-01-01."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction

from protocol import tariff
from protocol.units import DAY_S

_OFFSET_S_MAX = 50400
_DAYS_BEFORE_MARCH = 719468  # from 0000-03-01 to 1970-01-01


def day_number(year: int, month: int, date: int) -> int:
    """The inverse of `tariff.civil`."""
    years = year - (month <= 2)
    era, yoe = divmod(years, 400)
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + date - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - _DAYS_BEFORE_MARCH


def year(book: tariff.Book, at_s: int) -> int:
    """The calendar year of an instant by the clock of a book."""
    return int(tariff.civil(tariff.local_day(book, at_s))[0])


def local(book: tariff.Book, at_s: int) -> str:
    """An instant by the clock of a book, with its offset, such as 2026-01-01 00:30+0800."""
    zone = timezone(timedelta(seconds=tariff.in_force(book.zone, at_s)))
    return datetime.fromtimestamp(at_s, zone).strftime("%Y-%m-%d %H:%M%z")


def midnight_s(book: tariff.Book, day: int) -> int:
    """The first instant of a local day; 01:00 where clocks go forward at midnight."""
    low_s, high_s = day * DAY_S - _OFFSET_S_MAX - 1, day * DAY_S + _OFFSET_S_MAX
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if tariff.local_day(book, middle_s) < day:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def month_days(year: int, month: int) -> tuple[int, int]:
    """(first day, first day after) of a calendar month."""
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return day_number(year, month, 1), day_number(*after, 1)


def month_s(book: tariff.Book, year: int, month: int) -> tuple[int, int]:
    """(first instant, first instant after) of a local calendar month."""
    first, after = month_days(year, month)
    return midnight_s(book, first), midnight_s(book, after)


def middle_s(year: int, month: int) -> int:
    """An instant in the middle of a calendar month, by whatever clock."""
    return sum(month_days(year, month)) * DAY_S // 2


def months_of(first_day: int, after_day: int) -> Fraction:
    """How many months days are: each day is its part of the calendar month that it lies in."""
    total = Fraction(0)
    day = first_day
    while day < after_day:
        year, month, _ = tariff.civil(day)
        begins, ends = month_days(year, month)
        upto = min(ends, after_day)
        total += Fraction(upto - day, ends - begins)
        day = upto
    return total


EVERY_DAY = (0, 1 << 30)


@dataclass(frozen=True, slots=True)
class Stint:
    """A part of a period under one dated set: which, its instants and its local days.

    Those from `fixed` to before its second one have a daily charge.
    """

    place: int
    from_s: int
    to_s: int
    first_day: int
    after_day: int
    fixed: tuple[int, int] = EVERY_DAY

    @property
    def days(self) -> int:
        return self.after_day - self.first_day


def stints(book: tariff.Book, from_s: int, to_s: int) -> list[Stint]:
    """The dated sets in force in a period of whole local days, one after the other."""
    out = []
    starts = [from_s for from_s, _ in book.rates]
    for place, start_s in enumerate(starts):
        begins_s = from_s if place == 0 else max(from_s, start_s)
        ends_s = to_s if place + 1 == len(starts) else min(to_s, starts[place + 1])
        if begins_s < ends_s:
            first, after = tariff.local_day(book, begins_s), tariff.local_day(book, ends_s)
            out.append(Stint(place, begins_s, ends_s, first, after))
    return out
