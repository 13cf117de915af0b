"""TRANSFER: balance and tier position of the module that was here before, as the host has them.

Only into an open ledger: its opening tells the host from which register total on this one charges.
"""

from firmware.commands import integers
from protocol import codes, ledger, tariff
from protocol.units import const

_WH_MAX = const(1 << 50)


def apply(commands, point, command):
    """[amount_ncur, tier period, used_wh to add in it]; the rest of another period is over."""
    amount_ncur, period, more_wh = integers(command.args, 3)
    state = point.state
    if not state.version or not -_WH_MAX <= more_wh <= _WH_MAX:
        return codes.REFUSED_FIELD
    position = tariff.Position(state.period, state.used_wh)
    position = tariff.position_at(point.book, position, state.time_s)
    used_wh = position.used_wh
    if period == position.period:
        used_wh = max(0, used_wh + more_wh)
    now_s, quality = commands.clock.now()
    what = (command.id, amount_ncur, used_wh)
    entry = ledger.transferred(state, point.book, now_s, quality, *what)
    return commands.finish(point, point.with_entry(entry), command)
