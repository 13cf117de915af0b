"""Where the host's time comes from: Unix milliseconds UTC, handed to everything that needs them.

Nothing else on the host reads a clock, so simulated time is one other object here.
"""

import struct
import time
from pathlib import Path
from typing import Protocol

from host_tools import Refused

_MS_PER_S = 1000
_NS_PER_MS = 1000000
_READS_MAX = 1000


class Clock(Protocol):
    """`now_ms` and `now_s` are Unix time; `ticks_ms` only counts up, and times pauses."""

    def now_ms(self) -> int: ...
    def now_s(self) -> int: ...
    def ticks_ms(self) -> int: ...


class SystemClock:
    """The time of the operating system."""

    def now_ms(self) -> int:
        return time.time_ns() // _NS_PER_MS

    def now_s(self) -> int:
        return self.now_ms() // _MS_PER_S

    def ticks_ms(self) -> int:
        return time.monotonic_ns() // _NS_PER_MS


class FileClock:
    """Simulated time: eight bytes, Unix milliseconds little-endian, written by the simulator.

    `ticks_ms` stays real, because retries wait for real processes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        data = b""
        for _ in range(_READS_MAX):  # the writer may just be truncating it
            try:
                data = self._path.read_bytes()
            except OSError as error:
                raise Refused(f"{self._path}: {error.strerror}; start the simulator") from error
            if len(data) == 8:
                (now_ms,) = struct.unpack("<q", data)
                return int(now_ms)
        raise Refused(f"{self._path}: {len(data)} bytes, not 8; start the simulator")

    def now_s(self) -> int:
        return self.now_ms() // _MS_PER_S

    def ticks_ms(self) -> int:
        return time.monotonic_ns() // _NS_PER_MS
