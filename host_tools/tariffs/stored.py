"""Tariff files in the store: added once by version, listed, shown, and given to service points.

The file says what a module cannot know; its book, compiled when it was added, is what modules get.
Both are final: an update of the time zone data changes no bill.
"""

import argparse
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from host_tools import Refused
from host_tools.config import read_toml, toml_text
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, said, settings_of, table
from host_tools.settlement.topup import point_of
from host_tools.store import orders, tariff_files
from host_tools.store.database import Store, opened
from host_tools.store.records import Point
from host_tools.store.tariff_files import Contract, StoredFile
from host_tools.tariffs import rules
from host_tools.tariffs.deriving import derived
from host_tools.tariffs.document import book_of, document_of
from host_tools.tariffs.keys import exact
from host_tools.tariffs.terms import Document
from host_tools.tariffs.zones import midnight_s, zone_of
from protocol import tariff

ADD, LIST, SHOW, ASSIGN = "add", "list", "show", "assign"
DERIVE, CONTRACT = "derive", "contract"


MW_PER_W = 1000


@dataclass(frozen=True, slots=True)
class Added:
    version: int
    name: str
    currency: str
    new: bool  # False: this very file was there already


def add(store: Store, path: Path, now_s: int) -> Added:
    """Keeps a tariff file, inside the caller's transaction. Refused when it contradicts the store.

    The same tariff again, whatever its comments, changes nothing.
    """
    read_toml(path)
    return add_text(store, toml_text(path), str(path), now_s)


def add_text(store: Store, text: str, where: str, now_s: int) -> Added:
    """The same for the content of a file."""
    values = tomllib.loads(text)
    found, book = document_of(values, where), book_of(values, where)
    files = tariff_files.of(store)
    known = files.file(book.version)
    if known is not None and known.text is not None:
        if document_of(tomllib.loads(known.text), where) != found:
            raise Refused(
                f"{where}: version {book.version} is another tariff already, {known.name!r}; raise"
                " `version` 该版本已存在且内容不同，请提高版本号"
            )
        return Added(book.version, found.name, book.currency, False)
    rules.held(found, where)
    store.fleet.store_book(where, book, now_s)
    files.add(book.version, found.name, text, now_s)
    return Added(book.version, found.name, book.currency, True)


def document(store: Store, version: int) -> Document | None:
    """The document of a version; None where the store has no file of it."""
    known, book = tariff_files.of(store).file(version), store.fleet.book(version)
    if known is None or known.text is None or book is None:
        return None
    return replace(document_of(tomllib.loads(known.text), f"tariff {version}"), book=book)


def given(store: Store, told: str, now_s: int) -> tariff.Book:
    """The book of a file, which is added, or of a version of the store."""
    if not told.isascii() or not told.isdigit():
        return _book(store, add(store, Path(told), now_s).version)
    return _book(store, int(told))


def _book(store: Store, version: int) -> tariff.Book:
    book = store.fleet.book(version) if version < 1 << 32 else None
    if book is None:
        raise Refused(
            f"tariff version {version}: is not in the store; see `gridpurse tariff list`"
        )
    return book


def add_arguments(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser(ADD, help="check tariff files and keep them by version")
    one.add_argument("file", type=Path, nargs="+")
    shown = kinds.add_parser(LIST, help="the versions of the store")
    told = kinds.add_parser(SHOW, help="a stored file, as it was added")
    told.add_argument("version", type=int)
    to = kinds.add_parser(ASSIGN, help="give points a stored version")
    to.add_argument("version", type=int)
    to.add_argument("points", nargs="+", metavar="MODULE/POINT")
    to.add_argument("--from", dest="start", metavar="DATE", help="its own set of that date")
    to.add_argument("--by", required=True, metavar="WHO", help="who assigns it")
    to.add_argument("--reason", required=True, metavar="TEXT", help="why")
    made = kinds.add_parser(DERIVE, help="make a version for a home of its own thresholds")
    made.add_argument("version", type=int)
    made.add_argument("new", type=int, help="version of the file that is made and added")
    moved = "a year begun late: annual thresholds by its months"
    made.add_argument("--moved-in", metavar="DATE", help=moved)
    home = "so many kWh a month more from the first of a month; 0 ends it; repeat for more"
    made.add_argument("--household", action="append", default=[], metavar="DATE=KWH", help=home)
    tiers = "a tier that a household raises, default all; repeat for more"
    made.add_argument("--tier", type=int, action="append", default=[], help=tiers)
    power = kinds.add_parser(CONTRACT, help="note the contracted power of a point")
    power.add_argument("point", metavar="MODULE/POINT")
    power.add_argument("kw", help="such as 4.6")
    power.add_argument("--from", dest="start", required=True, metavar="DATE")
    power.add_argument("--by", required=True, metavar="WHO", help="who notes it")
    power.add_argument("--reason", required=True, metavar="TEXT", help="why")
    for each in (one, shown, told, to, made, power):
        each.add_argument("--json", action="store_true", help="print JSON")
        add_store_arguments(each)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=arguments.what == ADD) as store:
        _RUNS[arguments.what](store, arguments, now_s)
    return 0


def _add(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    with store.transaction():
        rows = [add(store, path, now_s) for path in arguments.file]
    if arguments.json:
        told = [{"version": r.version, "name": r.name, "new": r.new} for r in rows]
        print(json.dumps(told, ensure_ascii=False))
        return
    for row in rows:
        what = "added 已入库" if row.new else "was there already 此前已入库"
        print(f"tariff version 电价版本 {row.version}, {row.currency}, {row.name}: {what}")


def _list(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    files = tariff_files.of(store)
    rows = [
        {
            "version": known.version,
            "name": known.name,
            "currency": known.currency,
            "points": files.points(known.version),
            "stored_s": known.stored_s,
            "sha256": known.digest.hex() if known.digest else None,
        }
        for known in files.all()
    ]
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    heads = ("version 版本", "name 名称", "currency", "points 用电点", "stored_s", "SHA-256")
    cells = [(*list(row.values())[:-1], (str(row["sha256"] or "-"))[:16]) for row in rows]
    print(table(heads, cells))


def _show(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    known = _known(store, arguments.version)
    if arguments.json:
        print(json.dumps({"version": known.version, "text": known.text}, ensure_ascii=False))
    elif known.text is None:
        print(f"only its book was given, as {known.name}")
    else:
        print(known.text, end="")


def _known(store: Store, version: int) -> StoredFile:
    _book(store, version)
    known = tariff_files.of(store).file(version)
    if known is None:
        raise LookupError(version)
    return known


def _assign(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    rows = []
    who, why = said("by", arguments.by), said("reason", arguments.reason)
    with store.transaction():
        book = _book(store, arguments.version)
        start_s = _start_s(store, arguments, now_s)
        for told in arguments.points:
            point = _point(store, told)
            _check_newer(store, point, book)
            if start_s is not None:
                _check_until(store, point, book, now_s, start_s, arguments.start)
            command_id = commands.set_tariff(store, point, book, now_s)
            asked = json.dumps({"kind": "tariff", "version": book.version})
            note = (point.module, command_id, asked, who, why, None)
            orders.of(store).note(orders.Note(*note))
            rows.append({"point": told, "version": book.version, "command": command_id})
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        when = f", by its set from 自 {arguments.start}" if arguments.start else ""
        print(
            f"{row['point']}: tariff version 电价版本 {row['version']}{when}, command 命令"
            f" {row['command']}"
        )


def _start_s(store: Store, arguments: argparse.Namespace, now_s: int) -> int | None:
    """The local midnight of --from, which a set of the version begins with."""
    if arguments.start is None:
        return None
    around = document(store, arguments.version)
    if around is None:
        raise Refused(
            f"--from: version {arguments.version} has no file; `gridpurse tariff add` it"
        )
    day = _day("--from", arguments.start)
    start_s = midnight_s(zone_of(around.zone, "zone"), day)
    if start_s <= now_s:
        raise Refused(f"--from {arguments.start}: is not to come; leave it out to begin now")
    if all(from_s != start_s for from_s, _ in around.terms):
        raise Refused(
            f"--from {arguments.start}: version {arguments.version} has no set from that date;"
            " add the set in force, then a [[set]] with `from`"
        )
    return start_s


def _check_newer(store: Store, point: Point, book: tariff.Book) -> None:
    # Not what is assigned now: what was sent under a clock that was ahead may be at the module.
    newest = max(point.state.version, store.fleet.assigned_last(point.id) or 0)
    if book.version <= newest:
        raise Refused(
            f"{point.module}/{point.point}: has version {newest}, a module takes newer ones only;"
            " raise `version` 模块只接受更高的版本，请提高版本号"
        )


def _check_until(
    store: Store, point: Point, book: tariff.Book, now_s: int, start_s: int, told: str
) -> None:
    """Until its date a module must be charged as before; it switches by itself, also offline."""
    version = store.fleet.assigned_last(point.id)
    before = store.fleet.book(version) if version is not None else None
    if before is None:
        return
    instants = {now_s}
    for sets in (before.rates, before.ladders, book.rates, book.ladders):
        instants |= {from_s for from_s, _ in sets if now_s < from_s < start_s}
    pairs = [(before.rates, book.rates), (before.ladders, book.ladders)]
    files = document(store, before.version), document(store, book.version)
    if files[0] is not None and files[1] is not None:
        pairs.append((files[0].terms, files[1].terms))
    for at_s in instants:
        for old, new in pairs:
            if tariff.in_force(old, at_s) != tariff.in_force(new, at_s):
                raise Refused(
                    f"{point.module}/{point.point}: version {book.version} changes something"
                    f" before {told}; let it begin with the set of version {version}"
                    f" 在 {told} 前即有变更，其首期须与版本 {version} 相同"
                )


def _point(store: Store, told: str) -> Point:
    module, _, number = told.rpartition("/")
    if not number.isascii() or not number.isdigit():
        raise Refused(f"{told}: write a point as MODULE/POINT, such as gp-1/0")
    return point_of(store, module, int(number))


def _contract(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    """From a date on; what was noted stays."""
    who, why = said("by", arguments.by), said("reason", arguments.reason)
    contract_mw = exact(arguments.kw, 3, "kw") * MW_PER_W
    day = _day("--from", arguments.start)
    files = tariff_files.of(store)
    with store.transaction():
        point = _point(store, arguments.point)
        version = store.fleet.assigned(point.id, now_s) or point.state.version
        around = document(store, version)
        if around is None:
            raise Refused(
                f"{arguments.point}: `gridpurse tariff add` the file of its tariff first"
            )
        from_s = midnight_s(zone_of(around.zone, "zone"), day)
        known = dict(files.contracts(point.id)).get(from_s)
        if known is None:
            files.add_contract(point.id, Contract(from_s, contract_mw, who, why, now_s))
        elif known != contract_mw:
            raise Refused(
                f"--from {arguments.start}: is noted with another power; name a later date"
            )
    if arguments.json:
        print(json.dumps({"point": arguments.point, "from_s": from_s, "contract_mw": contract_mw}))
    else:
        print(
            f"{arguments.point}: {arguments.kw} kW contracted 合同容量, from 自 {arguments.start}"
        )


def _derive(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    base = _known(store, arguments.version)
    if base.text is None:
        raise Refused(f"tariff version {base.version}: only its book is here; add its file first")
    if not 1 <= arguments.new < 1 << 32:
        raise Refused(f"{arguments.new}: a version is 1 to {(1 << 32) - 1}")
    moved_in = arguments.moved_in and _day("--moved-in", arguments.moved_in)
    shifts = []
    for told in arguments.household:
        day, _, kwh = told.partition("=")
        if not kwh.isascii() or not kwh.isdigit() or len(kwh) > 6:
            raise Refused(f"--household {told}: write it as 2026-03-01=100")
        shifts.append((_day("--household", day), int(kwh)))
    if len({day for day, _ in shifts}) < len(shifts):
        raise Refused("--household: a date is told twice; leave one of them")
    if arguments.tier and not shifts:
        raise Refused("--tier: is of a --household; add it, or leave --tier out")
    if moved_in is None and not shifts:
        raise Refused("--moved-in or --household: name what is this home's own")
    text = derived(base.text, arguments.new, moved_in, sorted(shifts), arguments.tier, now_s)
    with store.transaction():
        made = add_text(store, text, f"version {arguments.new}", now_s)
    if arguments.json:
        print(json.dumps({"version": made.version, "name": made.name, "text": text}))
    else:
        print(text, end="")


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{name} {text}: must be a date such as 2026-04-01") from error


_RUNS: dict[str, Callable[[Store, argparse.Namespace, int], None]] = {
    ADD: _add,
    LIST: _list,
    SHOW: _show,
    ASSIGN: _assign,
    DERIVE: _derive,
    CONTRACT: _contract,
}
