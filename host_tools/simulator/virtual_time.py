"""One virtual time for modules, meters and scenario: real, N times faster, or lockstep.

Integer milliseconds of Unix time. Scaled time runs by itself; lockstep time is moved only by the
driver, never backwards. Optionally kept in an 8-byte little-endian file for other processes.
"""

import asyncio
import heapq
import mmap
import os
import struct
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from host_tools.files import PRIVATE


class VirtualTime:
    """`factor` 0 means lockstep; 1 real time; N that many times faster."""

    def __init__(self, start_s: int, factor: int, path: Path) -> None:
        self.factor = factor
        self.path = path
        self._order = count()
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._anchor_us = time.monotonic_ns() // 1000
        self._anchor_ms = self._now_ms = start_s * 1000
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w+b") as file:
            os.fchmod(file.fileno(), PRIVATE)  # it may lie in a data folder
            file.write(struct.pack("<q", self._now_ms))
            file.flush()
            self._shared = mmap.mmap(file.fileno(), 8)

    @property
    def lockstep(self) -> bool:
        return self.factor == 0

    def now_ms(self) -> int:
        if self.lockstep:
            return self._now_ms
        elapsed_us = time.monotonic_ns() // 1000 - self._anchor_us
        return self._anchor_ms + elapsed_us * self.factor // 1000

    def now_s(self) -> int:
        return self.now_ms() // 1000

    def settings(self) -> list[object]:
        """What a module's clock needs to agree with this one."""
        if self.lockstep:
            return ["lockstep", str(self.path)]
        return ["scaled", self._anchor_us, self._anchor_ms, self.factor]

    def call_at(self, at_ms: int, action: Callable[[], None]) -> None:
        """Calls once, when virtual time reaches `at_ms`."""
        if self.lockstep:
            heapq.heappush(self._timers, (at_ms, next(self._order), action))
            return
        real_s = max(0, at_ms - self.now_ms()) / 1000 / self.factor
        asyncio.get_running_loop().call_later(real_s, action)

    def next_timer_ms(self) -> int | None:
        return self._timers[0][0] if self._timers else None

    def advance(self, to_ms: int) -> None:
        """Lockstep only: moves time, then runs what has become due."""
        self._now_ms = max(self._now_ms, to_ms)
        self.publish()
        while self._timers and self._timers[0][0] <= self._now_ms:
            heapq.heappop(self._timers)[2]()

    def publish(self) -> None:
        self._shared[:] = struct.pack("<q", self.now_ms())

    def close(self) -> None:
        self._shared.close()
