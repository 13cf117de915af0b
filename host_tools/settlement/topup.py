"""`gridpurse topup`: a payment was made; credit it to a service point, once per reference."""

import argparse
import json
from pathlib import Path

from host_tools import Refused
from host_tools.billing import receipts
from host_tools.clock import Clock
from host_tools.config import StoreAddress
from host_tools.settlement import rebooking
from host_tools.settlement.common import add_store_arguments, decimal, settings_of
from host_tools.store.bills import Receipt
from host_tools.store.database import Store, opened
from host_tools.store.records import Point, TopUp
from protocol.units import NCUR_PER_CUR, POINTS_MAX

DECIMALS_MAX = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", type=int)
    parser.add_argument("amount", help="in units of the point's currency, such as 50.00")
    parser.add_argument("--reference", required=True, help="the payment's own unique number")
    which = parser.add_mutually_exclusive_group()
    old = "in a restored store: it was booked before the loss"
    which.add_argument("--again", action="store_true", default=None, help=old)
    new = "in a restored store: it was made since"
    which.add_argument("--new", action="store_false", dest="again", default=None, help=new)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    amount_ncur = ncur(arguments.amount)
    settings = settings_of(arguments)
    given, point, number = top_up(
        settings.store(),
        settings.clock(),
        arguments.module,
        arguments.point,
        arguments.reference,
        amount_ncur,
        arguments.again,
    )
    if arguments.json:
        shown = {
            "module": point.module,
            "point": point.point,
            "number": given.number,
            "receipt": number,
            "reference": given.reference,
            "amount_ncur": given.amount_ncur,
            "state": given.state,
        }
        print(json.dumps(shown))
    else:
        amount = decimal(given.amount_ncur)
        print(
            f"top-up {given.number} of {point.module}/{point.point}:"
            f" {amount} {point.currency}, receipt 收据 {number}, {given.state}"
        )
    return 0


def top_up(
    place: StoreAddress | Path,
    clock: Clock,
    module: str,
    point: int,
    reference: str,
    amount_ncur: int,
    again: bool | None = None,
) -> tuple[TopUp, Point, str]:
    """Books a payment for a point in the store of a place; its number and its receipt's.

    `again` as rebooking.pay has it.
    """
    with opened(place, create=False) as store, store.transaction():
        target = point_of(store, module, point)
        paid, receipt = book(store, target, reference, amount_ncur, again, clock.now_s())
        return paid, target, receipt.number


def book(
    store: Store,
    point: Point,
    reference: str,
    amount_ncur: int,
    again: bool | None,
    now_s: int,
) -> tuple[TopUp, Receipt]:
    """A payment of any channel with its receipt, inside the caller's transaction."""
    paid = rebooking.pay(store, point, reference, amount_ncur, again, now_s)
    return paid, receipts.give(store, point, paid)


def point_of(store: Store, module: str, number: int) -> Point:
    known = store.fleet.point(module, number) if 0 <= number < POINTS_MAX else None
    if known is None:
        raise Refused(f"{module}/{number}: no such service point; see `gridpurse modules`")
    return known


def points_of(store: Store, module: str | None) -> list[Point]:
    """The points of one module, or of all. Refused for a module that is not there."""
    if module is not None and store.fleet.module(module) is None:
        raise Refused(f"{module}: no such module; see `gridpurse modules` 无此模块")
    return store.fleet.points(module)


def ncur(text: str) -> int:
    """Nano-currency of an exact decimal such as "50.00"."""
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if not digits.isascii() or not digits.isdigit() or not whole or len(decimals) > DECIMALS_MAX:
        raise Refused(f"amount {text!r}: must be a number such as 50.00")
    return int(whole) * NCUR_PER_CUR + int(decimals.ljust(DECIMALS_MAX, "0"))
