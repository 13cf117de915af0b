"""`gridpurse trial`: the trial balance. Every account's debits and credits, which must be equal in
each currency, over all or by shard, module or service point, of which none owes another."""

import argparse
import json
from collections import Counter
from dataclasses import asdict

from host_tools.settlement import posting, reconcile
from host_tools.settlement.common import add_store_arguments, decimal, settings_of, table
from host_tools.store.database import opened
from host_tools.store.ledgers import GROUPS
from host_tools.store.records import Turnover

ACCOUNTS_ZH = {
    posting.CASH: "资金清算",
    posting.IN_FLIGHT: "在途充值",
    posting.CUSTOMER: "客户预存",
    posting.ENERGY: "电费收入",
    posting.FIXED: "固定费收入",
    posting.ADJUSTMENTS: "调账",
    posting.DEBTS: "客户欠费",
    posting.SUSPENSE: "暂记",
    posting.TERMS: "电价条款收入",
    posting.ROLLBACK: "存储回退",
    posting.TRANSFER: "模块间转账",
    posting.WRITE_OFFS: "核销",
}
HEADS = ("currency", "group", "account", "debit_ncur", "credit_ncur")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "a trial balance of each"
    parser.add_argument("--by", choices=list(GROUPS), default="all", help=what)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when debits equal credits and customers' accounts their balances, 1 when they do not."""
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store, store.instant():
        rows = store.ledgers.turnover(arguments.by)
        customers = reconcile.trial_balance(store)
    off = off_ncur(rows)
    zero = customers and not off
    if arguments.json:
        print(json.dumps({"trial_balance_zero": zero, "accounts": [asdict(row) for row in rows]}))
        return 0 if zero else 1
    print(shown(rows))
    for (currency, group), amount_ncur in off.items():
        where = f"{currency} {group}".rstrip()
        print(f"{where}: debits less credits are 借贷差 {decimal(amount_ncur)}")
    if not customers:
        print("customers' accounts are not their balances 客户科目与余额不符")
    print("balanced 借贷相等" if zero else "not balanced 借贷不等")
    return 0 if zero else 1


def off_ncur(rows: list[Turnover]) -> dict[tuple[str, str], int]:
    """{(currency, group): debits less credits} where they differ."""
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        sums[row.currency, row.group] += row.debit_ncur - row.credit_ncur
    return {key: amount_ncur for key, amount_ncur in sums.items() if amount_ncur}


def shown(rows: list[Turnover]) -> str:
    """All accounts and, for every currency, the totals of both sides."""
    cells: list[tuple[object, ...]] = []
    for currency in sorted({row.currency for row in rows}):
        own = [row for row in rows if row.currency == currency]
        for row in own:
            account = f"{row.account} {ACCOUNTS_ZH[row.account]}"
            cells.append((currency, row.group or "-", account, row.debit_ncur, row.credit_ncur))
        debits, credits = (sum(getattr(row, side) for row in own) for side in HEADS[3:])
        cells.append((currency, "-", "total 合计", debits, credits))
    return table(HEADS, cells)
