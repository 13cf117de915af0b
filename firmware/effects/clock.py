"""CLOCK: say a hello now, whose prompt answer sets the clock as ever. The order carries no time.

Nothing is kept until then: over a restart the host says the order again, and it asks again.
"""

from firmware.uplink import WANTED
from protocol import codes
from protocol.units import const

AGAIN_MS = const(60000)  # copies ask no sooner: each hello makes the host say all orders again


def apply(commands, point, command):
    """[] -> None: answered by commands.set_clock, once there is the right time to judge it by."""
    if command.args:
        return codes.REFUSED_FIELD
    now_ms = asked_ms = commands.board.ticks_ms()
    if commands.asking:
        asked_ms = commands.asking[1]
    if not commands.asking or now_ms - asked_ms >= AGAIN_MS:
        asked_ms = now_ms
        commands.uplink.asked_ms = WANTED
        commands.uplink.noted()
    commands.asking = (command, asked_ms)
