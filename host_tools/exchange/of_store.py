"""Readings and bills of the store as records of an export. Nothing is decided or rounded here."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from zoneinfo import ZoneInfo

from host_tools.exchange import bills_csv, historic_import, obis
from host_tools.exchange.records import RAW, Record, named
from host_tools.rating import lines
from host_tools.store.bills import Issued
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.tariffs import stored, terms
from host_tools.validation import journal
from host_tools.validation.historic import Historic
from protocol import ledger


def usage_point(point: Point) -> str:
    """What a point is called outside."""
    return named(f"{point.module}/{point.point}")


def zone_of(store: Store, point: Point) -> ZoneInfo:
    """By the file of the point's tariff; UTC where the store has none."""
    document = stored.document(store, point.state.version)
    return ZoneInfo(document.zone if document else "UTC")


def readings(
    store: Store, point: Point, from_s: int, to_s: int, registers: bool
) -> tuple[list[Record], dict[int, int]]:
    """Intervals that end in a span, as modules sent them and not yet validated, and the cost of
    each by its start; with `registers` the totals that they ended with, too. Of lost records there
    is no interval."""
    name = usage_point(point)
    out: list[Record] = []
    costs_ncur: dict[int, int] = {}
    metered_s = 0
    for entry in store.ledgers.entries(point.id):
        read = entry.kind in (ledger.CHARGE, ledger.OPENING, ledger.TRANSFER)
        wanted = read and from_s < entry.time_s <= to_s
        if wanted and entry.kind == ledger.CHARGE and metered_s < entry.time_s:
            out.append(
                Record(name, obis.IMPORT, metered_s, entry.time_s, entry.energy_wh, quality=RAW)
            )
            costs_ncur[metered_s] = -entry.amount_ncur
        if wanted and registers:
            at_s, total_wh = entry.time_s, entry.register_wh
            out.append(Record(name, obis.IMPORT, at_s, at_s, total_wh, quality=RAW))
        if read:
            metered_s = entry.time_s
    return sorted(set(out), key=lambda each: (each.start_s, each.end_s)), costs_ncur


def history(store: Store, point: Point, from_s: int, to_s: int, registers: bool) -> list[Record]:
    """Historic readings that end in a span, as they stand, from before the module's first record;
    one that is missing has no value."""
    name, first_s = usage_point(point), journal.first_s(store, point.id)
    out = []
    for each in Historic(store).standing(point.id, from_s, to_s):
        is_register = each.start_s == each.end_s
        if (is_register and not registers) or not from_s < each.end_s <= to_s:
            continue
        if first_s is None or each.end_s <= first_s:
            made = historic_import.record_of(name, each)
            out.append(replace(made, version=each.version, method=each.origin))
    return out


def bill_lines(store: Store, issued: Issued) -> Iterator[bills_csv.BillLine]:
    """The printed lines of an issued bill; an exact amount that divides is floored.

    What an older bill does not say of its readings stays empty.
    """
    told = issued.told()
    for place, line in enumerate(told["bill"]["lines"], 1):
        exact = Fraction(line["exact_ncur"])
        sold = line["kind"] in (terms.ENERGY, lines.TIER, terms.PER_KWH)
        yield bills_csv.BillLine(
            issued.number,
            f"{told['module']}/{told['point']}",
            place,
            obis.IMPORT if line["kind"] == terms.ENERGY else None,
            line["kind"],
            line["name"],
            line.get("tier", 0) - 1,
            told["from_s"],
            told["to_s"],
            int(Fraction(line["quantity"])) if sold else 0,
            line["unit_amount"] if sold else 0,
            exact.numerator // exact.denominator,
            line["printed_ncur"],
            told["bill"]["currency"],
            told.get("worst_quality", RAW),
            told.get("estimated_permille"),
            line.get("tariff_version", told["tariff_version"]),
            told.get("readings_version"),
        )
