"""`gridpurse validate`: checks what is settled and not looked at yet; or a past day once more.

`gridpurse settle` does the same by itself while it has little to do. Money that was to be ordered
and was refused or has expired is ordered again here.
"""

import argparse
import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

from host_tools import Refused
from host_tools.config import toml_text
from host_tools.exchange.meter_file import read_meter
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.settlement.topup import point_of, points_of
from host_tools.store.database import Store, opened
from host_tools.store.records import Point
from host_tools.validation import adjusting, journal
from host_tools.validation.adjusting import RERATING, Cause
from host_tools.validation.following import Done, Follower
from host_tools.validation.meters import keep_meter
from host_tools.validation.versions import MACHINE, Versions, person

EPOCH = date(1970, 1, 1)
WORDS = {
    "points": "用电点",
    "entries": "账目",
    "days": "日",
    "readings": "读数变更",
    "reviews": "待审",
    "adjustments": "调账命令",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module", nargs="?", help="only the points of one module")
    parser.add_argument("point", nargs="?", type=int, help="with --meter: the point it is of")
    parser.add_argument("--again", metavar="DATE", help="check a local day that is over once more")
    parser.add_argument("--meter", type=Path, help="keep this meter file of the point")
    parser.add_argument("--by", metavar="WHO", help="with --meter: who says so")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when all is validated, 1 when a point could not be."""
    settings = settings_of(arguments)
    clock = settings.clock()
    with opened(settings.store(), create=False) as store:
        points = _points(store, arguments)
        if arguments.meter is not None:
            _keep(store, arguments, clock.now_s())
        follower = Follower(store, clock.now_s)
        done = Done()
        if arguments.again is not None:
            day = _day(arguments.again)
            for point in points:
                with store.transaction():
                    done.add(follower.again(point, day))
        done.add(caught_up(follower, arguments.module))
        chosen = {point.id for point in points}
        for point_id in chosen.intersection(Versions(store).corrected()):
            done.adjustments += _rest(store, point_id, clock.now_s())
    if arguments.json:
        print(json.dumps({**asdict(done), "refused": list(follower.refused.values())}))
    else:
        told = (f"{value} {name} {WORDS[name]}" for name, value in asdict(done).items())
        print(f"validated 已审核: {', '.join(told)}")
        for line in follower.refused.values():
            print(line)
    return 1 if follower.refused else 0


def caught_up(follower: Follower, module: str | None = None) -> Done:
    """Everything that waits, in transactions of many points."""
    done = Done()
    while True:
        one = follower.turn(lambda: False, None, module)
        done.add(one)
        if not one.points and not follower.left:
            return done


def _points(store: Store, arguments: argparse.Namespace) -> list[Point]:
    if arguments.point is not None:
        return [point_of(store, arguments.module, arguments.point)]
    return points_of(store, arguments.module)


def _keep(store: Store, arguments: argparse.Namespace, now_s: int) -> None:
    if arguments.point is None:
        raise Refused("--meter: name module and point before it 须先写模块与用电点")
    who = arguments.by or ""
    person(who, "meter file")
    read_meter(arguments.meter)  # refused in one line before anything is kept
    text = toml_text(arguments.meter)
    with store.transaction():
        keep_meter(store, point_of(store, arguments.module, arguments.point), text, who, now_s)


def _day(text: str) -> int:
    try:
        return (date.fromisoformat(text) - EPOCH).days
    except ValueError as error:
        raise Refused(f"--again {text}: must be a date such as 2026-01-31 日期格式不符") from error


def _rest(store: Store, point_id: int, now_s: int) -> int:
    """Orders what is owed and lies in no order that is on its way or done."""
    with store.transaction():
        point = journal.point_of_row(store, point_id)
        known = adjusting.ordered(store, point)
        last = known[-1] if known else None
        read = (last.first_seq, last.from_s, last.to_s) if last else (0, 0, 0)
        cause = Cause(last.rule if last else "rest", RERATING, MACHINE, "not ordered before")
        return int(adjusting.work_off(store, point, cause, now_s, read) is not None)
