"""RELAY: trip, permit, close, alarm and hold-supply, as prepay-rules.md section 13 names them."""

from firmware import point as points
from firmware import prepaid, relay
from firmware.commands import integers
from protocol import codes

SECONDS_MAX = 31 * 86400


def apply(commands, point, command):
    values = integers(command.args, 1, 2)
    order = values[0]
    given = values[1] if len(values) > 1 else 0
    if not codes.TRIP <= order <= codes.HOLD_END or not 0 <= given <= SECONDS_MAX:
        return codes.REFUSED_FIELD
    if order >= codes.ALARM:
        return keep(commands, point, command, order, given)
    slot = point.slot
    held = slot.holds & ~prepaid.HOLD_ORDERED
    episode = slot.more[points.M_EPISODE] & ~prepaid.CLOSE_ORDERED
    rule = relay.BY_REMOTE_PERMIT
    timed = 0
    if order == codes.TRIP:
        held |= prepaid.HOLD_NOT_CREDIT if given else prepaid.HOLD_REMOTE
    elif order in (codes.TRIP_THEN_CLOSE, codes.TRIP_THEN_ARM):
        if not given:
            return codes.REFUSED_FIELD
        held |= prepaid.HOLD_REMOTE
        timed = order
    elif order == codes.DIRECT_CLOSE:
        if holding(point, held):
            return codes.REFUSED_HELD
        # Closing may have to wait for the minimum open time: the metering loop sees to it.
        episode |= prepaid.CLOSE_ORDERED
        rule = relay.BY_REMOTE_CLOSE
    changed = point.with_relay(slot.relay, slot.rule, held, False)
    changes = (points.M_EPISODE, episode, points.M_ORDER, timed)
    changed = point.with_more(changed, *(changes + (points.M_ORDER_S, given if timed else 0)))
    return commands.finish(point, changed, command, freed_by=rule)


def holding(point, holds):
    """Whether something would open again what a direct close closed."""
    bits = holds | point.holds_now
    if point.slot.more[points.M_TAMPER]:
        bits |= prepaid.HOLD_TAMPER
    if point.slot.more[points.M_HOLD_S]:
        bits |= prepaid.KEEP_SUPPLY
    return relay.ruling(bits, relay.OPEN)


def keep(commands, point, command, order, given):
    """Orders that open and close nothing: the alarm, and hold-supply."""
    episode = point.slot.more[points.M_EPISODE]
    hold_s = point.slot.more[points.M_HOLD_S]
    if order == codes.ALARM:
        episode |= prepaid.ALARM
    elif order == codes.ALARM_END:
        episode &= ~prepaid.ALARM
    else:
        hold_s = 0 if order == codes.HOLD_END else given or -1
        commands.events.add(codes.HOLD_SUPPLY, point.number, int(bool(hold_s)), max(0, hold_s))
    slot = point.with_more(point.plain(), points.M_EPISODE, episode, points.M_HOLD_S, hold_s)
    return commands.finish(point, slot, command)
