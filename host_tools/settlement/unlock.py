"""`gridpurse unlock`: ends the lock-out of token entry at a service point, by command."""

import argparse

from host_tools.settlement import commands
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.settlement.topup import point_of
from host_tools.store.database import opened
from protocol import codes
from protocol.units import DAY_S


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    parser.add_argument("point", type=int)
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    args: list[object] = [codes.CLEAR_LOCKOUT]
    with opened(settings.store(), create=False) as store, store.transaction():
        point = point_of(store, arguments.module, arguments.point)
        now_s = settings.clock().now_s()
        what = (point.module, point.point, codes.CLEAR, args)
        command_id = commands.issue(store, *what, now_s, DAY_S)
    print(f"command {command_id}: unlocks token entry of {point.module}/{point.point}, for a day")
    return 0
