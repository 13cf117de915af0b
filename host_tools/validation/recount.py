"""The second path: energy and money of a period, computed again from nothing but the raw facts.

Imports no other module of Gridpurse, on purpose: a mistake in the rating engine, in validation or
in their shared records cannot hide here. Slow and plain: it walks the local clock by minutes,
in rational numbers. What it does not understand it refuses, which the audit counts as not passed.

The tariff is the document of a tariff file (its keys are listed in host_tools/tariffs.py), as TOML
reads it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

NANO = 10**9
CENT_NCUR = 10**7
DAYS_OF_A_MODULE = 30  # that a module counts for a month, where tiers are for each day


class NotUnderstood(Exception):
    """The document, or the data, has something that this path does not know."""


class Recount(NamedTuple):
    """Exact nano-currency by (rate, tier), and for the days; and where the ladder stands."""

    energy_ncur: Mapping[tuple[str, int], int]
    energy_wh: Mapping[tuple[str, int], int]
    fixed_ncur: int
    used_wh: int
    lines_ncur: Mapping[str, int]  # of lines by the kWh and by the day
    percents: Mapping[str, tuple[int, tuple[str, ...]]]  # name: (ppm, on what)

    def total_ncur(self) -> int:
        """Everything but the percentages, which are of the bill's printed lines."""
        charged_ncur = sum(self.energy_ncur.values()) + sum(self.lines_ncur.values())
        return charged_ncur + self.fixed_ncur


_TOP = {"version", "name", "names_zh", "origin", "customers", "currency", "zone", "set"}
_SET = {
    "from", "method", "tier_period", "tier_length", "tiers_kwh", "adders", "fixed_per_day",
    "tiers_per_day", "tier_shift_kwh_per_month", "shift_tiers", "first_year_months", "percent",
    "prices", "seasons", "week", "special", "bands", "schedule", "line",
}  # fmt: skip
_BAND = {"rate", "times", "seasons", "days"}
_SCHEDULE = {"above_kwh", "prices", "method", "tiers_kwh", "adders"}
_LINE = {"name", "per_kwh", "per_day", "percent", "on"}


def printed_ncur(exact_ncur: int) -> int:
    """To the hundredth of a currency unit, half away from zero."""
    half = (abs(exact_ncur) * 2 + CENT_NCUR) // (2 * CENT_NCUR) * CENT_NCUR
    return -half if exact_ncur < 0 else half


def register_energy_wh(
    readings: Iterable[tuple[int, str, int]], range_wh: int, multiplier: int
) -> int:
    """Energy of raw (instant, meter, register) rows: of each meter, modulo its range."""
    shown: dict[str, list[tuple[int, int]]] = {}
    for time_s, meter, value_wh in readings:
        shown.setdefault(meter, []).append((time_s, value_wh))
    total_wh = 0
    for values in shown.values():
        values.sort()
        total_wh += sum(
            (later - earlier) % range_wh for (_, earlier), (_, later) in pairwise(values)
        )
    return total_wh * multiplier


class Tariff:
    """One tariff document, understood a second time."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        _known(document, _TOP)
        self.zone = ZoneInfo(document["zone"])
        self._sets = [_Set(each) for each in document["set"]]

    def recount(
        self,
        intervals: Iterable[tuple[int, int, int]],
        used_wh: int,
        days: Sequence[date] = (),
        anew: Iterable[tuple[int, int]] = (),
    ) -> Recount:
        """Prices (start, end, Wh) in order of time from a place in the ladder; and the days.

        `anew` are (instant, Wh) at which the ladder was set to another place.
        """
        priced_ncur: dict[tuple[str, int], int] = {}
        used_by_wh: dict[tuple[str, int], int] = {}
        period: object = None
        begun_wh = used_wh
        places_wh = dict(anew)
        listed = list(intervals)
        total_wh = sum(energy_wh for _, _, energy_wh in listed)
        for start_s, end_s, energy_wh in listed:
            if energy_wh < 0 or end_s <= start_s:
                raise NotUnderstood(f"interval {start_s} .. {end_s}: {energy_wh} Wh")
            if start_s in places_wh:
                # The place counts in the ladder period in which it was set.
                begun_wh = used_wh = places_wh.pop(start_s)
                period = None
            for rules, now, rate, piece_wh in self._pieces(start_s, end_s, energy_wh):
                if rules.schedules and (begun_wh or period not in (None, now)):
                    raise NotUnderstood("a schedule by the total, but not of one tier period")
                rules = rules.chosen(total_wh)
                if period is not None and now != period:
                    used_wh = 0
                period = now
                for tier, part_wh in rules.climb(used_wh, piece_wh):
                    used_wh += part_wh
                    key = (rate, tier)
                    price_ncur = _whole(rules.price(rate, tier) * part_wh * (NANO // 1000))
                    priced_ncur[key] = priced_ncur.get(key, 0) + price_ncur
                    used_by_wh[key] = used_by_wh.get(key, 0) + part_wh
        if places_wh:
            raise NotUnderstood("the ladder is set to a place within an interval")
        fixed = sum((self._set_at(day).fixed * NANO for day in days), Fraction())
        first = self._set_at(days[0]) if days else self._sets[0]
        if first.lines and any(self._set_at(day) is not first for day in days):
            raise NotUnderstood("lines of two sets in one period")
        lines_ncur = {
            name: _whole(amount * NANO * (Fraction(total_wh, 1000) if by_kwh else len(days)))
            for name, by_kwh, amount in first.lines
        }
        return Recount(priced_ncur, used_by_wh, _whole(fixed), used_wh, lines_ncur, first.percents)

    def _pieces(
        self, start_s: int, end_s: int, energy_wh: int
    ) -> list[tuple["_Set", object, str, int]]:
        """(rules, ladder period, rate, Wh) of stretches of minutes that have these in common.

        Up to an instant the energy is rounded down.
        """
        out: list[tuple[_Set, object, str, int]] = []
        at_s, done_wh = start_s, 0
        while at_s < end_s:
            next_s = min(at_s // 60 * 60 + 60, end_s)
            local = datetime.fromtimestamp(at_s, self.zone)
            day = date(local.year, local.month, local.day)
            rules = self._set_at(day)
            key = (rules, rules.period(day), rules.rate(day, local.hour, local.minute))
            upto_wh = energy_wh * (next_s - start_s) // (end_s - start_s)
            if out and out[-1][:3] == key:
                out[-1] = (*key, out[-1][3] + upto_wh - done_wh)
            else:
                out.append((*key, upto_wh - done_wh))
            at_s, done_wh = next_s, upto_wh
        return out

    def _set_at(self, day: date) -> "_Set":
        chosen = self._sets[0]
        for each in self._sets[1:]:
            if each.start is not None and day >= each.start:
                chosen = each
        return chosen


class _Set:
    """The rules of one [[set]]."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        _known(document, _SET)
        self.start: date | None = document.get("from")
        self._tax = Fraction(1)
        for percent in document.get("percent", {}).values():
            self._tax *= 1 + Fraction(percent) * Fraction(1, 100)
        self._per_tier = document.get("method", "adder") == "per_tier"
        self._prices = document["prices"]
        self._kind = document.get("tier_period", "month")
        self._length = document.get("tier_length", 1)
        self._bounds_wh = self._thresholds(document)
        self._adders = document.get("adders", ["0"] * (len(self._bounds_wh) + 1))
        self.fixed = Fraction(document.get("fixed_per_day", "0")) * self._tax
        self._seasons = sorted(
            (start, name) for name, start in document.get("seasons", {"year": "01-01"}).items()
        )
        self._week = document.get("week", ["day"] * 7)
        self._special = document.get("special", {})
        self._bands = document.get(
            "bands", [{"rate": next(iter(self._prices)), "times": ["00:00-24:00"]}]
        )
        for band in self._bands:
            _known(band, _BAND)
        self.schedules = self._scheduled(document)
        self.lines, self.percents = _lines(document.get("line", []))
        self._day: tuple[date | None, str, str] = (None, "", "")
        self._found: dict[tuple[str, str, int], str] = {}

    def _thresholds(self, document: Mapping[str, Any]) -> list[int]:
        months = {"month": 1, "billing_day": 1, "year": 12, "months": self._length}
        shift = document.get("tier_shift_kwh_per_month", 0) * months.get(self._kind, 0)
        times = DAYS_OF_A_MODULE if document.get("tiers_per_day", False) else 1
        bounds = [Fraction(each) * times for each in document.get("tiers_kwh", [])]
        chosen = document.get("shift_tiers", range(1, len(bounds) + 1))
        share = Fraction(document.get("first_year_months", 12), 12)
        return [
            int((bound + (shift if tier in chosen else 0)) * 1000 * share)
            for tier, bound in enumerate(bounds, 1)
        ]

    def _scheduled(self, document: Mapping[str, Any]) -> "list[tuple[Fraction, _Set]]":
        """(limit in Wh, rules) of other prices for all of a period's use above so much."""
        own = ("schedule", "line", "prices", "method", "tiers_kwh", "adders")
        kept = {key: value for key, value in document.items() if key not in own}
        out = []
        for each in document.get("schedule", []):
            _known(each, _SCHEDULE)
            prices = {key: value for key, value in each.items() if key != "above_kwh"}
            out.append((Fraction(each["above_kwh"]) * 1000, _Set({**kept, **prices})))
        return out

    def chosen(self, total_wh: int) -> "_Set":
        """The rules for a period of so much use: the last schedule that it exceeds."""
        found = self
        for above_wh, rules in self.schedules:
            if total_wh > above_wh:
                found = rules
        return found

    def price(self, rate: str, tier: int) -> Fraction:
        """Currency per kWh, taxes on it."""
        column = self._prices[rate]
        base = column[min(tier, len(column) - 1)] if self._per_tier else column
        return (Fraction(base) + Fraction(self._adders[tier])) * self._tax

    def climb(self, used_wh: int, energy_wh: int) -> Iterable[tuple[int, int]]:
        """(tier, Wh): a threshold belongs to the tier below it."""
        low = 0
        for tier, high in enumerate([*self._bounds_wh, used_wh + energy_wh]):
            part = min(used_wh + energy_wh, high) - max(used_wh, low)
            if part > 0:
                yield tier, part
            low = high

    def period(self, day: date) -> object:
        """Changes when the ladder begins anew."""
        if self._kind == "year":
            return day.year
        if self._kind == "days":
            return (day - date(1970, 1, 1)).days // self._length
        month = day.year * 12 + day.month - 1
        if self._kind == "months":
            return month // self._length
        if self._kind == "billing_day":
            return month - (day.day < self._length)
        if self._kind == "month":
            return month
        raise NotUnderstood(f"tier_period {self._kind}")

    def rate(self, day: date, hour: int, minute: int) -> str:
        """The first band that matches; looked up once for each kind of day and minute."""
        if day != self._day[0]:
            mark = f"{day.month:02}-{day.day:02}"
            begun = [name for start, name in self._seasons if start <= mark]
            season = begun[-1] if begun else self._seasons[-1][1]
            kind = self._special.get(day.isoformat(), self._week[day.weekday()])
            self._day = (day, season, kind)
        key = (*self._day[1:], hour * 60 + minute)
        if key not in self._found:
            self._found[key] = self._first(*self._day[1:], f"{hour:02}:{minute:02}")
        return self._found[key]

    def _first(self, season: str, kind: str, clock: str) -> str:
        for band in self._bands:
            fits = season in band.get("seasons", [season]) and kind in band.get("days", [kind])
            if fits and any(_within(clock, *times.split("-")) for times in band["times"]):
                return str(band["rate"])
        raise NotUnderstood(f"no band at {clock} of {kind} in {season}")


def _lines(
    listed: Sequence[Mapping[str, Any]],
) -> tuple[list[tuple[str, bool, Fraction]], dict[str, tuple[int, tuple[str, ...]]]]:
    """(name, by the kWh, currency) of lines, and the percentages; no other kind is known."""
    amounts, percents = [], {}
    for each in listed:
        _known(each, _LINE)
        if "percent" in each:
            ppm = _whole(Fraction(each["percent"]) * 10_000)
            percents[each["name"]] = (ppm, tuple(each["on"]))
        else:
            by_kwh = "per_kwh" in each
            amount = Fraction(each["per_kwh"] if by_kwh else each["per_day"])
            amounts.append((str(each["name"]), by_kwh, amount))
    return amounts, percents


def _whole(value: Fraction | int) -> int:
    """Exact, or not understood: nothing is rounded on this path but a printed line."""
    exact = Fraction(value)
    if exact.denominator != 1:
        raise NotUnderstood("an amount with more than nine decimals")
    return int(exact)


def local_days(start_s: int, end_s: int, zone: ZoneInfo) -> list[date]:
    """Local calendar days that begin in a span."""
    day = datetime.fromtimestamp(start_s, zone).date()
    out: list[date] = []
    while True:
        midnight_s = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
        if midnight_s >= end_s:
            return out
        if midnight_s >= start_s:
            out.append(day)
        day += timedelta(days=1)


def _within(clock: str, start: str, end: str) -> bool:
    if start < end:
        return start <= clock < end
    return clock >= start or clock < end


def _known(document: Mapping[str, Any], names: set[str]) -> None:
    for key in document:
        if key not in names:
            raise NotUnderstood(f"{key}: is unknown to the second path")
