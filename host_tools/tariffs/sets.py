"""One dated set of a tariff document: its prices, tiers and hours, and the terms around them."""

from fractions import Fraction

from host_tools import Refused
from host_tools.tariffs import bands, terms
from host_tools.tariffs.keys import Keys, exact
from host_tools.tariffs.terms import Line, Schedule, Terms
from protocol import tariff

SCHEDULES_MAX = 16
DAYS_NOMINAL = 30  # a module counts thresholds that are so much a day in months of 30 days
LINES_MAX = 16
PERIODS = {
    "month": tariff.MONTH,
    "year": tariff.YEAR,
    "months": tariff.MONTHS,
    "days": tariff.DAYS,
    "billing_day": tariff.BILLING_DAY,
}
_TIERS = (
    "tiers_kwh", "adders", "tier_shift_kwh_per_month", "shift_tiers", "first_year_months",
)  # fmt: skip
_OF_SET = (
    *_TIERS, "percent", "method", "tier_period", "tier_length", "tiers_per_day", "prices",
    "fixed_per_day", "week", "special", "seasons", "bands", "alloc", "line", "schedule",
    "minimum_per_day", "minimum_per_month", "minimum_on", "prorate_tiers", "percent_base",
    "round_total",
)  # fmt: skip
_OF_SCHEDULE = (*_TIERS, "above_kwh", "method", "prices")
_KINDS = (
    terms.PER_KWH,
    terms.PER_DAY,
    terms.PER_MONTH,
    terms.PER_KW_MONTH,
    terms.PER_KW_YEAR,
    terms.PERCENT,
)
_LENGTHS = {tariff.BILLING_DAY: 28}  # the last day that every month has
_LENGTH_MAX = 4000
_MINIMA = {"minimum_per_day": terms.PER_DAY, "minimum_per_month": terms.PER_MONTH}

Percent = tuple[tuple[str, int], ...]


def compiled(keys: Keys) -> tuple[tariff.Rates, tariff.Ladder, Terms]:
    """Takes every key of a [[set]]."""
    keys.only(_OF_SET)
    included = tuple(
        (name, exact(percent, 4, f"{keys.where}percent.{name}"))
        for name, percent in keys.named("percent").items()
    )
    method = keys.choice("method", [terms.ADDER, terms.PER_TIER], terms.ADDER)
    period = PERIODS[keys.choice("tier_period", list(PERIODS), "month")]
    length = keys.whole("tier_length", 1, _LENGTHS.get(period, _LENGTH_MAX), 1)
    per_day = keys.truth("tiers_per_day")
    if per_day and period != tariff.MONTH:
        raise Refused(f'{keys.where}tiers_per_day: needs tier_period = "month"')
    ladder = _ladder(keys, included, period, length, DAYS_NOMINAL if per_day else 1)
    names, rows = _prices(keys, method, included)
    fixed_ncur = _taxed(included, keys.take("fixed_per_day", "0"), 9, f"{keys.where}fixed_per_day")
    when = bands.hours(keys, names)
    rates = tariff.Rates(rows, fixed_ncur, when.seasons, when.week, when.special, when.days)
    around = _terms(keys, method, per_day, included, names, rates, ladder)
    keys.finish()
    return rates, ladder, around


def _ladder(
    keys: Keys, included: Percent, period: int, length: int, days: int = 1
) -> tariff.Ladder:
    tiers = keys.items("tiers_kwh", [])
    thresholds_wh = tuple(exact(item, 3, f"{keys.where}tiers_kwh") * days for item in tiers)
    if sorted(set(thresholds_wh)) != list(thresholds_wh) or 0 in thresholds_wh:
        raise Refused(f"{keys.where}tiers_kwh: each threshold must be above the one before it")
    count = len(thresholds_wh) + 1
    adders = keys.items("adders", ["0"] * count)
    if len(adders) != count:
        raise Refused(f"{keys.where}adders: must have {count} items, one a tier")
    prices = tuple(_taxed(included, item, 6, f"{keys.where}adders") for item in adders)
    return tariff.Ladder(period, length, _shifted(keys, period, length, thresholds_wh), prices)


def _shifted(
    keys: Keys, period: int, length: int, thresholds_wh: tuple[int, ...]
) -> tuple[int, ...]:
    """Thresholds of a larger household, and those of a first year that is not whole."""
    shift_wh = keys.whole("tier_shift_kwh_per_month", 0, 100_000, 0) * 1000
    chosen = keys.items("shift_tiers", list(range(1, len(thresholds_wh) + 1)))
    first_year = keys.whole("first_year_months", 1, 12, 12)
    months = {tariff.MONTH: 1, tariff.BILLING_DAY: 1, tariff.YEAR: 12, tariff.MONTHS: length}
    if shift_wh and period not in months:
        raise Refused(f"{keys.where}tier_shift_kwh_per_month: needs a tier period of months")
    if first_year < 12 and period != tariff.YEAR:
        raise Refused(f'{keys.where}first_year_months: needs tier_period = "year"')
    if any(tier not in range(1, len(thresholds_wh) + 1) for tier in chosen):
        raise Refused(f"{keys.where}shift_tiers: must name tiers from 1 to {len(thresholds_wh)}")
    out = []
    for tier, threshold_wh in enumerate(thresholds_wh, 1):
        more_wh = shift_wh * months.get(period, 0) if tier in chosen else 0
        out.append((threshold_wh + more_wh) * first_year // 12)  # a part of a watt-hour is tier 2
    if sorted(set(out)) != out:
        raise Refused(f"{keys.where}shift_tiers: the shifted thresholds must still rise")
    return tuple(out)


def _taxed(included: Percent, item: object, decimals: int, place: str) -> int:
    """A price with all percentage lines on it, exactly: nothing is rounded before a bill."""
    value = Fraction(exact(item, decimals, place))
    for _, millionths in included:
        value *= 1 + Fraction(millionths, 1_000_000)
    if value.denominator != 1:
        raise Refused(
            f"{place}: with percent it has more than {decimals} decimals;"
            " write the percentage as a [[set.line]]"
        )
    return int(value)


def _prices(
    keys: Keys, method: str, included: Percent, names: list[str] | None = None
) -> tuple[list[str], tuple[tuple[int, ...], ...]]:
    """Names of the rates, and rows of prices: one row, or one a tier.

    `names` are those of the set that a schedule belongs to: it prices the same hours.
    """
    prices = keys.named("prices")
    place = f"{keys.where}prices."
    if not prices:
        raise Refused(f"{keys.where}prices: name at least one rate")
    if names is not None and set(prices) != set(names):
        raise Refused(f"{keys.where}prices: must name the rates of its set, {', '.join(names)}")
    names = names or list(prices)
    if method == terms.ADDER:
        return names, (tuple(_taxed(included, prices[n], 6, place + n) for n in names),)
    columns = []
    for name in names:
        column = prices[name]
        if not isinstance(column, list):
            raise Refused(f"{place}{name}: must be a list, one price a tier")
        columns.append([_taxed(included, item, 6, place + name) for item in column])
    if len({len(column) for column in columns}) != 1:
        raise Refused(f"{keys.where}prices: every rate needs the same number of tiers")
    return names, tuple(zip(*columns, strict=True))


def _terms(
    keys: Keys,
    method: str,
    per_day: bool,
    included: Percent,
    names: list[str],
    rates: tariff.Rates,
    ladder: tariff.Ladder,
) -> Terms:
    alloc = keys.choice("alloc", [terms.CHRONOLOGICAL, terms.PROPORTIONAL], terms.CHRONOLOGICAL)
    lines = tuple(_line(each) for each in keys.tables("line", LINES_MAX, 0))
    minimum = _minimum(keys)
    known = {terms.ENERGY, terms.FIXED} | ({terms.MINIMUM} if minimum else set())
    for each in lines:
        wrong = sorted(set(each.on) - known)
        if wrong:
            raise Refused(
                f"{keys.where}line: {each.name} is taken on {wrong[0]!r}, which no line before"
                f" it has; use {', '.join(sorted(known))}"
            )
        known.add(each.name)
    if minimum and set(minimum.on) - known:
        raise Refused(f"{keys.where}minimum_on: must name some of {', '.join(sorted(known))}")
    schedules = []
    last_wh = 0
    for each_keys in keys.tables("schedule", SCHEDULES_MAX, 0):
        schedule = _schedule(each_keys, included, names, rates, ladder)
        if schedule.above_wh <= last_wh:
            raise Refused(f"{each_keys.where}above_kwh: must be more than in the one before it")
        last_wh = schedule.above_wh
        schedules.append(schedule)
    if per_day and schedules:
        raise Refused(f"{keys.where}tiers_per_day: goes with no schedule; remove one of them")
    return Terms(
        tuple(names),
        method,
        alloc,
        included,
        tuple(schedules),
        lines,
        minimum,
        keys.truth("prorate_tiers"),
        per_day,
        keys.choice("percent_base", [terms.PRINTED, terms.EXACT], terms.PRINTED),
        keys.amount("round_total", 9, "0"),
    )


def _line(keys: Keys) -> Line:
    name = keys.text("name")
    kinds = [kind for kind in _KINDS if keys.has(kind)]
    if len(kinds) != 1:
        raise Refused(f"{keys.where}{terms.PERCENT}: write exactly one of {', '.join(_KINDS)}")
    amount = keys.amount(kinds[0], terms.DECIMALS[kinds[0]])
    on = tuple(keys.texts("on")) if kinds[0] == terms.PERCENT else ()
    keys.finish()
    return Line(name, kinds[0], amount, on)


def _minimum(keys: Keys) -> Line | None:
    found = [key for key in _MINIMA if keys.has(key)]
    on = tuple(keys.texts("minimum_on", [terms.ENERGY]))
    if not found:
        return None
    if len(found) > 1:
        raise Refused(f"{keys.where}{found[1]}: a tariff has one minimum; remove {found[0]} or it")
    return Line(terms.MINIMUM, _MINIMA[found[0]], keys.amount(found[0], 9), on)


def _schedule(
    keys: Keys,
    included: Percent,
    names: list[str],
    rates: tariff.Rates,
    ladder: tariff.Ladder,
) -> Schedule:
    keys.only(_OF_SCHEDULE)
    above_wh = keys.amount("above_kwh", 3)
    method = keys.choice("method", [terms.ADDER, terms.PER_TIER], terms.ADDER)
    own = _ladder(keys, included, ladder.period, ladder.length)
    _, rows = _prices(keys, method, included, names)
    keys.finish()
    return Schedule(above_wh, rates._replace(prices_ucur_per_kwh=rows), own)
