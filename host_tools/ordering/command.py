"""`gridpurse command KIND`: a person's order, checked here, then queued for the module.

Queued once for a --reference, signed and repeated by `gridpurse settle` until the module answers.
"""

import argparse
import hashlib
import json
from pathlib import Path

from host_tools import Refused
from host_tools.care.people import person_of
from host_tools.ordering import amounts, relay, rollout
from host_tools.ordering import words as zh
from host_tools.ordering.kinds import KINDS, YEAR_S, Asking, Kind
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store import orders
from host_tools.store.database import Store, opened
from host_tools.store.orders import Note
from protocol.units import MODULE_TARGET

ALL: dict[str, Kind] = {"relay": relay.KIND, **KINDS, "update": rollout.KIND}
# Words of a command line that are not what is ordered.
_AROUND = ("command", "by", "reason", "reference", "dry_run", "json", "config", "data", "clock")


class _Rehearsed(Exception):
    """Undoes what a dry run has written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, kind in ALL.items():
        one = kinds.add_parser(name, help=kind.help, description=kind.help)
        add_kind(one, kind)


def add_kind(parser: argparse.ArgumentParser, kind: Kind, required: bool = True) -> None:
    """The words of one kind of order, and of every order. `required`: a person has to be named;
    False where one may as well just look."""
    kind.add_arguments(parser)
    parser.add_argument("--by", required=required, metavar="WHO", help="who orders it")
    parser.add_argument("--reason", required=required, metavar="TEXT", help="why")
    parser.add_argument("--expires", metavar="WHEN", help="2h, 7d, or a date and time with zone")
    parser.add_argument(
        "--reference",
        required=kind.referenced,
        help="your own number of this order: the same one is queued once",
    )
    parser.add_argument("--dry-run", action="store_true", help="check, and queue nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    person_of(arguments)
    settings = settings_of(arguments)
    now_s = settings.clock().now_s()
    told: dict[str, object] = {}
    with opened(settings.store(), create=False) as store:
        try:
            with store.transaction():
                told = place(store, arguments, now_s, settings.data_dir)
                if arguments.dry_run:
                    raise _Rehearsed
        except _Rehearsed:
            told["id"], told["state"] = None, "not queued"
    print(json.dumps(told, ensure_ascii=False) if arguments.json else _line(told))
    return 0


def place(
    store: Store, arguments: argparse.Namespace, now_s: int, data: Path
) -> dict[str, object]:
    """Queues an order, or finds the one it was before; what there is to tell of it."""
    kind, asked = ALL[arguments.kind], asked_of(arguments)
    known, reference = orders.of(store), arguments.reference
    if reference is not None:
        before = known.by_reference(reference)  # stored as it is, by a program of before
        if before is None:
            reference = _reference(reference)
            before = known.by_reference(reference)
        if before is not None and before.asked != asked:
            raise Refused(
                f"--reference {reference}: is command {before.id} of {before.module},"
                " which orders something else; give this one its own"
            )
        if before is not None:
            return _told(known, before.module, before.id, "as before", "与前次相同")
    expires_s = None
    if arguments.expires is not None:
        expires_s = amounts.instant_s("--expires", arguments.expires, now_s)
        if expires_s > now_s + YEAR_S:
            raise Refused(f"--expires {arguments.expires}: must be within a year")
    wanted = kind.order(Asking(arguments, store, now_s, expires_s, data))
    if store.fleet.module_known(wanted.module).retired_s is not None:
        raise Refused(f"{wanted.module}: is retired 已退役; it hears nothing any more")
    if wanted.same_id is not None:
        return _told(known, wanted.module, wanted.same_id, wanted.text, wanted.text_zh)
    until_s = expires_s or now_s + wanted.life_s
    what = (wanted.module, wanted.target, wanted.action, wanted.args)
    at_s = now_s if wanted.issued_s is None else wanted.issued_s
    command_id = commands.issue(store, *what, at_s, until_s - at_s)
    for record in wanted.replaces:
        known.withdraw(record, command_id, now_s)
    who, why = arguments.by.strip(), arguments.reason.strip()
    known.note(Note(wanted.module, command_id, asked, who, why, reference))
    if wanted.then is not None:
        wanted.then(command_id, until_s)
    told = _told(known, wanted.module, command_id, wanted.text, wanted.text_zh)
    return {**told, "withdrawn": [record.id for record in wanted.replaces]}


def asked_of(arguments: argparse.Namespace) -> str:
    """What is asked for, so that a repetition can be told from another order; files by content."""
    asked = {}
    for name, value in vars(arguments).items():
        if name in _AROUND or value is None:
            continue
        if isinstance(value, Path):
            try:
                value = hashlib.sha256(value.read_bytes()).hexdigest()
            except OSError as error:
                raise Refused(f"{value}: {error.strerror}") from error
        asked[name] = value
    return json.dumps(asked, sort_keys=True, ensure_ascii=False)


def _reference(told: str) -> str:
    """A person's own number of an order, without the blanks around it."""
    reference = commands.one_line(told)
    if not reference:
        raise Refused(
            f"--reference: write 1 to {commands.REFERENCE_CHARACTERS_MAX} printable characters"
            " 编号须为可见字符"
        )
    return reference


def _told(
    known: orders.Orders, module: str, command_id: int, text: str, text_zh: str
) -> dict[str, object]:
    record = known.record_known(module, command_id)
    return {
        "id": command_id,
        "module": module,
        "target": record.target,
        "order": text,
        "order_zh": text_zh,
        "state": record.state,
        "expires_s": record.expires_s,
        "withdrawn": [],
    }


def _line(told: dict[str, object]) -> str:
    number = "-" if told["id"] is None else told["id"]
    where = told["module"] if told["target"] == MODULE_TARGET else _point(told)
    state = str(told["state"])
    line = f"command {number} 命令: {where} {told['order']} {told['order_zh']},"
    line += f" {state} {zh.STATES[state]}, expires {amounts.utc(told['expires_s'])}"
    withdrawn = told["withdrawn"]
    if isinstance(withdrawn, list) and withdrawn:
        line += f"; withdrawn 撤回 {', '.join(str(number) for number in withdrawn)}"
    return line


def _point(told: dict[str, object]) -> str:
    return f"{told['module']}/{told['target']}"
