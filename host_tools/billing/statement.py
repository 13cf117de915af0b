"""What a month of a service point cost, from its settled ledger entries, to the last nano-unit.

An entry belongs to the month in which its register total was read; a daily charge to the month of
its day; money to the month of its instant. So every entry is in one month, and months add up.
Prices of parts are the engine's, asked again; a ledger that says otherwise is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from host_tools.billing.account import Account
from host_tools.billing.beyond import Beyond, beyond
from host_tools.billing.month import (
    Month,
    Movement,
    Nameless,
    charges_of,
    corrections_of,
    terms_of,
)
from host_tools.billing.printed import TERMS
from host_tools.rating import calendar
from host_tools.rating.calendar import Stint
from host_tools.rating.lines import ROUNDING, Bill, BillLine, printed_ncur
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Book, Position
from protocol.units import INVALID

_WHOLE = (TERMS, ROUNDING)


@dataclass(frozen=True, slots=True)
class Statement:
    """A month. `bill` has the charges and adjustments; a positive line is owed.

    `openings` are (instant, register) from which a meter was counted anew.
    `opening_ncur` + movements - `charged_ncur` = `closing_ncur`, where entries of the host count
    in the month that they are for, whenever a module learns of them. `charged_ncur` is the floor
    of `bill.exact_ncur`. `beyond` is there where the tariff has terms that no module charges.
    `settled`: to its end, or to that of its account.
    `worst_quality` and `estimated_permille` are of the readings, None where nobody has looked.
    `version` is of the tariff whose clock, names and terms are the month's.
    """

    from_s: int
    to_s: int
    bill: Bill
    opening_ncur: int
    movements: tuple[Movement, ...]
    closing_ncur: int
    charged_ncur: int
    registers_wh: tuple[int, int]
    registers_s: tuple[int, int]
    openings: tuple[tuple[int, int], ...]
    energy_wh: int
    lost_wh: int
    charges: int
    unset_clock: int
    versions: tuple[int, ...]
    position: Position
    left_wh: int | None
    head: bytes
    beyond: Beyond | None
    settled: bool
    worst_quality: str | None = None
    estimated_permille: int | None = None
    version: int = 0


def statement(
    documents: Callable[[int], Document],
    current: Document,
    account: Account,
    year: int,
    month: int,
    begins_s: int | None = None,
    before: Sequence[Account] = (),
) -> Statement:
    """The statement of a local calendar month.

    `documents` gives the tariff of a version, `current` is the month's own; `before` are the
    accounts that the customer had before this one, the first one first. `begins_s` is where the
    month before ended, where that had another clock. Refused when the month has no entry, or the
    ledger contradicts its tariff.
    """
    from_s, to_s = calendar.month_s(current.book, year, month)
    if begins_s is not None:
        from_s = begins_s
    span = Stint(0, from_s, to_s, *calendar.month_days(year, month))
    taken = Month(documents, span)
    tenure = account.tenure
    taken.take_all(account.entries, account.posted, tenure.inherited)
    charged = taken.charges
    if not (charged or taken.days or taken.adjustments or taken.movements or taken.readings):
        raise Nameless(
            f"--month {year}-{month:02}: nothing is settled in it; name another 该月无已结算账目"
        )
    settled = taken.settled or tenure.last_day is not None
    more = beyond(documents, current, [*before, account], span, taken)
    found = [*_charges(documents, taken, span, more, settled), *corrections_of(taken)]
    first, last = (taken.readings or [taken.last_reading])[0], taken.last_reading
    bill = Bill(tuple(found), current.book.currency)
    return Statement(
        from_s,
        to_s,
        bill,
        taken.opening_ncur,
        tuple(taken.movements),
        taken.closing_ncur,
        _charged_ncur(taken),
        (first[1], last[1]),
        (first[0], last[0]),
        tuple(taken.openings),
        sum(priced.energy_wh for priced in charged) + taken.lost_wh,
        taken.lost_wh,
        len(charged),
        sum(priced.clock == INVALID for priced in charged),
        tuple(sorted({e.version for e in charged} | {e.version for e in taken.days})),
        taken.position,
        _left_wh(current.book, taken.position, min(to_s, last[0] + 1) - 1),
        taken.head,
        more,
        settled,
        version=current.book.version,
    )


def _charges(
    documents: Callable[[int], Document],
    taken: Month,
    span: Stint,
    more: Beyond | None,
    settled: bool,
) -> list[BillLine]:
    """By all terms once they are in the ledger, and so the month is closed; else as entered."""
    if more is not None and more.bill is not None and not more.lacking_ncur:
        if settled and more.as_charged and more.span.first_day >= span.first_day:
            return list(more.bill.lines)
        if settled:
            rounded = ROUNDING in {*more.entered, *(line.kind for line in more.bill.lines)}
            return _printed_whole([*charges_of(documents, taken), *terms_of(taken)], rounded)
    return [*charges_of(documents, taken), *terms_of(taken)]


def _printed_whole(found: list[BillLine], rounded: bool) -> list[BillLine]:
    """The part of a longer tier period whose total is rounded: it prints what it is exactly.

    The line of that rounding takes the cents that the other lines lose or gain by theirs.
    """
    exact = sum((each.exact_ncur for each in found), Fraction(0))
    cents_ncur = printed_ncur(exact) - sum(each.printed_ncur for each in found)
    if not rounded or cents_ncur == 0:
        return found
    own = next((n for n, each in enumerate(found) if (each.kind, each.name) == _WHOLE), None)
    if own is None:
        line = BillLine(ROUNDING, ROUNDING, 0, 0, Fraction(0), 0, Fraction(0), cents_ncur)
        return [*found, line]
    found[own] = replace(found[own], printed_ncur=found[own].printed_ncur + cents_ncur)
    return found


def _charged_ncur(taken: Month) -> int:
    energy_ncur = sum(priced.amount_ncur for priced in taken.charges)
    daily_ncur = sum(each.amount_ncur for each in taken.days)
    more_ncur = sum(each.amount_ncur for each in taken.adjustments)
    return energy_ncur - daily_ncur - more_ncur - sum(each.amount_ncur for each in taken.posted)


def _left_wh(book: Book, position: Position, at_s: int) -> int | None:
    """Energy that is left in the tier, None in the last one."""
    used_wh = position.used_wh
    thresholds = tariff.in_force(book.ladders, at_s).thresholds_wh
    return next((wh - used_wh for wh in thresholds if wh > used_wh), None)
