"""METER: another meter, or a register that began anew, goes on where the last good total was.

Up to that total everything is charged. What the old meter counted after it nobody here knows: the
event tells both registers, and the host adjusts by what the old display says.
"""

from firmware import identity, register
from firmware.commands import integers
from firmware.meters import readings
from firmware.point import M_OFFSET_WH
from protocol import codes

_DAY_MS = 86400000


def apply(commands, point, command):
    """[register_wh]: what the meter showed when it was put in; from there on it is charged."""
    (start_wh,) = integers(command.args, 1)
    if point.pulses is not None:
        return codes.REFUSED_UNSUPPORTED  # the module counts on by itself
    shown_wh = point.meter_wh
    if shown_wh is None or not point.state.version or start_wh < 0:
        return codes.REFUSED_FIELD
    step_wh = readings.step_wh(shown_wh, point.meter.resolution_wh)
    limits = (_DAY_MS, register.limit_mw(point), step_wh)
    if readings.check_total(start_wh, shown_wh, *limits) != readings.OK:
        return codes.REFUSED_FIELD  # no meter here shows that, nor did a day ago
    metering = commands.metering
    metering.charge_now(point)
    old_wh = point.seen_wh - point.slot.more[M_OFFSET_WH]
    offset_wh = point.seen_wh - start_wh
    figures = (point.verdict or readings.REPLACED, old_wh, start_wh, offset_wh)
    commands.events.add(codes.METER_REBASED, point.number, *figures)
    slot = point.with_more(point.plain(), M_OFFSET_WH, offset_wh)
    status = commands.finish(point, slot, command)
    point.seen_wh, point.seen_ms = shown_wh + offset_wh, commands.board.ticks_ms()
    point.verdict, point.refused = readings.OK, 0
    identity.accept(metering.watch, point)
    return status
