"""Which local days an account has where one module took over from another, or none came after.

The day of an exchange belongs to the old account, whose module has charged it; days without any
module belong to the month that they are in: after the old account's in that of the exchange, else
to the end of the old one's last month. So no day is counted twice, and none of these is missed.
"""

from dataclasses import dataclass

from host_tools.care import following
from host_tools.rating import calendar
from host_tools.store import care, orders
from host_tools.store.database import Store
from host_tools.store.records import Point
from protocol import tariff
from protocol.tariff import Book


@dataclass(frozen=True, slots=True)
class Tenure:
    """The first and the last day of an account; None: as its readings say.

    The module's own book has charged days from `fixed` to before its second one; the exchange all
    others.
    """

    first_day: int | None = None
    last_day: int | None = None
    fixed: tuple[int, int] = calendar.EVERY_DAY
    # Orders to this module that bring what the accounts before it lacked.
    inherited: frozenset[int] = frozenset()


ALONE = Tenure()  # no module before it, and none after


def of(store: Store, point: Point, book: Book) -> Tenure:
    """The tenure of a point as the store has it now; `book` has its local time."""
    known = care.of(store)
    first_day = last_day = None
    fixed_first, fixed_after = calendar.EVERY_DAY
    before = known.of_new(point.id)
    if before is not None and known.point(before.old_point).state.time_s:
        opening = following.opening_of(store, point)
        if opening is not None:
            ended = min(_ended_day(book, known.point(before.old_point)), opening.number)
            first_day = max(ended + 1, _month_of(opening.number)[0])
            fixed_first = opening.number + 1
    after = known.of_old(point.id)
    if after is not None:
        opening = following.opening_of(store, known.point(after.new_point))
        if opening is not None and not after.held:
            last_day = min(_ended_day(book, point), opening.number)
            fixed_after = last_day + 1
            if _month_of(opening.number)[0] > _month_of(last_day)[0]:
                last_day = _month_of(last_day)[1] - 1
    elif store.fleet.module_known(point.module).retired_s is not None:
        last_day = _ended_day(book, point)
        fixed_after = last_day + 1
    return Tenure(first_day, last_day, (fixed_first, fixed_after), inherited(store, point))


def inherited(store: Store, point: Point) -> frozenset[int]:
    """Orders to a module that bring what the account of another lacked."""
    if care.of(store).of_new(point.id) is None:
        return frozenset()
    return orders.of(store).of_accounts_before(point.module, point.point)


def _ended_day(book: Book, point: Point) -> int:
    """The last day that is metered or charged by a module."""
    metered = tariff.local_day(book, point.state.time_s - 1)
    return max(int(metered), int(point.state.day))


def _month_of(day: int) -> tuple[int, int]:
    year, month, _ = tariff.civil(day)
    return calendar.month_days(year, month)
