"""Pseudo-terminals: opening raw pairs, and a child process on one that dies with its parent.

Only plumbing of the operating system; knows neither modules nor frames.
"""

import fcntl
import os
import pty
import signal
import subprocess
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from host_tools.processes import die_with_parent


def raw_pair() -> tuple[int, int]:
    """(master, slave) without any line discipline, the master non-blocking."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


def catches_interrupt(pid: int) -> bool:
    """True while SIGINT would interrupt a program; at the prompt it would end the interpreter."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> signal.SIGINT - 1 & 1)
    return False


def computed_s(pid: int) -> float:
    """Processor time that a child has had; 0.0 of one that has ended."""
    with suppress(OSError):
        # Behind the name, which may hold anything: state is field 3, user and system 14 and 15.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def interrupt(pid: int, anywhere: bool) -> bool:
    """SIGINT to a child. Unless `anywhere`, nothing and False while it computes.

    MicroPython on Unix jumps out of whatever it is at, and out of its collector the heap stays
    locked. Within a system call it is at no such place; stopped, it cannot leave that meanwhile.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if not anywhere and _computes(pid):
            return False
        os.kill(pid, signal.SIGINT)
        return True
    finally:
        os.kill(pid, signal.SIGCONT)


def _computes(pid: int) -> bool:
    with suppress(OSError):  # a host that does not tell
        return Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").startswith("-1")
    return False


Child: TypeAlias = "subprocess.Popen[bytes]"


def spawn(command: Sequence[str], slave: int, pass_fds: Sequence[int]) -> Child:
    """Starts the command as leader of its own session with `slave` as its terminal.

    The kernel kills it when this process ends, however that happens.
    """
    ask_to_die = die_with_parent()

    def in_child() -> None:
        if ask_to_die:
            ask_to_die()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return subprocess.Popen(  # noqa: S603 - the interpreter, with arguments of our own
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TZ": "UTC"},
        pass_fds=pass_fds,
        start_new_session=True,
        preexec_fn=in_child,  # noqa: PLW1509 - no thread holds a lock that it needs
    )


def kill_group(child: Child) -> None:
    """SIGKILL to the child's whole session, and reaps it."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
