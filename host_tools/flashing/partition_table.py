"""The partition table of a board: rows of its partitions.csv, and the bytes the boot loader reads.

Offsets and sizes in bytes. Format: ESP-IDF, api-guides/partition-tables: rows of 32 bytes, an MD5
row, the rest blank. Does not judge a layout; tests/boards does.
"""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

AT = 0x8000  # where the boot loader looks
BYTES = 0xC00
ROW = struct.Struct("<2sBBII16sI")
ROW_MAGIC = b"\xaa\x50"
MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
APP, DATA = 0, 1
TYPES = {"app": APP, "data": DATA}
SUBTYPES = {"factory": 0x00, "phy": 0x01, "nvs": 0x02, "fat": 0x81}


@dataclass(frozen=True, slots=True)
class Partition:
    name: str
    type: int
    subtype: int
    offset: int
    size: int


def read_rows(table: Path) -> dict[str, Partition]:
    """Rows by name, in the order of the file."""
    found = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, kind, subtype, offset, size = [field.strip() for field in line.split(",")][:5]
        found[name] = Partition(
            name,
            TYPES[kind],
            SUBTYPES[subtype] if subtype in SUBTYPES else int(subtype, 0),
            int(offset, 0),
            int(size, 0),
        )
    return found


def to_binary(rows: dict[str, Partition]) -> bytes:
    packed = b"".join(
        ROW.pack(
            ROW_MAGIC, row.type, row.subtype, row.offset, row.size, row.name.encode("ascii"), 0
        )
        for row in rows.values()
    )
    digest = hashlib.md5(packed, usedforsecurity=False).digest()
    return (packed + MD5_MAGIC + digest).ljust(BYTES, b"\xff")


def from_binary(binary: bytes) -> dict[str, Partition]:
    """Rows of a table that was read from a flash, by name; empty when there is none."""
    found = {}
    for at in range(0, len(binary) - ROW.size + 1, ROW.size):
        magic, kind, subtype, offset, size, name, _ = ROW.unpack_from(binary, at)
        if magic != ROW_MAGIC:
            break
        label = name.rstrip(b"\0").decode("ascii", "replace")
        found[label] = Partition(label, kind, subtype, offset, size)
    return found
