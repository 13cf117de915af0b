"""A technician's serial terminal on a module's console: types a line, reads what comes back."""

import os
import select
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host_tools.genuine import HANG_S


class Terminal:
    def __init__(self, file: int) -> None:
        self._file = file
        self.shown = b""

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def answer(self, line: str, *last: str) -> str:
        """What the module says to a line, up to the first of `last`."""
        self.shown = b""
        self.type(line + "\r")
        return self.until(*last)

    def until(self, *last: str) -> str:
        end_s = time.monotonic() + HANG_S
        while True:
            text = self.shown.decode(errors="replace")
            # The end of its line too, so that nothing of it is left for the next answer.
            if any(part in text and "\n" in text[text.rindex(part) :] for part in last):
                return text
            left_s = end_s - time.monotonic()
            assert left_s > 0, f"no {last} in {text!r}"
            if select.select([self._file], [], [], left_s)[0]:
                self.shown += os.read(self._file, 4096)


@contextmanager
def terminal(console: Path) -> Iterator[Terminal]:
    file = os.open(console, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(file)
    try:
        yield Terminal(file)
    finally:
        os.close(file)
