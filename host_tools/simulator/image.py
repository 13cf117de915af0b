"""Flash images: LittleFS from a dict of files, the blank journal, and what goes into them.

Sizes come from the board's partition table. One image is one partition, byte for byte what the
virtual board boots and esptool writes. Never touches a running module's files.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from littlefs import LittleFS
from mpremote import romfs  # type: ignore[import-untyped]

from host_tools.flashing.device_code import (
    PACKAGES,
    ROOT,
    device_folder,
    write_folder,
)
from host_tools.flashing.partition_table import Partition, read_rows

BOARD = ROOT / "boards" / "virtual"
SECTOR = 4096


def partitions(table: Path = BOARD / "partitions.csv") -> dict[str, Partition]:
    """The rows of a board's partition table, the virtual board's where none is named."""
    return read_rows(table)


def _littlefs(size: int, *, fresh: bool) -> LittleFS:
    # MicroPython's own geometry; the two must agree to the byte.
    return LittleFS(
        block_size=SECTOR,
        block_count=size // SECTOR,
        read_size=32,
        prog_size=32,
        cache_size=128,
        lookahead_size=32,
        name_max=255,
        mount=fresh,
    )


def build_vfs(files: Mapping[str, bytes], size: int) -> bytes:
    """A LittleFS image of `size` bytes holding `files`, each at its slash-separated path."""
    file_system = _littlefs(size, fresh=True)
    for path, content in sorted(files.items()):
        folder = path.rpartition("/")[0]
        if folder:
            file_system.makedirs(folder, exist_ok=True)
        with file_system.open(path, "wb") as file:
            file.write(content)
    file_system.unmount()
    return bytes(file_system.context.buffer)


def read_vfs(image: bytes) -> dict[str, bytes]:
    """Every file of an image, also of one a power cut left behind."""
    file_system = _littlefs(len(image), fresh=False)
    file_system.context.buffer = bytearray(image)
    file_system.mount()
    files = {}
    for folder, _, names in file_system.walk("/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with file_system.open(path, "rb") as file:
                files[path.lstrip("/")] = bytes(file.read())
    return files


def blank(size: int) -> bytes:
    return b"\xff" * size


def device_files(packages: Iterable[str] = PACKAGES) -> dict[str, bytes]:
    """main.py and the packages' modules as .mpy, at the paths they have on a module's flash."""
    return {"main.py": (BOARD / "main.py").read_bytes(), **_files(device_folder(), packages)}


def _files(folder: Path, packages: Iterable[str]) -> dict[str, bytes]:
    compiled = [path for package in packages for path in (folder / package).rglob("*.mpy")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(compiled)}


def rom_image(with_firmware: bool) -> Path:
    """The ROMFS image a virtual module executes in place: its hardware, and all of the program."""
    folder = device_folder()
    images = folder.with_name(f"{folder.name}-rom")
    if not images.exists():
        board = {
            path: data
            for path, data in _files(folder, ("boards",)).items()
            if path.startswith(("boards/virtual/", "boards/start.")) and "/lib/" not in path
        }
        whole = {**board, **_files(folder, PACKAGES)}
        write_folder(images, {"board": build_rom(board), "whole": build_rom(whole)})
    return images / ("whole" if with_firmware else "board")


def rom_setting(with_firmware: bool) -> list[object]:
    """What bootstrap.py is told of it."""
    return [str(rom_image(with_firmware)), with_firmware]


def build_rom(files: Mapping[str, bytes]) -> bytes:
    """A ROMFS image, as `mpremote romfs build` makes it of a folder."""
    writer = romfs.VfsRomWriter()
    inside: list[str] = []
    for path, content in sorted(files.items()):
        *folders, name = path.split("/")
        while inside != folders[: len(inside)]:
            inside.pop()
            writer.closedir()
        while len(inside) < len(folders):
            inside.append(folders[len(inside)])
            writer.opendir(inside[-1])
        writer.mkfile(name, content)
    for _ in inside:
        writer.closedir()
    return bytes(writer.finalise())


def with_rom(heap_bytes: int, with_firmware: bool) -> int:
    """The heap to ask for, because this interpreter keeps the ROM image on it."""
    return heap_bytes + rom_image(with_firmware).stat().st_size * 102 // 100  # 2 %: its tables


def prompt_files() -> dict[str, bytes]:
    """`machine` and `esp32` for whoever types at the prompt; every module's flash has them."""
    shims = (device_folder() / "boards" / "virtual" / "lib").glob("*.mpy")
    return {f"lib/{path.name}": path.read_bytes() for path in sorted(shims)}
