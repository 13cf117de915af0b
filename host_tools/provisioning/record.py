"""What was done to a module so far: one small file a serial number, in `provisioning/` of the data
folder, written whole after every step. Never holds a key or a password.

Whoever runs the same order again goes on behind the last step that is written here.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from host_tools import Refused
from host_tools.files import PRIVATE, lock_file, write_whole
from host_tools.provisioning.faults import CONSOLE, EXISTING, SERIAL

FOLDER = "provisioning"


@dataclass
class Step:
    """A line of the checklist. `at_s` Unix seconds; `ok` None where nothing was to be checked."""

    name: str
    ok: bool | None
    at_s: int
    took_ms: int
    detail: str
    detail_zh: str


@dataclass
class Record:
    """`before` are the identities that the chip had, oldest first; theirs is empty."""

    serial: str
    module: str
    chip: str
    order: str
    begun_s: int
    finished_s: int = 0
    fault: str = ""
    steps: dict[str, Step] = field(default_factory=dict)
    before: list["Record"] = field(default_factory=list)

    def names(self) -> set[str]:
        """All that the chip was called, now and before."""
        return {self.module, *(each.module for each in self.before)}


def _record(kept: dict[str, Any]) -> Record:
    steps = {name: Step(**step) for name, step in kept.pop("steps").items()}
    before = [_record(each) for each in kept.pop("before", [])]
    return Record(**kept, steps=steps, before=before)


class Records:
    """All records of a data folder."""

    def __init__(self, data: Path) -> None:
        self.folder = data / FOLDER

    def path(self, serial: str) -> Path:
        return self.folder / f"{serial}.json"

    def read(self, serial: str) -> Record | None:
        return self._read(self.path(serial))

    def _read(self, path: Path) -> Record | None:
        try:
            return _record(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise Refused(f"{path}: cannot be read; remove it to check the module anew") from error

    def every(self) -> list[Record]:
        found = [self._read(path) for path in sorted(self.folder.glob("*.json"))]
        return [record for record in found if record is not None]

    def write(self, record: Record) -> None:
        text = json.dumps(asdict(record), ensure_ascii=False, indent=1)
        write_whole(self.path(record.serial), text + "\n", PRIVATE)

    @contextmanager
    def alone(self, serial: str, port: str) -> Iterator[None]:
        """One process at a time works on a serial number; ends with the process."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{serial}.lock"
        with lock_file(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CONSOLE.seen(
                    f"{port}: another `gridpurse provision` works on {serial} 另一进程正在处理",
                    ("wait for it", "请等待其结束"),
                ) from error
            yield

    def refuse_duplicate(self, serial: str, chip: str, module: str) -> None:
        """A serial number is of one chip, a chip has one serial number; a name has one life."""
        for other in self.every():
            if other.serial == serial and other.chip != chip:
                raise SERIAL.seen(
                    f"{serial}: belongs to the chip {other.chip}, {other.module} 序列号重复",
                )
            if other.chip == chip and other.serial != serial:
                raise SERIAL.seen(
                    f"{chip}: this chip is {other.serial}, {other.module} 芯片已登记",
                    (
                        f"say --serial {other.serial}, or correct the type plate",
                        f"请加 --serial {other.serial}，或更正铭牌",
                    ),
                )
            if module in other.names() - {other.module}:
                raise EXISTING.seen(
                    f"{module}: was the name of {other.serial}, now {other.module} 曾用名",
                    (
                        "its key is never written again: give this one another --module",
                        "其密钥不再写入任何模块，请另取模块名",
                    ),
                )
            if other.module == module and other.serial != serial:
                raise SERIAL.seen(
                    f"{module}: was begun on {other.serial} 模块名已用于其他序列号",
                    (
                        "give this one another --module, or remove that record if it never served",
                        "请另取模块名；如该记录从未投运，可删除",
                    ),
                )
