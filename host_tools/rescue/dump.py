"""What lies in the flash of a module: its journal partition and the files of its file system.

Read at its boot loader, or out of a file that holds the whole flash. Key and passwords are in it:
nothing of it is printed, logged or written anywhere.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from littlefs import LittleFSError

from host_tools import Refused
from host_tools.flashing import chip, partition_table
from host_tools.flashing.plan import LEDGER, VFS
from host_tools.flashing.telling import Record
from host_tools.simulator import image

FLASH_BYTES_MAX = 1 << 25


@dataclass(frozen=True)
class Dump:
    """`files` by their path on the module, without the leading slash."""

    where: str
    journal: bytes = field(repr=False)
    files: dict[str, bytes] = field(repr=False)


def of_file(path: Path) -> Dump:
    """Refused when it is not the whole flash of a module."""
    try:
        with path.open("rb") as file:
            flash = file.read(FLASH_BYTES_MAX)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror} 无法读取") from error
    at = partition_table.AT
    rows = _rows(str(path), flash[at : at + partition_table.BYTES], len(flash))
    return _dump(
        str(path),
        *(flash[row.offset : row.offset + row.size] for row in (rows[LEDGER], rows[VFS])),
    )


def of_port(port: str, baud: int, record: Record) -> Dump:
    """Reads only; starts the module again where the port can. A Fault when it does not answer."""
    chip.check_speed(baud)
    with ExitStack() as stack:
        with record.step("chip", "芯片") as step:
            found = stack.enter_context(chip.Chip(port, baud))
            step.note = f"{found.name}, {found.flash_bytes >> 20} MB, {found.mac}"
        table = found.read(partition_table.AT, partition_table.BYTES, "partition table")
        try:
            rows = _rows(port, table, found.flash_bytes)
        except Refused:
            found.leave()
            raise
        parts = []
        for name, chinese, row in (
            ("journal", "日志分区", rows[LEDGER]),
            ("file system", "文件系统", rows[VFS]),
        ):
            with record.step(name, chinese) as step:
                parts.append(found.read(row.offset, row.size, name, record.progress))
                step.note = f"{row.size >> 10} KB read"
        found.leave()
    return _dump(port, *parts)


def _rows(where: str, table: bytes, size: int) -> dict[str, partition_table.Partition]:
    rows = partition_table.from_binary(table)
    for name in (LEDGER, VFS):
        row = rows.get(name)
        if row is None or row.offset + row.size > size:
            raise Refused(
                f"{where}: holds no {name} partition of a module; it takes the whole flash, as"
                " `esptool read-flash 0 ALL FILE` writes it 须为整片闪存的转储"
            )
    return rows


def _dump(where: str, journal: bytes, file_system: bytes) -> Dump:
    try:
        return Dump(where, journal, image.read_vfs(file_system))
    except LittleFSError as error:
        raise Refused(
            f"{where}: its file system is damaged, so it cannot be told whose it is; keep the dump"
            " and enter what its meter shows by hand 文件系统损坏，无法确认模块"
        ) from error
