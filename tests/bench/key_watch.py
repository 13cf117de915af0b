"""Looks for keys where none may be: what ran, what was printed, what was written, what git tracks.

While it is entered it samples the command line and the environment of every process of this user.
A key is looked for raw, in hexadecimal and in base64, and as the text of a bytes literal; also in
the QR codes of labels.
"""

import base64
import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from host_tools.keys import KEYS_FOLDER, KeyFiles
from tests import label_codes
from tests.bench import figures, report

FOLDER = figures.FOLDER / "provisioning"
SAMPLE_S = 0.05
# The module's own flash holds its root key: that is where it belongs.
OF_THE_MODULE = ("vfs.bin",)
LABELS = "labels"  # folder of what `gridpurse label` wrote


def forms(key: bytes) -> tuple[bytes, ...]:
    """How a key could show; each long enough to be found nowhere by chance."""
    hexed = key.hex().encode()
    bare = [base64.b64encode(key), base64.urlsafe_b64encode(key)]
    return (key, hexed, hexed.upper(), *(each.rstrip(b"=") for each in bare), repr(key).encode())


class KeyWatch:
    """Around a run in `folder`; `more` are secrets besides the root keys, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.more: dict[str, bytes] = {}
        self._seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "KeyWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        self._seen.add((process / name).read_bytes())
                    except OSError:
                        pass  # another user's, or it ended meanwhile

    def keys(self) -> dict[str, bytes]:
        """Every root key of every data folder below, and the secrets besides."""
        found = dict(self.more)
        for folder in self.folder.rglob(KEYS_FOLDER):
            for path in folder.glob("*.key"):
                key = KeyFiles(folder).load(path.stem)
                assert key is not None
                found[str(path)] = key.reveal()
        return found

    def places(self) -> Iterator[tuple[str, bytes]]:
        yield from ((f"process {number}", data) for number, data in enumerate(tuple(self._seen)))
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name not in OF_THE_MODULE:
                yield str(path), path.read_bytes()
            if path.parent.name == LABELS:
                yield from ((f"code on {path}", said.encode()) for said in label_codes.said(path))
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=figures.ROOT, capture_output=True, check=True
        )
        for name in listed.stdout.decode().split("\0"):
            path = figures.ROOT / name
            if name and path.is_file():
                yield name, path.read_bytes()

    def leaks(self) -> list[str]:
        """Names of key and place; the folder has to be there still."""
        wanted = [(name, form) for name, key in self.keys().items() for form in forms(key)]
        return sorted({
            f"{name} in {place}"
            for place, data in self.places()
            for name, form in wanted
            if form in data
        })  # fmt: skip

    def told(self, part: str) -> None:
        """Leaves what was found for the part that adds it up."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        found = {
            "sources": report.fingerprint(),
            "keys": len(self.keys()),
            "processes": len(self._seen),
            "leaks": self.leaks(),
        }
        (FOLDER / f"{part}.keys").write_text(json.dumps(found, indent=1), encoding="utf-8")


def summed(parts: Iterable[str]) -> tuple[int, list[str]]:
    """(keys looked for, leaks) of parts that ran on these sources; any other is an error."""
    keys, leaks = 0, []
    for part in parts:
        found = json.loads((FOLDER / f"{part}.keys").read_text(encoding="utf-8"))
        if found["sources"] != report.fingerprint():
            raise ValueError(f"{part} ran on other sources")
        keys += found["keys"]
        leaks += found["leaks"]
    return keys, leaks
