"""`gridpurse differences`: where module and host do not agree, and closing it with who and why.

What is still different opens again with the next message of the module.
"""

import argparse
import json
from dataclasses import asdict

from host_tools import Refused
from host_tools.settlement.common import add_store_arguments, settings_of, table
from host_tools.store.database import Store, opened
from host_tools.validation import closing, mending
from host_tools.validation.closing import Listed
from host_tools.validation.versions import person

HEADS = ("difference", "point", "class", "detail", "entry", "module_value", "host_value", "count",
         "opened_s", "closed_s", "who", "why")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    one = kinds.add_parser("list", help="open differences, oldest first")
    one.add_argument("--module", help="only the points of one module")
    one.add_argument("--all", action="store_true", help="closed ones too")
    two = kinds.add_parser("close", help="say who has cleared one up, and how")
    two.add_argument("difference", type=int, help="its number in the list")
    two.add_argument("--by", required=True, metavar="WHO", help="who closes it")
    two.add_argument("--reason", required=True, metavar="TEXT", help="how it was cleared up")
    for each in (one, two):
        each.add_argument("--json", action="store_true", help="print JSON")
        add_store_arguments(each)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store:
        if arguments.what == "close":
            person(arguments.by, arguments.reason)
            with store.transaction():
                number = arguments.difference
                known = closing.one(store, number)
                if known is None:
                    raise Refused(
                        f"difference {number}: there is none; see `gridpurse differences list`"
                        " 无此差异"
                    )
                if known.closed_s is not None:
                    raise Refused(
                        f"difference {number}: is closed already; see `gridpurse differences list"
                        " --all` 该差异已消除"
                    )
                if known.kind == mending.NO_CLOCK and _speaks(store, known.module):
                    raise Refused(
                        f"difference {number}: nothing to do; it is worked off by itself when the"
                        " clock is set, or a day later 时钟校准后自动处理，无须人工关闭"
                    )
                who, why = arguments.by.strip(), arguments.reason.strip()
                closing.close(store, number, who, why, settings.clock().now_s())
                shown = [closing.one(store, number)]
        else:
            shown = [*closing.listed(store, arguments.module, arguments.all)]
    found = [each for each in shown if each is not None]
    if arguments.json:
        print(json.dumps([asdict(each) for each in found], ensure_ascii=False))
    else:
        print(table(HEADS, [_row(each) for each in found]))
    return 0


def _speaks(store: Store, module: str) -> bool:
    """Whether more may come of it; a retired module never tells when its clock was set."""
    return store.fleet.module_known(module).retired_s is None


def _row(each: Listed) -> tuple[object, ...]:
    by_itself = "module" if each.closed_s is not None else None
    return (
        each.id, f"{each.module}/{each.point}", each.kind, each.detail, each.seq,
        each.module_value, each.host_value, each.count, each.opened_s, each.closed_s,
        each.who or by_itself, each.why,
    )  # fmt: skip
