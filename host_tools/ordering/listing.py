"""`gridpurse commands`: what was ordered of a module, by whom and why, and what became of it.

The chunks of an update are told as one line below the list; --all lists them too.
"""

import argparse
import json
from collections.abc import Iterable

from host_tools.ordering import rollout
from host_tools.ordering import words as zh
from host_tools.ordering.kinds import ADJUSTMENTS, DEBTS, PERIODS_S, PLANS, module_of
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, decimal, settings_of, table
from host_tools.settlement.topup import point_of
from host_tools.store import orders
from host_tools.store.database import Store, opened
from host_tools.store.orders import Record
from protocol import cbor, codes, words
from protocol.units import MODULE_TARGET

CONFIG_VERSION = 1  # key of the version in a CONFIG map
HEADS = (
    "id", "point", "order", "state", "answer", "who", "why", "issued_s", "expires_s", "answered_s",
    "sent",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", type=int, nargs="?", help="only what concerns this point")
    parser.add_argument("--open", action="store_true", help="only those without an answer")
    parser.add_argument("--all", action="store_true", help="with every chunk of an update")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    with opened(settings_of(arguments).store(), create=False) as store, store.instant():
        name = module_of(store, arguments.module).id
        target = arguments.point
        if target is not None:
            point_of(store, name, target)
        known = orders.of(store)
        rows = [
            row_of(store, record)
            for record in known.records(name, target)
            if (arguments.all or not is_chunk(record))
            and (not arguments.open or record.state in ("queued", "sent"))
        ]
        updates = [] if target is not None else _updates(store, known.rollouts(name))
    if arguments.json:
        shown = {"commands": rows, "updates": [_as_json(each) for each in updates]}
        print(json.dumps(shown, ensure_ascii=False))
        return 0
    print(table(HEADS, [[_cell(row, head) for head in HEADS] for row in rows]))
    for each in updates:
        print(rollout.told(each))
    return 0


def _updates(store: Store, rollouts: Iterable[orders.Rollout]) -> list[rollout.Progress]:
    return [rollout.progress(store, each) for each in rollouts]


def _as_json(one: rollout.Progress) -> dict[str, object]:
    return {
        "number": one.number,
        "version": one.version,
        "state": one.state,
        "done_bytes": one.done_bytes,
        "total_bytes": one.total_bytes,
        "reason": words.UPDATE_REASONS.get(one.reason),
    }


def is_chunk(record: Record) -> bool:
    return record.action == codes.UPDATE and args_of(record)[:1] == [codes.CHUNK]


def args_of(record: Record) -> list[object]:
    return commands.args_of(record.args)


def row_of(store: Store, record: Record) -> dict[str, object]:
    """A command as JSON shows it; words in English, beside them Chinese ones."""
    text, text_zh = order_words(record)
    state = state_of(store, record)
    return {
        "id": record.id,
        "point": None if record.target == MODULE_TARGET else record.target,
        "order": text,
        "order_zh": text_zh,
        "state": state,
        "state_zh": zh.STATES[state],
        "status": record.status,
        "answer": None if record.status is None else words.STATUSES.get(record.status),
        "answer_zh": None if record.status is None else zh.STATUSES.get(record.status),
        "who": record.who or "host",
        "why": record.why,
        "reference": record.reference,
        "withdrawn_by": record.withdrawn_by,
        "issued_s": record.issued_s,
        "expires_s": record.expires_s,
        "answered_s": record.answered_s,
        "sent": record.sent,
    }


def _cell(row: dict[str, object], head: str) -> object:
    if head == "point" and row[head] is None:
        return "module"
    if head in ("order", "state", "answer") and row[head] is not None:
        text = f"{row[head]} {row[f'{head}_zh']}"
        by = row["withdrawn_by"] if head == "state" else None
        return text if by is None else f"{text} ({by})"
    return row[head]


def state_of(store: Store, record: Record) -> str:
    """The state of the queue, and of settings that were taken what became of their trial."""
    if record.state == "expired" and record.withdrawn_by is not None:
        return "withdrawn"
    if record.action != codes.CONFIG or record.state != "done":
        return record.state
    version = _config_version(record)
    told = orders.of(store).told(record.module, codes.CONFIG_SET, 0, record.answered_s or 0)
    for args in map(cbor.decode, told):
        if args == [version, codes.CONFIRMED]:
            return "confirmed"
        if isinstance(args, list) and args[1:] == [codes.ROLLED_BACK]:
            return "taken back"
    return "on trial"


def _config_version(record: Record) -> object:
    (fields,) = args_of(record)
    return fields.get(CONFIG_VERSION) if isinstance(fields, dict) else None


def order_words(record: Record) -> tuple[str, str]:
    """What a command orders, in English and Chinese."""
    english, chinese = words.ACTIONS.get(record.action), zh.ACTIONS.get(record.action)
    more, more_zh = _TELL.get(record.action, _plain)(args_of(record))
    return f"{english or record.action} {more}".strip(), f"{chinese or ''} {more_zh}".strip()


def _plain(_: list[object]) -> tuple[str, str]:
    return "", ""


def _money(value: object) -> str:
    return decimal(int(str(value)))


def _name(known: dict[str, int], number: object) -> str:
    return next((name for name, each in known.items() if each == number), str(number))


def _topup(args: list[object]) -> tuple[str, str]:
    text = f"{args[0]}: {_money(args[2])}"
    return text, text


def _tariff(args: list[object]) -> tuple[str, str]:
    (book,) = args
    version = f"{book[0]}" if isinstance(book, list) else "?"
    return f"version {version}", f"版本 {version}"


def _relay(args: list[object]) -> tuple[str, str]:
    number = int(str(args[0]))
    english, chinese = words.RELAY_ORDERS.get(number, "?"), zh.RELAY_ORDERS.get(number, "?")
    if len(args) > 1 and number == codes.TRIP:
        return f"{english}, not for credit", f"{chinese}（非欠费）"
    seconds = f" {args[1]} s" if len(args) > 1 else ""
    return f"{english}{seconds}", f"{chinese}{seconds}"


def _adjust(args: list[object]) -> tuple[str, str]:
    amount = _money(args[1])
    for name, (number, name_zh) in ADJUSTMENTS.items():
        if number == args[0]:
            return f"{amount}, {name}", f"{amount}，{name_zh}"
    return f"{amount}, class {args[0]}", f"{amount}，类别 {args[0]}"


def _debt(args: list[object]) -> tuple[str, str]:
    which, owed, rate, bound = args
    name = _name(DEBTS, which)
    if name == "payment":
        how, how_zh = f"{rate} % of each payment", f"每次充值的 {rate} %"
    else:
        how = f"{_money(rate)} a {_name(PERIODS_S, bound)}"
        how_zh = f"每 {bound} 秒 {_money(rate)}"
    return f"{name} {_money(owed)}, {how}", f"{_money(owed)}，{how_zh}"


def _config(args: list[object]) -> tuple[str, str]:
    (fields,) = args
    version = fields.get(CONFIG_VERSION) if isinstance(fields, dict) else "?"
    return f"version {version}", f"版本 {version}"


def _plan(args: list[object]) -> tuple[str, str]:
    number = int(str(args[0]))
    return _name(PLANS, number), zh.PLANS.get(number, "")


def _clear(args: list[object]) -> tuple[str, str]:
    return zh.CLEARED.get(int(str(args[0])), ("?", "?"))


def _meter(args: list[object]) -> tuple[str, str]:
    whole, rest = divmod(int(str(args[0])), 1000)
    text = f"{whole}.{rest:03d} kWh"
    return text, text


def _transfer(args: list[object]) -> tuple[str, str]:
    text = f"{_money(args[0])}, {args[2]} Wh"
    return text, text


def _update(args: list[object]) -> tuple[str, str]:
    english, chinese = zh.STEPS.get(int(str(args[0])), ("?", "?"))
    at = f" {args[1]} at {args[2]}" if args[0] == codes.CHUNK else ""
    return f"{english}{at}", f"{chinese}{at}"


_TELL = {
    codes.TOPUP: _topup,
    codes.TARIFF: _tariff,
    codes.RELAY: _relay,
    codes.ADJUST: _adjust,
    codes.CONFIG: _config,
    codes.PLAN: _plan,
    codes.CLEAR: _clear,
    codes.METER: _meter,
    codes.UPDATE: _update,
    codes.DEBT: _debt,
    codes.TRANSFER: _transfer,
}
