"""`gridpurse cluster` from start to Ctrl-C: what dies comes back, and nothing is left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_tools.genuine import HANG_S, ROOT, by_deadline

CLI = [sys.executable, "-m", "host_tools.cli"]
NODES, WORKERS = 3, 2


class Trial:
    """The command as a process; what it has printed."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.out = folder / "out"
        words = ["cluster", "--folder", str(folder / "cluster"), "--port", "0", "--modules", "1"]
        words += ["--postgres", store]
        with self.out.open("wb") as out:
            self.process = subprocess.Popen([*CLI, *words], cwd=ROOT, stdout=out, stderr=out)

    def text(self) -> str:
        return self.out.read_text()

    def until(self, words: str) -> None:
        by_deadline(
            lambda: words in self.text() or self.process.poll() is not None,
            f"{words}: {self.text()}",
        )
        assert words in self.text()

    def pids(self) -> dict[str, int]:
        """Of everything that it has started, the newest of each."""
        return {
            name: int(pid) for name, pid in re.findall(r"^(\S+).* pid (\d+)", self.text(), re.M)
        }

    def point(self) -> dict[str, object]:
        command = [*CLI, "reconcile", "--json", "--data", str(self.folder / "cluster" / "data")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return json.loads(done.stdout)["points"][0]


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    with tempfile.TemporaryDirectory(prefix="gridpurse-") as folder:
        Path(folder).chmod(0o755)  # the user whom root runs PostgreSQL as has to come through
        made = Trial(Path(folder), request.param)
        yield made
        made.process.kill()
        made.process.wait()
        for pid in made.pids().values():
            by_deadline(lambda pid=pid: gone(pid), "the end of all")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("trial", ["auto"], indirect=True)
def test_a_module_settles_through_killed_nodes_and_workers_and_ctrl_c_ends_all(
    trial: Trial,
) -> None:
    trial.until("cluster ready")
    first = trial.pids()
    assert len(first) == NODES + WORKERS + 2
    for name in ("worker-1", "node-2"):
        os.kill(first[name], signal.SIGKILL)
        trial.until(f"{name}: had ended, started again")
    by_deadline(lambda: trial.point()["readings_settled"] >= 1, "the module's opening")
    row = trial.point()
    assert row["balance_module_ncur"] == row["balance_host_ncur"] is not None
    trial.process.send_signal(signal.SIGINT)
    assert trial.process.wait(HANG_S) == 0 and "cluster: stopped" in trial.text()
    assert all(gone(pid) for pid in (*first.values(), *trial.pids().values()))


@pytest.mark.parametrize("trial", ["no"], indirect=True)
def test_nothing_outlives_a_cluster_that_is_killed(trial: Trial) -> None:
    trial.until("cluster ready")
    assert "store     SQLite" in trial.text()
    trial.process.kill()
    trial.process.wait()
    for name, pid in trial.pids().items():
        by_deadline(lambda pid=pid: gone(pid), name)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--modules", "9"], "--modules 9: must be 0 to 8"),
        (["--port", "80"], "--port 80: must be 1024 to "),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], line: str) -> None:
    done = subprocess.run(
        [*CLI, "cluster", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith(f"gridpurse cluster: {line}")
    assert done.stderr.count("\n") == 1
