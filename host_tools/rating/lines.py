"""Lines of a bill: exact amounts, their printed form by one named rule, and the host's terms.

Exact amounts are fractions of a nano-unit, because a yearly charge by the day divides; a printed
amount is whole cents in nano-currency. The total is the sum of the printed lines.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from host_tools.rating.calendar import Stint, months_of
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document, Line, Terms
from protocol import tariff

# Half-up means half away from zero, so that a credit exactly mirrors its debit.
RULE = "half away from zero to 0.01, line by line"
CENT_NCUR = 10_000_000
DAYS_A_YEAR = 365  # of charges by the year, in leap years too (tariffs.md rule 14)
MW_PER_KW = 1_000_000

ROUNDING = "rounding"
TIER = "tier"  # the addition of a tier, where a line of the rate has its price alone


@dataclass(frozen=True, slots=True)
class BillLine:
    """`kind` is energy, tier, fixed, a kind of terms.Line, minimum, percent or rounding.

    `quantity` is watt-hours of energy, days, months or kilowatts of others; `unit_amount` the
    price of one kWh in micro-currency, of any other in nano-currency, millionths of a percentage.
    `version` is the tariff's, where a bill has several.
    """

    kind: str
    name: str
    tier: int
    set_place: int
    quantity: Fraction
    unit_amount: int
    exact_ncur: Fraction
    printed_ncur: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class Bill:
    lines: tuple[BillLine, ...]
    currency: str

    @property
    def exact_ncur(self) -> Fraction:
        return sum((line.exact_ncur for line in self.lines), Fraction(0))

    @property
    def printed_ncur(self) -> int:
        return sum(line.printed_ncur for line in self.lines)


def printed_ncur(amount_ncur: Fraction | int, step_ncur: int = CENT_NCUR) -> int:
    """The nearest multiple of a step, half away from zero."""
    amount = Fraction(amount_ncur)
    steps = (2 * abs(amount.numerator) + step_ncur * amount.denominator) // (
        2 * step_ncur * amount.denominator
    )
    return (steps if amount >= 0 else -steps) * step_ncur


def line_of(
    kind: str,
    name: str,
    exact_ncur: Fraction | int,
    tier: int = 0,
    set_place: int = 0,
    quantity: Fraction | int = 0,
    unit_amount: int = 0,
) -> BillLine:
    """A line that is printed from its own exact amount."""
    exact = Fraction(exact_ncur)
    printed = printed_ncur(exact)
    return BillLine(kind, name, tier, set_place, Fraction(quantity), unit_amount, exact, printed)


def energy_lines(
    place: int,
    around: Terms,
    rates: tariff.Rates,
    ladder: tariff.Ladder,
    parts: list[tariff.Part],
) -> list[BillLine]:
    """Lines of one dated set: of each rate and tier, or of rates alone, then each tier's addition.

    The additions stand alone where several rates share them, as such tariffs are published. A
    schedule's prices may be a tier's own where those of its set are not.
    """
    one_row = len(rates.prices_ucur_per_kwh) == 1
    apart = around.method == terms.ADDER and len(around.rate_names) > 1 and one_row
    sums: dict[tuple[str, int, int], int] = {}
    for part in parts:
        added = ladder.adders_ucur_per_kwh[part.tier]
        if apart:
            row = rates.prices_ucur_per_kwh[0]
            keys = [(terms.ENERGY, part.rate, row[part.rate]), (TIER, part.tier, added)]
        else:
            keys = [
                (
                    terms.ENERGY,
                    part.rate * len(ladder.adders_ucur_per_kwh) + part.tier,
                    part.price_ucur_per_kwh,
                )
            ]
        for key in keys:
            sums[key] = sums.get(key, 0) + part.energy_wh
    net = net_of(around)
    out = []
    for (kind, number, price), energy_wh in sorted(sums.items()):
        if kind == TIER and price == 0:
            continue
        if kind == TIER:
            name, tier = terms.ENERGY, number + 1
        elif apart:
            name, tier = around.rate_names[number], 0
        else:
            rate, below = divmod(number, len(ladder.adders_ucur_per_kwh))
            name, tier = around.rate_names[rate], below + 1
        out.append(
            line_of(kind, name, price * net * energy_wh, tier, place, energy_wh, int(price * net))
        )
    return out


def around_lines(
    document: Document, stint: Stint, sold: list[BillLine], contract_mw: int
) -> list[BillLine]:
    """Everything of a stint that is not energy: fixed, lines, minimum, percentages."""
    around = document.terms[stint.place][1]
    energy_wh = sum(int(line.quantity) for line in sold if line.kind == terms.ENERGY)
    out = list(sold)
    first, after = (min(max(day, stint.first_day), stint.after_day) for day in stint.fixed)
    out += _fixed(document, stint.place, range(first, after))
    # In no account, and yet a part of what minimums and percentages are of.
    apart = _fixed(document, stint.place, range(stint.first_day, first))
    apart += _fixed(document, stint.place, range(after, stint.after_day))
    out += included_lines(around, stint.place, out)
    for line in around.lines:
        if line.kind != terms.PERCENT:
            quantity = _quantity(line.kind, stint, energy_wh, contract_mw)
            out.append(
                line_of(
                    line.kind,
                    line.name,
                    line.amount * quantity,
                    0,
                    stint.place,
                    quantity,
                    line.amount,
                )
            )
    if around.minimum is not None:
        out += _minimum(around.minimum, stint, [*out, *apart])
    for line in around.lines:
        if line.kind == terms.PERCENT:
            base = [*out, *apart]
            out.append(_percent(line, stint.place, base, around.percent_base))
    return out[len(sold) :]


def _fixed(document: Document, place: int, days: Iterable[int]) -> list[BillLine]:
    """The daily charge, as the module posts it: local calendar days."""
    by_day = [tariff.fixed_ncur(document.book, day) for day in days]
    total_ncur = sum(by_day)
    if total_ncur == 0:
        return []
    net = net_of(document.terms[place][1])
    unit_ncur = int(by_day[0] * net)
    exact = total_ncur * net
    return [line_of(terms.FIXED, terms.FIXED, exact, 0, place, len(by_day), unit_ncur)]


def net_of(around: Terms) -> Fraction:
    """What is left of a price without the percentages that it contains."""
    net = Fraction(1)
    for _, millionths in around.included:
        net *= Fraction(1_000_000, 1_000_000 + millionths)
    return net


def included_lines(around: Terms, place: int, lines: list[BillLine]) -> list[BillLine]:
    """The percentages that the prices of lines contain, each on all that stands before it."""
    out: list[BillLine] = []
    everything = (terms.ENERGY, *(line.name for line in lines))
    for name, millionths in around.included:
        percent = Line(name, terms.PERCENT, millionths, (*everything, *(n.name for n in out)))
        out.append(_percent(percent, place, [*lines, *out], around.percent_base))
    return out


def _quantity(kind: str, stint: Stint, energy_wh: int, contract_mw: int) -> Fraction:
    """How many of its unit a line counts; per_kwh counts watt-hours, see BillLine."""
    kilowatts = Fraction(contract_mw, MW_PER_KW)
    months = months_of(stint.first_day, stint.after_day)
    return {
        terms.PER_KWH: Fraction(energy_wh),
        terms.PER_DAY: Fraction(stint.days),
        terms.PER_MONTH: months,
        terms.PER_KW_MONTH: kilowatts * months,
        terms.PER_KW_YEAR: kilowatts * Fraction(stint.days, DAYS_A_YEAR),
    }[kind]


def _of(on: tuple[str, ...], line: BillLine) -> bool:
    if line.kind in (terms.ENERGY, TIER):
        return terms.ENERGY in on
    return line.name in on


def _minimum(minimum: Line, stint: Stint, lines: list[BillLine]) -> list[BillLine]:
    """What is missing to the minimum; printed, it makes the rounded lines the rounded minimum."""
    quantity = _quantity(minimum.kind, stint, 0, 0)
    least_ncur = minimum.amount * quantity
    base = [line for line in lines if _of(minimum.on, line)]
    exact = least_ncur - sum((line.exact_ncur for line in base), Fraction(0))
    printed = printed_ncur(least_ncur) - sum(line.printed_ncur for line in base)
    if exact <= 0:
        return []
    return [
        BillLine(
            terms.MINIMUM,
            terms.MINIMUM,
            0,
            stint.place,
            quantity,
            minimum.amount,
            exact,
            max(printed, 0),
        )
    ]


def _percent(percent: Line, place: int, lines: list[BillLine], base: str) -> BillLine:
    millionths = Fraction(percent.amount, 1_000_000)
    chosen = [line for line in lines if _of(percent.on, line)]
    exact = sum((line.exact_ncur for line in chosen), Fraction(0)) * millionths
    printed_base = sum(line.printed_ncur for line in chosen)
    printed = printed_ncur(printed_base * millionths if base == terms.PRINTED else exact)
    return BillLine(
        terms.PERCENT, percent.name, 0, place, Fraction(0), percent.amount, exact, printed
    )


def rounded_total(lines: list[BillLine], step_ncur: int, place: int) -> list[BillLine]:
    """The line that makes the printed total a multiple of a step, where a tariff asks for one.

    It is owed like any other: with it the exact lines come to what is printed.
    """
    if step_ncur == 0:
        return []
    total_ncur = sum(line.printed_ncur for line in lines)
    whole_ncur = printed_ncur(total_ncur, step_ncur)
    more_ncur = whole_ncur - total_ncur
    exact = whole_ncur - sum((line.exact_ncur for line in lines), Fraction(0))
    if exact == more_ncur == 0:
        return []
    return [BillLine(ROUNDING, ROUNDING, 0, place, Fraction(0), step_ncur, exact, more_ncur)]
