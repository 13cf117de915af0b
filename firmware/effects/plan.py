"""PLAN: what is read how often and told, until a time; then the configured plan again."""

from firmware import config, watch
from firmware.commands import integers
from protocol import cbor, codes
from protocol.units import BAD_FIELD, Malformed

_PLANS = 3
_DAY_S = 86400


def apply(commands, point, command):
    """[plan, cadence_s or 0 for the plan's own, until_s or 0 for ever]"""
    ordered = checked(command.args)
    if ordered[2] and ordered[2] <= commands.clock.now()[0]:
        return codes.REFUSED_EXPIRED
    config.write(commands.root, watch.PLAN, cbor.encode(ordered))
    commands.metering.watch.ordered = ordered
    return commands.finish_module(command)


def checked(values):
    """[plan, cadence_s, until_s] of a command or of the file, or Malformed."""
    if not isinstance(values, list):
        raise Malformed(BAD_FIELD, "plan")
    plan, cadence_s, until_s = integers(values, 3)
    if not 0 <= plan < _PLANS or not 0 <= cadence_s <= _DAY_S or until_s < 0:
        raise Malformed(BAD_FIELD, "plan")
    return values
