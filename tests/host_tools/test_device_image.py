"""The flash images of a board, read back by Espressif's own code and by real MicroPython."""

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from esp_idf_defs.partitions import PartitionTable

from host_tools import cli
from host_tools.faults import Fault
from host_tools.flashing import device_code, device_image, faults, partition_table
from host_tools.simulator import image
from tests.host_tools.genuine import HANG_S

BOARDS = device_image.boards()
MICROPYTHON = Path(sys.executable).parent / "micropython"
READ_ALL = """
import hashlib, os, sys, vfs

class Flash:
    def __init__(self, path):
        self.file = open(path, "rb")
        self.size = self.file.seek(0, 2)

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.readinto(buf)
        return 0

    def writeblocks(self, block, buf, offset=0):
        return -30

    def ioctl(self, op, arg):
        return {4: self.size // 4096, 5: 4096}.get(op, 0)

def walk(folder):
    for name, kind, *_ in os.ilistdir(folder):
        path = folder + "/" + name
        if kind == 0x4000:
            walk(path)
        else:
            with open(path, "rb") as file:
                data = file.read()
            print(path[3:], hashlib.sha256(data).digest().hex())

vfs.mount(vfs.VfsLfs2(Flash(sys.argv[1])), "/m", readonly=True)
walk("/m")
sys.path[:] = ["/m", ".frozen"]
import firmware.main
print("imported", firmware.main.__file__)
"""


@pytest.fixture(scope="module", params=BOARDS)
def made(request, tmp_path_factory):
    """(board, folder) of what the command writes."""
    folder = tmp_path_factory.mktemp(request.param)
    assert cli.main(["image", "--board", request.param, "--out", str(folder)]) == 0
    return request.param, folder


def test_espressifs_reader_finds_the_rows_and_makes_the_same_bytes(made):
    board, folder = made
    binary = (folder / device_image.TABLE).read_bytes()
    csv = (device_code.ROOT / "boards" / board / "partitions.csv").read_text(encoding="utf-8")
    table = PartitionTable.from_binary(binary)  # it checks the MD5 row
    rows = partition_table.read_rows(
        device_code.ROOT / "boards" / board / "partitions.csv"
    ).values()
    assert [(row.name, row.type, row.subtype, row.offset, row.size) for row in table] == [
        (row.name, row.type, row.subtype, row.offset, row.size) for row in rows
    ]
    assert PartitionTable.from_csv(csv).to_binary() == binary


def test_a_flipped_bit_of_the_table_is_noticed_by_espressifs_reader(made):
    _, folder = made
    binary = bytearray((folder / device_image.TABLE).read_bytes())
    binary[5] ^= 1
    with pytest.raises(Exception, match="MD5"):
        PartitionTable.from_binary(bytes(binary))


def test_littlefs_and_micropython_read_the_program_back(made):
    board, folder = made
    wanted = device_image.module_files(board)
    path = folder / device_image.FILE_SYSTEM
    assert image.read_vfs(path.read_bytes()) == wanted
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=400k", "-c", READ_ALL, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.strip().split("\n")
    assert last.startswith("imported /m/firmware/main")
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in wanted.items()}
    assert dict(line.split(" ") for line in lines) == sums


def test_the_program_is_whole_and_holds_no_settings(made):
    board, _ = made
    names = set(device_image.module_files(board))
    assert {"main.py", "firmware/main.mpy", f"boards/{board}/pins.mpy"} <= names
    assert not {name for name in names if name.endswith((".py", ".cbor", ".bin"))} - {"main.py"}
    main = device_image.module_files(board)["main.py"].decode()
    assert f"from boards.{board} import board" in main


def test_the_manifest_says_where_each_file_belongs(made):
    board, folder = made
    manifest = json.loads((folder / device_image.MANIFEST).read_text(encoding="utf-8"))
    rows = partition_table.read_rows(device_code.ROOT / "boards" / board / "partitions.csv")
    assert (manifest["board"], manifest["chip"][:5]) == (board, "esp32")
    offsets = {}
    for part in manifest["files"]:
        content = (folder / part["file"]).read_bytes()
        assert len(content) == part["size"]
        assert hashlib.sha256(content).hexdigest() == part["sha256"]
        offsets[part["file"]] = int(part["offset"], 0)
    assert offsets == {
        "partition-table.bin": 0x8000,
        "journal.bin": rows["journal"].offset,
        "vfs.bin": rows["vfs"].offset,
    }
    assert (folder / "journal.bin").read_bytes() == b"\xff" * rows["journal"].size


def test_a_program_that_does_not_fit_is_one_line_and_no_image():
    rows = partition_table.read_rows(device_code.ROOT / "boards/esp32_generic/partitions.csv")
    small = {**rows, "vfs": dataclasses.replace(rows["vfs"], size=0x20000)}
    with pytest.raises(Fault, match="do not fit into 131072") as raised:
        device_image.device_image("esp32_generic", small)
    assert raised.value.kind is faults.TOO_LARGE and "\n" not in str(raised.value)


def test_an_unknown_board_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["image", "--board", "virtual"])
    assert "esp32_generic" in capsys.readouterr().err


def test_the_folded_program_keeps_every_pin_that_its_board_asks_for(made, tmp_path):
    board, _ = made
    asked = set()
    for name in ("boards/esp32/board.py", f"boards/{board}/board.py"):
        source = (device_code.ROOT / name).read_text(encoding="utf-8")
        asked |= set(re.findall(r"\bpins\.([A-Z][A-Z0-9_]+)", source))
    path = tmp_path / "pins.mpy"
    path.write_bytes(device_image.module_files(board)[f"boards/{board}/pins.mpy"])
    script = f"import sys; sys.path[:] = [{str(tmp_path)!r}]; import pins; print(*dir(pins))"
    done = subprocess.run(
        [MICROPYTHON, "-c", script], capture_output=True, text=True, check=True, timeout=HANG_S
    )
    assert asked and asked <= set(done.stdout.split())
