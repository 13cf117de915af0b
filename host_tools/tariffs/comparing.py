"""What a new tariff changes against an old one, for whom, and what example households pay."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from host_tools import Refused
from host_tools.billing.words import EN, ZH, kwh, named, percent, price
from host_tools.rating import households
from host_tools.rating.households import Household
from host_tools.settlement.common import decimal
from host_tools.tariffs import telling
from host_tools.tariffs.sets import DAYS_NOMINAL
from host_tools.tariffs.terms import CHRONOLOGICAL, PROPORTIONAL, Document, Terms
from protocol import tariff
from protocol.tariff import Ladder, Rates

MONTHLY_KWH = (100, 200, 350, 600, 1000)
OTHER_CURRENCY = {
    EN: "The currencies differ, so no amounts compare.",
    ZH: "币种不同，金额无法比较。",
}
_EVERYONE = {EN: "everyone", ZH: "全部用户"}
_ALLOC = {
    CHRONOLOGICAL: ("in order of use", "按用电先后"),
    PROPORTIONAL: ("the same share of each rate", "各时段同比例"),
}
_TERMS = {
    "period": ("tiers begin anew", "阶梯周期"),
    "tiers": ("tiers to kWh", "阶梯上限（千瓦时）"),
    "hours": ("hours", "时段"),
    "fixed": ("daily charge", "每日基本费"),
    "contained": ("contained in prices", "价内税费"),
    "alloc": ("tiers are taken", "阶梯分摊"),
    "schedules": ("prices by the total", "总量电价表"),
    "minimum": ("minimum", "最低电费"),
    "total": ("total rounded to", "合计取整"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changes: its name, what it was and becomes, and who notices; in words."""

    what: str
    old: str
    new: str
    whom: str


@dataclass(frozen=True, slots=True)
class Dated:
    """The changes of one instant: where the old set in force there and the new one differ."""

    from_s: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a household pays in twelve months by either, as printed."""

    household: Household
    old_ncur: Fraction
    new_ncur: Fraction


def compare(old: Document, new: Document, language: str) -> list[Dated]:
    """Dated changes, in order and in one language; none where both say the same."""
    starts = sorted({from_s for document in (old, new) for from_s, _ in document.terms})
    out: list[Dated] = []
    for from_s in starts:
        changes = tuple(_sets(*(_Set(each, from_s, language) for each in (old, new))))
        if changes and not (out and out[-1].changes == changes):
            out.append(Dated(from_s, changes))
    return out


def of_documents(old: Document, new: Document, language: str) -> list[Change]:
    """What changes of the document itself, whenever it is given to a module."""
    rows = (
        ("version", "版本", str(old.book.version), str(new.book.version)),
        ("currency", "币种", old.book.currency, new.book.currency),
        ("zone", "时区", old.zone, new.zone),
        ("customers", "适用用户", old.customers, new.customers),
    )
    english = language == EN
    return [
        Change(row[0 if english else 1], row[2], row[3], _EVERYONE[language])
        for row in rows
        if row[2] != row[3]
    ]


def effects(
    old: Document, new: Document, monthly_kwh: Sequence[int], year: int, month: int
) -> list[Effect]:
    """Twelve months from one on, for households of each size and pattern. Refused as bills are."""
    if old.book.currency != new.book.currency:
        raise Refused(f"diff: {OTHER_CURRENCY[EN]}")
    out = []
    for pattern in households.patterns((old, new)):
        for size in monthly_kwh:
            one = Household(size * 1000, pattern)
            was, becomes = (households.year_ncur(each, one, year, month) for each in (old, new))
            out.append(Effect(one, was, becomes))
    return out


def permille(old_ncur: Fraction, new_ncur: Fraction) -> int | None:
    """The change in thousandths, half away from zero; None from nothing."""
    if old_ncur == 0:
        return None
    change = (new_ncur - old_ncur) * Fraction(1000 * old_ncur.denominator, old_ncur.numerator)
    whole = (2 * abs(change.numerator) + change.denominator) // (2 * change.denominator)
    return whole if change >= 0 else -whole


class _Set:
    """What one document has in force at an instant, and how to tell it."""

    def __init__(self, document: Document, at_s: int, language: str) -> None:
        self.document = document
        self.language = language
        self.english = language == EN
        self.rates: Rates = tariff.in_force(document.book.rates, at_s)
        self.ladder: Ladder = tariff.in_force(document.book.ladders, at_s)
        self.terms: Terms = tariff.in_force(document.terms, at_s)

    def prices(self, rate: str) -> list[int]:
        """Of each tier; none of a rate that it has not."""
        if rate not in self.terms.rate_names:
            return []
        number = self.terms.rate_names.index(rate)
        book = tariff.Book(1, "CUR", ((0, 0),), ((0, self.rates),), ((0, self.ladder),))
        tiers = range(len(self.ladder.adders_ucur_per_kwh))
        return [tariff.price_ucur_per_kwh(book, 0, number, tier) for tier in tiers]

    def tier(self, used_wh: int) -> int:
        return sum(wh <= used_wh for wh in self.ladder.thresholds_wh)

    def named(self, name: str) -> str:
        return named(name, self.document.names_zh, EN if self.english else ZH)

    def told(self) -> dict[str, str]:
        """Everything but the prices by name."""
        days = DAYS_NOMINAL if self.terms.tiers_per_day else 1
        steps = " / ".join(kwh(wh // days) for wh in self.ladder.thresholds_wh)
        if steps and self.terms.tiers_per_day:
            steps += " a day" if self.english else "，每天"
        hours = telling.hours(self.document, self.terms, self.rates, self.english)
        contained = (f"{self.named(name)} {percent(part)}" for name, part in self.terms.included)
        least, step = self.terms.minimum, self.terms.total_step_ncur
        found = {
            "period": telling.period(self.ladder, self.english),
            "tiers": steps,
            "hours": "; ".join(hours),
            "fixed": decimal(self.rates.fixed_per_day_ncur),
            "contained": ", ".join(contained),
            "alloc": _ALLOC[self.terms.alloc][0 if self.english else 1],
            "schedules": "; ".join(telling.schedules(self.document, self.terms, self.english)),
            "minimum": telling.line(least, self.document, self.english) if least else "",
            "total": decimal(step) if step else "",
        }
        for line in self.terms.lines:
            found[self.named(line.name)] = telling.line(line, self.document, self.english)
        return {name: text or "-" for name, text in found.items()}


def _sets(old: _Set, new: _Set) -> list[Change]:
    have, get = old.told(), new.told()
    everyone = _EVERYONE[new.language]
    reach = everyone
    if old.ladder.period == new.ladder.period and old.ladder.length == new.ladder.length:
        lowest = [_lowest_wh(old, new, rate) for rate in new.terms.rate_names]
        reach = _reach(new, min((wh for wh in lowest if wh is not None), default=0))
    out = []
    for rate in dict.fromkeys([*old.terms.rate_names, *new.terms.rate_names]):
        was, becomes = (
            " / ".join(price(each) for each in of.prices(rate)) or "-" for of in (old, new)
        )
        low_wh = _lowest_wh(old, new, rate) or 0
        out.append(Change(new.named(rate), was, becomes, _reach(new, low_wh)))
    for key in dict.fromkeys([*have, *get]):
        words = _TERMS.get(key)
        name = words[0 if new.english else 1] if words else key
        whom = reach if key == "tiers" else everyone
        out.append(Change(name, have.get(key, "-"), get.get(key, "-"), whom))
    return [change for change in out if change.old != change.new]


def _lowest_wh(old: _Set, new: _Set, rate: str) -> int | None:
    """The use from which on a rate's price differs; None where it never does."""
    steps: list[int] = sorted({0, *old.ladder.thresholds_wh, *new.ladder.thresholds_wh})
    have, get = old.prices(rate), new.prices(rate)
    if not have or not get:
        return 0
    for used_wh in steps:
        if have[old.tier(used_wh)] != get[new.tier(used_wh)]:
            return used_wh
    return None


def _reach(of: _Set, low_wh: int) -> str:
    if low_wh == 0:
        return _EVERYONE[of.language]
    days = DAYS_NOMINAL if of.terms.tiers_per_day else 1
    every = telling.period(of.ladder, of.english)
    if of.english:
        return f"who uses above {kwh(low_wh // days)} kWh {every}"
    return f"{every}用电超过 {kwh(low_wh // days)} 千瓦时"


def whom(effect: Effect, language: str) -> str:
    """A household in words."""
    pattern = {
        households.EVEN: ("evenly", "均匀"),
        households.EVENING: ("half in the evening", "半数在傍晚"),
        households.NIGHT: ("half at night", "半数在夜间"),
    }[effect.household.pattern]
    size = kwh(effect.household.month_wh)
    if language == EN:
        return f"{size} kWh a month, {pattern[0]}"
    return f"每月 {size} 千瓦时，{pattern[1]}"
