"""`gridpurse module rescue MODULE`: what a dead module's flash holds and the host has not.

Application or relay board may be dead; the chip's boot loader has to answer, or somebody has a
dump of the whole flash. Ends with 0 when the host stands where the module's journal ends, else
with 1.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from host_tools.flashing.chip import BAUD
from host_tools.flashing.telling import Record
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.settlement.common import add_store_arguments, decimal, settings_of
from host_tools.store.database import opened

if TYPE_CHECKING:
    from host_tools.rescue.taking import Rescue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("module")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--port", help="of its boot loader, such as /dev/ttyUSB0")
    source.add_argument("--image", type=Path, metavar="FILE", help="its whole flash, as a file")
    parser.add_argument("--baud", type=int, default=BAUD, help=f"speed of the port ({BAUD})")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from host_tools.rescue import dump, speaking, taking  # noqa: PLC0415 - the module's program

    settings = settings_of(arguments)
    shown = sys.stderr if arguments.json else sys.stdout
    record = Record(shown, {"command": "rescue"})
    if arguments.port is not None:
        flash = dump.of_port(arguments.port, arguments.baud, record)
    else:
        flash = dump.of_file(arguments.image)
    with tempfile.TemporaryDirectory(prefix="gridpurse-rescue-") as folder:
        remains = speaking.Remains(flash, Path(folder))
        with opened(settings.store(), create=False) as store:
            keys = KeyFiles(settings.data_dir / KEYS_FOLDER)
            told = taking.take(
                *(store, keys, settings.clock(), arguments.module, remains, flash.where)
            )
    if arguments.json:
        print(json.dumps(asdict(told) | {"whole": told.whole}, ensure_ascii=False))
    else:
        print("\n".join(_lines(told)))
    return 0 if told.whole else 1


def _lines(told: "Rescue") -> list[str]:
    lines = []
    for each in told.points:
        new = each.settled - each.before
        line = f"{told.module}/{each.point}: {new} records taken in 补录 {new} 条,"
        line += f" balance 余额 {decimal(each.balance_ncur)} {each.currency}"
        if each.settled > each.journaled:
            line += "; the host has heard more since 主站记录更新"
        elif each.agrees:
            line += ", as in its journal 与模块日志一致"
        else:
            line += (
                f"; its journal ends at record {each.journaled} with"
                f" {decimal(each.journaled_ncur)}, the host at {each.settled} 与模块日志不符"
            )
        lines.append(line)
    lines.append(f"{told.module}: {told.events} events taken in 补录事件 {told.events} 条")
    if told.events_missing:
        lines[-1] += f", {told.events_missing} missing 缺失"
    if told.refused:
        lines.append(
            f"{told.module}: {told.refused} messages refused, see `gridpurse rejects` 有报文被拒收"
        )
    if not told.whole:
        lines.append("see `gridpurse differences list` before you replace it 更换前请先处理差异")
    return lines
