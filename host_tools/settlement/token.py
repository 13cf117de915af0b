"""`gridpurse token`: the digits of a payment that is booked already, the same ones each time.

They carry the top-up's own number: module and host credit it once, whether the digits or the
command arrive first. Prints nothing but digits; they are worth the payment to whoever types them.
"""

import argparse
import json
import sys
from pathlib import Path

from host_tools import Refused, tokens
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.settlement.topup import ncur
from host_tools.store.database import Store, opened
from host_tools.store.records import Point, TopUp
from host_tools.tokens import TokenKey, VoucherKey

GROUPS = {9: 3, 15: 5, 20: 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", help="of a payment that `gridpurse topup` has booked")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--voucher", action="store_true", help="twenty digits, for any amount")
    kind.add_argument("--four-keys", action="store_true", help="fifteen digits 1 to 4")
    parser.add_argument(
        "--unit", default="1", help="the point's token_unit_ncur in currency, such as 0.10 (1)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    kind = "voucher" if arguments.voucher else "four keys" if arguments.four_keys else "token"
    with opened(settings.store(), create=False) as store:
        given, point = _booked(store, arguments.reference)
        digits = digits_of(store, settings.data_dir, given, point, kind, ncur(arguments.unit))
    if kind != "voucher" and tokens.near_bound(given):
        line = f"{point.module}/{point.point}: rotate its token key soon, numbers near their bound"
        print(f"gridpurse token: {line}", file=sys.stderr)
    if arguments.json:
        shown = {"module": point.module, "point": point.point, "number": given.number}
        print(json.dumps({**shown, "state": given.state, "digits": digits}))
    else:
        size = GROUPS[len(digits)]
        print(" ".join(digits[at : at + size] for at in range(0, len(digits), size)))
    return 0


def digits_of(
    store: Store, data: Path, given: TopUp, point: Point, kind: str, unit_ncur: int
) -> str:
    """The digits of a top-up: a "token", its "four keys" form, or a "voucher"."""
    key = KeyFiles(data.joinpath(KEYS_FOLDER)).load(point.module)
    if key is None:
        raise Refused(f"{point.module}: its key file is missing")
    mark = point.state.mark
    owed = store.payments.oldest_owed(point.id, given.generation)
    if kind == "voucher":
        voucher = VoucherKey.derived(key.reveal(), point.module, point.point)
        return tokens.voucher_text(voucher, given, mark, owed)
    token = TokenKey.derived(key.reveal(), point.point, mark.generation, unit_ncur)
    return tokens.token(token, given, mark, owed, four_keys=kind == "four keys")


def _booked(store: Store, reference: str) -> tuple[TopUp, Point]:
    given = store.payments.topup_by_reference(commands.reference_of(store, reference))
    if given is None:
        raise Refused(f"reference {reference}: no such payment; book it with `gridpurse topup`")
    points = {point.id: point for point in store.fleet.points()}
    return given, points[given.point_id]
