"""TOPUP: a payment credited once, whichever way its number came first."""

from firmware import prepaid
from firmware.commands import integers
from protocol import codes, ledger, topup


def apply(commands, point, command):
    number, generation, amount_ncur = integers(command.args, 3)
    mark = point.state.mark
    if generation != mark.generation or not 0 < number <= topup.NUMBER_MAX or number & 1:
        return codes.REFUSED_FIELD
    fresh = topup.check(mark, number)
    if fresh != topup.FRESH:
        return codes.ALREADY if fresh == topup.USED else codes.REFUSED_TOO_OLD
    if not prepaid.cap_allows(point.settings, point.state.balance_ncur, amount_ncur):
        return codes.REFUSED_CAP
    now_s, quality = commands.clock.now()
    entry = ledger.topped_up(point.state, now_s, quality, number, ledger.BY_COMMAND, amount_ncur)
    return commands.finish(point, commands.metering.credited(point, entry), command)
