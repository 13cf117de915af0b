"""`gridpurse provision`: one module, from a bare program to its first settled reading.

Interrupted anywhere, the same command goes on from there. Exit codes: 0 commissioned, 2 the words
are wrong, 130 interrupted, 10 to 29 what docs/provisioning.md lists. Never prints a key.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from host_tools import Refused
from host_tools.config import Settings
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.provisioning import batch, card, lives, order
from host_tools.provisioning.console import opened
from host_tools.provisioning.order import Order
from host_tools.provisioning.steps import BEGIN, DONE, STEPS, Provisioning, Tell
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.store import database


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", nargs="?", help="its serial port, such as /dev/ttyUSB0")
    parser.add_argument(
        "--batch",
        type=Path,
        metavar="CSV",
        help="many modules; docs/provisioning.md has the columns",
    )
    parser.add_argument("--parallel", type=int, default=4, help="ports at a time in a batch (4)")
    order.add_arguments(parser)
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if not settings.store_url and not (settings.data_dir / database.FILE).exists():
        raise Refused(f"{settings.data_dir}: no store; `gridpurse setup` makes one 无数据库")
    KeyFiles(settings.data_dir / KEYS_FOLDER).seal_clear()
    if arguments.batch is not None:
        if arguments.port or arguments.module:
            raise Refused("--batch: the file names ports and modules; leave them out here")
        return batch.run(settings, arguments, provision)
    if not arguments.port:
        raise Refused("PORT: name the serial port, such as /dev/ttyUSB0, or --batch CSV")
    wanted = order.order_of(arguments)
    begun_s = time.monotonic()
    page = provision(settings, wanted, arguments.port, Progress().tell)
    print(f"{wanted.module}: commissioned 已投运, {time.monotonic() - begun_s:.1f} s, {page}")
    return 0


def provision(settings: Settings, wanted: Order, port: str, tell: Tell) -> str:
    """The whole checklist. -> path of the report card, which is written after a fault too; and
    on another line what comes next, where the chip was another module"""
    with opened(port) as console:
        run = Provisioning(settings, wanted, console, tell)
        run.refuse_clock()
        serial = run.identify()
        with run.records.alone(serial, port):
            record = run.record_of(serial)
            try:
                run.run(record)
            finally:
                tell("card", BEGIN)
                if record.steps:
                    page = card.written(settings.data_dir, record, wanted)
            with database.opened(settings.store()) as store:
                return "\n".join(filter(None, (str(page), lives.onward(store, wanted))))


class Progress:
    """A line a step, once it is done."""

    def __init__(self, write: Callable[[str], object] = sys.stdout.write) -> None:
        self._write = write
        self._words = {name: f"{english} {chinese}" for name, english, chinese in STEPS}
        self._begun_s = 0.0

    def tell(self, step: str, what: str) -> None:
        if what == BEGIN:
            self._begun_s = time.monotonic()
        elif what == DONE and step in self._words:
            took_s = time.monotonic() - self._begun_s
            self._write(f"ok  {took_s:5.1f} s  {self._words[step]}\n")
            sys.stdout.flush()
