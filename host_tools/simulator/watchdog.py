"""A module's watchdog, in virtual time: starts at the first feed, bites when the feeds stop."""

from collections.abc import Callable

from host_tools.simulator.virtual_time import VirtualTime


class Watchdog:
    """One for the life of a module; `disarm` at every start of its interpreter."""

    def __init__(self, time: VirtualTime, wdt_ms: int, on_bite: Callable[[], None]) -> None:
        self._time = time
        self._wdt_ms = wdt_ms
        self._on_bite = on_bite
        self._due_ms: int | None = None
        self._timer_set = False  # one timer at most: a feed moves only the due time

    @property
    def armed(self) -> bool:
        return self._due_ms is not None

    def disarm(self) -> None:
        self._due_ms = None

    def feed(self) -> None:
        self._due_ms = self._time.now_ms() + self._wdt_ms
        self._set_timer(self._due_ms)

    def _set_timer(self, at_ms: int) -> None:
        if not self._timer_set:
            self._timer_set = True
            self._time.call_at(at_ms, self._check)

    def _check(self) -> None:
        self._timer_set = False
        if self._due_ms is None:
            return
        if self._time.now_ms() < self._due_ms:
            self._set_timer(self._due_ms)
        else:
            self._on_bite()
