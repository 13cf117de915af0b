"""`gridpurse topup`: a payment was made; credit it to a service point, once per reference."""

import argparse
import json
from pathlib import Path

from host_tools import Refused
from host_tools.clock import Clock
from host_tools.config import StoreAddress
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, decimal, settings_of
from host_tools.store.database import Store, opened
from host_tools.store.records import Point, TopUp
from protocol.units import NCUR_PER_CUR, POINTS_MAX

DECIMALS_MAX = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", type=int)
    parser.add_argument("amount", help="in units of the point's currency, such as 50.00")
    parser.add_argument("--reference", required=True, help="the payment's own unique number")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    amount_ncur = ncur(arguments.amount)
    settings = settings_of(arguments)
    given, point = top_up(
        settings.store(),
        settings.clock(),
        arguments.module,
        arguments.point,
        arguments.reference,
        amount_ncur,
    )
    if arguments.json:
        shown = {
            "module": point.module,
            "point": point.point,
            "number": given.number,
            "reference": given.reference,
            "amount_ncur": given.amount_ncur,
            "state": given.state,
        }
        print(json.dumps(shown))
    else:
        amount = decimal(given.amount_ncur)
        print(
            f"top-up {given.number} of {point.module}/{point.point}:"
            f" {amount} {point.currency}, {given.state}"
        )
    return 0


def top_up(
    place: StoreAddress | Path,
    clock: Clock,
    module: str,
    point: int,
    reference: str,
    amount_ncur: int,
) -> tuple[TopUp, Point]:
    """Books a payment for a point."""
    with opened(place, create=False) as store, store.transaction():
        target = point_of(store, module, point)
        return commands.pay(store, target, reference, amount_ncur, clock.now_s()), target


def point_of(store: Store, module: str, number: int) -> Point:
    known = store.fleet.point(module, number) if 0 <= number < POINTS_MAX else None
    if known is None:
        raise Refused(f"{module}/{number}: no such service point; see `gridpurse modules`")
    return known


def ncur(text: str) -> int:
    """Nano-currency of an exact decimal such as "50.00"."""
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if not digits.isascii() or not digits.isdigit() or not whole or len(decimals) > DECIMALS_MAX:
        raise Refused(f"amount {text!r}: must be a number such as 50.00")
    return int(whole) * NCUR_PER_CUR + int(decimals.ljust(DECIMALS_MAX, "0"))
