"""Pulse meters: a raw total of pulses, converted as a total. Wh, pulses, milliseconds.

Increments are never converted: at 3 200 imp/kWh a pulse is 0.3125 Wh, and rounding each drifts.
"""

from firmware import prepaid, relay
from firmware.meters.readings import ENERGY, Reading
from protocol.quantities import IMPORT_WH

_UJ_PER_KWH = 3600000000000  # mW times ms is a millionth of a joule


class PulseMeter:
    """Counts on from `base_pulses`, the total persisted before this power-on.

    `offset_wh` is what the meter's own display showed at total 0, `limit_mw` Imax * Umax * phases,
    `ratio` that of transformers before a meter whose constant is for its secondary side.
    Pulses faster than the limit are contact bounce or noise: they go to `excess_pulses`, not into
    the total.
    """

    pulsed = True
    phases = 1

    def __init__(self, board, channel, imp_per_kwh, base_pulses, offset_wh, limit_mw, ratio=1):
        self._board = board
        self._channel = channel
        self._imp_per_kwh = imp_per_kwh
        self._offset_wh = offset_wh
        self._wh_per_constant = 1000 * ratio
        # One pulse, never less than it is.
        self.resolution_wh = (self._wh_per_constant + imp_per_kwh - 1) // imp_per_kwh
        self._limit_mw = limit_mw // ratio
        self.total_pulses = base_pulses
        self.excess_pulses = 0
        # Both count from power-on, so the first read covers the time since then.
        self._seen_pulses = 0
        self._seen_ms = 0

    async def read(self, group=ENERGY) -> Reading:
        """A Reading with register_wh and pulses; a pulse meter has nothing else in any group."""
        count, now_ms = self._board.pulse(self._channel), self._board.ticks_ms()
        fresh = count - self._seen_pulses
        taken = min(fresh, self._pulses_max(now_ms - self._seen_ms))
        self._seen_pulses, self._seen_ms = count, now_ms
        self.total_pulses += taken
        self.excess_pulses += fresh - taken
        counted_wh = self.total_pulses * self._wh_per_constant // self._imp_per_kwh
        register_wh = self._offset_wh + counted_wh
        values = {IMPORT_WH: register_wh}
        return Reading(register_wh, self.total_pulses, None, None, None, None, values)

    def moved(self) -> bool:
        """Whether pulses have come since the last read."""
        return self._board.pulse(self._channel) != self._seen_pulses

    def runs_out(self, point, now_s, poll_ms) -> bool:
        """Whether a closed relay's balance can be exhausted before the next poll but one."""
        slot = point.slot
        if not relay.is_closed(slot.relay) or slot.warned == prepaid.EXHAUSTED:
            return False
        spare_uj = self._limit_mw * 2 * poll_ms * self._wh_per_constant
        spare_wh = spare_uj // _UJ_PER_KWH + self.resolution_wh
        left_ncur = slot.state.balance_ncur - point.pending_ncur(now_s, spare_wh)
        return left_ncur <= point.limit_ncur()

    def _pulses_max(self, dt_ms) -> int:
        """A window holds at most rate times length pulses, and one more at its edge."""
        return self._limit_mw * dt_ms * self._imp_per_kwh // _UJ_PER_KWH + 1
