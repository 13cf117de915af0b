"""PLAN: what is read how often and told, until a time; then the configured plan again."""

from firmware import config, watch
from protocol import cbor, codes


def apply(commands, point, command):
    """[plan, cadence_s or 0 for the plan's own, until_s or 0 for ever]"""
    ordered = watch.plan_of(command.args)
    if ordered[2] and ordered[2] <= commands.clock.now()[0]:
        return codes.REFUSED_EXPIRED
    config.write(commands.root, watch.PLAN, cbor.encode(list(ordered)))
    commands.metering.watch.ordered = ordered
    return commands.finish_module(command)
