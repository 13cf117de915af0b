"""What speaks of a hand in the meter of one service point: kinds of codes.py, each an episode.

Begins when its condition has held for its time, ends after two minutes without it, so an input
that bounces is one episode. Logs always; tells and latches by the bits of the settings. Wh, mW,
mA, mV, ms. Never moves a relay: the latch is a hold that a CLEAR command lifts.
"""

from array import array

from firmware import log, relay
from firmware.meters import readings
from firmware.point import M_TAMPER
from protocol import codes
from protocol.quantities import POWER_L1_MW, POWER_MW
from protocol.units import NO_RELAY, const

# By kind, from the lowest bit: how long a condition must hold, a sample a little early forgiven.
_NEED_MS = (750, 750, 750, 59750, 59750, 4750, 0, 0, 0, 0, 29750)
_KINDS = const(11)  # codes.COVER to codes.PHASE
_REARM_MS = const(130000)  # two of the minutes below
_REVERSE_MW = const(20000)
_LEAK_MA = const(100)
_LEAK_WH = const(10)
_LEAK_MS = const(60000)
_PHASE_MA = const(500)
_PHASE_MV = const(46000)  # a fifth of nominal
_EXCESS_PULSES = const(10)  # in a minute; a single one is a bounce
_IDLE_MW = const(20000)
_FROZEN_MS = const(600000)
_FRESH_MS = const(20000)  # a power older than that says nothing
_STUCK_MS = const(604800000)  # no pulse for a week with the relay closed


class Tamper:
    def __init__(self, metering, point, tell):
        """tell(1 for a begin, code, *figures) -> True when told."""
        self.metering = metering
        self.point = point
        self.tell = tell
        self.active = self._before = 0  # kinds told or at least logged, and those of the last look
        self.told = 0
        self.snapshot = (0, 0, 0)
        self._live = 0  # conditions that only a live reading shows, as last seen
        self._ms = array("i", bytes(4 * 2 * _KINDS))  # [with, without its condition] by kind
        self._minute_ms = 0
        self._open_wh = None
        self._excess = 0
        self._still_wh = 0
        self._still_ms = self._missed_ws = self._power_mw = 0
        self._frozen = False

    def suspects(self):
        """Whether a closer look is worth a few registers every ten seconds."""
        still = self._still_ms > 60000 and self._power_mw > _IDLE_MW
        return still or self._is_open() or (self._live | self._before) & ~self.active != 0

    def _is_open(self):
        point = self.point
        return point.settings.relay != NO_RELAY and not relay.is_closed(point.slot.relay)

    def look(self, seen, dt_ms, live_ms, volts, amps, other_meter):
        """One poll, `dt_ms` after the last; live_ms since the last live reading, 0: not now."""
        if live_ms:
            self._live = self._seen_live(seen, volts, amps)
            self.snapshot = (seen.voltage_mv or 0, seen.current_ma or 0, seen.power_mw or 0)
        self._watch_register(seen, dt_ms, live_ms)
        now = self._conditions(seen, dt_ms, other_meter)
        if now | self.active | self._before:
            self._advance(now, dt_ms, seen.register_wh)
            self._before = now

    def _conditions(self, seen, dt_ms, other_meter):
        point = self.point
        now = self.metering.board.tampers() & 7 | self._live
        if point.contact.mismatch:
            now |= codes.CONTACT
        if other_meter:
            now |= codes.IDENTITY
        if point.verdict == readings.REVERSED:
            now |= codes.REGISTER
        if point.behind:
            now |= codes.STORAGE
        wh = seen.register_wh
        excess = point.meter.excess_pulses if seen.pulses is not None else 0
        if not self._is_open() or point.verdict or self._open_wh is None:
            self._open_wh = wh
        step_wh = readings.step_wh(wh, point.meter.resolution_wh)
        if wh - self._open_wh > max(_LEAK_WH, step_wh):
            now |= codes.LEAK
            self._ms[8] = _LEAK_MS  # measured over its time already
        stuck = self._frozen and seen.pulses is not None
        if stuck or excess - self._excess >= _EXCESS_PULSES:
            now |= codes.PULSE_INPUT
        self._minute_ms += dt_ms
        if self._minute_ms >= _LEAK_MS:
            self._minute_ms, self._open_wh, self._excess = 0, wh, excess
        return now

    def _seen_live(self, seen, volts, amps):
        out = 0
        low_mw = seen.power_mw or 0
        for quantity in (POWER_MW, POWER_L1_MW, POWER_L1_MW + 1, POWER_L1_MW + 2):
            low_mw = min(low_mw, seen.values.get(quantity, 0))
        if low_mw < -_REVERSE_MW:
            out = codes.REVERSE
        if self._is_open() and (seen.current_ma or 0) > _LEAK_MA:
            out |= codes.LEAK
        if volts:
            missing = len(volts) == 3 and min(volts) < max(volts) // 5
            for mv, ma in zip(volts, amps or ()):
                missing = missing or (ma > _PHASE_MA and mv < _PHASE_MV)
            if missing:
                out |= codes.PHASE
        return out

    def _watch_register(self, seen, dt_ms, live_ms):
        """A register that stands still while power flows, or a pulse input that fell silent."""
        wh = seen.register_wh
        step_wh = readings.step_wh(wh, self.point.meter.resolution_wh)
        if not 0 <= wh - self._still_wh <= step_wh:
            if self._frozen:
                self.metering.events.add(codes.METER_BACK, self.point.number, wh)
            self._frozen = False
            self._still_wh, self._still_ms, self._missed_ws = wh, 0, 0
        elif not self._is_open():
            self._still_ms = min(self._still_ms + dt_ms, _STUCK_MS)
        power_mw = self._power_mw
        if live_ms:
            self._power_mw = seen.power_mw or 0
            flowing_mw = min(power_mw, self._power_mw)
            if flowing_mw > _IDLE_MW and live_ms <= _FRESH_MS:
                self._missed_ws += flowing_mw // 1000 * ((live_ms + 500) // 1000)
        stuck = seen.pulses is not None and self._still_ms >= _STUCK_MS
        missed_wh = self._missed_ws // 3600
        if stuck or (self._still_ms >= _FROZEN_MS and missed_wh > 4 * step_wh + 10):
            if not self._frozen:
                self.metering.events.add(codes.METER_FROZEN, self.point.number, wh, self._power_mw)
            self._frozen = True

    def _advance(self, now, dt_ms, register_wh):
        ms = self._ms
        for place in range(_KINDS):
            kind = 1 << place
            if now & kind:
                ms[2 * place + 1] = 0
                ms[2 * place] = min(ms[2 * place] + dt_ms, _REARM_MS) if ms[2 * place] else 1
                if not self.active & kind and ms[2 * place] > _NEED_MS[place]:
                    self.active |= kind
                    # The latch first: it must hold even where nothing may be told any more.
                    latched = self.point.slot.more[M_TAMPER]
                    if self.point.settings.tamper_trip & kind & ~latched:
                        slot = self.point.plain()
                        slot = self.point.with_more(slot, M_TAMPER, latched | kind)
                        self.metering.commit(self.point, slot)
                    self._tell(kind, 1, register_wh)
            else:
                ms[2 * place] = 0
                if self.active & kind:
                    ms[2 * place + 1] += dt_ms
                    if ms[2 * place + 1] >= _REARM_MS:
                        self.active &= ~kind
                        self._tell(kind, 0, register_wh)

    def _tell(self, kind, begin, register_wh):
        point = self.point
        self.metering.log.add(log.TAMPER, point.number, kind, begin)
        told = self.told & kind
        if point.settings.tamper_notify & kind if begin else told:
            figures = (kind, begin, register_wh) + self.snapshot
            told = self.tell(begin, codes.TAMPER, *figures)
        self.told = self.told | kind if told and begin else self.told & ~kind
