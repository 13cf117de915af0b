"""A tariff file made of another one for a home of its own: thresholds of a year begun late, or of
a household that grows or shrinks. The result is a file like any other, with its thresholds written
out, which a module then follows by itself.
"""

import json
import tomllib
from collections.abc import Sequence
from datetime import date, timedelta

from host_tools import Refused
from host_tools.rating import thresholds
from host_tools.rating.calendar import day_number
from host_tools.tariffs.document import document_of
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Book

_EPOCH = date(1970, 1, 1)
_INTO_THRESHOLDS = ("tier_shift_kwh_per_month", "shift_tiers", "first_year_months")
WH_PER_KWH = 1000

Shifts = Sequence[tuple[date, int]]


def derived(
    text: str,
    version: int,
    moved_in: date | None,
    shifts: Shifts,
    tiers: Sequence[int],
    now_s: int,
) -> str:
    """The file of a new version. `shifts` are (first of a month, kWh a month) of a household,
    `tiers` those that rise, all by default. Refused where from now on no threshold changes by it.

    Sets that are over are left out: a module keeps the one in force and the next.
    """
    values = tomllib.loads(text)
    around = document_of(values, "tariff")
    if any(terms.tiers_per_day for _, terms in around.terms):
        raise Refused("tiers_per_day: its thresholds follow the days; they are not raised")
    book = around.book
    _check_tiers(book, tiers)
    if moved_in is not None:
        day = day_number(moved_in.year, moved_in.month, moved_in.day)
        book = _changed("--moved-in", book, thresholds.first_year(book, day), now_s)
    if shifts:
        days = [(day_number(d.year, d.month, d.day), kwh * WH_PER_KWH) for d, kwh in shifts]
        book = _changed("--household", book, thresholds.household(book, days, tiers), now_s)
    told = [f"moved in {moved_in}"] if moved_in else []
    told += [f"{kwh} kWh a month from {day}" for day, kwh in shifts]
    values["version"] = version
    values["name"] = f"{around.name}, {', '.join(told)}"
    sets = _sets(values["set"], around, book, now_s)
    return _written({**values, "set": sets})


def _check_tiers(book: Book, tiers: Sequence[int]) -> None:
    """The last tier has no threshold that could be raised."""
    most = max(len(ladder.thresholds_wh) for _, ladder in book.ladders)
    for tier in tiers:
        if not 1 <= tier <= most:
            has = f"tiers 1 to {most} have an upper bound" if most else "this tariff has no tiers"
            raise Refused(f"--tier {tier}: {has}; name one of them or leave it out")


def _changed(option: str, before: Book, after: Book, now_s: int) -> Book:
    """The book after. Refused when no threshold is another one, now or at any time to come."""
    instants = {from_s for book in (before, after) for from_s, _ in book.ladders}
    for at_s in {now_s, *(each for each in instants if each > now_s)}:
        if tariff.in_force(before.ladders, at_s) != tariff.in_force(after.ladders, at_s):
            return after
    raise Refused(
        f"{option}: nothing of this tariff changes from now on; leave it out, or name a tariff"
        " with tiers for that"
    )


def _sets(
    given: list[dict[str, object]], around: Document, book: Book, now_s: int
) -> list[dict[str, object]]:
    """A set for each instant from which its hours and prices or its thresholds are others."""
    starts = sorted({from_s for from_s, _ in book.rates} | {from_s for from_s, _ in book.ladders})
    out: list[tuple[int, dict[str, object]]] = []
    for from_s in starts:
        place = max((n for n, (at_s, _) in enumerate(book.rates) if at_s <= from_s), default=0)
        ladder = tariff.in_force(book.ladders, from_s)
        one = {key: value for key, value in given[place].items() if key not in _INTO_THRESHOLDS}
        one.pop("from", None)
        if ladder.thresholds_wh:
            one["tiers_kwh"] = [_kwh(wh) for wh in ladder.thresholds_wh]
        if not out or out[-1][1] != one:
            out.append((from_s, one))
    begun = [number for number, (from_s, _) in enumerate(out) if from_s <= now_s]
    kept = out[begun[-1] if begun else 0 :]
    first = [kept[0][1]]
    return first + [{"from": _date(around.book, from_s), **one} for from_s, one in kept[1:]]


def _date(book: Book, at_s: int) -> date:
    return _EPOCH + timedelta(days=tariff.local_day(book, at_s))


def _kwh(energy_wh: int) -> str:
    whole, rest = divmod(energy_wh, WH_PER_KWH)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


def _written(values: dict[str, object]) -> str:
    """TOML of a tariff file: scalars and inline tables, then one [[set]] each."""
    sets = values["set"]
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if key != "set"]
    for one in sets if isinstance(sets, list) else ():
        lines += ["", "[[set]]", *(f"{key} = {_value(value)}" for key, value in one.items())]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)
