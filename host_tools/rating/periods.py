"""A billing period of a tariff document: intervals or registers become the lines of a bill.

Every watt-hour is priced by `protocol.tariff`; a schedule only chooses which prices it is given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from host_tools import Refused
from host_tools.rating import lines
from host_tools.rating.calendar import EVERY_DAY, Stint, stints
from host_tools.rating.lines import Bill, BillLine
from host_tools.rating.registers import split_by_days, split_by_share
from host_tools.tariffs import terms
from host_tools.tariffs.sets import DAYS_NOMINAL
from host_tools.tariffs.terms import Document, Terms
from protocol import tariff
from protocol.tariff import Book, Position

UNUSED = Position(0, 0)
WHOLE_PERIOD = 1 << 30  # length of a tier period of days that contains any bill


@dataclass(frozen=True, slots=True)
class Use:
    """Energy used evenly between two instants."""

    from_s: int
    to_s: int
    energy_wh: int


@dataclass(frozen=True, slots=True)
class Period:
    """What is billed: whole local days, a tier position before it, and the contracted power.

    Days before `first_day` are another account's, of which this one has the use alone; the daily
    charge of days outside `fixed` is in no account of a module.
    """

    from_s: int
    to_s: int
    position: Position = UNUSED
    contract_mw: int = 0
    first_day: int = 0
    fixed: tuple[int, int] = EVERY_DAY


def rate(document: Document, period: Period, uses: Sequence[Use]) -> Bill:
    """The bill of interval readings. Refused for a period that cannot be billed."""
    spans = _spans(document, period)
    total_wh = _bounded(period, uses)
    book = chosen(document, period, total_wh)
    if _shared(document, spans):
        # Shares are of the days that are billed, so a use before them counts as theirs.
        inside = [replace(use, from_s=max(use.from_s, period.from_s)) for use in uses]
        shares = [_by_rate(book, stint, inside) for stint in spans]
        return _of_registers(document, book, period, spans, shares)
    numbered = marked(book)
    position = period.position
    parts: list[tariff.Part] = []
    for use in uses:
        _, position, more = tariff.charge(numbered, position, use.from_s, use.to_s, use.energy_wh)
        parts += more
    by_set: dict[int, list[tariff.Part]] = {}
    for part in parts:
        place, number = unmarked(book, part.rate)
        by_set.setdefault(place, []).append(part._replace(rate=number))
    return _bill(document, book, period, [*_before(spans, by_set), *spans], by_set)


def _before(spans: Sequence[Stint], by_set: Iterable[int]) -> list[Stint]:
    """Stints without days of the sets that a use from before the period began under."""
    first = spans[0]
    return [
        replace(first, place=place, to_s=first.from_s, after_day=first.first_day)
        for place in sorted(by_set)
        if place < first.place
    ]


def _shared(document: Document, spans: Sequence[Stint]) -> bool:
    """True when tiers are shared alike. Refused where they are in one set and not in another."""
    in_force = [document.terms[stint.place][1] for stint in spans]
    if not any(around.alloc == terms.PROPORTIONAL for around in in_force):
        return False
    if any(_by_order(around) for around in in_force):
        raise Refused(
            "alloc: it changes inside the period; bill up to the change and from it on"
            " 账期内分摊方式变更，请分段出账"
        )
    return True


def _by_order(around: Terms) -> bool:
    """True when it matters which of several rates was used first."""
    a_tier = around.method == terms.PER_TIER or any(
        len(schedule.rates.prices_ucur_per_kwh) > 1 for schedule in around.schedules
    )
    return a_tier and around.alloc == terms.CHRONOLOGICAL and len(around.rate_names) > 1


def rate_registers(
    document: Document, period: Period, registers_wh: Sequence[Sequence[int]]
) -> Bill:
    """The bill of time-of-use registers, in the order of the tariff's rates.

    One row for the whole period, which is split by average use a day (tariffs.md rule 9), or one
    row for each dated set in force.
    """
    spans = _spans(document, period)
    rows = [list(row) for row in registers_wh]
    if len(rows) == 1 < len(spans):
        columns = [split_by_days(wh, [stint.days for stint in spans]) for wh in rows[0]]
        rows = [list(row) for row in zip(*columns, strict=True)]
    if len(rows) != len(spans):
        raise Refused(
            f"registers: {len(rows)} rows for {len(spans)} dated sets; give one for each"
        )
    for stint, row in zip(spans, rows, strict=True):
        around = document.terms[stint.place][1]
        if len(row) != len(around.rate_names) or min(row) < 0:
            names = ", ".join(around.rate_names)
            raise Refused(f"registers: give one reading of 0 or more for each of {names}")
        if _by_order(around):
            raise Refused(
                "registers: prices a tier need the order of use; bill intervals, or write"
                ' alloc = "proportional"'
            )
    book = chosen(document, period, sum(sum(row) for row in rows))
    return _of_registers(document, book, period, spans, rows)


def chosen(document: Document, period: Period, total_wh: int) -> Book:
    """The document's book with the schedules that a period's total calls for."""
    spans = _spans(document, period)
    in_force = [document.terms[stint.place][1] for stint in spans]
    if any(around.tiers_per_day for around in in_force):
        return _by_days(document, spans)
    if not any(around.schedules for around in in_force):
        return document.book
    ladder = tariff.in_force(document.book.ladders, period.from_s)
    days = (tariff.local_day(document.book, at_s) for at_s in (period.from_s, period.to_s - 1))
    first, last = (tariff.period_of(ladder, day) for day in days)
    if first != last or (period.position.used_wh and period.position.period == first):
        raise Refused(
            "schedules by the total need the use of one tier period from its beginning;"
            " bill that period 按总量选价须自阶梯周期起点出账"
        )
    return scheduled(document, total_wh)


def _by_days(document: Document, spans: Sequence[Stint]) -> Book:
    """The book whose thresholds are so much a day of the billing period, and reset with it."""
    book = document.book
    days = sum(stint.days for stint in spans)
    ladders = []
    for (from_s, ladder), (_, around) in zip(book.ladders, document.terms, strict=True):
        if around.tiers_per_day:
            thresholds = tuple(wh * days // DAYS_NOMINAL for wh in ladder.thresholds_wh)
            ladder = ladder._replace(
                period=tariff.DAYS, length=WHOLE_PERIOD, thresholds_wh=thresholds
            )
        ladders.append((from_s, ladder))
    return book._replace(ladders=tuple(ladders))


def scheduled(document: Document, total_wh: int) -> Book:
    """The book by which a tier period's total use is owed (tariffs.md rules 5 and 6)."""
    rates = list(document.book.rates)
    ladders = list(document.book.ladders)
    for place, (from_s, around) in enumerate(document.terms):
        for schedule in around.schedules:
            if total_wh > schedule.above_wh:
                rates[place] = from_s, schedule.rates
                ladders[place] = from_s, schedule.ladder
    return document.book._replace(rates=tuple(rates), ladders=tuple(ladders))


def true_up_ncur(document: Document, uses: Sequence[Use]) -> int:
    """What the whole of a tier period's use so far costs beyond what a module charged for it.

    `uses` begin with the tier period. A prepaid point is adjusted by the growth of this figure,
    so that at any time charges and adjustments together are the slab bill.
    """
    total_wh = sum(use.energy_wh for use in uses)
    return _charged_ncur(scheduled(document, total_wh), uses) - _charged_ncur(document.book, uses)


def _charged_ncur(book: Book, uses: Sequence[Use]) -> int:
    position = Position(0, 0)
    total_ncur = 0
    for use in uses:
        amount, position, _ = tariff.charge(book, position, use.from_s, use.to_s, use.energy_wh)
        total_ncur += amount
    return total_ncur


def _spans(document: Document, period: Period) -> list[Stint]:
    spans = stints(document.book, period.from_s, period.to_s)
    if not spans or sum(stint.days for stint in spans) == 0:
        raise Refused("period: it has no days; its end must lie after its beginning")
    first_day = period.first_day
    return [
        replace(
            stint,
            first_day=min(max(stint.first_day, first_day), stint.after_day),
            fixed=period.fixed,
        )
        for stint in spans
    ]


def _bounded(period: Period, uses: Sequence[Use]) -> int:
    """The energy of uses that end in the period, one after the other.

    The first may begin before it: a reading belongs to the period in which it ends, and what was
    used before an account opened to that of its opening.
    """
    at_s = min([period.from_s, *(use.from_s for use in uses[:1] if use.to_s >= period.from_s)])
    for use in uses:
        if use.from_s < at_s or use.to_s < use.from_s or use.to_s > period.to_s:
            raise Refused("intervals: must follow each other inside the period")
        if use.energy_wh < 0:
            raise Refused("intervals: energy must be 0 or more; bill a correction as one")
        at_s = use.to_s
    return sum(use.energy_wh for use in uses)


def marked(book: Book) -> Book:
    """The book with rates numbered on through its sets, so that a part tells its set."""
    rates = []
    base = 0
    for from_s, one in book.rates:
        empty = (0,) * base
        rows = tuple(empty + row for row in one.prices_ucur_per_kwh)
        days = tuple(
            tuple(tuple((minute, rate + base) for minute, rate in slots) for slots in kinds)
            for kinds in one.days
        )
        rates.append((from_s, one._replace(prices_ucur_per_kwh=rows, days=days)))
        base += len(one.prices_ucur_per_kwh[0])
    return book._replace(rates=tuple(rates))


def unmarked(book: Book, number: int) -> tuple[int, int]:
    """(set, rate in it) of a number of `marked`."""
    for place, (_, one) in enumerate(book.rates):
        width = len(one.prices_ucur_per_kwh[0])
        if number < width:
            return place, number
        number -= width
    raise LookupError(number)


def _by_rate(book: Book, stint: Stint, uses: Sequence[Use]) -> list[int]:
    """Energy of each rate in a stint, as its registers would count it."""
    numbered = marked(book)
    out = [0] * len(book.rates[stint.place][1].prices_ucur_per_kwh[0])
    for use in uses:
        for part in tariff.charge(numbered, Position(0, 0), use.from_s, use.to_s, use.energy_wh)[
            2
        ]:
            place, number = unmarked(book, part.rate)
            if place == stint.place:
                out[number] += part.energy_wh
    return out


def _of_registers(
    document: Document,
    book: Book,
    period: Period,
    spans: list[Stint],
    rows: Sequence[Sequence[int]],
) -> Bill:
    position = period.position
    by_set: dict[int, list[tariff.Part]] = {}
    days = sum(stint.days for stint in spans)
    for stint, row in zip(spans, rows, strict=True):
        ladder = book.ladders[stint.place][1]
        if document.terms[stint.place][1].prorate_tiers and len(spans) > 1:
            prorated = tuple(wh * stint.days // days for wh in ladder.thresholds_wh)
            ladder = ladder._replace(thresholds_wh=prorated)
            position = Position(0, 0)
        alone = book._replace(ladders=((0, ladder),))
        position = tariff.position_at(alone, position, stint.from_s)
        rates = book.rates[stint.place][1]
        by_set[stint.place], position = split_by_share(rates, ladder, position, row)
    return _bill(document, book, period, spans, by_set)


def _bill(
    document: Document,
    book: Book,
    period: Period,
    spans: list[Stint],
    by_set: dict[int, list[tariff.Part]],
) -> Bill:
    out: list[BillLine] = []
    for stint in spans:
        around = document.terms[stint.place][1]
        rates, ladder = book.rates[stint.place][1], book.ladders[stint.place][1]
        energy = lines.energy_lines(
            stint.place, around, rates, ladder, by_set.get(stint.place, [])
        )
        out += energy + lines.around_lines(document, stint, energy, period.contract_mw)
    last = spans[-1].place
    out += lines.rounded_total(out, document.terms[last][1].total_step_ncur, last)
    return Bill(tuple(out), document.book.currency)
