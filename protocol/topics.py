"""MQTT topics: `u/<shard>/<module>` up, `d/...` down, `w/...` the will that the broker publishes.

The shard is fixed when a module is provisioned. Topics are short because every message carries
one. Levels hold lower-case letters, digits and hyphens only, because NATS maps levels to subject
tokens.
"""

from collections import namedtuple

from protocol.units import WRONG_TOPIC, Malformed, const

UP = "u"
DOWN = "d"
WILL = "w"
SHARD_MAX = const(4095)
MODULE_CHARS_MAX = const(16)
_ALLOWED = "abcdefghijklmnopqrstuvwxyz0123456789-"

Address = namedtuple("Address", "direction shard module")


def module_id_ok(module: object) -> bool:
    """1 to 16 lower-case letters, digits or hyphens."""
    if not isinstance(module, str) or not 0 < len(module) <= MODULE_CHARS_MAX:
        return False
    return not module.strip(_ALLOWED)  # what is left begins with another character


def of(direction: str, shard: int, module: str) -> str:
    return "%s/%d/%s" % (direction, shard, module)


def up(shard: int, module: str) -> str:
    return of(UP, shard, module)


def down(shard: int, module: str) -> str:
    return of(DOWN, shard, module)


def all_of(direction: str, shard: int) -> str:
    """Subscription filter of one direction of all modules of a shard."""
    return of(direction, shard, "+")


def parse(topic: str) -> Address:
    """Address of a topic; Malformed(WRONG_TOPIC) for any other text."""
    levels = topic.split("/")
    if len(levels) != 3 or levels[0] not in (UP, DOWN, WILL):
        raise Malformed(WRONG_TOPIC, "direction")
    shard = levels[1]
    if not 0 < len(shard) <= 4 or shard.strip("0123456789"):
        raise Malformed(WRONG_TOPIC, "shard")
    number = int(shard)
    if number > SHARD_MAX or str(number) != shard:
        raise Malformed(WRONG_TOPIC, "shard")
    if not module_id_ok(levels[2]):
        raise Malformed(WRONG_TOPIC, "module")
    return Address(levels[0], number, levels[2])
