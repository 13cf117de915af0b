"""`gridpurse adopt`: a point goes on behind records that a restored store lacks.

The module's own statement is taken over as it is; see adoption.py. Of a module's events only the
number of the lost ones can be kept.
"""

import argparse
import json

from host_tools import Refused
from host_tools.settlement import adoption, settle
from host_tools.settlement.common import add_store_arguments, decimal, said, settings_of
from host_tools.settlement.topup import point_of
from host_tools.store import adoptions
from host_tools.store.adoptions import Adoption
from host_tools.store.database import Store, opened
from host_tools.store.records import Event
from protocol import cbor, codes, messages
from protocol.messages import EVENT_STREAM
from protocol.units import INVALID, MODULE_TARGET

EVENTS = "events"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", help=f"number of the point, or `{EVENTS}` of the module")
    parser.add_argument("--from-statement", action="store_true", help="take over its statement")
    parser.add_argument("--who", required=True, help="who decides it")
    parser.add_argument("--why", required=True, metavar="TEXT", help="what happened")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.point != EVENTS and not arguments.from_statement:
        raise Refused("--from-statement: add it; there is no other base to go on from")
    settings = settings_of(arguments)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store, store.transaction():
        if arguments.point == EVENTS:
            shown, line = _events(store, arguments.module, now_s)
        else:
            shown, line = _readings(store, arguments, now_s)
    print(json.dumps(shown, ensure_ascii=False) if arguments.json else line)
    return 0


def _readings(
    store: Store, arguments: argparse.Namespace, now_s: int
) -> tuple[dict[str, object], str]:
    told = arguments.point
    number = int(told) if told.isascii() and told.isdigit() else -1
    point = point_of(store, arguments.module, number)
    where = f"{point.module}/{point.point}"
    if not _missing(store, point.id, "readings"):
        before = adoptions.of(store).last(point.id)
        if before is None:
            raise Refused(f"{where}: no records are missing; nothing to adopt 无缺失记录")
        return _shown(where, before), f"{where}: adopted before 此前已采纳, to record {before.seq}"
    who, why = said("who", arguments.who), said("why", arguments.why)
    made = adoption.adopt(store, point, who, why, now_s)
    shown = _shown(where, made.adoption) | {
        "energy_wh": made.lost_wh,
        "balance_ncur": made.amount_ncur,
        "parts": [{"rule": each.rule, "amount_ncur": each.amount_ncur} for each in made.entries],
    }
    parts = ", ".join(f"{each.rule} {decimal(each.amount_ncur)}" for each in made.entries)
    records = f"records {made.adoption.first_seq} to {made.adoption.seq}"
    line = f"{where}: {records} lost 缺失, adopted 已采纳: {made.lost_wh} Wh,"
    line += f" {decimal(made.amount_ncur)} {point.currency} ({parts or 'no money'})"
    return shown, line


def _shown(where: str, adopted: Adoption) -> dict[str, object]:
    return {
        "point": where,
        "first_seq": adopted.first_seq,
        "seq": adopted.seq,
        "who": adopted.who,
        "why": adopted.why,
        "adopted_s": adopted.adopted_s,
    }


def _events(store: Store, module: str, now_s: int) -> tuple[dict[str, object], str]:
    """Keeps how many events were lost, as a module itself does when its outbox is full."""
    known = store.fleet.module(module)
    if known is None:
        raise Refused(f"{module}: no such module; see `gridpurse modules`")
    points = store.fleet.points(module)
    waiting = store.intake.waiting(module, EVENT_STREAM)
    if waiting is None or not any(_missing(store, point.id, EVENTS) for point in points):
        raise Refused(f"{module}: no events are missing 无缺失事件")
    lost = waiting[0] - 1 - known.events_seq
    seq = known.events_seq + lost
    what = (messages.EVENTS, 0, INVALID, codes.OUTBOX_FULL, MODULE_TARGET, cbor.encode([lost]))
    store.intake.append_events(module, known.epoch or 1, [Event(seq, *what)], now_s)
    store.fleet.set_events_seq(module, seq)
    store.fleet.restated()
    for point in points:
        store.ledgers.agree(point.id, settle.MISSING, now_s, EVENTS)
    return {"module": module, "lost": lost, "seq": seq}, f"{module}: {lost} events lost 事件缺失"


def _missing(store: Store, point_id: int, detail: str) -> bool:
    found = store.ledgers.differences(point_id)
    return any((each.kind, each.detail) == (settle.MISSING, detail) for each in found)
