"""`gridpurse export`: readings, bills and the general journal out of the store, and a check of it.

A file stands under its name only when it is whole.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from host_tools import Refused
from host_tools.exchange import bills_csv, espi, journal_csv, of_store, readings_csv
from host_tools.files import write_lines
from host_tools.settlement.close import date_of
from host_tools.settlement.common import add_store_arguments, decimal, settings_of
from host_tools.settlement.topup import point_of, points_of
from host_tools.store import bills, journal
from host_tools.store.database import Store, opened
from host_tools.store.journal import Booked

READINGS, BILLS, LEDGER, VERIFY = "readings", "bills", "ledger", "verify"
_HELP = {
    READINGS: "settled intervals of a point, coded with their OBIS, as CSV or Green Button",
    BILLS: "issued bills as CSV, a row a line, or as JSON lines",
    LEDGER: "everything booked, with a hash chain, as CSV",
    VERIFY: "recompute a file of `export ledger` from itself alone",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    made = {what: kinds.add_parser(what, help=text) for what, text in _HELP.items()}
    made[READINGS].add_argument("module")
    made[READINGS].add_argument("point", type=int)
    made[READINGS].add_argument("--from", dest="first", required=True, metavar="DATE")
    last = "the last day; default: the first"
    made[READINGS].add_argument("--to", dest="last", metavar="DATE", help=last)
    made[READINGS].add_argument("--format", choices=("csv", "espi"), default="csv")
    totals = "the register totals too"
    made[READINGS].add_argument("--registers", action="store_true", help=totals)
    before = "imported readings from before the module too"
    made[READINGS].add_argument("--history", action="store_true", help=before)
    made[BILLS].add_argument("--module", help="only the points of one module")
    made[BILLS].add_argument("--format", choices=("csv", "jsonl"), default="csv")
    until = "up to a closed day, so that the file is the same again; default: all"
    made[LEDGER].add_argument("--until", metavar="DATE", help=until)
    for what in (READINGS, BILLS, LEDGER):
        made[what].add_argument("--out", type=Path, required=True, help="file to write")
        add_store_arguments(made[what])
    made[VERIFY].add_argument("file", type=Path)
    made[VERIFY].add_argument("--head", help="chain value that the file must end with")
    made[VERIFY].add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """`verify`: 0 when the file is sound, 1 when it is not."""
    if arguments.what == VERIFY:
        return _verify(arguments)
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store, store.instant():
        return _RUNS[arguments.what](store, arguments, settings.clock().now_s())


def _readings(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    point = point_of(store, arguments.module, arguments.point)
    zone = of_store.zone_of(store, point)
    first = _date("--from", arguments.first)
    last = first if arguments.last is None else _date("--to", arguments.last)
    if last < first:
        raise Refused(f"--to {arguments.last}: is before --from {arguments.first}")
    days = (first, last + timedelta(days=1))
    span = [int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) for day in days]
    records, costs_ncur = of_store.readings(store, point, span[0], span[1], arguments.registers)
    if arguments.history:
        told = of_store.history(store, point, span[0], span[1], arguments.registers)
        records = sorted({*told, *records}, key=lambda each: (each.start_s, each.end_s))
    if not records:
        raise Refused(f"{point.module}/{point.point}: no reading ends in these days 该时段无读数")
    if arguments.format == "espi":
        if point.currency not in espi.CURRENCIES:
            raise Refused(f"{point.currency}: Green Button has no code for it here; use csv")
        lines = espi.written(records, zone, now_s, point.currency, costs_ncur)
    else:
        lines = readings_csv.written(records, zone)
    write_lines(arguments.out, lines)
    print(f"{arguments.out}: {len(records)} records 条, {zone.key}")
    return 0


def _bills(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    points = {point.id for point in points_of(store, arguments.module)}
    found = [each for each in bills.of(store).bills() if each.point_id in points]
    if arguments.format == "csv":
        rows = (line for each in found for line in of_store.bill_lines(store, each))
        write_lines(arguments.out, bills_csv.written(rows))
    else:
        write_lines(
            arguments.out,
            (
                bills.canonical({"content": each.told(), "sha256": each.digest.hex()}) + "\n"
                for each in found
            ),
        )
    print(f"{arguments.out}: {len(found)} bills 账单")
    return 0


def _ledger(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    last = store.days.ends()
    if arguments.until is not None:
        wanted = _date("--until", arguments.until).isoformat()
        closed = [day for day in store.days.closed() if date_of(day) == wanted]
        if not closed:
            raise Refused(f"--until {wanted}: is no closed day; see `gridpurse close` 该日未关账")
        last = closed[0].entry_id, closed[0].posting_id
    count, head = 0, journal_csv.FIRST

    def counted() -> Iterator[str]:
        nonlocal count, head
        rows: Iterator[Booked] = journal.booked(store, *last)
        for number, line in enumerate(journal_csv.written(rows)):
            if number:
                count, head = number, line.rstrip("\r\n").rpartition(",")[2]
            yield line

    write_lines(arguments.out, counted())
    print(f"{arguments.out}: {count} rows 行, chain 链值 {head}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    checked = journal_csv.check(arguments.file)
    if arguments.head is not None and arguments.head.lower() != checked.head:
        checked.add(f"the file ends with {checked.head}, not with {arguments.head}")
    if arguments.json:
        told = {
            "sound": not checked.found,
            "lines": checked.lines,
            "entries": checked.entries,
            "points": checked.points,
            "adopted": checked.adopted,
            "head": checked.head,
            "found": checked.found,
            "findings": checked.findings,
            "accounts": {
                currency: {name: n for (c, name), n in checked.accounts.items() if c == currency}
                for currency in sorted({currency for currency, _ in checked.accounts})
            },
        }
        print(json.dumps(told))
        return 1 if checked.found else 0
    for finding in checked.findings:
        print(finding)
    for (currency, name), amount_ncur in sorted(checked.accounts.items()):
        print(f"{currency} {name}: {decimal(amount_ncur, 9)}")
    word = "not sound 校验不符" if checked.found else "sound 校验一致"
    counted = f"{checked.lines} rows 行, {checked.points} points 用电点"
    print(f"{word}: {counted}, {checked.adopted} adopted 采纳, chain 链值 {checked.head}")
    return 1 if checked.found else 0


def _date(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{name} {text}: must be a date such as 2026-01-31 日期格式不符") from error


_RUNS: dict[str, Callable[[Store, argparse.Namespace, int], int]] = {
    READINGS: _readings,
    BILLS: _bills,
    LEDGER: _ledger,
}
