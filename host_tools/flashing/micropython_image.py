"""A MicroPython image as it is downloaded: proven by its SHA-256, split into what is flashed.

The .bin of a release begins with the boot loader and holds a partition table of its own at 0x8000
and the application behind it. Ours replaces that table; what lies between is not the image's.
Offsets are those in the flash, sizes in bytes.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path

from host_tools.flashing import faults, partition_table
from host_tools.flashing.partition_table import Partition

BOOT_LOADER_AT = {"esp32": 0x1000, "esp32s2": 0x1000}  # 0 for all later chips
MAGIC = 0xE9
SEGMENTS_AT, CHIP_AT, DIGEST_AT = 1, 12, 23
HEADER_BYTES, ROW_BYTES = 24, 16
CHECKSUM_SEED = 0xEF
CUT_OFF = "cut off or damaged"
CHIP_NUMBERS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 13: "esp32c6", 16: "esp32h2"}
IMAGE_BYTES_MAX = 1 << 25
HEX = re.compile(r"[0-9a-fA-F]{64}\b")


@dataclass(frozen=True)
class MicroPython:
    path: Path
    sha256: str
    boot_loader_at: int
    boot_loader: bytes
    application: bytes


def read(path: Path, sha256: str | None, board: str, chip: str, app: Partition) -> MicroPython:
    """The image in a file; a Fault when it is not what --sha256 says or not for this board."""
    try:
        with path.open("rb") as file:
            content = file.read(IMAGE_BYTES_MAX + 1)
    except OSError as error:
        raise faults.NO_FILE.of(path=path, why=error.strerror)
    found = hashlib.sha256(content).hexdigest()
    if sha256 is None:
        raise faults.NO_HASH.of(path=path, found=found)
    wanted = _wanted(sha256)
    if found != wanted:
        raise faults.WRONG_HASH.of(path=path, found=found, wanted=wanted)
    start = BOOT_LOADER_AT.get(chip, 0)
    boot_loader = content[: partition_table.AT - start]
    application = content[app.offset - start :]
    for part in (boot_loader, application):
        why = _unsound(part, chip, path, board)
        if why:
            raise faults.NOT_IMAGE.of(path=path, board=board, why=why)
    if len(application) > app.size:
        raise faults.TOO_LARGE.of(
            part="MicroPython", size=len(application), room=app.size, board=board
        )
    return MicroPython(path, found, start, boot_loader, application)


def _wanted(text: str) -> str:
    """64 digits themselves, or those in a file, as sha256sum writes it."""
    digits = HEX.fullmatch(text)
    if digits is None:
        try:
            digits = HEX.match(Path(text).read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            digits = None
    if digits is None:
        raise faults.BAD_HASH.of(given=text)
    return digits.group().lower()


def _unsound(part: bytes, chip: str, path: Path, board: str) -> str:
    """Why no chip would start it; empty when it would."""
    if len(part) < 32 or part[0] != MAGIC:
        return "no program where one belongs"
    number = int.from_bytes(part[CHIP_AT : CHIP_AT + 2], "little")
    found = CHIP_NUMBERS.get(number, f"number {number}")
    if found != chip:
        raise faults.IMAGE_CHIP.of(path=path, found=found, wanted=chip, board=board)
    return _damage(part)


def _damage(part: bytes) -> str:
    """What is wrong with a program image. Format: ESP-IDF, api-guides/bootloader and esptool's
    "Firmware Image Format": header, segments, a checksum that ends a row of 16, a digest."""
    at, checksum = HEADER_BYTES, CHECKSUM_SEED
    for _ in range(part[SEGMENTS_AT]):
        size = int.from_bytes(part[at + 4 : at + 8], "little")
        data = part[at + 8 : at + 8 + size]
        at += 8 + size
        if at > len(part):
            return CUT_OFF
        checksum ^= reduce(xor, data, 0)
    at |= ROW_BYTES - 1
    digest = part[at + 1 : at + 1 + hashlib.sha256().digest_size]
    if at >= len(part):
        return CUT_OFF
    if part[at] != checksum:
        return "its checksum is wrong"
    if part[DIGEST_AT] and digest != hashlib.sha256(part[: at + 1]).digest():
        return "its own digest is wrong" if len(digest) == 32 else CUT_OFF
    return ""
