"""`gridpurse module status | events | logs | clock`: what is known of one module. Changes nothing.

From the store, or with --port from the module's own console while it goes on metering.
"""

import argparse
import json
from typing import Any, cast

from host_tools.care import console
from host_tools.care import words as zh
from host_tools.ordering import listing, rollout
from host_tools.ordering.kinds import module_of
from host_tools.settlement.common import add_store_arguments, decimal, settings_of, table
from host_tools.store import care, orders
from host_tools.store.database import Store, opened
from host_tools.store.records import Event, Module, Point
from protocol import cbor, codes, messages, words
from protocol.units import MODULE_TARGET

EVENTS_SHOWN = 20
CLOCK_EVENTS = (codes.CLOCK_SET, codes.CLOCK_REFUSED)


def add_module(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def add_with_port(parser: argparse.ArgumentParser) -> None:
    add_module(parser)
    parser.add_argument("--port", help="ask at the module's own console, such as /dev/ttyUSB0")


def add_events(parser: argparse.ArgumentParser) -> None:
    add_with_port(parser)
    parser.add_argument(
        "--last", type=int, default=EVENTS_SHOWN, help=f"how many ({EVENTS_SHOWN})"
    )


def show(arguments: argparse.Namespace, told: object, lines: list[str]) -> int:
    print(json.dumps(told, ensure_ascii=False) if arguments.json else "\n".join(lines))
    return 0


def asked(arguments: argparse.Namespace, line: str) -> int:
    """A line at the module's console, and its answer."""
    answer = console.ask(arguments.port, line)
    return show(arguments, {"port": arguments.port, "answer": answer}, answer)


def status(arguments: argparse.Namespace) -> int:
    if arguments.port is not None:
        return asked(arguments, "status")
    with opened(settings_of(arguments).store(), create=False) as store, store.instant():
        told = status_of(store, module_of(store, arguments.module))
    return show(arguments, told, _status_lines(told))


def status_of(store: Store, module: Module) -> dict[str, object]:
    """Everything on one page; amounts in nano-currency, times in Unix seconds."""
    known = orders.of(store)
    waits = [each for each in known.records(module.id) if each.state in ("queued", "sent")]
    newest = rollout.newest(known, module.id)
    row = care.of(store).rotation(module.id)
    return {
        "module": module.id,
        "shard": module.shard,
        "state": _state(module),
        "firmware": module.firmware,
        "settings": known.config_version(module.id),
        "hello_s": module.hello_s,
        "gone_s": module.gone_s,
        "retired_s": module.retired_s,
        "events": module.events_seq,
        "points": [_point(store, point) for point in store.fleet.points(module.id)],
        "waiting": [listing.row_of(store, each) for each in waits if not listing.is_chunk(each)],
        "update": None if newest is None else rollout.told(rollout.progress(store, newest)),
        "keys": None if row is None else row.number,
        "rejected": store.intake.rejected(module.id),
    }


STATES_ZH = {"silent": "未上线", "heard": "在线", "gone": "离线", "retired": "已退役"}


def _state(module: Module) -> str:
    if module.retired_s is not None:
        return "retired"
    if module.hello_s is None:
        return "silent"
    return "heard" if module.gone_s is None else "gone"


def _point(store: Store, point: Point) -> dict[str, object]:
    state, said = point.state, point.statement
    return {
        "point": point.point,
        "label": point.label,
        "balance_ncur": state.balance_ncur,
        "currency": point.currency,
        "register_wh": state.register_wh,
        "metered_s": state.time_s or None,
        "tariff": state.version,
        "used_wh": state.used_wh,
        "settled": state.seq,
        "missing": point.sent_seq - state.seq,
        "stated_balance_ncur": said.balance_ncur if said else None,
        "stated_register_wh": said.register_wh if said else None,
        "stated_s": said.time_s if said else None,
        "in_flight": len(store.payments.topups(point.id, "in flight")),
        "differences": len(store.ledgers.differences(point.id)),
        "replaced": care.of(store).successor(point),
    }


def _status_lines(told: dict[str, object]) -> list[str]:
    state = str(told["state"])
    lines = [
        f"{told['module']} 模块: {state} {STATES_ZH[state]}, firmware 固件 {told['firmware']},"
        f" settings 参数 {told['settings']}, rejected 拒收 {told['rejected']}"
    ]
    points = cast(list[dict[str, Any]], told["points"])
    heads = ("point", "label", "balance_ncur", "currency", "register_wh", "metered_s", "settled",
             "missing", "in_flight", "differences")  # fmt: skip
    lines.append(table(heads, [[each[head] for head in heads] for each in points]))
    for each in points:
        if each["stated_balance_ncur"] is not None:
            stated = decimal(each["stated_balance_ncur"])
            lines.append(
                f"point 用电点 {each['point']}: stated 申报 {stated} {each['currency']}"
                f" at {each['stated_register_wh']} Wh"
            )
        if each["replaced"]:
            lines.append(f"point 用电点 {each['point']}: {each['replaced']}")
    for row in cast(list[dict[str, Any]], told["waiting"]):
        lines.append(
            f"waiting 待办 {row['id']}: {row['order']} {row['order_zh']},"
            f" {row['state']} {row['state_zh']}, sent 已发 {row['sent']}"
        )
    if told["update"]:
        lines.append(str(told["update"]))
    return lines


def events(arguments: argparse.Namespace) -> int:
    if arguments.port is not None:
        return asked(arguments, "events")
    with opened(settings_of(arguments).store(), create=False) as store:
        module = module_of(store, arguments.module)
        first_seq = max(1, module.events_seq - arguments.last + 1)
        told = [event_of(each) for each in store.intake.events(module.id, first_seq)]
    return _listed(arguments, told)


def logs(arguments: argparse.Namespace) -> int:
    """At the console the ring since power-on; here what was refused of it and by it."""
    if arguments.port is not None:
        return asked(arguments, "log")
    with opened(settings_of(arguments).store(), create=False) as store:
        module = module_of(store, arguments.module)
        refused = store.intake.rejects(module.id)
    told = [
        {
            "by": row.source,
            "reason": words.REASONS[row.reason],
            "reason_zh": words.REASONS_ZH[row.reason],
            "detail": row.detail,
            "count": row.count,
            "first_s": row.first_s,
            "last_s": row.last_s,
        }
        for row in refused
    ]
    heads = ("by", "reason", "detail", "count", "first_s", "last_s")
    rows = [
        [f"{row[head]} {row['reason_zh']}" if head == "reason" else row[head] for head in heads]
        for row in told
    ]
    return show(arguments, told, [table(heads, rows)])


def clock(arguments: argparse.Namespace) -> int:
    """The module's clock as its records show it; a hello brings it the time by itself."""
    if arguments.port is not None:
        answer = [line for line in console.ask(arguments.port, "status") if "时钟" in line]
        return show(arguments, {"port": arguments.port, "answer": answer}, answer)
    with opened(settings_of(arguments).store(), create=False) as store:
        module = module_of(store, arguments.module)
        kept = store.intake.events(module.id)
    told = [event_of(each) for each in kept if is_of_clock(each)][-EVENTS_SHOWN:]
    return _listed(arguments, told)


def is_of_clock(event: Event) -> bool:
    return event.kind == messages.EVENTS and event.code in CLOCK_EVENTS


def event_of(event: Event) -> dict[str, object]:
    """An event or a command result with its words."""
    result = event.kind == messages.RESULT
    text = words.STATUSES.get(event.code) if result else words.EVENTS.get(event.code)
    text_zh = "命令结果" if result else zh.EVENTS.get(event.code)
    return {
        "seq": event.seq,
        "time_s": event.time_s,
        "clock": words.QUALITIES[event.quality],
        "point": None if event.point == MODULE_TARGET else event.point,
        "event": f"command {text}" if result else text or f"event {event.code}",
        "event_zh": text_zh or "",
        "args": cbor.decode(event.args),
    }


def _listed(arguments: argparse.Namespace, told: list[dict[str, object]]) -> int:
    heads = ("seq", "time_s", "clock", "point", "event", "args")
    rows = [
        [f"{row[head]} {row['event_zh']}" if head == "event" else row[head] for head in heads]
        for row in told
    ]
    return show(arguments, told, [table(heads, rows)])
