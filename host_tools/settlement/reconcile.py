"""`gridpurse reconcile`: module against host, point by point.

The module's figures are those it stated itself, never ours in disguise; each is held against the
host's ledger after the very same entry. Money on its way is listed with its age.
"""

import argparse
import json
from dataclasses import asdict, dataclass

from host_tools.settlement import commands, figures, posting
from host_tools.settlement.common import add_store_arguments, decimal, settings_of, table
from host_tools.store import care
from host_tools.store.database import Store, opened
from host_tools.store.records import Difference, Point
from protocol import codes


@dataclass(frozen=True, slots=True)
class InFlight:
    """A top-up with its number, or an adjustment with its command's; `what` says which."""

    number: int
    amount_ncur: int
    age_s: int
    state: str
    what: str = "top-up"


@dataclass(frozen=True, slots=True)
class Row:
    """One service point. `why` is empty exactly when it is reconciled."""

    module: str
    point: int
    energy_wh: int
    charged_module_ncur: int | None
    charged_host_ncur: int
    topups_ncur: int
    balance_module_ncur: int | None
    balance_host_ncur: int
    readings_sent: int
    readings_settled: int
    duplicates_dropped: int
    rejected: int
    differences: int
    reconciled: bool
    why: str
    currency: str
    in_flight: list[InFlight]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--module", help="only the points of one module")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when everything agrees, 1 when something does not."""
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store, store.instant():
        rows = reconcile(store, settings.clock().now_s(), arguments.module)
        points = store.fleet.points(arguments.module)
        found = [item for point in points for item in store.ledgers.differences(point.id)]
        balanced = trial_balance(store)
    agreed = bool(rows) and balanced and all(row.reconciled for row in rows)
    if arguments.json:
        shown = {
            "reconciled": agreed,
            "trial_balance_zero": balanced,
            "points": [asdict(row) for row in rows],
            "differences": [asdict(item) for item in found],
        }
        print(json.dumps(shown))
    else:
        print(_shown(rows, found, agreed, balanced))
    return 0 if agreed else 1


def reconcile(store: Store, now_s: int, module: str | None = None) -> list[Row]:
    """Every point but those of retired modules, which say nothing any more."""
    over = {known.id for known in store.fleet.modules() if known.retired_s is not None}
    points = store.fleet.points(module)
    return [_row(store, point, now_s) for point in points if point.module not in over]


def trial_balance(store: Store) -> bool:
    """True when debits equal credits in every currency, and customers' accounts their balances.

    What left an account with the customer, for another module, is no entry of its module.
    """
    totals: dict[str, int] = {}
    for (currency, _), amount_ncur in store.ledgers.accounts().items():
        totals[currency] = totals.get(currency, 0) + amount_ncur
    credited = store.ledgers.account_by_point(posting.CUSTOMER)
    gone = care.of(store).moved_out()
    customers = all(
        -credited.get(point.id, 0) == point.state.balance_ncur - gone.get(point.id, 0)
        for point in store.fleet.points()
    )
    return customers and not any(totals.values())


def _row(store: Store, point: Point, now_s: int) -> Row:
    statement, said = point.statement, point.said
    latest = statement
    if said is not None and (latest is None or said.seq > latest.seq):
        latest = said
    differences = len(store.ledgers.differences(point.id))
    why = _why(store, point, differences)
    charged_host_ncur = point.state.charged_ncur
    if statement is not None:
        own = figures.at(store, point, statement.seq)
        charged_host_ncur = own.charged_ncur if own else charged_host_ncur
    balance_host_ncur = point.state.balance_ncur
    balance_module_ncur = latest.balance_ncur if latest else None
    if latest is not None:
        own = figures.at(store, point, latest.seq)
        balance_host_ncur = own.balance_ncur if own else balance_host_ncur
        if own and latest.balance_ncur is None and latest.head == own.head:
            balance_module_ncur = own.balance_ncur  # its chain head pins no other
    in_flight = [
        InFlight(item.number, item.amount_ncur, now_s - item.paid_s, item.state)
        for item in store.payments.uncredited(point.id)
    ]
    in_flight += [
        InFlight(
            order.id, commands.args_of(order.args)[1], now_s - order.issued_s, order.state,
            "adjustment",
        )
        for order in store.payments.open_of(point.module, point.point, codes.ADJUST)
    ]  # fmt: skip
    return Row(
        point.module,
        point.point,
        store.ledgers.energy_wh(point.id),
        statement.charged_ncur if statement else None,
        charged_host_ncur,
        point.state.topups_ncur,
        balance_module_ncur,
        balance_host_ncur,
        point.sent_seq,
        point.state.seq,
        point.duplicates,
        store.intake.rejected(point.module),
        differences,
        not why,
        why,
        point.currency,
        in_flight,
    )


def _why(store: Store, point: Point, differences: int) -> str:
    """Why a point is not reconciled; empty when it is."""
    out = []
    if point.statement is None:
        out.append("no statement yet")
    else:
        own = figures.at(store, point, point.statement.seq)
        if own is None:
            out.append("statement is ahead of settlement")
        elif figures.unlike(point.statement, own):
            out.append("statement differs")
    if point.said is not None:
        own = figures.at(store, point, point.said.seq)
        if own is None or figures.unlike(point.said, own):
            out.append("batch statement differs")
    heard = [said.seq for said in (point.statement, point.said) if said is not None]
    if heard and max(heard) < point.state.seq:
        out.append("no statement of the last entry")
    if point.sent_seq > point.state.seq:
        out.append(f"{point.sent_seq - point.state.seq} records not settled")
    if differences:
        out.append(f"{differences} open differences")
    return "; ".join(out)


def _shown(rows: list[Row], found: list[Difference], agreed: bool, balanced: bool) -> str:
    heads = [name for name in Row.__slots__ if name not in ("why", "currency", "in_flight")]
    lines = [table(heads, [[getattr(row, name) for name in heads] for row in rows])]
    for row in rows:
        where = f"{row.module}/{row.point}"
        if row.why:
            lines.append(f"{where}: {row.why}")
        for item in row.in_flight:
            amount = f"{decimal(item.amount_ncur)} {row.currency}"
            lines.append(
                f"{where}: {item.what} {item.number} of {amount} {item.state}, {item.age_s} s old"
            )
    for difference in found:
        lines.append(
            f"difference: {difference.kind}, {difference.detail} at {difference.seq}:"
            f" module {difference.module_value}, host {difference.host_value},"
            f" seen {difference.count} times"
        )
    if not balanced:
        lines.append("the trial balance is not zero")
    lines.append("reconciled 对账一致" if agreed else "not reconciled 对账不符")
    return "\n".join(lines)
