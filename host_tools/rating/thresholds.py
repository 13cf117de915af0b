"""Tier thresholds of one point: a first year begun late, a household that grows or shrinks.

Both give a book with dated ladders, which the engine, and a module, then follow by themselves.
"""

from collections.abc import Sequence

from host_tools import Refused
from host_tools.rating import calendar
from host_tools.rating.calendar import day_number, midnight_s
from protocol import tariff
from protocol.tariff import Book, Ladder

MONTHS_A_YEAR = 12


def first_year(book: Book, moved_in_day: int) -> Book:
    """Annual thresholds times the months in service, the month of the move in full; then full.

    Prorated thresholds are floored to a watt-hour (tariffs.md rule 1).
    """
    year, month, _ = tariff.civil(moved_in_day)
    months = MONTHS_A_YEAR - month + 1
    next_year_s = midnight_s(book, day_number(year + 1, 1, 1))
    out = []
    for from_s, ladder in book.ladders:
        if from_s < next_year_s and ladder.period == tariff.YEAR:
            thresholds = tuple(wh * months // MONTHS_A_YEAR for wh in ladder.thresholds_wh)
            ladder = ladder._replace(thresholds_wh=thresholds)
        out.append((from_s, ladder))
    return book._replace(ladders=_with_full(book, out, next_year_s))


def household(book: Book, shifts: Sequence[tuple[int, int]], tiers: Sequence[int] = ()) -> Book:
    """Thresholds raised by ((first day of a month, watt-hours a month), ...), ascending.

    A monthly threshold has the shift of its month, an annual one the sum of its months, the last
    known shift held to December. `tiers` are the raised ones from 1, all by default.
    """
    for day, shift_wh in shifts:
        if tariff.civil(day)[2] != 1 or shift_wh < 0:
            raise Refused("household: a shift begins on the first of a month and is 0 or more")
    starts = {from_s for from_s, _ in book.ladders}
    for day, _ in shifts:
        year = tariff.civil(day)[0]
        starts |= {midnight_s(book, day), midnight_s(book, day_number(year + 1, 1, 1))}
    out = []
    for from_s in sorted(starts):
        ladder = tariff.in_force(book.ladders, from_s)
        known = [shift for shift in shifts if midnight_s(book, shift[0]) <= from_s]
        out.append((from_s, _raised(book, ladder, from_s, known, tiers)))
    return book._replace(ladders=tuple(out))


def _raised(
    book: Book,
    ladder: Ladder,
    from_s: int,
    known: Sequence[tuple[int, int]],
    tiers: Sequence[int],
) -> Ladder:
    if not known:
        return ladder
    if ladder.period in (tariff.MONTH, tariff.BILLING_DAY):
        more_wh = known[-1][1]
    elif ladder.period == tariff.YEAR:
        year = calendar.year(book, from_s)
        more_wh = 0
        for month in range(1, MONTHS_A_YEAR + 1):
            first = day_number(year, month, 1)
            more_wh += next((wh for day, wh in reversed(known) if day <= first), 0)
    else:
        raise Refused("household: a shift a month needs tier periods of a month or a year")
    raised = [
        wh + more_wh if not tiers or tier in tiers else wh
        for tier, wh in enumerate(ladder.thresholds_wh, 1)
    ]
    if sorted(set(raised)) != raised:
        raise Refused("household: the raised thresholds must still rise; raise all tiers")
    return ladder._replace(thresholds_wh=tuple(raised))


def _with_full(
    book: Book, prorated: list[tuple[int, Ladder]], at_s: int
) -> tuple[tuple[int, Ladder], ...]:
    """The prorated ladders, and from an instant on the book's own again."""
    full: Ladder = tariff.in_force(book.ladders, at_s)
    if all(ladder == own for (_, ladder), (_, own) in zip(prorated, book.ladders, strict=True)):
        return tuple(book.ladders)
    before = [item for item in prorated if item[0] < at_s]
    return (*before, (at_s, full), *[item for item in book.ladders if item[0] > at_s])
