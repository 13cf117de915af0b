"""`gridpurse retain`: forgets raw evidence that is old enough and lies in closed days.

What may be forgotten and what never is, is told in host_tools/store/retention.py.
"""

import argparse
import json

from host_tools import Refused
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store import retention
from host_tools.store.database import opened
from protocol.units import DAY_S

# Longer than any tier period and than the year in which a bill may be disputed.
MONTHS_MIN = 13
DAYS_OF_A_MONTH = 31


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = f"age from which evidence is forgotten, at least {MONTHS_MIN}"
    parser.add_argument("--months", type=int, required=True, help=what)
    parser.add_argument("--dry-run", action="store_true", help="count, and forget nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.months < MONTHS_MIN:
        raise Refused(
            f"--months {arguments.months}: must be {MONTHS_MIN} or more; a tier period or a"
            " correction may need what is younger 阶梯周期与更正可能用到，不得少于 13"
        )
    settings = settings_of(arguments)
    with opened(settings.store(), create=False) as store:
        days = store.days.closed()
        if not days:
            raise Refused("no day is closed yet; see `gridpurse close` 尚无已关账日，请先关账")
        age_s = arguments.months * DAYS_OF_A_MONTH * DAY_S
        before_s = min(settings.clock().now_s() - age_s, days[-1].closed_s)
        if arguments.dry_run:
            events, rejects = retention.counted(store, before_s)
        else:
            with store.transaction():
                events, rejects = retention.forget(store, before_s)
    if arguments.json:
        told = {"before_s": before_s, "events": events, "rejects": rejects}
        print(json.dumps({**told, "dry_run": arguments.dry_run}))
        return 0
    what = "would be forgotten 将清除" if arguments.dry_run else "forgotten 已清除"
    print(f"{what}: {events} events 事件, {rejects} refused messages 拒收报文")
    return 0
