"""Warnings that come again and again: the first of a kind at once, then one a minute with a count.

For what a worker tries every second and cannot mend itself. Kinds are few and the caller's own.
"""

import logging

WINDOW_MS = 60000


class Seldom:
    """`warn` each time, `look` now and then, so that counts are told when it is over."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        # {kind: (when its last line was, suppressed since, what the newest of them said)}
        self._kinds: dict[str, tuple[int, int, str]] = {}

    def warn(self, kind: str, text: str, ticks_ms: int) -> None:
        self.look(ticks_ms)
        if kind in self._kinds:
            since_ms, suppressed, _ = self._kinds[kind]
            self._kinds[kind] = since_ms, suppressed + 1, text
            return
        self._kinds[kind] = ticks_ms, 0, ""
        self._log.warning("%s", text)

    def look(self, ticks_ms: int) -> None:
        """Ends the windows that are over; one with suppressed warnings is told and begins anew."""
        for kind, (since_ms, suppressed, text) in list(self._kinds.items()):
            if ticks_ms - since_ms < WINDOW_MS:
                continue
            if not suppressed:
                del self._kinds[kind]
                continue
            self._kinds[kind] = ticks_ms, 0, ""
            self._log.warning("%s (%d times since the last such line)", text, suppressed)
