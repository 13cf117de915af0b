"""CLEAR: the lock-out of token entry, or the latched tamper kinds of a point."""

from firmware.commands import integers
from firmware.point import M_FAILURES, M_LOCKED_S, M_TAMPER
from protocol import codes


def apply(commands, point, command):
    (what,) = integers(command.args, 1)
    if what == codes.CLEAR_TAMPER:
        changes = (M_TAMPER, 0)
    elif what == codes.CLEAR_LOCKOUT:
        changes = (M_FAILURES, 0, M_LOCKED_S, 0)
    else:
        return codes.REFUSED_FIELD
    return commands.finish(point, point.with_more(point.plain(), *changes), command)
