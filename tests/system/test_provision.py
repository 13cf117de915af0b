"""A technician and an instructor at the lab: bare modules, faults, kills, and one command each."""

import json
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

from host_tools.backup import archive
from host_tools.keys import KeyFiles
from host_tools.store.database import opened
from tests.host_tools.genuine import HANG_S
from tests.system.commands import BIN, ROOT, Leg, gridpurse, leg, none_left, one_line


class Lab:
    def __init__(self, process: Leg, data: Path) -> None:
        self.process = process
        self.data = data
        process.said("type help")

    def instruct(self, line: str, answer: str) -> None:
        self.process.lines.clear()
        self.process.type(line)
        self.process.said(answer)

    def words(self, number: int) -> list[str]:
        """The arguments that the lab itself names for a module."""
        self.process.lines.clear()
        self.process.type(f"words {number}")
        return self.process.said("gridpurse provision ").split()[1:]

    def keys(self) -> list[str]:
        return sorted(path.name for path in (self.data / "keys").iterdir())


def test_a_bare_module_is_commissioned_by_one_command_whatever_came_between(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with ExitStack() as stack:
        process = stack.enter_context(leg("lab", 2, "--data", data))
        lab = Lab(process, data)
        first, second = lab.words(1), lab.words(2)

        lab.instruct("fault 1 wrong-polarity", "wrong-polarity")
        ended = gridpurse(*first)
        assert ended.returncode == 22 and "L feeds back 3000 W" in one_line(ended.stderr)
        lab.instruct("repair 1", "ok 正常")
        ended = gridpurse(*first)
        assert ended.returncode == 0, ended.stderr
        told = json.loads((data / "cards" / "020000000001.json").read_text(encoding="utf-8"))
        assert told["ok"] and len(told["steps"]) == 12 and told["took_ms"] < 60_000
        again = gridpurse(*first)
        assert again.returncode == 0 and "commissioned" in again.stdout

        killed = subprocess.Popen(
            [BIN / "gridpurse", *second], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert killed.stdout
        while "settings, key" not in killed.stdout.readline():
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
        killed.wait(HANG_S)
        killed.stdout.close()
        lab.instruct("fault 2 no-power", "no-power")
        lab.instruct("repair 2", "ok 正常")
        ended = gridpurse(*second)
        assert ended.returncode == 0, ended.stderr
        assert lab.keys() == ["gp-1.key", "gp-2.key"]
        with opened(data, create=False) as store:
            points = store.fleet.points()
            assert [point.module for point in points] == ["gp-1", "gp-2"]
            assert all(point.state.seq and point.state.version == 1 for point in points)

        key = KeyFiles(data / "keys").load("gp-2")
        assert key and archive.key_check(data / "keys", "gp-2") == key.check()
        secret = key.reveal()
        kept = [path for path in data.rglob("*") if path.is_file() and path.name != "vfs.bin"]
        for path in kept:
            content = path.read_bytes()
            assert secret not in content and secret.hex().encode() not in content, path
        assert process.end() == 0
    none_left(data)
