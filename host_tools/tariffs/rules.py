"""Rules that a new tariff file is held to, beyond what its keys mean.

Each is newer than some file in a store, by which modules were charged: those stay readable. A rule
is asked where a file is checked or added, never where a stored one is opened.
"""

from collections.abc import Iterator

from host_tools import Refused
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document, Terms
from protocol import tariff
from protocol.tariff import Ladder, Rates

_RESERVED = (terms.ENERGY, terms.FIXED, terms.MINIMUM)
_LENGTHENED = (tariff.MONTHS, tariff.DAYS, tariff.BILLING_DAY)


def held(document: Document, where: str) -> Document:
    """The document. Refused with file, key and remedy for what could not be billed as it reads."""
    shared = any(around.alloc == terms.PROPORTIONAL for _, around in document.terms)
    sets = zip(document.book.rates, document.book.ladders, document.terms, strict=True)
    for place, ((_, rates), (_, ladder), (_, around)) in enumerate(sets):
        at = f"{where}: set[{place}]."
        for key, wrong in (
            *_counted(rates, ladder, around),
            *_begun(ladder, around, shared),
            *_named(around),
        ):
            raise Refused(f"{at}{key}: {wrong}")
    return document


def _counted(rates: Rates, ladder: Ladder, around: Terms) -> Iterator[tuple[str, str]]:
    """Prices a tier that are more or fewer than the tiers: a module repeats or drops some."""
    tables = [("", rates, ladder)]
    for place, schedule in enumerate(around.schedules):
        tables.append((f"schedule[{place}].", schedule.rates, schedule.ladder))
    for at, priced, stepped in tables:
        rows, tiers = len(priced.prices_ucur_per_kwh), len(stepped.thresholds_wh) + 1
        if rows not in (1, tiers):
            remedy = f"write {tiers}, one a tier" + (", or one for all" if tiers > 1 else "")
            yield f"{at}prices", f"each rate has {rows}; {remedy}"


def _begun(ladder: Ladder, around: Terms, shared: bool) -> Iterator[tuple[str, str]]:
    """Tier periods that a bill of a calendar month cannot have whole."""
    if ladder.length > 1 and ladder.period not in _LENGTHENED:
        remedy = 'remove it, or write tier_period = "months", "days" or "billing_day"'
        yield "tier_length", f"a month or a year has none; {remedy}"
    name = {tariff.DAYS: "days", tariff.BILLING_DAY: "billing_day"}.get(ladder.period)
    if name is None or (ladder.period == tariff.BILLING_DAY and ladder.length == 1):
        return
    remedy = "write month, months or year"
    if around.schedules:
        yield "tier_period", f"with [[set.schedule]], {name} begins inside a bill; {remedy}"
    if shared and ladder.thresholds_wh:
        yield (
            "tier_period",
            f'where a set has alloc = "proportional", {name} begins inside a bill; {remedy}',
        )


def _named(around: Terms) -> Iterator[tuple[str, str]]:
    """Names of which `on` could not say which line it means."""
    told = [(f"percent.{name}", name) for name, _ in around.included]
    told += [(f"line[{place}].name", each.name) for place, each in enumerate(around.lines)]
    known: set[str] = set()
    for key, name in told:
        if name in _RESERVED:
            yield key, f"{name!r} means another line in `on`; use another name"
        if name in known:
            yield key, f"{name!r} is a line before it already; use another name"
        known.add(name)
