"""DEBT: what a customer owes and how it is recovered, by time or out of each payment."""

from firmware import config, debts
from firmware import point as points
from firmware.commands import integers
from protocol import cbor, codes
from protocol.units import NCUR_MAX

PERIODS_S = (3600, 86400, 604800)


def apply(commands, point, command):
    """args: [1 or 2, owed, rate, period_s] or [3, owed, percent, weekly ceiling or 0]."""
    which, owed_ncur, rate, bound = integers(command.args, 4)
    if not 1 <= which <= 3 or not 0 <= owed_ncur <= NCUR_MAX:
        return codes.REFUSED_FIELD
    good = 0 <= rate <= 100 and 0 <= bound <= NCUR_MAX
    if which < 3:
        good = 0 < rate <= NCUR_MAX and bound in PERIODS_S
    if not good:
        return codes.REFUSED_FIELD
    agreed = debts.terms(commands.root, point.number)
    agreed[which - 1] = [rate, bound]
    config.write(commands.root, debts.path(point.number), cbor.encode(agreed))
    values = list(point.slot.more[points.M_DEBTS] or debts.NONE)
    values[which - 1] = owed_ncur
    if which < 3:
        values[debts.CARRIED_S + which - 1] = 0
    else:
        values[debts.DUE] = 0
    commands.events.add(codes.DEBT_LEFT, point.number, which, owed_ncur)
    slot = point.with_more(point.plain(), points.M_DEBTS, values if any(values) else [])
    return commands.finish(point, slot, command)
