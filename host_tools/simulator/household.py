"""One household's load: a 15-minute power curve, an exact energy total, a relay that stops it.

Power in mW, time in Unix ms; the total is an integer of mW·ms, so energy and pulses at any moment
are exact floors of one cumulative sum. Knows no meter and no register. The curve repeats yearly.
"""

import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

SLOT_MS = 900_000
MWMS_PER_WH = 3_600_000_000
DATA = Path(__file__).parent / "data"
# The curves' first quarter hour: 1 January 2021, 00:00 Central European Time.
ORIGIN_S = 1_609_455_600
CURVES = ("family", "two_employees", "two_over_65", "single_under_30")


def load_curve(name: str) -> Sequence[int]:
    """Mean W of each quarter hour of a year, see data/README.md."""
    watts = array("H", zlib.decompress((DATA / f"{name}.u16.z").read_bytes()))
    if sys.byteorder == "big":
        watts.byteswap()
    return watts


class Household:
    """`curve_w` repeats from `origin_s` on, both ways; `scale_permille` 1000 leaves it alone."""

    def __init__(
        self,
        curve_w: Sequence[int],
        start_s: int,
        *,
        scale_permille: int = 1000,
        origin_s: int = ORIGIN_S,
        closed: bool = True,
        start_wh: int = 0,
        voltage_mv: int = 230_000,
    ) -> None:
        self._curve_mw = [watt * scale_permille for watt in curve_w]
        self._sums = [0, *accumulate(mw * SLOT_MS for mw in self._curve_mw)]
        self._origin_ms = origin_s * 1000
        self.voltage_mv = voltage_mv
        # (since when, closed from then on, total by then), in order of time
        self._history = [(start_s * 1000, closed, start_wh * MWMS_PER_WH)]
        self._times = [start_s * 1000]

    def _demand(self, at_ms: int) -> int:
        """mW·ms the curve asks for from its origin to `at_ms`."""
        slots, rest_ms = divmod(at_ms - self._origin_ms, SLOT_MS)
        years, slot = divmod(slots, len(self._curve_mw))
        return years * self._sums[-1] + self._sums[slot] + self._curve_mw[slot] * rest_ms

    def _at(self, at_ms: int) -> tuple[int, bool, int]:
        index = bisect_right(self._times, at_ms) - 1
        if index < 0:
            raise ValueError(f"{at_ms} is before this household began")
        return self._history[index]

    def set_closed(self, closed: bool, at_ms: int) -> None:
        """The relay's contact moved; moments must not go backwards."""
        if at_ms < self._times[-1]:
            raise ValueError(f"relay history goes back to {at_ms}")
        if closed == self._history[-1][1]:
            return
        self._history.append((at_ms, closed, self.total_mwms(at_ms)))
        self._times.append(at_ms)

    def total_mwms(self, at_ms: int) -> int:
        since_ms, closed, total = self._at(at_ms)
        if not closed:
            return total
        return total + self._demand(at_ms) - self._demand(since_ms)

    def wh(self, at_ms: int) -> int:
        return self.total_mwms(at_ms) // MWMS_PER_WH

    def pulses(self, at_ms: int, imp_per_kwh: int) -> int:
        return self.total_mwms(at_ms) * imp_per_kwh // (MWMS_PER_WH * 1000)

    def power_mw(self, at_ms: int) -> int:
        if not self._at(at_ms)[1]:
            return 0
        slot = (at_ms - self._origin_ms) // SLOT_MS % len(self._curve_mw)
        return self._curve_mw[slot]

    def current_ma(self, at_ms: int) -> int:
        """Of a purely resistive load."""
        return self.power_mw(at_ms) * 1000 // self.voltage_mv
