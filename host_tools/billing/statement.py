"""What a month of a service point cost, from its settled ledger entries, to the last nano-unit.

An entry belongs to the month in which its register total was read; a daily charge to the month of
its day; money to the month of its instant. So every entry is in one month, and months add up.
Prices of parts are the engine's, asked again; a ledger that says otherwise is refused.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from host_tools import Refused
from host_tools.billing.printed import ADJUSTMENT
from host_tools.rating import accrual, calendar, lines, periods
from host_tools.rating.calendar import Stint
from host_tools.rating.lines import Bill, BillLine, line_of
from host_tools.rating.periods import Period, Use
from host_tools.store.records import Settled
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document, Terms
from protocol import ledger, tariff
from protocol.tariff import Book, Position
from protocol.units import DAY_S, INVALID


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that is no charge: a top-up, what went to a debt, a transfer."""

    time_s: int
    kind: int
    number: int
    amount_ncur: int


@dataclass(frozen=True, slots=True)
class Beyond:
    """Days by all terms of their tariff, and what the ledger has of them; or why that is unsaid.

    The days are those that are settled, of the month or of the tier period until its end.
    """

    span: Stint
    bill: Bill | None
    entered_ncur: Fraction
    unsaid: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A month. `bill` has the charges and adjustments; a positive line is owed.

    `openings` are (instant, register) from which a meter was counted anew.
    `opening_ncur` + movements - `bill.exact_ncur` = `closing_ncur`. `beyond` is
    there where the tariff has terms that no module charges.
    """

    from_s: int
    to_s: int
    bill: Bill
    opening_ncur: int
    movements: tuple[Movement, ...]
    closing_ncur: int
    registers_wh: tuple[int, int]
    registers_s: tuple[int, int]
    openings: tuple[tuple[int, int], ...]
    energy_wh: int
    charges: int
    unset_clock: int
    versions: tuple[int, ...]
    position: Position
    left_wh: int | None
    head: bytes
    beyond: Beyond | None


@dataclass(frozen=True, slots=True)
class _Priced:
    """A charge with the position before it and the engine's parts of it."""

    entry: Settled
    from_s: int
    parts: list[tariff.Part]


class _Month:
    """Takes the entries of a point in order; `month` is in the local days of its newest tariff."""

    def __init__(self, documents: Callable[[int], Document], month: Stint) -> None:
        self._documents = documents
        self._month = month
        self._marked: dict[int, Book] = {}  # by version
        self._metered = (0, 0)  # instant and register of the last reading
        self._balance_ncur = 0
        self._position = Position(0, 0)
        self.position = Position(0, 0)  # at the end of the month
        self.opening_ncur = self.closing_ncur = 0
        self.readings: list[tuple[int, int]] = []
        self.openings: list[tuple[int, int]] = []
        self.charges: list[_Priced] = []
        self.days: list[Settled] = []
        self.adjustments: list[Settled] = []
        self.movements: list[Movement] = []
        self.last_reading = (0, 0)
        self.head = b""
        self.begun = Position(0, 0)  # before the first charge

    def take(self, entry: Settled) -> None:
        if entry.balance_ncur != self._balance_ncur + entry.amount_ncur:
            raise Refused(f"entry {entry.seq}: its balance does not follow; restore a backup")
        self._balance_ncur = entry.balance_ncur
        where = self._where(entry)
        if where < 0:
            self.opening_ncur += entry.amount_ncur
        if where <= 0:
            self.closing_ncur += entry.amount_ncur
            self.head = entry.head
        if where == 0:
            self._sort(entry)
        if entry.kind in (ledger.CHARGE, ledger.OPENING):
            self._metered = entry.time_s, entry.register_wh
        self._position = Position(entry.period, entry.used_wh)
        if where <= 0:
            self.position = self._position
            self.last_reading = self._metered

    def _where(self, entry: Settled) -> int:
        """-1 before the month, 0 in it, 1 after it."""
        month = self._month
        if entry.kind == ledger.FIXED:
            at, begin, end = entry.number, month.first_day, month.after_day
        else:
            read = entry.kind == ledger.CHARGE  # a reading at midnight ends the day before
            at, begin, end = entry.time_s - read, month.from_s, month.to_s
        return -1 if at < begin else 0 if at < end else 1

    def _sort(self, entry: Settled) -> None:
        if entry.kind == ledger.CHARGE:
            self._charge(entry)
        elif entry.kind == ledger.FIXED:
            self.days.append(entry)
        elif entry.kind == ledger.ADJUSTMENT:
            self.adjustments.append(entry)
        elif entry.kind == ledger.OPENING:
            self.readings.append((entry.time_s, entry.register_wh))
            self.openings.append((entry.time_s, entry.register_wh))
        elif entry.amount_ncur:
            given = Movement(entry.time_s, entry.kind, entry.number, entry.amount_ncur)
            self.movements.append(given)

    def _charge(self, entry: Settled) -> None:
        from_s = self._metered[0]
        if not self.charges:
            self.begun = self._position
        if not self.readings:
            self.readings.append(self._metered)
        self.readings.append((entry.time_s, entry.register_wh))
        book = self._marked.get(entry.version)
        if book is None:
            book = periods.marked(self._documents(entry.version).book)
            self._marked[entry.version] = book
        amount_ncur, _, parts = tariff.charge(
            book, self._position, from_s, entry.time_s, entry.energy_wh
        )
        if amount_ncur != -entry.amount_ncur:
            raise Refused(
                f"entry {entry.seq}: the ledger charged {-entry.amount_ncur} nano-units, its"
                f" tariff asks {amount_ncur}; run gridpurse reconcile"
            )
        self.charges.append(_Priced(entry, from_s, parts))


def statement(
    documents: Callable[[int], Document],
    current: Document,
    entries: Iterable[Settled],
    year: int,
    month: int,
) -> Statement:
    """The statement of a local calendar month.

    `documents` gives the tariff of a version, `current` is the point's newest; `entries` are all
    of the point's from the first. Refused when the month has no entry, or the ledger contradicts
    its tariff.
    """
    from_s, to_s = calendar.month_s(current.book, year, month)
    span = Stint(0, from_s, to_s, *calendar.month_days(year, month))
    taken = _Month(documents, span)
    listed = list(entries)
    for entry in listed:
        taken.take(entry)
    charged = [priced.entry for priced in taken.charges]
    if not (charged or taken.days or taken.adjustments or taken.movements or taken.readings):
        raise Refused(f"--month {year}-{month:02}: nothing is settled in it; name another")
    found = _lines(documents, taken)
    first, last = (taken.readings or [taken.last_reading])[0], taken.last_reading
    bill = Bill(tuple(found), current.book.currency)
    return Statement(
        from_s,
        to_s,
        bill,
        taken.opening_ncur,
        tuple(taken.movements),
        taken.closing_ncur,
        (first[1], last[1]),
        (first[0], last[0]),
        tuple(taken.openings),
        sum(entry.energy_wh for entry in charged),
        len(charged),
        sum(entry.quality == INVALID for entry in charged),
        tuple(sorted({entry.version for entry in [*charged, *taken.days]})),
        taken.position,
        _left_wh(current.book, taken.position, min(to_s, last[0] + 1) - 1),
        taken.head,
        _beyond(documents, current, listed, span, taken),
    )


def _lines(documents: Callable[[int], Document], taken: _Month) -> list[BillLine]:
    """Energy, daily charges and contained percentages of each tariff, then the adjustments."""
    out: list[BillLine] = []
    by_set: dict[tuple[int, int], list[tariff.Part]] = {}
    for priced in taken.charges:
        version = priced.entry.version
        for part in priced.parts:
            place, rate = periods.unmarked(documents(version).book, part.rate)
            by_set.setdefault((version, place), []).append(part._replace(rate=rate))
    days: dict[tuple[int, int], list[int]] = {}
    for entry in taken.days:
        place = _place(documents(entry.version).book, entry.number)
        by_set.setdefault((entry.version, place), [])
        days.setdefault((entry.version, place), []).append(-entry.amount_ncur)
    for (version, place), parts in by_set.items():
        document = documents(version)
        around = document.terms[place][1]
        rates, ladder = document.book.rates[place][1], document.book.ladders[place][1]
        own = lines.energy_lines(place, around, rates, ladder, parts)
        own += _daily(around, place, days.get((version, place), []))
        own += lines.included_lines(around, place, own)
        out += [replace(line, version=version) for line in own]
    for entry in taken.adjustments:
        name = f"{entry.number} ({entry.channel})"
        out.append(line_of(ADJUSTMENT, name, -entry.amount_ncur))
    return out


def _daily(around: Terms, place: int, amounts_ncur: list[int]) -> list[BillLine]:
    """One line for days of one amount; days without a charge make none."""
    out = []
    for each_ncur in sorted({amount for amount in amounts_ncur if amount}):
        count = amounts_ncur.count(each_ncur)
        exact = each_ncur * count * lines.net_of(around)
        unit_ncur = int(each_ncur * lines.net_of(around))
        out.append(line_of(terms.FIXED, terms.FIXED, exact, 0, place, count, unit_ncur))
    return out


def _place(book: Book, day: int) -> int:
    """Which dated set a day's charge was taken by; it is the one in force at its noon."""
    noon_s = calendar.midnight_s(book, day) + DAY_S // 2
    return max(
        (place for place, (from_s, _) in enumerate(book.rates) if from_s <= noon_s), default=0
    )


def _left_wh(book: Book, position: Position, at_s: int) -> int | None:
    """Energy that is left in the tier, None in the last one."""
    used_wh = position.used_wh
    thresholds = tariff.in_force(book.ladders, at_s).thresholds_wh
    return next((wh - used_wh for wh in thresholds if wh > used_wh), None)


def _beyond(
    documents: Callable[[int], Document],
    current: Document,
    entries: Sequence[Settled],
    span: Stint,
    taken: _Month,
) -> Beyond | None:
    """What all terms of the tariff make of the month, or of its tier period until the month's end
    where the total chooses the prices; None where a module charges by all terms."""
    versions = {priced.entry.version for priced in taken.charges}
    if not any(around.extra() for v in versions for _, around in documents(v).terms):
        return None
    book = current.book
    last_day = min(span.after_day, tariff.local_day(book, taken.last_reading[0] - 1) + 1) - 1
    first_day = span.first_day
    if tariff.in_force(current.terms, span.from_s).schedules:
        first_day = _tier_begins(book, span.from_s, last_day)
    edges = [calendar.midnight_s(book, day) for day in (first_day, last_day + 1)]
    wide = Stint(0, edges[0], edges[1], first_day, last_day + 1)
    whole = _Month(documents, wide)
    for entry in entries:
        whole.take(entry)
    versions = {priced.entry.version for priced in whole.charges}
    entered = sum((line.exact_ncur for line in _lines(documents, whole)), Fraction(0))
    if versions != {book.version}:
        return Beyond(wide, None, entered, "several tariff versions; bill them one by one")
    if whole.charges[0].from_s < wide.from_s:
        return Beyond(wide, None, entered, "a reading reaches over the beginning of the period")
    uses = [Use(each.from_s, each.entry.time_s, each.entry.energy_wh) for each in whole.charges]
    asked = current if last_day + 1 == span.after_day else accrual.running(current)
    try:
        bill = periods.rate(asked, Period(edges[0], edges[1], whole.begun), uses)
    except Refused as error:
        return Beyond(wide, None, entered, str(error))
    return Beyond(wide, bill, entered, "")


def _tier_begins(book: Book, at_s: int, day: int) -> int:
    """The first day of the tier period of a day."""
    ladder = tariff.in_force(book.ladders, at_s)
    period = tariff.period_of(ladder, day)
    while tariff.period_of(ladder, day - 1) == period:
        day -= 1
    return day
