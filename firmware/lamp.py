"""What the board's LED or buzzer shows: the gravest of all conditions, one code at a time.

A higher code is graver; docs/technician.md prints this table from here, and each board turns a
code into light or sound.
"""

from firmware import point as points
from firmware import prepaid, relay
from protocol.units import INVALID, const

FINE = const(0)
NO_NETWORK = const(1)
NO_TIME = const(2)
WARNING_1 = const(3)
WARNING_2 = const(4)
OVERDRAFT = const(5)
EXHAUSTED = const(6)
LOCKED = const(7)  # token entry
PENDING = const(8)  # the relay is going to open, or the host ordered an alarm
SILENT = const(9)  # a meter does not answer
TAMPER = const(10)  # latched until cleared
SAFE = const(11)
FAULT = const(12)  # the firmware cannot start

SILENT_POLLS = const(3)


def show(firmware):
    """Tell the board when something else is the gravest condition now."""
    uplink = firmware.uplink
    shown = FINE if uplink and uplink.client.connected else NO_NETWORK
    if firmware.clock.now()[1] == INVALID:
        shown = NO_TIME
    for point in firmware.points.values():
        slot = point.slot
        more = slot.more
        zone = slot.warned
        found = (
            zone and WARNING_1 - prepaid.WARNING_1 + zone,
            more[points.M_LOCKED_S] > 0 and LOCKED,
            (slot.relay == relay.PENDING or more[points.M_EPISODE] & prepaid.ALARM) and PENDING,
            point.silent >= SILENT_POLLS and SILENT,
            more[points.M_TAMPER] and TAMPER,
        )
        shown = max(shown, *found)
    if firmware.safe:
        shown = SAFE
    if shown != firmware.shown:
        firmware.shown = shown
        firmware.board.signal(shown)
