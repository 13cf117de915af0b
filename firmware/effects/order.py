"""RELAY: trip, permit, close, as prepay-rules.md section 13 names them."""

from firmware import prepaid, relay
from firmware.commands import integers
from protocol import codes


def apply(commands, point, command):
    (order,) = integers(command.args, 1)
    if not codes.TRIP <= order <= codes.DIRECT_CLOSE:
        return codes.REFUSED_FIELD
    slot = point.slot
    held = slot.holds & ~prepaid.HOLD_REMOTE
    if order == codes.TRIP:
        held = slot.holds | prepaid.HOLD_REMOTE
    elif order == codes.DIRECT_CLOSE and held:
        return codes.REFUSED_HELD
    # Closing may have to wait for the minimum open time: the metering loop sees to it.
    point.close_ordered = order == codes.DIRECT_CLOSE
    rule = relay.BY_REMOTE_CLOSE if point.close_ordered else relay.BY_REMOTE_PERMIT
    changed = point.with_relay(slot.relay, slot.rule, held, False)
    return commands.finish(point, changed, command, freed_by=rule)
