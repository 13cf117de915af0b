"""`gridpurse image`: everything but MicroPython itself that goes into the flash of a board.

Partition table, file system with the program as .mpy, blank journal, and a manifest.json that says
where each belongs; beside them the bundle that updates modules in service, and the browser flasher
in web/. No settings and no key: those are a module's own. Writes to no device.
"""

import argparse
import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

from littlefs import LittleFSError

from host_tools.files import write_whole
from host_tools.flashing import (
    bundle_file,
    faults,
    micropython_image,
    partition_table,
    web_page,
)
from host_tools.flashing.bundle import bundle
from host_tools.flashing.device_code import BUILD, PACKAGES, ROOT, device_folder
from host_tools.flashing.partition_table import Partition
from host_tools.simulator import image

BOARDS = ROOT / "boards"
SHARED, START = "boards/esp32", "boards/start.mpy"
OUT = BUILD / "device"
WEB = "web"
UPDATE = "update.bundle"  # for modules in service; written to no flash
TABLE, FILE_SYSTEM, JOURNAL, MANIFEST = (
    "partition-table.bin",
    "vfs.bin",
    "journal.bin",
    "manifest.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", choices=boards(), required=True, help="a folder of boards/")
    parser.add_argument("--out", type=Path, help="where to (build/device/BOARD)")
    parser.add_argument("--micropython", type=Path, metavar="FILE", help="for the page in web/")
    parser.add_argument("--sha256", metavar="HEX|FILE", help="of that file")
    parser.add_argument(
        "--web-tools", type=Path, metavar="TGZ", help="what `npm pack esp-web-tools` gave"
    )


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.out or OUT / arguments.board
    files = device_image(arguments.board)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    update = folder / UPDATE
    update.write_bytes(bundle_file.packed(bundle(module_files(arguments.board), version())))
    manifest = manifest_of(arguments.board, files)
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    for part in manifest["files"]:
        print(f"made  {folder / part['file']}: {part['size']} bytes for {part['offset']}")
    print(f"made  {update}: version {version()}, for `gridpurse command update`")
    _write_page(arguments, folder / WEB, files)
    print(f"new module, in {folder}, its MicroPython already written:")
    words = " ".join(f"{part['offset']} {part['file']}" for part in manifest["files"])
    print(f"  esptool --chip {manifest['chip']} write-flash {words}")
    print(
        f"module in service: {FILE_SYSTEM} takes its settings, {JOURNAL} its ledger; write neither"
    )
    return 0


def _write_page(arguments: argparse.Namespace, folder: Path, files: dict[str, bytes]) -> None:
    board = arguments.board
    rows = partition_table.read_rows(BOARDS / board / "partitions.csv")
    chip = importlib.import_module(f"boards.{board}.pins").CHIP
    parts = {
        TABLE: (partition_table.AT, files[TABLE]),
        FILE_SYSTEM: (rows["vfs"].offset, files[FILE_SYSTEM]),
    }
    if arguments.micropython is not None:
        image = micropython_image.read(
            arguments.micropython, arguments.sha256, board, chip, rows["factory"]
        )
        parts = {
            "boot-loader.bin": (image.boot_loader_at, image.boot_loader),
            TABLE: parts[TABLE],
            "micropython.bin": (rows["factory"].offset, image.application),
            FILE_SYSTEM: parts[FILE_SYSTEM],
        }
    whole = arguments.micropython is not None
    page = web_page.page_files(board, chip, version(), parts, whole)
    if arguments.web_tools is not None:
        page |= web_page.tool_files(arguments.web_tools)
    for name, content in page.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    print(f"made  {folder}: browser flasher, for any web server  浏览器写入页面")


def version() -> str:
    """Of the program in this folder."""
    text = (ROOT / "firmware" / "uplink.py").read_text(encoding="utf-8")
    return text.split('FIRMWARE = "')[1].split('"')[0]


def boards() -> list[str]:
    return sorted(path.parent.name for path in BOARDS.glob("*/pins.py"))


def module_files(board: str) -> dict[str, bytes]:
    """The program of a board as it lies on a module's file system: main.py, the rest as .mpy."""
    files = image.device_files((*PACKAGES, SHARED, f"boards/{board}"))
    del files[f"boards/{board}/main.mpy"]
    files[START] = (device_folder() / START).read_bytes()
    return {**files, "main.py": (BOARDS / board / "main.py").read_bytes()}


def device_image(board: str, rows: dict[str, Partition] | None = None) -> dict[str, bytes]:
    """File name -> content; a Fault when the program is too large for the board's file system."""
    if rows is None:
        rows = partition_table.read_rows(BOARDS / board / "partitions.csv")
    program, room = module_files(board), rows["vfs"].size
    try:
        file_system = image.build_vfs(program, room)
    except LittleFSError:
        size = sum(map(len, program.values()))
        raise faults.TOO_LARGE.of(part="program", size=size, room=room, board=board)
    return {
        TABLE: partition_table.to_binary(rows),
        JOURNAL: image.blank(rows["journal"].size),
        FILE_SYSTEM: file_system,
    }


def manifest_of(board: str, files: dict[str, bytes]) -> dict[str, Any]:
    rows = partition_table.read_rows(BOARDS / board / "partitions.csv")
    offsets = {
        TABLE: partition_table.AT,
        JOURNAL: rows["journal"].offset,
        FILE_SYSTEM: rows["vfs"].offset,
    }
    return {
        "board": board,
        "chip": importlib.import_module(f"boards.{board}.pins").CHIP,
        "files": [
            {
                "file": name,
                "offset": hex(offsets[name]),
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for name, content in files.items()
        ],
    }
