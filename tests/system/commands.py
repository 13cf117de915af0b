"""The command line as a person uses it: real processes, their lines as events, none left over."""

import asyncio
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from host_tools.broker import free_port
from host_tools.keys import KeyFiles, RootKey
from host_tools.store.database import opened
from host_tools.store.records import Point
from tests.host_tools.genuine import HANG_S, by_deadline

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TARIFF = ROOT / "host_tools" / "tariff_files" / "cn-bj-2012.toml"
QUICK = {"GRIDPURSE_POLL_MS": "20"}  # modules answer many times in a real second


def gridpurse(*words: object) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    command = [str(BIN / "gridpurse"), *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False
    )


def done(*words: object) -> str:
    """What a command printed that has to succeed."""
    ended = gridpurse(*words)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert ended.stderr == ""
    return ended.stdout


def refusal(*words: object) -> str:
    """The one line of a command that has to be refused."""
    ended = gridpurse(*words)
    assert ended.returncode == 2, ended.stderr + ended.stdout
    return one_line(ended.stderr)


def one_line(text: str) -> str:
    assert text.endswith("\n") and text.count("\n") == 1, text
    return text[:-1]


class Leg:
    """A command that runs until it is told to stop, in a session of its own."""

    def __init__(self, *words: object) -> None:
        self.lines: list[str] = []
        self._rest = b""
        self.process = subprocess.Popen(
            [str(BIN / "gridpurse"), *map(str, words)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **QUICK, "PYTHONUNBUFFERED": "1"},
        )

    def _read(self, within_s: float) -> bool:
        """Takes in what comes next; False when nothing came in time, or nothing will."""
        out = self.process.stdout
        assert out
        if not select.select([out], [], [], max(0, within_s))[0]:
            return False
        data = os.read(out.fileno(), 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode() for line in lines]
        return bool(data)

    def said(self, part: str, within_s: float = HANG_S) -> str:
        """The first line with `part` in it, once there is one."""
        end_s = time.monotonic() + within_s
        while True:
            for line in self.lines:
                if part in line:
                    return line
            assert self._read(end_s - time.monotonic()), f"no {part!r} in {self.lines}"

    def heard(self, part: str) -> bool:
        """Whether it has said so by now."""
        while self._read(0):
            pass
        return any(part in line for line in self.lines)

    def type(self, line: str = "") -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit code after a signal, once all it said is in `lines`."""
        self.process.send_signal(number)
        while self._read(HANG_S):
            pass
        return self.process.wait(HANG_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@contextmanager
def leg(*words: object) -> Iterator[Leg]:
    made = Leg(*words)
    try:
        yield made
    finally:
        made.close()


def processes(folder: Path) -> list[str]:
    """Command lines that mention a folder, of processes that still run."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        text = words.replace(b"\0", b" ").decode(errors="replace")
        if str(folder) in text and pid != str(os.getpid()):
            found.append(text)
    return found


def none_left(folder: Path, within_s: int = HANG_S) -> None:
    by_deadline(lambda: not processes(folder), f"processes of {folder} gone", within_s)


class Site:
    """A data folder as `gridpurse setup` makes it, and what its store says."""

    def __init__(self, data: Path) -> None:
        self.data = data
        done("setup", "--data", data, "--port", free_port())

    def enrol(self, module: str, *more: object) -> None:
        words = ["--add", module, "--point", "0=Flat", "--tariff", TARIFF, *more]
        done("modules", "--data", self.data, *words)
        # Not a new one each time: of a thousand tokens one is refused, as of another count too.
        known = RootKey(hashlib.sha256(module.encode()).digest())
        KeyFiles(self.data / "keys").replace(module, known)

    def point(self, module: str, point: int = 0) -> Point:
        with opened(self.data, create=False) as store:
            return store.fleet.point_known(module, point)

    def until(self, what: str, ready: Callable[[], object]) -> None:
        by_deadline(ready, what)

    @property
    def clock(self) -> tuple[str, Path]:
        """What other commands are told while time is simulated."""
        return "--clock", self.data / "simulate.time"

    def top_up(self, module: str, amount: str, reference: str) -> str:
        words = [module, 0, amount, "--reference", reference, "--data", self.data]
        return done("topup", *words, *self.clock)

    def reconciled(self) -> bool:
        """As the command says it, which ends with 1 when it is not so."""
        shown = gridpurse("reconcile", "--data", self.data, "--json", *self.clock)
        assert shown.returncode in (0, 1), shown.stderr
        return bool(json.loads(shown.stdout)["reconciled"])


@contextmanager
def running(site: Site, *simulate: object) -> Iterator[tuple[Leg, Leg]]:
    """(simulate --broker, settle) on a site, both past their start."""
    with ExitStack() as stack:
        words = ("simulate", "--data", site.data, "--broker", *simulate)
        modules = stack.enter_context(leg(*words))
        modules.said("powered on")
        settle = stack.enter_context(leg("settle", "--data", site.data, *site.clock))
        settle.said("settle ready")
        yield modules, settle


async def mpremote(console: Path, *words: object) -> str:
    """What mpremote printed; the tool a technician has."""
    child = await asyncio.create_subprocess_exec(
        BIN / "mpremote",
        "connect",
        str(console),
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(child.communicate(), HANG_S)
    except TimeoutError:
        child.kill()
        raise
    assert child.returncode == 0, out.decode()
    return out.decode()
