"""`gridpurse bill`: the month of a service point, closed, issued under a number, taken back."""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from host_tools import Refused
from host_tools.billing import closing, issuing, readings, receipts, shown
from host_tools.billing.documents import Documents
from host_tools.billing.month import Nameless
from host_tools.billing.words import BOTH, LANGUAGES, cents, ruled, say
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, said, settings_of, table
from host_tools.settlement.topup import point_of, points_of
from host_tools.store import bills
from host_tools.store.bills import Issued
from host_tools.store.database import Store, opened
from host_tools.store.host_entries import HostEntry
from host_tools.store.records import Point

DRAFT, CLOSE, ISSUE, SHOW, LIST = "draft", "close", "issue", "show", "list"
CREDIT, RECEIPT, RESUME = "credit", "receipt", "resume"
_HELP = {
    DRAFT: "the month of a point as it stands, without a number",
    CLOSE: "enter what the tariff asks beyond the module's charges",
    ISSUE: "close a month and give its bill a number",
    SHOW: "an issued bill",
    LIST: "issued bills",
    CREDIT: "take an issued bill back by a credit bill",
    RECEIPT: "the receipt of a payment",
    RESUME: "tell a restored store the last number that was given out",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    made = {what: kinds.add_parser(what, help=text) for what, text in _HELP.items()}
    for what in (DRAFT, ISSUE):
        made[what].add_argument("module")
        made[what].add_argument("point", type=int)
    made[CLOSE].add_argument("module", nargs="?", help="default: all modules")
    made[CLOSE].add_argument("point", type=int, nargs="?", help="default: all points")
    made[LIST].add_argument("--module", help="only the points of one module")
    for what in (DRAFT, CLOSE, ISSUE):
        zone = "of the tariff's zone"
        made[what].add_argument("--month", required=True, metavar="YYYY-MM", help=zone)
    for what in (CLOSE, ISSUE):
        loss = "in a restored store: what it has forgotten was not of this month"
        made[what].add_argument("--despite-loss", action="store_true", help=loss)
    for what in (SHOW, CREDIT, RESUME):
        made[what].add_argument("number")
    made[ISSUE].add_argument("--series", default=issuing.SERIES, help="of the number, default GP")
    for what in (CREDIT, RESUME):
        made[what].add_argument("--by", required=True, metavar="WHO", help="who decides it")
        made[what].add_argument("--reason", required=True, metavar="TEXT", help="why")
    again = "a later number has turned up than was told before"
    made[RESUME].add_argument("--again", action="store_true", help=again)
    asked = "a bill that the audit wants looked at: who releases it"
    made[ISSUE].add_argument("--by", metavar="WHO", help=asked)
    made[ISSUE].add_argument("--reason", metavar="TEXT", help="and why")
    made[RECEIPT].add_argument("reference", help="the payment's own number")
    for what in (DRAFT, ISSUE, SHOW, CREDIT, RECEIPT):
        made[what].add_argument("--lang", choices=LANGUAGES, default=BOTH, help="default: both")
    for one in made.values():
        one.add_argument("--json", action="store_true", help="print JSON")
        add_store_arguments(one)


def run(arguments: argparse.Namespace) -> int:
    """0 done; `close` of several points: 1 when one of them cannot be closed yet."""
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store:
        return _RUNS[arguments.what](store, arguments, settings.clock().now_s())


def year_month(told: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", told)
    if found is None:
        raise Refused(f"--month {told}: write it as 2026-03 请写作年-月")
    if not found[1].startswith("20"):
        raise Refused(f"--month {told}: must be from 2000-01 to 2099-12 超出范围")
    return int(found[1]), int(found[2])


@contextmanager
def _named(point: Point) -> Iterator[None]:
    """Says whose month it is that is refused."""
    try:
        yield
    except Nameless as error:
        raise Refused(f"{point.module}/{point.point}: {error}") from error


def _draft(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    month = year_month(arguments.month)
    documents = Documents(store)
    with store.instant():
        point = point_of(store, arguments.module, arguments.point)
        with _named(point):
            found = closing.of_month(store, point, documents, *month)
        found = readings.told(store, point, found)
        document = documents(found.version)
        doubts, version = issuing.doubts_of(store, point, found, documents)
    marks = [str(each) for each in doubts]
    if arguments.json:
        told = shown.as_json(point, found, document)
        told |= {"doubts": marks, "readings_version": version}
        print(json.dumps(told, ensure_ascii=False))
    else:
        lines = shown.text(point, found, document, documents, arguments.lang)
        print("\n".join([*lines, *(f"draft 草稿: {mark}" for mark in marks)]))
    return 0


def _close(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    """Each point by itself; what cannot be closed keeps no other back."""
    month = year_month(arguments.month)
    documents = Documents(store)
    if arguments.point is not None:
        points = [point_of(store, arguments.module, arguments.point)]
    else:
        points = points_of(store, arguments.module)
    entered: list[tuple[Point, HostEntry]] = []
    refused: list[str] = []
    for point in points:
        try:
            what = (store, point, documents, *month, now_s, arguments.despite_loss)
            with _named(point):
                _, entries = closing.close(*what)
        except Refused as error:
            if arguments.point is not None:
                raise
            refused.append(str(error))
        else:
            entered += [(point, each) for each in entries]
    rows = [
        {
            "point": f"{point.module}/{point.point}",
            "version": each.version,
            "rule": each.rule,
            "amount_ncur": each.amount_ncur,
            "command": each.command_id,
        }
        for point, each in entered
    ]
    if arguments.json:
        print(json.dumps({"entered": rows, "refused": refused}, ensure_ascii=False))
        return 1 if refused else 0
    heads = ("point 用电点", "tariff", "rule 条款", "amount_ncur", "order")
    cells = []
    for (_, each), row in zip(entered, rows, strict=True):
        rule = ruled(each.rule, documents(each.version).names_zh, BOTH)
        cells.append(list({**row, "rule": rule}.values()))
    print(table(heads, cells))
    for line in refused:
        print(line)
    closed = len(points) - len(refused)
    print(f"closed 已结账: {closed} of {len(points)} points 用电点, {arguments.month}")
    return 1 if refused else 0


def _issue(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    month, series = year_month(arguments.month), issuing.series_of(arguments.series)
    documents = Documents(store)
    point = point_of(store, arguments.module, arguments.point)
    release = None
    if arguments.by is not None or arguments.reason is not None:
        release = said("by", arguments.by or ""), said("reason", arguments.reason or "")
    what = (store, point, documents, *month, series, now_s, arguments.despite_loss)
    with _named(point):
        made, _ = issuing.issue(*what, release)
    return _shown(store, documents, made, arguments)


def _show(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    return _shown(store, Documents(store), issuing.known(store, arguments.number), arguments)


def _credit(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    who, why = said("by", arguments.by), said("reason", arguments.reason)
    documents = Documents(store)
    with store.transaction():
        made, _ = issuing.credit(store, documents, arguments.number, who, why, now_s)
    return _shown(store, documents, made, arguments)


def _shown(store: Store, documents: Documents, made: Issued, arguments: argparse.Namespace) -> int:
    if arguments.json:
        told = {
            "content": made.told(),
            "sha256": made.digest.hex(),
            "credited_by": made.credited_by,
        }
        print(json.dumps(told, ensure_ascii=False))
        return 0
    told_of = (made.told(), made.digest, made.credited_by, documents, arguments.lang)
    print("\n".join(shown.issued_text(*told_of)))
    return 0


def _list(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    points = {point.id: point for point in points_of(store, arguments.module)}
    found = [each for each in bills.of(store).bills() if each.point_id in points]
    rows = [_row(points[each.point_id], each) for each in found]
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    heads = ["number 单号", "point", "from", "total 合计", "currency", "takes back 冲销"]
    heads.append(say("taken_back", BOTH))
    documents = Documents(store)
    cells = []
    for each, row in zip(found, rows, strict=True):
        begins = shown.local(documents(each.told()["tariff_version"]), each.from_s)
        total = cents(int(str(row["printed_ncur"])))
        what = (row["currency"], row["corrects"], row["credited_by"])
        cells.append((row["number"], row["point"], begins, total, *what))
    print(table(heads, cells))
    return 0


def _row(point: Point, each: Issued) -> dict[str, object]:
    bill = each.told()["bill"]
    return {
        "number": each.number,
        "point": f"{point.module}/{point.point}",
        "from_s": each.from_s,
        "printed_ncur": bill["printed_ncur"],
        "currency": bill["currency"],
        "corrects": each.corrects,
        "credited_by": each.credited_by,
    }


def _receipt(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    kept, told = bills.of(store), arguments.reference
    # A program of before stored references with their blanks.
    found = kept.receipt(told) or kept.receipt(commands.one_line(told))
    if found is None:
        raise Refused(
            f"{told}: no receipt; book the payment with `gridpurse topup` 无此收据，请先登记缴费"
        )
    if arguments.json:
        print(found.content)
    else:
        print("\n".join(receipts.text(found, arguments.lang)))
    return 0


def _resume(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    found = re.fullmatch(r"([A-Z0-9]{1,8})-(20\d\d)-(\d{6,9})", arguments.number)
    if found is None:
        raise Refused(
            f"{arguments.number}: write it as GP-2026-000017, 000000 for none yet"
            " 请写完整单号，尚未编号写 000000"
        )
    who, why = said("by", arguments.by), said("reason", arguments.reason)
    series, year, place = found[1], int(found[2]), int(found[3])
    with store.transaction():
        what = (series, year, place, who, why, now_s, arguments.again)
        first, last = bills.of(store).resume(*what)
    lost = last - first + 1
    if arguments.json:
        print(json.dumps({"series": series, "year": year, "last": place, "lost": lost}))
    else:
        print(f"{series}-{year}: goes on behind 续接 {place:06d}, {lost} numbers lost 缺失")
    return 0


_RUNS: dict[str, Callable[[Store, argparse.Namespace, int], int]] = {
    DRAFT: _draft,
    CLOSE: _close,
    ISSUE: _issue,
    SHOW: _show,
    LIST: _list,
    CREDIT: _credit,
    RECEIPT: _receipt,
    RESUME: _resume,
}
