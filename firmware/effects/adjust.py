"""ADJUST: a signed correction of the balance, with its reason class."""

from firmware.commands import integers
from protocol import codes, ledger


def apply(commands, point, command):
    reason, amount_ncur = integers(command.args, 2)
    if reason == ledger.SET_BY_TOKEN:
        return codes.REFUSED_FIELD
    now_s, quality = commands.clock.now()
    entry = ledger.adjusted(point.state, now_s, quality, command.id, reason, amount_ncur)
    return commands.finish(point, point.with_entry(entry), command)
