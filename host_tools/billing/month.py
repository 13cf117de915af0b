"""The entries of a point that belong to a span of its local days, sorted by what they are.

An entry belongs to the span in which its register total was read; a daily charge to that of its
day; money to that of its instant; an entry of the host to that in which its period ends. Prices of
parts are the engine's, asked again; a ledger that says otherwise is refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from host_tools import Refused
from host_tools.billing.printed import ADJUSTMENT, LOST, TERMS
from host_tools.care import ideal
from host_tools.rating import calendar, lines, periods, rerating
from host_tools.rating.calendar import Stint
from host_tools.rating.lines import BillLine, line_of
from host_tools.rating.rerating import Charge, Standing
from host_tools.settlement import posting
from host_tools.store import host_entries
from host_tools.store.host_entries import HostEntry
from host_tools.store.records import Settled
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document, Terms
from host_tools.validation.journal import adopted
from protocol import ledger, tariff
from protocol.tariff import Book, Position
from protocol.units import DAY_S, SYNCHRONISED

READ = (ledger.CHARGE, ledger.OPENING)  # entries that move the instant of the register


class Nameless(Refused):
    """Refused of entries alone, which do not say whose they are; the caller names the point."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that is no charge: a top-up, what went to a debt, a transfer."""

    time_s: int
    kind: int
    number: int
    amount_ncur: int


@dataclass(frozen=True, slots=True)
class Daily:
    """The daily charge of a local day."""

    number: int
    version: int
    amount_ncur: int


@dataclass(frozen=True, slots=True)
class Priced:
    """A charge with the position before it and the engine's parts of it; `clock` is the quality of
    the module's time."""

    from_s: int
    time_s: int
    energy_wh: int
    version: int
    amount_ncur: int
    clock: int
    before: Position
    parts: list[tariff.Part]


class Month:
    """Takes the entries of a point in order; `month` is in the local days of its newest tariff.

    `stands` are charges that count otherwise than the ledger has them, by sequence.
    """

    def __init__(
        self,
        documents: Callable[[int], Document],
        month: Stint,
        stands: Mapping[int, Standing] | None = None,
    ) -> None:
        self._documents = documents
        self._month = month
        self._stands = stands or {}
        self.from_s = month.from_s
        self._marked: dict[int, Book] = {}  # by version
        self._metered = (0, 0)  # instant and register of the last reading
        self._balance_ncur = 0
        self._position = Position(0, 0)
        self.position = Position(0, 0)  # at the end of the month
        self.opening_ncur = self.closing_ncur = 0
        self.readings: list[tuple[int, int]] = []
        self.openings: list[tuple[int, int]] = []
        self.charges: list[Priced] = []
        self.days: list[Daily] = []
        self._opened_day = 0  # the last one whose daily charge is not the module's
        self.adjustments: list[Settled] = []
        self.movements: list[Movement] = []
        self.last_reading = (0, 0)
        self.settled = False  # read at its end or behind it
        self.head = b""
        self.begun = Position(0, 0)  # before the first charge
        self.as_charged = True  # what counts is what the ledger has
        self.lost_wh = 0  # by records that the store lacks
        self.posted: list[HostEntry] = []
        self._brought: set[int] = set()  # orders of entries of the host
        self._inherited: frozenset[int] = frozenset()  # those of the account before this one

    def take_all(
        self,
        entries: Iterable[Settled],
        posted: Sequence[HostEntry],
        inherited: frozenset[int] = frozenset(),
    ) -> None:
        self._brought = {each.command_id for each in posted}
        self._inherited = inherited
        between = self._stands.get(ideal.GAP)
        # It is of the day of the opening behind it, also of one at midnight.
        if between is not None and self._where_read(between.to_s + 1) == 0:
            self.as_charged = not between.energy_wh
            self._price(between, SYNCHRONISED)
        for entry in entries:
            self.take(entry)
        for each in posted:
            self._take_posted(each)

    def join(self, later: "Month", opening: Settled | None) -> None:
        """Goes on with the account behind this one, which began with an opening.

        The exchange has charged the days up to that of the opening that no module has, as
        `care.ideal` does, and has given back what the old one charged beyond it.
        """
        if opening is not None:
            book = self._documents(opening.version).book
            self.days = [each for each in self.days if each.number <= opening.number]
            last_day = max([each.number for each in self.days], default=self._opened_day)
            first_day = max(last_day + 1, opening.number + 1 - ledger.DAYS_DUE_MAX)
            for day in range(first_day, opening.number + 1):
                if self._month.first_day <= day < self._month.after_day:
                    daily = Daily(day, opening.version, -tariff.fixed_ncur(book, day))
                    self.days.append(daily)
        if not self.charges:
            self.begun = later.begun
        self._opened_day = later._opened_day
        self.charges += later.charges
        self.days += later.days
        self.lost_wh += later.lost_wh
        self.as_charged = self.as_charged and later.as_charged

    def _host_made(self, entry: Settled) -> bool:
        """True for what only follows an entry of the host, which counts in its place."""
        ordered = entry.kind == ledger.ADJUSTMENT and entry.channel == posting.REASON_TERMS
        return (ordered and entry.number in self._brought) or adopted(entry.kind, entry.number)

    def _take_posted(self, each: HostEntry) -> None:
        """The host's own entries stand for what a module has entered of them."""
        at = each.to_s - 1
        where = -1 if at < self._month.from_s else 0 if at < self._month.to_s else 1
        if where < 0:
            self.opening_ncur += each.amount_ncur
        if where <= 0:
            self.closing_ncur += each.amount_ncur
        if where == 0 and (each.kind, each.rule) == (host_entries.ROLLBACK, posting.TOPUPS):
            given = Movement(at, ledger.TOPUP, 0, each.amount_ncur)
            self.movements.append(given)
        elif where == 0:
            self.posted.append(each)

    def take(self, entry: Settled) -> None:
        if entry.balance_ncur != self._balance_ncur + entry.amount_ncur:
            raise Nameless(
                f"entry {entry.seq}: its balance does not follow; restore a backup"
                " 余额不连续，请恢复备份"
            )
        self._balance_ncur = entry.balance_ncur
        if entry.kind == ledger.OPENING:
            self._opened_day = entry.number
        where = self._where(entry)
        if entry.kind == ledger.CHARGE and where != self._where_read(entry.time_s):
            self.as_charged = False  # its clock was mended into this month, or out of it
        amount_ncur = 0 if self._host_made(entry) else entry.amount_ncur
        if where < 0:
            self.opening_ncur += amount_ncur
        if where <= 0:
            self.closing_ncur += amount_ncur
            self.head = entry.head
        if where == 0:
            self._sort(entry)
        if entry.kind in READ or adopted(entry.kind, entry.number):
            self._metered = entry.time_s, entry.register_wh
            self.settled = self.settled or self._metered[0] >= self._month.to_s
        self._position = Position(entry.period, entry.used_wh)
        # The charge of a day may follow a reading of a later month, after an outage.
        if where <= 0 and entry.kind != ledger.FIXED:
            self.position = self._position
            self.last_reading = self._metered

    def _where(self, entry: Settled) -> int:
        """-1 before the month, 0 in it, 1 after it."""
        month = self._month
        if entry.kind == ledger.FIXED:
            day = entry.number
            return -1 if day < month.first_day else 0 if day < month.after_day else 1
        stands = self._stands.get(entry.seq)
        time_s = entry.time_s if stands is None else stands.to_s
        read = entry.kind == ledger.CHARGE or adopted(entry.kind, entry.number)
        return self._where_read(time_s if read else time_s + 1)

    def _where_read(self, at_s: int) -> int:
        """The same of a reading, which ends the day before when it is at midnight."""
        month = self._month
        return -1 if at_s <= month.from_s else 0 if at_s <= month.to_s else 1

    def _sort(self, entry: Settled) -> None:
        if entry.kind == ledger.CHARGE:
            self._charge(entry)
        elif entry.kind == ledger.FIXED:
            stands = self._stands.get(entry.seq)
            daily = Daily(entry.number, entry.version, entry.amount_ncur)
            if stands is not None:
                daily = Daily(entry.number, stands.version, -stands.amount_ncur)
                self.as_charged = False
            self.days.append(daily)
        elif adopted(entry.kind, entry.number):
            if not self.readings:
                self.readings.append(self._metered)
            self.readings.append((entry.time_s, entry.register_wh))
            self.lost_wh += entry.energy_wh
        elif entry.kind == ledger.ADJUSTMENT:
            # What the account before this one lacked is a charge of that one's bill.
            terms_made = entry.channel == posting.REASON_TERMS
            if terms_made and entry.number in self._inherited - self._brought:
                moved = (entry.time_s, ledger.TRANSFER, entry.number, entry.amount_ncur)
                self.movements.append(Movement(*moved))
            elif not self._host_made(entry):
                self.adjustments.append(entry)
        elif entry.kind == ledger.OPENING:
            self.readings.append((entry.time_s, entry.register_wh))
            self.openings.append((entry.time_s, entry.register_wh))
        elif entry.amount_ncur:
            given = Movement(entry.time_s, entry.kind, entry.number, entry.amount_ncur)
            self.movements.append(given)

    def _charge(self, entry: Settled) -> None:
        if not self.readings:
            self.readings.append(self._metered)
        self.readings.append((entry.time_s, entry.register_wh))
        metered = self._metered[0], entry.time_s, entry.energy_wh
        what = entry.seq, *metered, entry.version, -entry.amount_ncur
        charged = Charge(*what, self._position, Position(entry.period, entry.used_wh))
        ledgers = rerating.as_charged(charged)
        stands = self._stands.get(entry.seq, ledgers)
        same = replace(stands, was=charged, again=False)
        self.as_charged = self.as_charged and same == ledgers
        self._price(stands, entry.quality)

    def _price(self, stands: Standing, clock: int) -> None:
        version, before = stands.version, stands.before
        if not self.charges:
            self.begun = before
        book = self._marked.get(version)
        if book is None:
            book = periods.marked(self._documents(version).book)
            self._marked[version] = book
        metered = stands.from_s, stands.to_s, stands.energy_wh
        amount_ncur, _, parts = tariff.charge(book, before, *metered)
        if amount_ncur != stands.amount_ncur:
            raise Nameless(
                f"entry {stands.was.seq}: the ledger charged {stands.amount_ncur} nano-units,"
                f" its tariff asks {amount_ncur}; run gridpurse reconcile 与电价复算不符，请对账"
            )
        self.charges.append(Priced(*metered, version, amount_ncur, clock, before, parts))


def charges_of(documents: Callable[[int], Document], taken: Month) -> list[BillLine]:
    """Energy, daily charges and contained percentages of each tariff, as modules entered them."""
    out: list[BillLine] = []
    by_set: dict[tuple[int, int], list[tariff.Part]] = {}
    for priced in taken.charges:
        version = priced.version
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
    return out


def terms_of(taken: Month) -> list[BillLine]:
    """What the host has entered by terms that no module charges, a line a rule."""
    sums: dict[tuple[int, str], int] = {}
    for each in taken.posted:
        if each.kind == host_entries.TERMS:
            key = each.version, each.rule
            sums[key] = sums.get(key, 0) - each.amount_ncur
    return [
        replace(line_of(TERMS, rule, amount_ncur), version=version)
        for (version, rule), amount_ncur in sums.items()
    ]


def corrections_of(taken: Month) -> list[BillLine]:
    """Adjustments, and the charges of records that were lost."""
    out = []
    for entry in taken.adjustments:
        name = f"{entry.number} ({entry.channel})"
        out.append(line_of(ADJUSTMENT, name, -entry.amount_ncur))
    sums: dict[str, int] = {}
    for each in taken.posted:
        if each.kind == host_entries.ROLLBACK:
            sums[each.rule] = sums.get(each.rule, 0) - each.amount_ncur
    out += [line_of(LOST, rule, amount_ncur) for rule, amount_ncur in sums.items() if amount_ncur]
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
