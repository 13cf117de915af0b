"""`gridpurse doctor`: is everything in place for settling, and if not, what to do.

Looks and changes nothing, so it may run beside the service. Exit code 1 when a check fails; a
warning alone is 0.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import closing

from host_tools import Refused
from host_tools.config import Settings
from host_tools.operations import checks_machine, checks_store, figures
from host_tools.operations.finding import FAIL, OK, WARN, Finding, fail, ok
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store.database import FILE
from host_tools.store.sql import FAILURES, lease_ms, sqlite

CHECKS = (
    "config",
    "folder",
    "disk",
    "clock",
    "broker",
    "store",
    "keys",
    "leases",
    "lag",
    "commands",
    "validation",
    "differences",
)
MARKS = {OK: "ok  ", WARN: "WARN", FAIL: "FAIL"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--quick", action="store_true", help="check the pages of a large store, not its indexes"
    )
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    found = []
    for finding in examined(arguments):
        found.append(finding)
        if not arguments.json:
            print(_line(finding), flush=True)
    well = all(finding.level != FAIL for finding in found)
    if arguments.json:
        print(json.dumps({"ok": well, "checks": [_plain(finding) for finding in found]}))
    else:
        print("ready 可以运行" if well else "not ready 尚不可运行")
    return 0 if well else 1


def examined(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Each finding as soon as it is made; what depends on something that failed is left out."""
    try:
        settings = settings_of(arguments)
    except Refused as error:
        yield fail(
            "config",
            (str(error), "配置有误"),
            (
                "mend what the line names; docs/operator.md has all keys",
                "按所示更正，见 docs/operator.md",
            ),
        )
        return
    shards = ",".join(str(shard) for shard in settings.shards)
    yield ok("config", f"shards {shards}, data in {settings.data_dir}", "配置可读")
    place = checks_machine.folder(settings.data_dir)
    yield place
    if settings.data_dir.is_dir():
        yield checks_machine.disk(settings.data_dir)
    clock, now_s = checks_machine.clock(settings)
    yield clock
    node = settings.broker
    for _ in range(1 + len(node.fallbacks)):
        yield checks_machine.broker(node, settings.shards)
        node = node.turned()
    if settings.data_dir.is_dir():
        yield from _of_store(settings, now_s, arguments.quick)


def _of_store(settings: Settings, now_s: Callable[[], int], quick: bool) -> Iterator[Finding]:
    address = settings.store()
    path = settings.data_dir.joinpath(FILE)
    if not address.url and not path.exists():
        yield fail(
            "store",
            (f"{path}: no such store", f"{path}：无此数据库"),
            ("gridpurse setup, or restore the backup", "gridpurse setup，或恢复备份"),
        )
        return
    try:
        with closing(figures.read_only(address)) as connection:
            whole = checks_store.store(connection, quick)
            yield whole
            if whole.level != OK:
                return  # older or damaged: what else it says means little
            clock = settings.clock()
            checks: tuple[Callable[[], Finding | None], ...] = (
                lambda: checks_store.clock_and_readings(connection, now_s),
                lambda: checks_store.keys(connection, settings),
                lambda: checks_store.leases(
                    connection, settings, lambda: lease_ms(connection, clock.ticks_ms())
                ),
                lambda: checks_store.lag(connection, now_s()),
                lambda: checks_store.commands(connection, now_s()),
                lambda: checks_store.validation(connection),
                lambda: checks_store.differences(connection),
            )
            for check in checks:
                finding = check()
                if finding is not None:
                    yield finding
    except FAILURES as error:
        told = f"{address.shown}: {error}" if address.url else str(sqlite.explained(error, path))
        yield fail(
            "store",
            (told, "数据库不可读"),
            ("mend what the line says", "按所示处理"),
        )


def _line(finding: Finding) -> str:
    what = f"{finding.what.english}  {finding.what.chinese}"
    text = f"{MARKS[finding.level]}  {finding.check:<11}  {what}"
    if finding.remedy.english:
        text += f"\n{'':6}{'':11}  do 处理: {finding.remedy.english}  {finding.remedy.chinese}"
    return text


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level,
        "what": finding.what.english,
        "what_zh": finding.what.chinese,
        "remedy": finding.remedy.english,
        "remedy_zh": finding.remedy.chinese,
    }
