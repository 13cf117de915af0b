"""`gridpurse module retire`: the end of a module; its keys are destroyed, nothing of it counts.

Money first: every point's account with the customer is zero by then, because another module took
over, the rest was paid back, or somebody wrote it off and says why. One transaction, then the key
file; a kill in between leaves a module that is retired and a key that opens nothing any more.
"""

import argparse
import json
from dataclasses import dataclass, replace

from host_tools import Refused
from host_tools.care import adjustments, following
from host_tools.care.people import Person, add_person, changing, person_of
from host_tools.care.replace import add_despite
from host_tools.keys import KEYS_FOLDER, KeyFiles, Keys
from host_tools.ordering.kinds import module_of
from host_tools.settlement import posting, settle
from host_tools.settlement.common import decimal, settings_of
from host_tools.store import care
from host_tools.store.database import Store, opened
from host_tools.store.records import Point

# Why a balance is given up: the account that bears it, in Chinese.
CLASSES = {
    "refund": (posting.CASH, "退还客户"),
    "lost": (posting.WRITE_OFFS, "模块遗失"),
    "destroyed": (posting.WRITE_OFFS, "模块损毁"),
    "uncollectable": (posting.WRITE_OFFS, "无法收回"),
    "trial": (posting.WRITE_OFFS, "试验电量"),
}
REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Left:
    """What was left of a point's account, and what became of it."""

    point: str
    amount_ncur: int
    currency: str
    reason: str  # of CLASSES, or empty where nothing was left


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument(
        "--balance", choices=CLASSES, help="what becomes of a balance that no other module has"
    )
    parser.add_argument(
        "--despite-missing", action="store_true", help="records that never came are given up"
    )
    add_despite(parser)
    add_person(parser)


def run(arguments: argparse.Namespace) -> int:
    settings, person = settings_of(arguments), person_of(arguments)
    keys = KeyFiles(settings.data_dir / KEYS_FOLDER)
    now_s = settings.clock().now_s()
    with opened(settings.store(), create=False) as store:
        with changing(store):
            given_up = _adjustments(store, arguments.module, arguments.despite_adjustments)
            missing, given = arguments.despite_missing, arguments.balance
            left = retire(store, arguments.module, given, missing, person, now_s)
        revoke(keys, arguments.module)
    told = {
        "module": arguments.module,
        "retired": True,
        "points": [
            {"point": one.point, "amount_ncur": one.amount_ncur, "class": one.reason or None}
            for one in left
        ],
        "adjustments": given_up,
    }
    print(json.dumps(told, ensure_ascii=False) if arguments.json else _text(told, left, given_up))
    return 0


def retire(
    store: Store, name: str, given: str | None, missing: bool, person: Person, now_s: int
) -> list[Left]:
    """Within a transaction: closes accounts and orders. Refused while money or records wait.

    A module that is retired already is left as it is.
    """
    module, known = module_of(store, name), care.of(store)
    if module.retired_s is not None:
        return []
    left = []
    for point in store.fleet.points(name):
        _complete(store, point, missing, now_s)
        left.append(_closed(store, point, given, person, now_s))
        # Whatever its flash became, the settled ledger is the one that stands.
        store.ledgers.agree(point.id, settle.ROLLBACK, now_s)
        for row in (known.of_old(point.id), known.of_new(point.id)):
            if row is not None and row.ended_s is None:
                known.keep(replace(row, ended_s=now_s))
    for order in store.payments.open_commands(name):
        store.payments.command_ended(order, "expired", None, None, now_s)
    known.retire(module, now_s)
    return left


def _adjustments(store: Store, name: str, despite: bool) -> list[dict[str, object]]:
    """Those that end with the module; Refused while there are any, unless `despite` them."""
    out: list[dict[str, object]] = []
    for point in store.fleet.points(module_of(store, name).id):
        if not despite:
            adjustments.check(store, point)
        for order in adjustments.waiting(store, point):
            where, amount_ncur = f"{name}/{point.point}", adjustments.amount_ncur(order)
            out.append(
                {
                    "point": where,
                    "command": order.id,
                    "amount_ncur": amount_ncur,
                    "currency": point.currency,
                }
            )
    return out


def revoke(keys: Keys, name: str) -> None:
    keys.forget(name)
    keys.discard(name)


def _complete(store: Store, point: Point, missing: bool, now_s: int) -> None:
    where = f"{point.module}/{point.point}"
    for waits in store.payments.uncredited(point.id):
        raise Refused(
            f"{where}: payment {waits.reference} is {waits.state};"
            " `gridpurse module replace` moves it, or wait for it"
        )
    lost = point.sent_seq - point.state.seq
    if lost and not missing:
        raise Refused(
            f"{where}: {lost} records are missing; power it up once more, or --despite-missing"
        )
    row = care.of(store).of_old(point.id)
    if row is not None and row.ended_s is None:
        # Settlement may not have looked yet at what both have just told.
        row = following.follow(store, row, now_s)
        new = care.of(store).point(row.new_point)
        if row.held:
            raise Refused(f"{where}: {row.held}; see `gridpurse module replace`")
        if not row.quiet:
            raise Refused(f"{where}: the balance has not arrived at {new.module}; wait for it")


def _closed(store: Store, point: Point, given: str | None, person: Person, now_s: int) -> Left:
    """Takes what is left off the customer's account."""
    known, where = care.of(store), f"{point.module}/{point.point}"
    rest_ncur = point.state.balance_ncur - known.moved_out().get(point.id, 0)
    if not rest_ncur:
        return Left(where, 0, point.currency, "")
    if given is None:
        raise Refused(
            f"{where}: {decimal(rest_ncur)} {point.currency} are left; move them with"
            f" `gridpurse module replace`, or say --balance {', '.join(CLASSES)}"
        )
    if given == REFUND and rest_ncur < 0:
        raise Refused(f"{where}: owes {decimal(-rest_ncur)} {point.currency}; no refund")
    account = CLASSES[given][0]
    pair = posting.CUSTOMER, account
    seq = point.state.seq
    store.ledgers.post(posting.moved(point.id, now_s, pair, rest_ncur, point.currency, seq))
    known.close(point.id, rest_ncur, account, (given, person.who, person.why), now_s)
    return Left(where, rest_ncur, point.currency, given)


def _text(told: dict[str, object], left: list[Left], given_up: list[dict[str, object]]) -> str:
    lines = [f"{told['module']}: retired, its key is destroyed 已退役，密钥已销毁"]
    for one in left:
        if one.amount_ncur:
            amount = f"{decimal(one.amount_ncur)} {one.currency}"
            lines.append(f"  {one.point}: {amount}, {one.reason} {CLASSES[one.reason][1]}")
    for order in given_up:
        amount = f"{decimal(int(str(order['amount_ncur'])))} {order['currency']}"
        what = f"adjustment {order['command']} of {amount} never made, ended 调账未执行，已终止"
        lines.append(f"  {order['point']}: {what}")
    return "\n".join(lines)
