"""What belongs where in the flash of a board, and what of it a module in service keeps.

A region is written whole. `KEPT` are those that a module's own life is in: its ledger, its
settings and key, its Wi-Fi. Offsets and sizes in bytes.
"""

import importlib
from dataclasses import dataclass

from host_tools.flashing import partition_table
from host_tools.flashing.device_image import BOARDS, FILE_SYSTEM, JOURNAL, TABLE
from host_tools.flashing.micropython_image import MicroPython
from host_tools.flashing.partition_table import Partition

APP, NVS, VFS, LEDGER = "factory", "nvs", "vfs", "journal"
BOOT, PROGRAM = "boot loader", "MicroPython"
NAMES = {  # in the order they are written
    BOOT: "引导程序",
    "partition table": "分区表",
    "Wi-Fi memory": "Wi-Fi 存储",
    PROGRAM: "MicroPython",
    "journal": "日志分区",
    "file system": "文件系统",
}
KEPT = ("Wi-Fi memory", "journal", "file system")


@dataclass(frozen=True)
class Region:
    name: str
    offset: int
    data: bytes

    @property
    def blank(self) -> bool:
        return not self.data.strip(b"\xff")


@dataclass(frozen=True)
class Board:
    """A folder of boards/ as the flash sees it."""

    name: str
    chip: str
    flash_bytes: int
    rows: dict[str, Partition]


def board(name: str) -> Board:
    pins = importlib.import_module(f"boards.{name}.pins")
    rows = partition_table.read_rows(BOARDS / name / "partitions.csv")
    return Board(name, pins.CHIP, pins.FLASH_BYTES, rows)


def regions(one: Board, image: MicroPython, files: dict[str, bytes]) -> tuple[Region, ...]:
    """All of them, in the order of `NAMES`; the boot loader's place comes with the image."""
    rows = one.rows
    found = (
        (image.boot_loader_at, image.boot_loader),
        (partition_table.AT, files[TABLE]),
        (rows[NVS].offset, b"\xff" * rows[NVS].size),
        (rows[APP].offset, image.application),
        (rows[LEDGER].offset, files[JOURNAL]),
        (rows[VFS].offset, files[FILE_SYSTEM]),
    )
    return tuple(Region(name, *each) for name, each in zip(NAMES, found, strict=True))
