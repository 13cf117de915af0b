"""Wall time of the module: Unix seconds with a quality, carried by the monotonic tick.

Synchronised for a day after an authenticated setting, then holdover; invalid from a power-on
without a kept clock until the first setting, when it runs on from the last persisted instant.
Never decides what a step means: the caller gets old and new.
"""

from protocol.units import HOLDOVER, INVALID, SYNCHRONISED

SYNCHRONISED_MS = 86400000


class Clock:
    def __init__(self, board, floor_s):
        """floor_s: newest instant the journal knows, where an invalid clock starts."""
        self.board = board
        kept_s = board.rtc_s()
        self.quality = HOLDOVER
        if kept_s is None or kept_s < floor_s:
            kept_s = floor_s
            self.quality = INVALID
        self.base_ms = kept_s * 1000 - board.ticks_ms()
        self.synchronised_until_ms = 0

    def now_ms(self):
        return self.base_ms + self.board.ticks_ms()

    def now(self):
        """(Unix seconds, quality)."""
        ticks = self.board.ticks_ms()
        if self.quality == SYNCHRONISED and ticks > self.synchronised_until_ms:
            self.quality = HOLDOVER
        return (self.base_ms + ticks) // 1000, self.quality

    def set(self, unix_ms):
        """Take an authenticated time. -> (old seconds, new seconds)."""
        old_s, _ = self.now()
        ticks = self.board.ticks_ms()
        self.base_ms = unix_ms - ticks
        self.quality = SYNCHRONISED
        self.synchronised_until_ms = ticks + SYNCHRONISED_MS
        self.board.set_rtc_s(unix_ms // 1000)
        return old_s, unix_ms // 1000
