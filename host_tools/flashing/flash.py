"""`gridpurse flash`: from a bare chip to one that holds MicroPython, our table and our program.

What is right already is not written again, so the same command goes on after any interruption. A
module that has a ledger keeps it, its settings and its key: only MicroPython is renewed there.
"""

import argparse
import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from host_tools import Refused
from host_tools.faults import DEVICE, WRONG, Fault
from host_tools.flashing import (
    chip,
    device_image,
    faults,
    journal_slots,
    micropython_image,
    partition_table,
    plan,
)
from host_tools.flashing.chip import Chip, Part
from host_tools.flashing.partition_table import Partition
from host_tools.flashing.plan import KEPT, LEDGER, NAMES, VFS, Region
from host_tools.flashing.telling import DONE, FAILED, INTERRUPTED, Record

AGAIN_S = 1  # a USB adapter that came loose needs about as long to be back


@dataclass(frozen=True)
class Order:
    """What belongs on the module at a port. `erase_journal` and `erase_files` are its MAC."""

    port: str
    board: plan.Board
    image: micropython_image.MicroPython
    regions: tuple[Region, ...]
    baud: int = chip.BAUD
    erase_journal: str | None = None
    erase_files: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_image_arguments(parser)
    parser.add_argument("--port", required=True, help="/dev/ttyUSB0, COM3 or socket://HOST:PORT")
    parser.add_argument("--baud", type=int, default=chip.BAUD, help=f"speed ({chip.BAUD})")
    parser.add_argument("--report", type=Path, help="write steps and times there as JSON")
    parser.add_argument(
        "--erase-journal",
        metavar="MAC",
        help="erase the ledger of this module, when its balance has moved to another",
    )
    parser.add_argument(
        "--erase-files",
        metavar="MAC",
        help="erase settings, key and waiting records of this module, not its ledger",
    )


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--board", choices=device_image.boards(), required=True, help="a folder of boards/"
    )
    parser.add_argument(
        "--micropython", type=Path, required=True, metavar="FILE", help="its .bin for this chip"
    )
    parser.add_argument(
        "--sha256", metavar="HEX|FILE", help="of that file, from its download page"
    )


def run(arguments: argparse.Namespace) -> int:
    record = Record(
        sys.stdout, {"command": "flash", "port": arguments.port, "board": arguments.board}
    )
    try:
        flash(ordered(arguments, record), record)
        record.finish(DONE)
    except Fault as fault:
        facts = {"fault": fault.kind.name, "line": str(fault), "detail": fault.detail}
        record.finish(FAILED, **facts)
        raise
    except Refused as error:
        record.finish(FAILED, line=str(error))
        raise
    except KeyboardInterrupt:
        record.finish(INTERRUPTED)
        record.say("interrupted; the same command goes on  已中断，重新执行即可继续")
        raise
    finally:
        if arguments.report is not None:
            record.write(arguments.report)
    return 0


def ordered(arguments: argparse.Namespace, record: Record) -> Order:
    """Everything that can be known before the chip is looked at."""
    chip.check_speed(arguments.baud)
    board = plan.board(arguments.board)
    with record.step("image", "映像") as step:
        image = micropython_image.read(
            arguments.micropython, arguments.sha256, board.name, board.chip, board.rows[plan.APP]
        )
        step.facts |= {"file": str(image.path), "sha256": image.sha256}
        regions = plan.regions(board, image, device_image.device_image(board.name, board.rows))
        step.note = f"SHA-256 {image.sha256[:16]}..., program {device_image.version()}"
    return Order(
        *(arguments.port, board, image, regions, arguments.baud),
        *(arguments.erase_journal, arguments.erase_files),
    )


def flash(order: Order, record: Record) -> None:
    """Once, and once more when a device failed; the second Fault is the caller's."""
    try:
        _once(order, record)
    except Fault as first:
        if first.exit_code != DEVICE or first.kind is faults.NO_ANSWER:
            raise
        record.retry(str(first))
        time.sleep(AGAIN_S)
        try:
            _once(order, record)
        except Fault as second:
            if second.kind is faults.MISMATCH or first.kind is faults.MISMATCH:
                raise
            raise first  # that it is gone says less than when it went
    record.say(f"done: {order.port} holds what board {order.board.name} needs  写入完成")


def _once(order: Order, record: Record) -> None:
    with contextlib.ExitStack() as stack:
        with record.step("chip", "芯片") as step:
            found = stack.enter_context(Chip(order.port, order.baud))
            step.facts |= {"chip": found.name, "mac": found.mac, "flash_bytes": found.flash_bytes}
            step.note = f"{found.name}, {found.flash_bytes >> 20} MB, {found.mac}"
        try:
            _fits(order, found)
            kept = _kept(order, found, record)
            _bring(order, found, kept, record)
            with record.step("verify", "校验") as step:
                wrong = found.wrong(_parts(order, kept), "verify")
                if wrong is not None:
                    raise faults.MISMATCH.of(port=order.port, step=wrong)
                step.result = "verified"
            found.leave()
        except Fault as fault:
            if fault.exit_code == WRONG:  # nothing was written: a module in service goes on
                found.leave()
            raise


def _fits(order: Order, found: Chip) -> None:
    board = order.board
    if found.name != board.chip:
        boards = [name for name in device_image.boards() if plan.board(name).chip == found.name]
        raise faults.WRONG_CHIP.of(
            port=order.port,
            found=found.name,
            board=board.name,
            wanted=board.chip,
            boards=", ".join(boards) or "- (none 无)",
        )
    if found.flash_bytes < board.flash_bytes:
        raise faults.FLASH_SMALL.of(
            port=order.port,
            found=found.flash_bytes,
            board=board.name,
            wanted=board.flash_bytes,
        )
    for option, given in (
        ("--erase-journal", order.erase_journal),
        ("--erase-files", order.erase_files),
    ):
        if given is not None and given.lower() != found.mac:
            raise faults.OTHER_MODULE.of(option=option, given=given, mac=found.mac)


def _kept(order: Order, found: Chip, record: Record) -> frozenset[str]:
    """Names of the regions that are the module's own; a Fault when ours would lie across them."""
    if order.erase_journal is not None:
        return frozenset()
    with record.step("ledger", "账本") as step:
        step.note = "none"
        there = partition_table.from_binary(
            found.read(partition_table.AT, partition_table.BYTES, "ledger")
        )
        ours = order.board.rows
        for row in {ours[LEDGER], there.get(LEDGER, ours[LEDGER])}:
            if row.offset + row.size > found.flash_bytes:
                continue
            if not _ledger(found, row, record):
                continue
            step.note = "found: a module in service"
            if any(there.get(name, ours[name]) != ours[name] for name in (LEDGER, VFS)):
                raise faults.JOURNAL_ELSEWHERE.of(
                    port=order.port, mac=found.mac, where=hex(row.offset), board=order.board.name
                )
            record.say(
                f"its money stays; --erase-journal {found.mac} would erase it, `gridpurse command "
                "update` changes its program  账本、参数与密钥保留"
            )
            return frozenset(KEPT if order.erase_files is None else ("journal",))
    return frozenset()


def _ledger(found: Chip, row: Partition, record: Record) -> bool:
    """Reads only where something is: a chip hashes faster than it is read."""
    blank = ("ledger", row.offset, b"\xff" * row.size)
    if found.wrong([blank], "ledger") is None:
        return False
    return journal_slots.count(found.read(row.offset, row.size, "ledger", record.progress)) > 0


def _parts(order: Order, kept: frozenset[str]) -> list[Part]:
    ours = (region for region in order.regions if region.name not in kept)
    return [(region.name, region.offset, region.data) for region in ours]


def _bring(order: Order, found: Chip, kept: frozenset[str], record: Record) -> None:
    """One conversation with the chip; what it says of each region ends the region's step."""
    bringing = found.write(_parts(order, kept), record.progress)
    for region in order.regions:
        facts = {"offset": region.offset, "bytes": len(region.data)}
        with record.step(region.name, NAMES[region.name], **facts) as step:
            if region.name in kept:
                step.result = "kept"
            elif next(bringing, True):
                step.result = "erased" if region.blank else "written"
            else:
                step.result = "already right"
    for _ in bringing:
        pass  # it has ended well by now
