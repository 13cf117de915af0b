"""A module's configuration as it lies on its file system and travels: tables of integer keys.

`module_from_wire` and `module_to_wire` are the only way in and out; every value is checked, and an
error names the key by its word, so that one line tells a technician what to mend. Money limits are
nano-currency, currents milliampere. The root key has a file of its own.
"""

from collections import namedtuple

from protocol import places, topics
from protocol.units import BAD_FIELD, NCUR_MAX, POINTS_MAX, Malformed, const
from protocol.units import NO_RELAY as NO_RELAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PULSE = const(0)
MODBUS = const(1)
MODBUS_TCP = const(2)  # through the module's one gateway

Module = namedtuple(
    "Module",
    "version module shard broker_host broker_port broker_user broker_password keepalive_s"
    " poll_ms batch_records rs485_baud rs485_parity points hold_records tls broker_fallbacks"
    " ntp_host gateway_host gateway_port plan",
)
Point = namedtuple(
    "Point",
    "point meter meter_map unit pulse_channel imp_per_kwh register_base_wh current_max_ma"
    " relay warning_1_ncur warning_2_ncur limit_ncur rearm_ncur cap_ncur topup_max_ncur"
    " auto_close ct_ratio pt_ratio register_modulus_wh warning_1_days warning_2_days"
    " courtesy_trip zero_trip emergency_offer_ncur emergency_limit_ncur emergency_load_mw"
    " friendly friendly_floor_ncur friendly_delay_s clock_protect_s load_limit_mw load_period_s"
    " load_action load_restore_s load_retries open_current_max_ma open_wait_s trip_delay_s"
    " operations_per_hour nominal_mv protect tamper_notify tamper_trip debt_in_emergency"
    " debt_when_off token_unit_ncur token_set",
)

_INT, _TEXT, _LIST = 0, 1, 2
_POINTS_AT = const(12)
_FRIENDLY_AT = const(26)
_WINDOWS_MAX = const(8)
_SPECIAL_MAX = const(64)
_REQUIRED = None
# (name, type, low, high, default) of every field, in the order of the records; keys count from 1.
# What has a default may be absent; bounds of text and lists are lengths.
_MODULE_CHECKS = (
    ("version", _INT, 1, 0xFFFFFFFF, _REQUIRED),
    ("module", _TEXT, 1, topics.MODULE_CHARS_MAX, _REQUIRED),
    ("shard", _INT, 0, topics.SHARD_MAX, _REQUIRED),
    ("broker_host", _TEXT, 1, 64, _REQUIRED),
    ("broker_port", _INT, 1, 65535, _REQUIRED),
    ("broker_user", _TEXT, 0, 64, _REQUIRED),
    ("broker_password", _TEXT, 0, 64, _REQUIRED),
    ("keepalive_s", _INT, 10, 3600, _REQUIRED),
    ("poll_ms", _INT, 100, 300000, _REQUIRED),
    ("batch_records", _INT, 1, 64, _REQUIRED),
    ("rs485_baud", _INT, 1200, 115200, _REQUIRED),
    ("rs485_parity", _INT, 0, 2, _REQUIRED),
    ("points", _LIST, 1, POINTS_MAX, _REQUIRED),
    ("hold_records", _INT, 1, 64, 1),
    ("tls", _INT, 0, 2, 0),
    ("broker_fallbacks", _TEXT, 0, 160, ""),
    ("ntp_host", _TEXT, 0, 64, ""),
    ("gateway_host", _TEXT, 0, 64, ""),
    ("gateway_port", _INT, 1, 65535, 502),
    ("plan", _INT, 0, 2, 0),
)
_POINT_CHECKS = (
    ("point", _INT, 0, POINTS_MAX - 1, _REQUIRED),
    ("meter", _INT, PULSE, MODBUS_TCP, _REQUIRED),
    ("meter_map", _TEXT, 0, 24, _REQUIRED),
    ("unit", _INT, 0, 247, _REQUIRED),
    ("pulse_channel", _INT, 0, 7, _REQUIRED),
    ("imp_per_kwh", _INT, 0, 1000000, _REQUIRED),
    ("register_base_wh", _INT, 0, 1 << 50, _REQUIRED),
    ("current_max_ma", _INT, 1, 10000000, _REQUIRED),
    ("relay", _INT, 0, NO_RELAY, _REQUIRED),
    ("warning_1_ncur", _INT, -NCUR_MAX, NCUR_MAX, _REQUIRED),
    ("warning_2_ncur", _INT, -NCUR_MAX, NCUR_MAX, _REQUIRED),
    ("limit_ncur", _INT, -NCUR_MAX, NCUR_MAX, _REQUIRED),
    ("rearm_ncur", _INT, -NCUR_MAX, NCUR_MAX, _REQUIRED),
    ("cap_ncur", _INT, -NCUR_MAX, NCUR_MAX, _REQUIRED),
    ("topup_max_ncur", _INT, -NCUR_MAX, NCUR_MAX, _REQUIRED),
    ("auto_close", _INT, 0, 1, _REQUIRED),
    ("ct_ratio", _INT, 1, 10000, 1),
    ("pt_ratio", _INT, 1, 10000, 1),
    ("register_modulus_wh", _INT, 0, 1 << 50, 0),
    ("warning_1_days", _INT, 0, 255, 0),
    ("warning_2_days", _INT, 0, 255, 0),
    ("courtesy_trip", _INT, 0, 1, 0),
    ("zero_trip", _INT, 0, 1, 0),
    ("emergency_offer_ncur", _INT, -NCUR_MAX, NCUR_MAX, 0),
    ("emergency_limit_ncur", _INT, 0, NCUR_MAX, 0),
    ("emergency_load_mw", _INT, 0, 1 << 40, 0),
    ("friendly", _LIST, 0, 2, ()),
    ("friendly_floor_ncur", _INT, -NCUR_MAX, 0, 0),
    ("friendly_delay_s", _INT, 0, 1800, 0),
    ("clock_protect_s", _INT, 0, 604800, 86400),
    ("load_limit_mw", _INT, 0, 1 << 40, 0),
    ("load_period_s", _INT, 30, 3600, 60),
    ("load_action", _INT, 0, 1, 0),
    ("load_restore_s", _INT, 10, 3600, 30),
    ("load_retries", _INT, 0, 100, 5),
    ("open_current_max_ma", _INT, 0, 10000000, 0),
    ("open_wait_s", _INT, 0, 3600, 60),
    ("trip_delay_s", _INT, 0, 599940, 0),
    ("operations_per_hour", _INT, 1, 60, 6),
    ("nominal_mv", _INT, 0, 1000000, 0),
    ("protect", _INT, 0, 3, 0),
    ("tamper_notify", _INT, 0, 0xFFFF, 0xFFFF),
    ("tamper_trip", _INT, 0, 0xFFFF, 0),
    ("debt_in_emergency", _INT, 0, 1, 0),
    ("debt_when_off", _INT, 0, 1, 0),
    ("token_unit_ncur", _INT, 0, NCUR_MAX, 0),
    ("token_set", _INT, 0, 1, 0),
)


def _bad(name: str, remedy: str) -> Malformed:
    return Malformed(BAD_FIELD, name + ": " + remedy)


def _values(checks: "Any", fields: object, where: str) -> "list[Any]":
    if not isinstance(fields, dict):
        raise _bad(where[:-1] or "configuration", "must be a map of integer keys")
    for key in fields:
        if not 1 <= key <= len(checks):
            raise _bad(where + "key %d" % key, "is unknown; remove it or update the firmware")
    out = []
    for number, (name, kind, low, high, default) in enumerate(checks):
        value = fields.get(number + 1)
        if number + 1 not in fields and default is not _REQUIRED:
            value = default
        elif kind == _INT:
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise _bad(where + name, "must be a whole number from %d to %d" % (low, high))
        elif kind == _TEXT:
            if not isinstance(value, str) or not low <= len(value) <= high:
                raise _bad(where + name, "must be a text of %d to %d characters" % (low, high))
        elif not isinstance(value, list) or not low <= len(value) <= high:
            raise _bad(where + name, "must be a list of %d to %d items" % (low, high))
        out.append(value)
    return out


def module_from_wire(fields: object) -> Module:
    """Module settings out of a decoded CBOR map. Malformed(BAD_FIELD, "key: remedy")."""
    module = Module(*_values(_MODULE_CHECKS, fields, ""))
    if not topics.module_id_ok(module.module):
        raise _bad("module", "may hold lower-case letters, digits and hyphens only")
    places.all_of("broker_fallbacks", module.broker_fallbacks)
    if module.ntp_host:
        places.one_of("ntp_host", module.ntp_host, 123)
    points = []
    seen = set()
    for number, item in enumerate(module.points):
        where = "points[%d]." % number
        point = _point(item, where)
        if point.meter == MODBUS_TCP and not module.gateway_host:
            raise _bad("gateway_host", "must name the gateway of the Modbus TCP meters")
        if point.point in seen:
            raise _bad(where + "point", "is used twice; give each its own number")
        seen.add(point.point)
        points.append(point)
    return Module(*(module[:_POINTS_AT] + (tuple(points),) + module[_POINTS_AT + 1 :]))


def _point(fields: object, where: str) -> Point:
    point = Point(*_values(_POINT_CHECKS, fields, where))
    if point.meter == PULSE and point.imp_per_kwh < 1:
        raise _bad(where + "imp_per_kwh", "must be the constant printed on the pulse meter")
    if point.meter != PULSE and (not point.meter_map or point.unit < 1):
        raise _bad(where + "meter_map", "and unit must name a Modbus meter")
    if not point.warning_1_ncur >= point.warning_2_ncur >= point.limit_ncur:
        raise _bad(where + "warning_2_ncur", "must lie between limit_ncur and warning_1_ncur")
    if point.rearm_ncur <= point.limit_ncur:
        raise _bad(where + "rearm_ncur", "must be above limit_ncur, or the relay would chatter")
    if point.protect & 1 and not point.nominal_mv:
        raise _bad(where + "nominal_mv", "must be set where protect has bit 1, the voltage limits")
    if point.emergency_limit_ncur and point.limit_ncur < 0:
        raise _bad(where + "limit_ncur", "must be 0 or more where emergency credit is offered")
    calendars = [_friendly(item, where + "friendly") for item in point.friendly]
    return Point(*(point[:_FRIENDLY_AT] + (tuple(calendars),) + point[_FRIENDLY_AT + 1 :]))


def _friendly(item: object, name: str) -> "tuple[int, tuple[Any, ...], tuple[Any, ...]]":
    """(from_s, ((weekday bits, first minute, last minute + 1), ...), (local day, ...))."""
    if not isinstance(item, list) or len(item) != 3:
        raise _bad(name, "must be [from_s, windows, special days]")
    from_s, windows, days = item
    good = _whole(from_s, 1 << 40) and isinstance(windows, list) and isinstance(days, list)
    if not good or len(windows) > _WINDOWS_MAX or len(days) > _SPECIAL_MAX:
        raise _bad(name, "may hold %d windows and %d days" % (_WINDOWS_MAX, _SPECIAL_MAX))
    for window in windows:
        if not isinstance(window, list) or len(window) != 3:
            raise _bad(name, "window must be [weekday bits, first minute, end minute]")
        bits, start, end = window
        if not (_whole(bits, 127) and _whole(start, 1439) and _whole(end, 1440) and start < end):
            raise _bad(name, "window must lie within one day; split one that crosses midnight")
    for day in days:
        if not _whole(day, 1 << 24):
            raise _bad(name, "special day must be a day number since 1970")
    return from_s, tuple([tuple(window) for window in windows]), tuple(days)


def _whole(value: object, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high


def module_to_wire(module: Module) -> dict[int, object]:
    """The map that module_from_wire reads back; a value that is the default stays away."""
    fields = _to_wire(_MODULE_CHECKS, module)
    fields[_POINTS_AT + 1] = [_point_to_wire(point) for point in module.points]
    return fields


def _point_to_wire(point: Point) -> dict[int, object]:
    fields = _to_wire(_POINT_CHECKS, point)
    if point.friendly:
        fields[_FRIENDLY_AT + 1] = [
            [from_s, [list(window) for window in windows], list(days)]
            for from_s, windows, days in point.friendly
        ]
    return fields


def _to_wire(checks: "Any", values: "Any") -> dict[int, object]:
    return {number + 1: value for number, value in enumerate(values) if value != checks[number][4]}


def point_of(**values: "Any") -> Point:
    """A Point out of its required fields and whatever differs from a default, unchecked."""
    fields = [values.pop(check[0], check[4]) for check in _POINT_CHECKS]
    assert not values, values
    return Point(*fields)


def module_of(**values: "Any") -> Module:
    """A Module likewise."""
    fields = [values.pop(check[0], check[4]) for check in _MODULE_CHECKS]
    assert not values, values
    return Module(*fields)
