"""The register of one point: what the meter shows, judged, and carried on into the ledger's total.

The ledger's register is the meter's plus an offset, so it rises through a wrap and a new meter.
Watt-hours, milliseconds. What is refused is told and never charged; only a METER command, or the
return of the old total, ends a refusal. Never guesses.
"""

from firmware.meters import readings
from firmware.point import M_OFFSET_WH
from protocol import codes
from protocol.units import INVALID, const

VOLTAGE_MAX_V = 276  # 1.2 times nominal: no phase of a living supply carries more
_OUTAGE_MS_MAX = const(604800000)
_UNKNOWN_MS = const(3600000)  # an outage of unknown length: more than that waits for the clock
_SLEW_S = const(60)  # the clock may have been corrected since the last entry
_CONFIRMED = const(3)  # refusals in a row: then it is another register, not a disturbed answer


def limit_mw(point):
    """What the wires of a point can carry."""
    settings = point.settings
    return settings.current_max_ma * VOLTAGE_MAX_V * settings.pt_ratio * point.meter.phases


def take(metering, point, seen):
    """A plausible total into point.seen_wh, or an event."""
    now_ms, meter_wh = metering.board.ticks_ms(), seen.register_wh
    verdict = judge(metering, point, meter_wh, now_ms)
    point.meter_wh = meter_wh
    if verdict == readings.ROLLOVER:
        rebase(metering, point, verdict, point.settings.register_modulus_wh, meter_wh)
        verdict = readings.OK
    if verdict == readings.OK:
        point.seen_wh = meter_wh + point.slot.more[M_OFFSET_WH]
        point.seen_ms = now_ms
        point.refused = 0
    else:
        if point.seen_ms or metering.clock.now()[1] != INVALID:
            point.refused += 1  # and no guess
        point.refused_wh, point.refused_ms = meter_wh, now_ms
    if verdict != point.verdict:
        point.verdict = verdict
        old_wh = point.seen_wh - point.slot.more[M_OFFSET_WH]
        metering.events.add(codes.REGISTER_REFUSED, point.number, verdict, old_wh, meter_wh)


def judge(metering, point, meter_wh, now_ms):
    """readings.OK, or why a total must not be charged. The first one opens the ledger."""
    state, settings = point.state, point.settings
    if not state.version:
        return readings.OK
    limits = (limit_mw(point), readings.step_wh(meter_wh, point.meter.resolution_wh))
    if point.refused >= _CONFIRMED:
        dt_ms = now_ms - point.refused_ms
        if readings.check_total(point.refused_wh, meter_wh, dt_ms, *limits) == readings.OK:
            return point.verdict  # the other register goes on; time does not make it plausible
    if point.seen_ms:
        dt_ms = now_ms - point.seen_ms
    else:
        now_s, quality = metering.clock.now()
        dt_ms = min(_OUTAGE_MS_MAX, (now_s - state.time_s + _SLEW_S) * 1000)
        if quality == INVALID:
            dt_ms = _UNKNOWN_MS
    before_wh = point.seen_wh - point.slot.more[M_OFFSET_WH]
    limits += (settings.register_modulus_wh,)
    return readings.check_total(before_wh, meter_wh, dt_ms, *limits)


def rebase(metering, point, verdict, more_wh, meter_wh):
    """Raise the offset, durably, before anything is charged by it."""
    old_wh = point.slot.more[M_OFFSET_WH]
    slot = point.with_more(point.plain(), M_OFFSET_WH, old_wh + more_wh)
    metering.commit(point, slot)
    figures = (verdict, point.seen_wh - old_wh, meter_wh, old_wh + more_wh)
    metering.events.add(codes.METER_REBASED, point.number, *figures)
