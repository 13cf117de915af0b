"""Example households: so many kWh a month, used evenly or half of it by night, and their year."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from host_tools.rating import calendar, periods
from host_tools.rating.lines import Bill
from host_tools.rating.periods import UNUSED, Period, Use
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Position

HOUR_S = 3600
# Share of a day's energy in tenths: 00 to 07, 07 to 18, 18 to 23, 23 to 24 o'clock.
EVEN = "evenly"
EVENING = "evenings"
NIGHT = "nights"
PATTERNS = {EVENING: (1, 3, 5, 1), NIGHT: (5, 2, 2, 1)}
_EDGES_H = (0, 7, 18, 23)


@dataclass(frozen=True, slots=True)
class Household:
    month_wh: int
    pattern: str = EVEN
    contract_mw: int = 0


def month_uses(document: Document, household: Household, year: int, month: int) -> list[Use]:
    """What a household uses in a local month: the same every day, by its pattern."""
    first, after = calendar.month_days(year, month)
    out = []
    done_wh = 0
    for day in range(first, after):
        upto_wh = household.month_wh * (day + 1 - first) // (after - first)
        out += _day_uses(document, household.pattern, day, upto_wh - done_wh)
        done_wh = upto_wh
    return out


def _day_uses(document: Document, pattern: str, day: int, energy_wh: int) -> list[Use]:
    begins_s = calendar.midnight_s(document.book, day)
    ends_s = calendar.midnight_s(document.book, day + 1)
    if pattern == EVEN:
        return [Use(begins_s, ends_s, energy_wh)]
    edges = [_at(document, begins_s, hour) for hour in _EDGES_H] + [ends_s]
    out = []
    tenths = done_wh = 0
    for begin_s, end_s, share in zip(edges[:-1], edges[1:], PATTERNS[pattern], strict=True):
        tenths += share
        upto_wh = energy_wh * tenths // 10
        out.append(Use(begin_s, end_s, upto_wh - done_wh))
        done_wh = upto_wh
    return out


def _at(document: Document, midnight_s: int, hour: int) -> int:
    """An hour by the wall clock of a day, which may be shorter or longer."""
    zone = document.book.zone
    at_s = midnight_s + hour * HOUR_S
    return at_s + int(tariff.in_force(zone, midnight_s) - tariff.in_force(zone, at_s))


def bill(
    document: Document,
    household: Household,
    year: int,
    month: int,
    months: int = 1,
    position: Position = UNUSED,
) -> Bill:
    """The bill of some months from one on."""
    begins_s = calendar.month_s(document.book, year, month)[0]
    uses: list[Use] = []
    last = begins_s
    for place in range(month - 1, month - 1 + months):
        each = year + place // 12, place % 12 + 1
        uses += month_uses(document, household, *each)
        last = calendar.month_s(document.book, *each)[1]
    return periods.rate(document, Period(begins_s, last, position, household.contract_mw), uses)


def span_months(document: Document, at_s: int) -> int:
    """Months of one bill: those of a tier period, where the total chooses the prices."""
    ladder = tariff.in_force(document.book.ladders, at_s)
    around = tariff.in_force(document.terms, at_s)
    if around.schedules and ladder.period == tariff.MONTHS:
        return int(ladder.length)
    return 1


def year_ncur(document: Document, household: Household, year: int, month: int) -> Fraction:
    """What twelve months from one on are printed to cost; tiers of a year begin with nothing."""
    begins_s = calendar.month_s(document.book, year, month)[0]
    months = span_months(document, begins_s)
    first = (year * 12 + month - 1) // months * months
    position = UNUSED
    total = Fraction(0)
    for place in range(first, first + 12, months):
        one = bill(document, household, place // 12, place % 12 + 1, months, position)
        total += one.printed_ncur
        position = _after(document, household, position, place, months)
    return total


def _after(
    document: Document, household: Household, position: Position, place: int, months: int
) -> Position:
    """The tier position after a bill."""
    for each in range(place, place + months):
        for use in month_uses(document, household, each // 12, each % 12 + 1):
            _, position, _ = tariff.charge(
                document.book, position, use.from_s, use.to_s, use.energy_wh
            )
    return position


def by_hours(document: Document) -> bool:
    """True when it matters at what time energy is used."""
    return any(len(around.rate_names) > 1 for _, around in document.terms)


def by_contract(document: Document) -> bool:
    kinds = (terms.PER_KW_MONTH, terms.PER_KW_YEAR)
    return any(line.kind in kinds for _, around in document.terms for line in around.lines)


def patterns(documents: Sequence[Document]) -> tuple[str, ...]:
    if any(by_hours(document) for document in documents):
        return (EVEN, *PATTERNS)
    return (EVEN,)
