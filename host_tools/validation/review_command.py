"""`gridpurse review`: the queue of what validation doubts, and what persons decide about it."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from host_tools import Refused
from host_tools.billing.amended import Amended, amended
from host_tools.billing.documents import Documents
from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.settlement.topup import point_of, points_of
from host_tools.store import care
from host_tools.store.database import Store, opened
from host_tools.store.records import Point
from host_tools.validation import adjusting, historic, journal
from host_tools.validation.deciding import Decided, decide, span_of
from host_tools.validation.historic import Historic
from host_tools.validation.review import (
    ACCEPT,
    CORRECT,
    ESTIMATE,
    EVENTS_ZH,
    OPEN,
    REOPEN,
    STATES_ZH,
    Item,
    Queue,
)
from host_tools.validation.table import ACTIONS_ZH, CHECKS
from host_tools.validation.versions import Reading, Version, Versions
from host_tools.validation.words import instant_s, order_line, reading_line, utc
from protocol.units import DAY_S

READINGS_SHOWN = 200  # of one entry as text; JSON has all of them
SPAN_S_MAX = 400 * DAY_S
HELP = {
    "list": "what waits for a decision",
    "show": "an entry with its readings, their versions and what they cost",
    ACCEPT: "what was metered is right",
    CORRECT: "set other values",
    ESTIMATE: "put an estimate in the place of what was metered",
    REOPEN: "a decided entry waits again",
    "open": "a customer disputes a span: it waits for a decision",
}
HEADS = ("review", "point", "check", "from_s", "to_s", "action", "detail", "state")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for what, text in HELP.items():
        one = kinds.add_parser(what, help=text, description=text)
        if what == "list":
            one.add_argument("--module", help="only the points of one module")
            one.add_argument("--all", action="store_true", help="decided ones too")
        elif what == "open":
            one.add_argument("module")
            one.add_argument("point", type=int)
            one.add_argument("--from", dest="begin", required=True, metavar="INSTANT")
            one.add_argument("--to", dest="end", required=True, metavar="INSTANT")
        else:
            one.add_argument("review", type=int, help="number of the entry")
        if what == CORRECT:
            text = "energy of the interval that begins at an instant; repeat for more"
            one.add_argument("--set", action="append", default=[], metavar="INSTANT=WH", help=text)
        if what not in ("list", "show"):
            one.add_argument("--by", required=True, metavar="WHO", help="who decides it")
            one.add_argument("--reason", required=True, metavar="TEXT", help="why")
        one.add_argument("--json", action="store_true", help="print JSON")
        add_store_arguments(one)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store:
        if arguments.what == "list":
            return _list(store, arguments)
        if arguments.what == "show":
            return _show(store, arguments.review, arguments.json)
        if arguments.what == "open":
            return _open(store, arguments, now_s)
        values = _values(getattr(arguments, "set", []))
        with store.transaction():
            who, why = arguments.by.strip(), arguments.reason.strip()
            made = decide(store, arguments.review, arguments.what, who, why, now_s, values)
            point = journal.point_of_row(store, made.item.point_id)
        with store.instant():
            behind = _behind(store, point)
        return _told(made, point, behind, arguments.json)


def _values(texts: Sequence[str]) -> dict[int, int]:
    """Watt-hours by start. Refused for one start twice: nobody knows which of them is meant."""
    out: dict[int, int] = {}
    for text in texts:
        start_s, energy_wh = _value(text)
        if start_s in out:
            raise Refused(f"--set {text}: this instant is given twice; give it once 时刻重复")
        out[start_s] = energy_wh
    return out


def _value(text: str) -> tuple[int, int]:
    at, equals, value = text.rpartition("=")
    if not equals or not value.isascii() or not value.isdigit():
        raise Refused(
            f"--set {text}: write an instant and whole watt-hours, such as"
            " 2026-03-01T10:00:00Z=250 须写 时刻=瓦时"
        )
    return instant_s("--set", at), int(value)


def _list(store: Store, arguments: argparse.Namespace) -> int:
    points = {each.id: each for each in points_of(store, arguments.module)}
    state = None if arguments.all else OPEN
    items = [each for each in Queue(store).items(None, state) if each.point_id in points]
    if arguments.json:
        print(json.dumps([_item(each, points[each.point_id]) for each in items]))
    else:
        print(table(HEADS, [_row(each, points[each.point_id]) for each in items]))
    return 0


def _row(item: Item, point: Point) -> tuple[object, ...]:
    check = CHECKS.get(item.code)
    name = f"{item.code} {check.name} {check.name_zh}" if check else f"{item.code} 异议"
    action = f"{item.action} {ACTIONS_ZH.get(item.action, '')}".rstrip()
    state = f"{item.state} {STATES_ZH[item.state]}"
    where = f"{point.module}/{point.point}" + (" history 历史" if item.history else "")
    return item.id, where, name, item.start_s, item.end_s, action, item.detail, state


def _item(item: Item, point: Point) -> dict[str, object]:
    told = asdict(item)
    del told["point_id"]
    return {**told, "module": point.module, "point": point.point, "blocks_bill": item.blocks}


def _show(store: Store, review: int, as_json: bool) -> int:
    queue = Queue(store)
    item = queue.item(review)
    point = journal.point_of_row(store, item.point_id)
    raw, history = _told_of(store, item, point)
    orders = adjusting.ordered(store, point)
    if as_json:
        shown: dict[str, object] = {
            **_item(item, point),
            "steps": queue.steps(review),
            "metered": [_reading(each) for each in raw],
            "versions": [
                {**_reading(each.reading), "rule": each.rule, "who": each.who, "why": each.why}
                for each in history
            ],
            "adjustments": [asdict(each) for each in orders],
        }
        print(json.dumps(shown, ensure_ascii=False))
        return 0
    print(table(HEADS, [_row(item, point)]))
    for event, _, who, at_s, why in queue.steps(review):
        print(f"{utc(at_s)} {event} {EVENTS_ZH.get(event, '登记')}: {who}, {why}")
    print("metered 原始读数:")
    for each in raw[:READINGS_SHOWN]:
        print(f"  {reading_line(each)}")
    if len(raw) > READINGS_SHOWN:
        print(f"  ... {len(raw) - READINGS_SHOWN} more; --json has all 其余见 --json")
    for version in history[:READINGS_SHOWN]:
        print(f"  {reading_line(version.reading)}: {version.who}, {version.why}")
    for made in orders:
        print(order_line(made, f"{point.module}/{point.point}", point.currency))
    return 0


def _told_of(store: Store, item: Item, point: Point) -> tuple[list[Reading], list[Version]]:
    """(what was metered, or told by a file, every later version of it)."""
    if item.history:
        kept = Historic(store)
        makers = kept.versions(point.id)
        raw, later = [], []
        for each in kept.every(point.id, item.start_s, item.end_s):
            made, reading = makers[each.version - 1], historic.reading_of(each)
            if made.kind == historic.IMPORTED:
                raw.append(reading)
            else:
                later.append(Version(reading, made.rule, made.who, made.why, made.at_s))
        return raw, later
    rows = span_of(store, point, item.start_s, item.end_s)
    raw = [journal.reading_of(row) for row in rows]
    seqs = (raw[0].seq, raw[-1].seq) if raw else (0, -1)
    return raw, Versions(store).history(point.id, *seqs)


def _reading(each: Reading) -> dict[str, object]:
    return each._asdict()


def _open(store: Store, arguments: argparse.Namespace, now_s: int) -> int:
    begin_s, end_s = instant_s("--from", arguments.begin), instant_s("--to", arguments.end)
    if not begin_s < end_s <= begin_s + SPAN_S_MAX:
        raise Refused(
            "--to: must lie after --from, at most 400 days 结束须晚于开始且不超过 400 日"
        )
    who, why = arguments.by.strip(), arguments.reason.strip()
    with store.transaction():
        point = point_of(store, arguments.module, arguments.point)
        rows = span_of(store, point, begin_s, end_s) if point.state.version else []
        history = not rows and bool(Historic(store).sharing(point.id, begin_s, end_s))
        if not rows and not history:
            raise Refused(
                f"{point.module}/{point.point}: nothing is settled from --from to --to"
                " 该时段无已结算读数"
            )
        if rows:
            _check_span(store, point, begin_s, end_s)
        number = Queue(store).dispute(point.id, begin_s, end_s, who, now_s, why, history)
    if arguments.json:
        print(json.dumps({"review": number}))
    else:
        print(f"review {number} 待审条目: {point.module}/{point.point}, {why}")
    return 0


def _check_span(store: Store, point: Point, begin_s: int, end_s: int) -> None:
    """Refuses what a decision would silently leave out, or take in once it is settled."""
    where, settled_s = f"{point.module}/{point.point}", point.state.time_s
    if end_s > settled_s:
        raise Refused(
            f"--to: {where} is settled to {utc(settled_s)}; give that, or an earlier instant"
            " 晚于已结算时刻"
        )
    first_s = journal.first_s(store, point.id)
    if first_s is not None and begin_s < first_s:
        older = Historic(store).sharing(point.id, begin_s, first_s)
        if any(each.start_s < first_s for each in older):
            raise Refused(
                f"--from: {where} has records of its module from {utc(first_s)} on, and history"
                " before; dispute each apart 跨越历史读数与模块读数，须分别登记"
            )


def _behind(store: Store, point: Point) -> list[Amended]:
    """The bills of a customer that stand and are others by now."""
    documents = Documents(store)
    of_customer = [point, *care.of(store).heirs(point)]
    return [bill for each in of_customer for bill in amended(store, each, documents)]


def _told(made: Decided, point: Point, behind: Sequence[Amended], as_json: bool) -> int:
    item, where = made.item, f"{point.module}/{point.point}"
    if as_json:
        shown = {
            **_item(item, point),
            "readings_version": made.version,
            "readings": [_reading(each) for each in made.readings],
            "adjustment": asdict(made.ordered) if made.ordered else None,
            "bills": [asdict(each) for each in behind],
        }
        print(json.dumps(shown, ensure_ascii=False))
        return 0
    print(
        f"review {item.id} {item.state} {STATES_ZH[item.state]}: {where},"
        f" {len(made.readings)} readings changed 读数变更, version {made.version} 版本"
    )
    if made.ordered is None:
        print("no money is owed by it 不涉及调账")
    else:
        print(order_line(made.ordered, where, point.currency))
    for each in behind:
        print(" ".join(each.told()))
    return 0
