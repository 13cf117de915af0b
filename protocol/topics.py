"""MQTT topics: `gp/1/<shard>/<module>/up|down`. The shard is fixed when a module is provisioned.

Levels hold lower-case letters, digits and hyphens only, because NATS maps levels to subject
tokens.
"""

from collections import namedtuple

from protocol.units import WRONG_TOPIC, Malformed, const

PREFIX = "gp/1"
SHARD_MAX = const(4095)
MODULE_CHARS_MAX = const(16)
_ALLOWED = "abcdefghijklmnopqrstuvwxyz0123456789-"

Address = namedtuple("Address", "shard module direction")


def module_id_ok(module: object) -> bool:
    """1 to 16 lower-case letters, digits or hyphens."""
    if not isinstance(module, str) or not 0 < len(module) <= MODULE_CHARS_MAX:
        return False
    return all(char in _ALLOWED for char in module)


def up(shard: int, module: str) -> str:
    return "%s/%d/%s/up" % (PREFIX, shard, module)


def down(shard: int, module: str) -> str:
    return "%s/%d/%s/down" % (PREFIX, shard, module)


def all_up(shard: int) -> str:
    """Subscription filter of everything the modules of one shard send."""
    return "%s/%d/+/up" % (PREFIX, shard)


def parse(topic: str) -> Address:
    """Address of a topic; Malformed(WRONG_TOPIC) for any other text."""
    levels = topic.split("/")
    if len(levels) != 5 or levels[0] + "/" + levels[1] != PREFIX:
        raise Malformed(WRONG_TOPIC, "prefix")
    shard = levels[2]
    if not 0 < len(shard) <= 4 or not all(char in "0123456789" for char in shard):
        raise Malformed(WRONG_TOPIC, "shard")
    number = int(shard)
    if number > SHARD_MAX or str(number) != shard:
        raise Malformed(WRONG_TOPIC, "shard")
    if not module_id_ok(levels[3]) or levels[4] not in ("up", "down"):
        raise Malformed(WRONG_TOPIC, "module")
    return Address(number, levels[3], levels[4])
