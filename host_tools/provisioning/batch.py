"""Many modules from a CSV, some ports at a time; run it again and it goes on where it stopped.

A column is an option of `gridpurse provision` without its dashes, `port` besides; several values
of one cell are parted by `;`. What a row leaves empty is what the command line says. A faulty
module is listed with its reason and holds nobody up.
"""

import argparse
import csv
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from host_tools import Refused
from host_tools.config import Settings
from host_tools.faults import Fault
from host_tools.provisioning import order
from host_tools.provisioning.order import Order
from host_tools.provisioning.record import Records
from host_tools.provisioning.steps import DONE, WRITE, Tell

LISTS = {"point", "meter", "relay", "tariff"}
PATHS = {"wifi_secret", "ca", "ca_key"}
WHOLES = {"shard", "baud", "poll_ms"}
TEXTS = {"module", "was", "board", "serial", "parity", "wifi", "broker", "tls", "ntp", "gateway"}
COLUMNS = ("port", *sorted(LISTS | PATHS | WHOLES | TEXTS), "auto_close")
PARALLEL_MAX = 16
REFUSED = 2

Provision = Callable[[Settings, Order, str, Tell], str]


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    port: str
    order: Order


@dataclass(frozen=True, slots=True)
class Outcome:
    """`code` is the exit code that the module alone would have had."""

    line: int
    module: str
    code: int
    text: str


class Stopped(Exception):
    """Somebody interrupts the batch: each module stops before its next effect."""


def run(settings: Settings, arguments: argparse.Namespace, provision: Provision) -> int:
    """0 when every module is commissioned, 1 when some are not."""
    if not 1 <= arguments.parallel <= PARALLEL_MAX:
        raise Refused(f"--parallel {arguments.parallel}: must be 1 to {PARALLEL_MAX}")
    rows, bad = _read(arguments.batch, arguments)
    for outcome in bad:
        _print(arguments.batch, outcome)
    done = {each.module for each in Records(settings.data_dir).every() if each.finished_s}
    waiting = [row for row in rows if row.order.module not in done]
    if len(waiting) < len(rows):
        print(f"{len(rows) - len(waiting)} commissioned before 此前已完成", flush=True)
    outcomes = [*bad, *_played(settings, arguments, waiting, provision)]
    failed = sorted((each for each in outcomes if each.code), key=lambda each: each.line)
    good = len(rows) - len(waiting) + sum(1 for each in outcomes if not each.code)
    print(f"{good} commissioned 已投运, {len(failed)} not 未完成")
    for each in failed:
        print(f"  {arguments.batch}:{each.line}: {each.module} ({each.code}): {each.text}")
    return 1 if failed else 0


def _played(
    settings: Settings, arguments: argparse.Namespace, rows: list[Row], provision: Provision
) -> list[Outcome]:
    stop = threading.Event()

    def tell(step: str, what: str) -> None:
        if stop.is_set() and what not in (WRITE, DONE) and step != "card":
            raise Stopped

    def one(row: Row) -> Outcome:
        begun_s = time.monotonic()
        name = row.order.module
        try:
            tell("console", "begin")
            page = provision(settings, row.order, row.port, tell)
        except Stopped:
            return Outcome(row.line, name, 130, "interrupted 已中断")
        except Fault as error:
            outcome = Outcome(row.line, name, error.exit_code, str(error))
        except Refused as error:
            outcome = Outcome(row.line, name, REFUSED, str(error))
        except OSError as error:
            outcome = Outcome(row.line, name, REFUSED, f"{error.filename}: {error.strerror}")
        else:
            text = f"{time.monotonic() - begun_s:.1f} s, {page}"
            outcome = Outcome(row.line, name, 0, text)
        _print(arguments.batch, outcome)
        return outcome

    with ThreadPoolExecutor(arguments.parallel) as pool:
        try:
            return list(pool.map(one, rows))
        except BaseException:
            stop.set()
            raise


def _print(path: Path, outcome: Outcome) -> None:
    if outcome.code:
        place = f"{path}:{outcome.line}: {outcome.module}"
        print(f"NOT {place}: {outcome.text}", file=sys.stderr, flush=True)
    else:
        print(f"ok  {outcome.module}: {outcome.text}", flush=True)


def _read(path: Path, words: argparse.Namespace) -> tuple[list[Row], list[Outcome]]:
    """The rows that can be done, and those that cannot with the reason; lines count from 1."""
    rows: list[Row] = []
    bad: list[Outcome] = []
    seen: dict[tuple[str, str], int] = {}
    for line, cells in _lines(path):
        try:
            found = _row(line, cells, words)
            for what, name in (
                ("port", found.port),
                ("module", found.order.module),
                ("serial", found.order.serial),
            ):
                first = seen.setdefault((what, name), line) if name else line
                if first != line:
                    raise Refused(f"{what} {name}: is in line {first} already; each once")
            rows.append(found)
        except Refused as error:
            bad.append(Outcome(line, cells.get("module", ""), REFUSED, str(error)))
    return rows, bad


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            heads = [head.strip() for head in next(reader, [])]
            for head in heads:
                if head not in COLUMNS:
                    raise Refused(
                        f"{path}:1: column {head!r} is unknown; use {', '.join(COLUMNS)}"
                    )
            if "port" not in heads or "module" not in heads or len(set(heads)) < len(heads):
                raise Refused(f"{path}:1: name the columns port and module, each once")
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    padded = [cell.strip() for cell in cells] + [""] * (len(heads) - len(cells))
                    extra = {"": "more cells than columns"} if len(cells) > len(heads) else {}
                    yield reader.line_num, {**dict(zip(heads, padded, strict=False)), **extra}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def _row(line: int, cells: dict[str, str], words: argparse.Namespace) -> Row:
    if "" in cells:
        raise Refused(f"{cells['']}; put a cell with a comma in quotes")
    if not cells["port"]:
        raise Refused("port: is empty; name the serial port")
    own = argparse.Namespace(**vars(words))
    for name, text in cells.items():
        if not text or name == "port":
            continue
        if name in LISTS:
            setattr(own, name, [item.strip() for item in text.split(";")])
        elif name in PATHS:
            setattr(own, name, Path(text))
        elif name in WHOLES:
            if not text.isascii() or not text.isdigit():
                raise Refused(f"{name} {text}: is not a number")
            setattr(own, name, int(text))
        elif name == "auto_close":
            if text not in ("0", "1", "no", "yes"):
                raise Refused(f"auto_close {text}: write yes or no")
            own.auto_close = text in ("1", "yes")
        else:
            setattr(own, name, text)
    return Row(line, cells["port"], order.order_of(own))
