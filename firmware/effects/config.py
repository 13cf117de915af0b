"""CONFIG: whole new settings, checked, kept beside the old ones and tried for one start.

The restart is between two polls. What then happens to them is told as CONFIG_SET, see life.py.
"""

from firmware import config, slots
from protocol import cbor, codes, settings
from protocol.units import NO_RELAY

PASSWORD = 7  # key of broker_password: absent, it stays what it is and never travels


def apply(commands, point, command):
    fields, old, root = command.args and command.args[0], commands.settings, commands.root
    if len(command.args) != 1 or not isinstance(fields, dict):
        return codes.REFUSED_FIELD
    fields.setdefault(PASSWORD, old.broker_password)
    new = settings.module_from_wire(fields)
    config.forget("settings")
    if new.version <= old.version:
        return codes.ALREADY
    if slots.exists(root + slots.TRIED) or slots.exists(root + slots.TRIAL):
        return codes.REFUSED_BUSY
    if new.module != old.module or not all([fits(commands, item) for item in new.points]):
        return codes.REFUSED_FIELD
    kept = [item.point for item in new.points]
    for number in commands.points:
        if number not in kept and commands.points[number].state.version:
            return codes.REFUSED_FIELD  # its ledger would have nobody to charge
    config.write(root, slots.TRIAL, cbor.encode(fields))
    commands.metering.health.restart = True
    return commands.finish_module(command)


def fits(commands, item):
    """Whether a point has all that it needs on this module."""
    root = commands.root
    if item.relay != NO_RELAY and item.relay >= len(commands.board.relays):
        return False
    compiled = root + "/meter_maps/%s.cbor" % item.meter_map
    if item.meter != settings.PULSE and not slots.exists(compiled):
        return False
    return slots.exists(root + config.tariff_path(item.point))
