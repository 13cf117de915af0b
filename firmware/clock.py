"""Wall time of the module: Unix seconds with a quality, carried by the monotonic tick.

Synchronised for a day after an authenticated setting, then holdover; invalid from a power-on
without a kept clock until the first setting, when it runs on from the last persisted instant.
Never decides what a step means: the caller gets old and new.
"""

from protocol.units import HOLDOVER, INVALID, SYNCHRONISED, const

SYNCHRONISED_MS = 86400000
# An offered time further from the newest persisted instant waits for the host.
_OUTAGE_MS_MAX = const(31 * 86400000)
_OFFER_FROM_S = const(1767225600)  # 2026; earlier or after 2100 no server is believed
_OFFER_TO_S = const(4102444800)


class Clock:
    def __init__(self, board, floor_s):
        """floor_s: newest instant the journal knows, where an invalid clock starts.

        A kept clock far ahead of it may have been set for certificates only, see offer().
        """
        self.board = board
        kept_s = board.rtc_s()
        self.quality = HOLDOVER
        far_s = floor_s + _OUTAGE_MS_MAX // 1000
        if kept_s is None or kept_s < floor_s or (floor_s and kept_s > far_s):
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

    def offer(self, unix_ms):
        """A time that nobody vouches for: only a clock without time listens, and never goes back.

        Certificates may be judged by it; intervals too, as holdover, unless it leads far away from
        what the journal knows: no ledger is opened, and no year of daily charges posted, by it.
        -> whether it was taken.
        """
        lead_ms = unix_ms - self.now_ms()
        if self.quality != INVALID or lead_ms < 0:
            return False
        if not _OFFER_FROM_S * 1000 <= unix_ms < _OFFER_TO_S * 1000:
            return False
        self.board.set_rtc_s(unix_ms // 1000)
        if lead_ms <= _OUTAGE_MS_MAX:
            self.base_ms += lead_ms
            self.quality = HOLDOVER
        return True
