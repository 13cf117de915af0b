"""Flashing a bare chip with one command: how long it takes, and every fault with its one line.

`flash_s()` is a figure of provisioning.json; `faults()` are commands that must end with one line
that names the remedy. The chip is esp32-mock-bootloader's: no figure of a real cable.
"""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import serial

from host_tools import tariffs
from host_tools.flashing import device_image, label, plan
from host_tools.flashing import faults as kinds
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.lab.mock_chip import MockChip, Trouble
from host_tools.settlement import enrol
from host_tools.simulator import image
from host_tools.store.database import opened
from tests import esp_image, scratch
from tests.bench.key_watch import LABELS, KeyWatch
from tests.system.commands import TARIFF

GRIDPURSE = str(Path(sys.executable).with_name("gridpurse"))
BOARD = "esp32_generic"
MODULE, ENROLLED_S = "gp-1", 1_800_000_000
RELEASE_BYTES = 1_700_000  # about what MicroPython for the ESP32 has


class Fault(NamedTuple):
    name: str
    command: list[str]  # runs while the generator is not asked for the next one
    expected: tuple[str, ...]  # all in the one line on stderr; the last is the remedy
    exit_code: int


def image_file(folder: Path, chip: str = "esp32", size: int = 200_000) -> tuple[Path, str]:
    """(a release with an application of that size, its SHA-256)."""
    content = esp_image.release(chip, size)
    path = folder / f"{chip}.bin"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def command(port: str, image: Path, sha256: str | None, board: str = BOARD) -> list[str]:
    words = [GRIDPURSE, "flash", "--board", board, "--port", port, "--micropython", str(image)]
    return words if sha256 is None else [*words, "--sha256", sha256]


def flash_s() -> int:
    """Seconds, rounded up, from a bare chip to a verified one, the device code built before."""
    subprocess.run([GRIDPURSE, "image", "--board", BOARD], check=True, capture_output=True)
    with tempfile.TemporaryDirectory(dir=scratch.root()) as name, MockChip() as chip:
        image, sha256 = image_file(Path(name), size=RELEASE_BYTES)
        began_ns = time.monotonic_ns()
        done = subprocess.run(
            command(chip.port, image, sha256), capture_output=True, text=True, check=True
        )
        took_ns = time.monotonic_ns() - began_ns
        assert "verified" in done.stdout
        content = image.read_bytes()
        assert chip.flash[0x10000 : 0x1000 + len(content)] == content[0xF000:]
    return -(-took_ns // 1_000_000_000)


def watched(part: str) -> None:
    """Flashes, labels and reads out a chip whose file system holds a root key, and tells what a
    search for that key found: in all their words, esptool's too, in labels and what is left."""
    with tempfile.TemporaryDirectory(dir=scratch.root()) as name, MockChip() as chip:
        folder = Path(name)
        data, said = folder / "data", folder / "said"
        (folder / "temporary").mkdir()
        said.mkdir()
        points = [enrol.NewPoint(0, "Flat", "test", tariffs.read_book(TARIFF))]
        keys = KeyFiles(data / KEYS_FOLDER)
        with opened(data, create=True) as store:
            key = enrol.enrol(store, keys, MODULE, 0, points, ENROLLED_S)
        row = plan.board(BOARD).rows[plan.VFS]
        files = {**device_image.module_files(BOARD), "key.bin": key.reveal()}
        chip.flash[row.offset : row.offset + row.size] = image.build_vfs(files, row.size)
        table = device_image.device_image(BOARD)[device_image.TABLE]
        chip.flash[0x8000 : 0x8000 + len(table)] = table
        labels = [GRIDPURSE, "label", MODULE, "--data", str(data), "--out", str(folder / LABELS)]
        rescue = [GRIDPURSE, "module", "rescue", MODULE, "--data", str(data), "--port", chip.port]
        flash = command(chip.port, *image_file(folder))
        commands = [
            rescue,
            *([*labels, "--format", form] for form in (label.SVG, label.PNG, label.PAGE)),
            [*flash, "--report", str(folder / "report.json")],
        ]
        with KeyWatch(folder) as watch:
            for number, words in enumerate(commands):
                done = subprocess.run(
                    words,
                    env={**os.environ, "TMPDIR": str(folder / "temporary")},
                    capture_output=True,
                    check=False,
                )
                assert done.returncode == (2 if words is rescue else 0), done.stderr
                (said / f"{number}.txt").write_bytes(done.stdout + done.stderr)
        watch.told(part)


@contextmanager
def silent_port() -> Iterator[str]:
    """A cable with nothing at its end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"


def _expected(kind: kinds.Kind) -> tuple[str, ...]:
    """What of a fault's words has no field in it, remedy last, in both languages."""
    pieces = []
    for text in (*kind.what, *kind.remedy[::-1]):
        fixed = [piece.split("}")[-1] for piece in text.split("{")]
        pieces.append(max(fixed, key=len).strip())
    return tuple(pieces)


def _fault(kind: kinds.Kind, words: list[str]) -> Fault:
    return Fault(kind.name, words, _expected(kind), kind.exit_code)


def faults() -> Iterator[Fault]:
    """Every kind that one machine can show; a port without permission needs another user."""
    with tempfile.TemporaryDirectory(dir=scratch.root()) as name:
        folder = Path(name)
        image, sha256 = image_file(folder)
        other, other_sha256 = image_file(folder, "esp32s3")
        yield from _of_the_file(folder, image, other, other_sha256)
        yield from _of_the_port(folder, image, sha256)
        with MockChip("esp32s3", flash_bytes=1 << 23) as chip:
            yield _fault(kinds.WRONG_CHIP, command(chip.port, image, sha256))
        with MockChip(flash_bytes=1 << 21) as chip:
            yield _fault(kinds.FLASH_SMALL, command(chip.port, image, sha256))
        with MockChip(trouble=Trouble(drop_after=120_000, drops=-1)) as chip:
            yield _fault(kinds.LOST, command(chip.port, image, sha256))
        content = image.read_bytes()
        odd = next(at for at in range(0x12000, 0x20000) if content[at - 0x1000] & 1)
        with MockChip(trouble=Trouble(bad_at=odd)) as chip:
            yield _fault(kinds.MISMATCH, command(chip.port, image, sha256))
        with MockChip() as chip:
            words = [*command(chip.port, image, sha256), "--erase-journal", "00:00:00:00:00:01"]
            yield _fault(kinds.OTHER_MODULE, words)


def _of_the_file(folder: Path, image: Path, other: Path, other_sha256: str) -> Iterator[Fault]:
    port = "socket://127.0.0.1:9"
    absent = folder / "absent.bin"
    yield _fault(kinds.NO_FILE, command(port, absent, "0" * 64))
    yield _fault(kinds.NO_HASH, command(port, image, None))
    yield _fault(kinds.BAD_HASH, command(port, image, "0123"))
    yield _fault(kinds.WRONG_HASH, command(port, image, "0" * 64))
    text = folder / "page.html"
    text.write_text("<html>404 not found</html>" * 100, encoding="ascii")
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    yield _fault(kinds.NOT_IMAGE, command(port, text, digest))
    yield _fault(kinds.IMAGE_CHIP, command(port, other, other_sha256))
    large = folder / "large.bin"
    large.write_bytes(esp_image.release(size=2_100_000))
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    yield _fault(kinds.TOO_LARGE, command(port, large, digest))


def _of_the_port(folder: Path, image: Path, sha256: str) -> Iterator[Fault]:
    yield _fault(kinds.PORT_ABSENT, command(str(folder / "ttyUSB9"), image, sha256))
    yield _fault(kinds.PORT_BROKEN, command(str(folder), image, sha256))
    with MockChip(pty=True) as chip, serial.Serial(chip.port, exclusive=True):
        yield _fault(kinds.PORT_BUSY, command(chip.port, image, sha256))
    with silent_port() as port:
        yield _fault(kinds.NO_ANSWER, command(port, image, sha256))
