"""High or low use of a local month that is over, against the month before and the same a year ago.

Averages are of the daily rows, and of historic readings from before the module; a month with fewer
than WEEK days of them says nothing.
"""

from host_tools.rating import calendar
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import historic
from host_tools.validation.checking import check
from host_tools.validation.days import days_of
from host_tools.validation.findings import Finding
from host_tools.validation.meters import Meter
from host_tools.validation.series import Case, History, Interval
from protocol import tariff
from protocol.tariff import Book
from protocol.units import DAY_S

WEEK = 7


def over(day: int, next_day: int) -> bool:
    """Whether a local month ends between two days."""
    return tariff.civil(day)[:2] != tariff.civil(next_day)[:2]


def of_month(store: Store, point: Point, meter: Meter, book: Book, day: int) -> list[Finding]:
    """What V13 finds in the month of a day, which is over and has its rows."""
    year, month = tariff.civil(day)[:2]
    days, energy_wh = _use(store, point, year, month)
    if days < WEEK:
        return []
    last = (year, month - 1) if month > 1 else (year - 1, 12)
    before = _daily_wh(store, point, book, *last)
    history = History(
        meter.history.previous_wh if before is None else before,
        _daily_wh(store, point, book, year - 1, month) or meter.history.year_ago_wh,
        meter.history.adjust_permille,
    )
    start_s, end_s = calendar.month_s(book, year, month)
    whole = Interval(start_s, start_s + days * DAY_S, energy_wh)
    case = Case(meter.facts, start_s, end_s, end_s, (whole,), history=history)
    return list(check(case, meter.limits, ("V13",)).findings)


def _daily_wh(store: Store, point: Point, book: Book, year: int, month: int) -> int | None:
    days, energy_wh = _use(store, point, year, month)
    seconds, before_wh = historic.use(store, point, *calendar.month_s(book, year, month))
    seconds += days * DAY_S
    return (energy_wh + before_wh) * DAY_S // seconds if seconds >= WEEK * DAY_S else None


def _use(store: Store, point: Point, year: int, month: int) -> tuple[int, int]:
    """(days with a row, energy of them) of a local month."""
    first_day, after_day = calendar.month_days(year, month)
    found = days_of(store, point, first_day, after_day - 1)
    return len(found), sum(each.energy_wh for each in found)
