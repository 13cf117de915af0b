"""Child processes that never outlive us, and an orderly end when somebody interrupts us."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

_PR_SET_PDEATHSIG = 1
STOP_S_MAX = 10

T = TypeVar("T")


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child calls before it becomes its program; Linux only, elsewhere None.

    Made here, before the fork, because a forked child should call as little as it can.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return ask


def end(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Asks a process to end, and waits; kills it when it does not."""
    process.send_signal(number)
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def ours(*words: str) -> list[str]:
    """The command line of `gridpurse WORDS`."""
    return [sys.executable, "-m", "host_tools.cli", *words]


class Program:
    """A process that ends with us, by `dies_by`; its words go into a log."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        environ: Mapping[str, str] | None = None,
        *,
        user: int | None = None,
        dies_by: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environ = {**os.environ, **(environ or {})}
        self._as = user
        self._dies_by = dies_by
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - as whoever made this object says
                self._command,
                env=self._environ,
                user=self._as,
                group=self._as,
                extra_groups=None if self._as is None else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(self._dies_by),  # noqa: PLW1509 - two system calls
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process, number)


async def until_interrupted(work: Coroutine[Any, Any, T]) -> T | None:
    """What the work returns; None when Ctrl-C or SIGTERM cancelled it and it took itself down."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None
