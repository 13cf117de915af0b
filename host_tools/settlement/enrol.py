"""`gridpurse modules`: which modules and service points there are, and enrolling a new one.

Enrolling makes the root key, the module, its points at the genesis state and their tariff.
"""

import argparse
import json
from dataclasses import dataclass

from host_tools import Refused
from host_tools.keys import KEYS_FOLDER, KeyFiles, RootKey
from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.store.database import Store, opened
from host_tools.store.sql import FAILURES
from host_tools.tariffs import stored
from protocol import tariff, topics
from protocol.units import POINTS_MAX


@dataclass(frozen=True, slots=True)
class NewPoint:
    point: int
    label: str
    tariff_name: str  # where the book came from, for messages
    book: tariff.Book


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--add", metavar="MODULE", help="enrol a new module and make its key")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="NUMBER=LABEL",
        help="a service point of the new module; repeat for more",
    )
    what = "tariff file of the new points, or a version of the store"
    parser.add_argument("--tariff", metavar="FILE|VERSION", help=what)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with opened(settings.store(), create=arguments.add is not None) as store:
        if arguments.add is not None:
            keys = KeyFiles(settings.data_dir.joinpath(KEYS_FOLDER))
            if arguments.tariff is None:
                raise Refused("--tariff: name the tariff file of the new module's points")
            now_s = settings.clock().now_s()
            with store.transaction():
                book = stored.given(store, arguments.tariff, now_s)
            points = [_new_point(text, arguments.tariff, book) for text in arguments.point]
            enrol(store, keys, arguments.add, arguments.shard, points, now_s)
        print(_listing(store, arguments.json))
    return 0


def enrol(
    store: Store,
    keys: KeyFiles,
    module: str,
    shard: int,
    points: list[NewPoint],
    now_s: int,
    adopt: bool = False,
) -> RootKey:
    """A new module; its key is what provisioning writes into it.

    The key file is made last, inside the transaction: a module never has one without the other. A
    process killed between the two leaves a key that nobody has; `adopt` takes that one.
    """
    if not topics.module_id_ok(module):
        raise Refused(f"module {module!r}: use 1 to 16 of a-z, 0-9 and -")
    if not 0 <= shard <= topics.SHARD_MAX:
        raise Refused(f"--shard {shard}: must be 0 to {topics.SHARD_MAX}")
    if not points:
        raise Refused("--point: name at least one, such as --point 0=Flat-1")
    numbers = [new.point for new in points]
    if len(set(numbers)) != len(numbers):
        raise Refused("--point: a number is used twice; give each point its own")
    key = None
    try:
        with store.transaction():
            store.fleet.add_module(module, shard)
            for new in points:
                store.fleet.store_book(new.tariff_name, new.book, now_s)
                point_id = store.fleet.add_point(module, new.point, new.label, new.book.currency)
                store.fleet.assign(point_id, new.book.version, 0)
                commands.order_tariff(store, module, new.point, new.book, now_s)
            key = keys.adopt(module) if adopt else keys.create(module)
    except FAILURES:
        if key is not None:  # on a full disk the key found room and the commit did not
            keys.discard(module)
        raise
    return key


def _new_point(text: str, name: str, book: tariff.Book) -> NewPoint:
    number, _, label = text.partition("=")
    if not number.isascii() or not number.isdigit() or int(number) >= POINTS_MAX:
        raise Refused(f"--point {text}: write 0 to {POINTS_MAX - 1}, = and a label")
    return NewPoint(int(number), label or number, name, book)


def _listing(store: Store, as_json: bool) -> str:
    rows = []
    for module in store.fleet.modules():
        for point in store.fleet.points(module.id):
            rows.append(
                {
                    "module": module.id,
                    "shard": module.shard,
                    "point": point.point,
                    "label": point.label,
                    "tariff": point.state.version or store.fleet.assigned(point.id, 1 << 40),
                    "balance_ncur": point.state.balance_ncur,
                    "currency": point.currency,
                    "settled": point.state.seq,
                    "firmware": module.firmware,
                    "hello_s": module.hello_s,
                }
            )
    if as_json:
        return json.dumps(rows)
    heads = list(rows[0]) if rows else ["module", "shard", "point"]
    return table(heads, [list(row.values()) for row in rows])
