"""The console between mpremote's pty and the interpreter's: what a USB-serial chip is on a board.

Holds bytes back where the interpreter could not take them, translates its exit into a soft reset's
look, takes the bootstrap's marks out of the stream, and turns Ctrl-C into a signal while a program
runs: the interpreter leaves it to the terminal, but under its raw prompt the terminal ignores it.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from host_tools.simulator import terminal

BOOTED, ENDED = b"\x1eB", b"\x1eE"
# How each prompt begins, and as much of what was said as may hold a part of one.
RAW, FRIENDLY = b"raw REPL; CTRL-B to exit\r\n>", b"for more information.\r\n>>> "
SAID_BYTES = 40
LOOK_S = 0.002
# A program is looked at until it waits: so often, and while it computes for so long.
LOOKS, BUSY_S = 125, 0.25
INTERRUPT_S = 1.0
BACKLOG_BYTES_MAX = 65536  # of output nobody reads; older half is dropped at the bound
LOG_BYTES_MAX = 65536


class Console:
    """Outer pty for the life of the module, one inner pty for each start of the interpreter."""

    def __init__(self, link: Path, on_mark: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_mark = on_mark
        self._link = link
        # The slave stays open here: without it mpremote's leaving would read as EIO.
        self._outer, self._outer_slave = terminal.raw_pair()
        self.plug()
        self._inner = -1
        self.child_pid = 0
        self._to_host = bytearray()
        self._to_child = bytearray()
        self._partial = b""
        self._swallow: bytes | None = None
        self._hold = True
        self._said = b""
        self.raw_prompt = False
        self.log = bytearray()
        self._loop.add_reader(self._outer, self._host_sent)

    def plug(self) -> None:
        """The cable is in: the link is there."""
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._outer_slave))

    def attach(self, raw_after_reset: bool) -> int:
        """A new inner pty; returns its slave. `raw_after_reset`: go on to the raw prompt.

        The caller sets `child_pid` once there is one.
        """
        self.detach()
        self._inner, slave = terminal.raw_pair()
        self._hold = True
        self._partial = b""
        self._swallow = b"" if raw_after_reset else None
        self._said = b""
        self.raw_prompt = raw_after_reset
        self._loop.add_reader(self._inner, self._child_sent)
        return slave

    def detach(self) -> None:
        if self._inner >= 0:
            self._loop.remove_reader(self._inner)
            self._loop.remove_writer(self._inner)
            os.close(self._inner)
            self._inner = -1
            self.child_pid = 0

    def close(self) -> None:
        self.detach()
        self._loop.remove_reader(self._outer)
        self._loop.remove_writer(self._outer)
        os.close(self._outer)
        os.close(self._outer_slave)
        self._link.unlink(missing_ok=True)

    # host -> interpreter

    def _host_sent(self) -> None:
        try:
            self._to_child += os.read(self._outer, 4096)
        except BlockingIOError:
            return
        self._feed()

    def _feed(self) -> None:
        """Passes on what the interpreter can take now."""
        while self._to_child and not self._hold and self._inner >= 0:
            interrupt = self._to_child.find(b"\x03")
            if interrupt == 0 and terminal.catches_interrupt(self.child_pid):
                self._hold = True
                pid = self.child_pid
                self._interrupt(pid, LOOKS, terminal.computed_s(pid) + BUSY_S)
                return
            # Up to the next Ctrl-C, which at the prompt is a byte like any other.
            end = {-1: len(self._to_child), 0: 1}.get(interrupt, interrupt)
            try:
                count = os.write(self._inner, self._to_child[:end])
            except BlockingIOError:
                self._loop.add_writer(self._inner, self._feed)
                return
            del self._to_child[:count]
        if self._inner >= 0:
            self._loop.remove_writer(self._inner)

    def _interrupt(self, pid: int, looks: int, busy_s: float) -> None:
        """As soon as the program waits for something, or wherever it is when no look is left and
        it has computed up to `busy_s`: of the machine's time it may have got next to none."""
        if pid != self.child_pid:
            return
        if not terminal.catches_interrupt(pid):  # it has come to the prompt by itself
            self._release()
        elif terminal.interrupt(pid, looks <= 0 and terminal.computed_s(pid) >= busy_s):
            del self._to_child[0]
            # A second SIGINT before this one is handled would end the process.
            self._await_interrupt(pid, self._loop.time() + INTERRUPT_S)
        else:
            self._loop.call_later(LOOK_S, self._interrupt, pid, looks - 1, busy_s)

    def _await_interrupt(self, pid: int, until: float) -> None:
        if pid != self.child_pid:
            return
        if terminal.catches_interrupt(pid) and self._loop.time() < until:
            self._loop.call_later(LOOK_S, self._await_interrupt, pid, until)
            return
        self._release()

    # interpreter -> host

    def _child_sent(self) -> bool:
        """False when there was nothing."""
        try:
            data = os.read(self._inner, 65536)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the child has gone; its exit is handled where it is waited for
            self._loop.remove_reader(self._inner)
            return False
        data, marks = self._take_marks(self._partial + data)
        if self._swallow is not None:
            data = self._to_raw_prompt(data)
        self._note_prompt(data)
        self.emit(data)
        for mark in marks:  # only now: whoever hears of them may look at the log
            self._on_mark(mark)
        if BOOTED in marks and self._swallow is None:
            self._release()
        return True

    def _note_prompt(self, data: bytes) -> None:
        """Which prompt the interpreter came to last. Its own word counts: what asked for one may
        have come while a program was ending, and wait."""
        self._said += data
        raw, friendly = self._said.rfind(RAW), self._said.rfind(FRIENDLY)
        if raw != friendly:
            self.raw_prompt = raw > friendly
        self._said = self._said[-SAID_BYTES:]

    def drain(self) -> None:
        """Takes in all that was printed so far; the kernel may be slower to announce it."""
        while self._inner >= 0 and self._child_sent():
            pass

    def _take_marks(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """The output without the marks, and those that were in it."""
        self._partial = b"\x1e" if data.endswith(b"\x1e") else b""
        data = data.removesuffix(b"\x1e")
        marks = [mark for mark in (BOOTED, ENDED) if mark in data]
        for mark in marks:
            data = data.replace(mark, b"")
        return data, marks

    def _to_raw_prompt(self, data: bytes) -> bytes:
        """After a soft reset from the raw prompt: enter it again and hide that we did."""
        self._swallow = (self._swallow or b"") + data
        before, found, _ = self._swallow.partition(b">>> ")
        if not found:
            return b""
        banner = before.rfind(b"MicroPython ") if b"MicroPython " in before else len(before)
        self._swallow = None
        os.write(self._inner, b"\x01")
        self._release()
        return before[:banner]

    def _release(self) -> None:
        self._hold = False
        self._feed()

    def emit(self, data: bytes) -> None:
        """Sends to whoever reads the console, and into the log."""
        self.log += data
        if len(self.log) > LOG_BYTES_MAX:
            del self.log[: LOG_BYTES_MAX // 2]
        self._to_host += data
        if len(self._to_host) > BACKLOG_BYTES_MAX:
            del self._to_host[: BACKLOG_BYTES_MAX // 2]
        self._flush()

    def _flush(self) -> None:
        try:
            while self._to_host:
                del self._to_host[: os.write(self._outer, self._to_host)]
        except BlockingIOError:
            self._loop.add_writer(self._outer, self._flush)
            return
        self._loop.remove_writer(self._outer)
