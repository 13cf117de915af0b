"""PLAN: what is read how often and told, until a time; then the configured plan again."""

from firmware import config, watch
from firmware.commands import integers
from protocol import cbor, codes

_PLANS = 3
_DAY_S = 86400


def apply(commands, point, command):
    """[plan, cadence_s or 0 for the plan's own, until_s or 0 for ever]"""
    plan, cadence_s, until_s = integers(command.args, 3)
    if not 0 <= plan < _PLANS or not 0 <= cadence_s <= _DAY_S or until_s < 0:
        return codes.REFUSED_FIELD
    if until_s and until_s <= commands.clock.now()[0]:
        return codes.REFUSED_EXPIRED
    config.write(commands.root, watch.PLAN, cbor.encode(command.args))
    commands.metering.watch.ordered = command.args
    return commands.finish_module(command)
