"""A module's configuration as it lies on its file system and travels: tables of integer keys.

`module_from_wire` and `module_to_wire` are the only way in and out; every value is checked, and an
error names the key by its word, so that one line tells a technician what to mend. Money limits are
nano-currency, currents milliampere. The root key has a file of its own.
"""

from collections import namedtuple

from protocol import topics
from protocol.units import BAD_FIELD, NCUR_MAX, POINTS_MAX, Malformed, const
from protocol.units import NO_RELAY as NO_RELAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PULSE = const(0)
MODBUS = const(1)

Module = namedtuple(
    "Module",
    "version module shard broker_host broker_port broker_user broker_password keepalive_s"
    " poll_ms batch_records rs485_baud rs485_parity points",
)
Point = namedtuple(
    "Point",
    "point meter meter_map unit pulse_channel imp_per_kwh register_base_wh current_max_ma"
    " relay warning_1_ncur warning_2_ncur limit_ncur rearm_ncur cap_ncur topup_max_ncur"
    " auto_close",
)

_INT, _TEXT = 0, 1
# (name, type, low, high) of every field, in the order of the records; keys count from 1.
_MODULE_CHECKS = (
    ("version", _INT, 1, 0xFFFFFFFF),
    ("module", _TEXT, 1, topics.MODULE_CHARS_MAX),
    ("shard", _INT, 0, topics.SHARD_MAX),
    ("broker_host", _TEXT, 1, 64),
    ("broker_port", _INT, 1, 65535),
    ("broker_user", _TEXT, 0, 64),
    ("broker_password", _TEXT, 0, 64),
    ("keepalive_s", _INT, 10, 3600),
    ("poll_ms", _INT, 100, 300000),
    ("batch_records", _INT, 1, 64),
    ("rs485_baud", _INT, 1200, 115200),
    ("rs485_parity", _INT, 0, 2),
)
_POINTS_KEY = const(13)
_POINT_CHECKS = (
    ("point", _INT, 0, POINTS_MAX - 1),
    ("meter", _INT, PULSE, MODBUS),
    ("meter_map", _TEXT, 0, 24),
    ("unit", _INT, 0, 247),
    ("pulse_channel", _INT, 0, 7),
    ("imp_per_kwh", _INT, 0, 1000000),
    ("register_base_wh", _INT, 0, 1 << 50),
    ("current_max_ma", _INT, 1, 10000000),
    ("relay", _INT, 0, NO_RELAY),
    ("warning_1_ncur", _INT, -NCUR_MAX, NCUR_MAX),
    ("warning_2_ncur", _INT, -NCUR_MAX, NCUR_MAX),
    ("limit_ncur", _INT, -NCUR_MAX, NCUR_MAX),
    ("rearm_ncur", _INT, -NCUR_MAX, NCUR_MAX),
    ("cap_ncur", _INT, -NCUR_MAX, NCUR_MAX),
    ("topup_max_ncur", _INT, -NCUR_MAX, NCUR_MAX),
    ("auto_close", _INT, 0, 1),
)


def _bad(name: str, remedy: str) -> Malformed:
    return Malformed(BAD_FIELD, name + ": " + remedy)


def _values(checks: "Any", extra: int, fields: object, where: str) -> "list[Any]":
    if not isinstance(fields, dict):
        raise _bad(where[:-1] or "configuration", "must be a map of integer keys")
    for key in fields:
        if not 1 <= key <= len(checks) and key != extra:
            raise _bad(where + "key %d" % key, "is unknown; remove it or update the firmware")
    out = []
    for number, (name, kind, low, high) in enumerate(checks):
        value = fields.get(number + 1)
        if kind == _TEXT:
            if not isinstance(value, str) or not low <= len(value) <= high:
                raise _bad(where + name, "must be a text of %d to %d characters" % (low, high))
        elif not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _bad(where + name, "must be a whole number from %d to %d" % (low, high))
        out.append(value)
    return out


def module_from_wire(fields: object) -> Module:
    """Module settings out of a decoded CBOR map. Malformed(BAD_FIELD, "key: remedy")."""
    values = _values(_MODULE_CHECKS, _POINTS_KEY, fields, "")
    if not topics.module_id_ok(values[1]):
        raise _bad("module", "may hold lower-case letters, digits and hyphens only")
    assert isinstance(fields, dict)
    listed = fields.get(_POINTS_KEY)
    if not isinstance(listed, list) or not 1 <= len(listed) <= POINTS_MAX:
        raise _bad("points", "must list 1 to %d service points" % POINTS_MAX)
    points = []
    seen = set()
    for number, item in enumerate(listed):
        point = _point(item, "points[%d]." % number)
        if point.point in seen:
            raise _bad("points[%d].point" % number, "is used twice; give each its own number")
        seen.add(point.point)
        points.append(point)
    return Module(*(values + [tuple(points)]))


def _point(fields: object, where: str) -> Point:
    point = Point(*_values(_POINT_CHECKS, 0, fields, where))
    if point.meter == PULSE and point.imp_per_kwh < 1:
        raise _bad(where + "imp_per_kwh", "must be the constant printed on the pulse meter")
    if point.meter == MODBUS and (not point.meter_map or point.unit < 1):
        raise _bad(where + "meter_map", "and unit must name a Modbus meter")
    if not point.warning_1_ncur >= point.warning_2_ncur >= point.limit_ncur:
        raise _bad(where + "warning_2_ncur", "must lie between limit_ncur and warning_1_ncur")
    if point.rearm_ncur <= point.limit_ncur:
        raise _bad(where + "rearm_ncur", "must be above limit_ncur, or the relay would chatter")
    return point


def module_to_wire(module: Module) -> dict[int, object]:
    """The map that module_from_wire reads back."""
    fields: dict[int, object] = {number + 1: value for number, value in enumerate(module[:-1])}
    fields[_POINTS_KEY] = [
        {number + 1: value for number, value in enumerate(point)} for point in module.points
    ]
    return fields
