"""Flash images: LittleFS from a dict of files, the blank journal, and what goes into them.

Sizes come from the board's partition table. One image is one partition, byte for byte what the
virtual board boots and esptool writes. Never touches a running module's files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from littlefs import LittleFS

from host_tools.flashing.device_code import PACKAGES, ROOT, compile_mpy, device_folder

BOARD = ROOT / "boards" / "virtual"
SECTOR = 4096


@dataclass(frozen=True)
class Partition:
    name: str
    subtype: int
    offset: int
    size: int


def partitions(table: Path = BOARD / "partitions.csv") -> dict[str, Partition]:
    """The rows of an ESP-IDF partition table in CSV form."""
    subtypes = {"fat": 0x81}
    found = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, subtype, offset, size = [field.strip() for field in line.split(",")][:5]
        code = subtypes[subtype] if subtype in subtypes else int(subtype, 0)
        found[name] = Partition(name, code, int(offset, 0), int(size, 0))
    return found


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
    files = {"main.py": (BOARD / "main.py").read_bytes()}
    folder = device_folder()
    for package in packages:
        for compiled in sorted((folder / package).rglob("*.mpy")):
            files[compiled.relative_to(folder).as_posix()] = compiled.read_bytes()
    return files


def prompt_files() -> dict[str, bytes]:
    """`machine` and `esp32` for whoever types at the prompt; every module's flash has them."""
    return {
        f"lib/{source.stem}.mpy": compile_mpy(source, f"lib/{source.name}")
        for source in sorted((BOARD / "lib").glob("*.py"))
    }
