"""What a tariff asks beyond its module's book: terms that need the whole period's use or days.

A module charges by the book alone; these terms are the host's, by adjustment or on the bill. Line
amounts are nano-currency per unit (micro-currency per kWh for PER_KWH), percentages millionths.
"""

from dataclasses import dataclass

from protocol import tariff

ADDER = "adder"
PER_TIER = "per_tier"
CHRONOLOGICAL = "chronological"
PROPORTIONAL = "proportional"

PER_KWH = "per_kwh"
PER_DAY = "per_day"
PER_MONTH = "per_month"
PER_KW_MONTH = "per_kw_month"
PER_KW_YEAR = "per_kw_year"
PERCENT = "percent"
# How many decimals the amount of a line may have, so that it is a whole number of its unit.
DECIMALS = {PER_KWH: 6, PER_DAY: 9, PER_MONTH: 9, PER_KW_MONTH: 9, PER_KW_YEAR: 9, PERCENT: 4}

ENERGY = "energy"  # all energy lines of the bill together
FIXED = "fixed"  # the daily charge that the module posts itself
MINIMUM = "minimum"  # what is missing to the least amount

PRINTED = "printed"
EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Prices of the whole use of a tier period, once that is more than a limit."""

    above_wh: int
    rates: tariff.Rates
    ladder: tariff.Ladder


@dataclass(frozen=True, slots=True)
class Line:
    """A line of its own on the bill; `on` names what a percentage is taken of."""

    name: str
    kind: str
    amount: int
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one dated set. `included` are percentages that its prices contain already."""

    rate_names: tuple[str, ...]
    method: str
    alloc: str
    included: tuple[tuple[str, int], ...]
    schedules: tuple[Schedule, ...]
    lines: tuple[Line, ...]
    minimum: Line | None
    prorate_tiers: bool
    tiers_per_day: bool
    percent_base: str
    total_step_ncur: int

    def extra(self) -> bool:
        """True when a module's book alone does not say all that is owed."""
        plain = not self.schedules and not self.lines and self.minimum is None
        return (
            not plain
            or self.tiers_per_day
            or self.alloc == PROPORTIONAL
            or self.total_step_ncur > 0
        )


@dataclass(frozen=True, slots=True)
class Document:
    """A tariff file. `book` holds every dated set, `terms` one for each of them, by `from_s`."""

    name: str
    origin: str
    customers: str
    zone: str
    names_zh: dict[str, str]
    book: tariff.Book
    terms: tuple[tuple[int, Terms], ...]
