# runs on: cpython micropython
"""Settings: what goes in comes out, and every bad value is one line with key and remedy."""

from protocol import settings
from protocol.units import BAD_FIELD, Malformed

CUR = 1000000000
POINT = settings.point_of(
    point=0, meter=settings.MODBUS, meter_map="sdm120", unit=1, pulse_channel=0, imp_per_kwh=0,
    register_base_wh=0, current_max_ma=60000, relay=0, warning_1_ncur=5 * CUR,
    warning_2_ncur=2 * CUR, limit_ncur=0, rearm_ncur=CUR, cap_ncur=1000 * CUR,
    topup_max_ncur=500 * CUR, auto_close=1, trip_delay_s=120,
    friendly=((0, ((31, 0, 480), (31, 1200, 1440)), (20518,)), (1 << 31, (), ())),
)  # fmt: skip
PULSE = settings.point_of(
    point=7, meter=settings.PULSE, meter_map="", unit=0, pulse_channel=3, imp_per_kwh=3200,
    register_base_wh=12345, current_max_ma=60000, relay=settings.NO_RELAY,
    warning_1_ncur=5 * CUR, warning_2_ncur=2 * CUR, limit_ncur=-CUR, rearm_ncur=CUR,
    cap_ncur=1000 * CUR, topup_max_ncur=500 * CUR, auto_close=0,
)  # fmt: skip

POINTS_KEY = 13


def wire():
    """A good configuration, as freshly decoded."""
    fields = {}
    for number, (_, kind, low, _, default) in enumerate(settings._MODULE_CHECKS):
        if default is None:
            fields[number + 1] = "m" if kind == settings._TEXT else low
    fields[POINTS_KEY] = [settings._point_to_wire(point) for point in (POINT, PULSE)]
    return fields


def refusal(fields):
    try:
        settings.module_from_wire(fields)
    except Malformed as error:
        assert error.reason == BAD_FIELD
        assert "\n" not in error.detail
        return error.detail
    raise AssertionError("accepted")


def test_settings_come_back_as_they_went():
    module = settings.module_from_wire(wire())
    assert module.points == (POINT, PULSE)
    assert settings.module_to_wire(module) == wire()


def bad_values(kind, low, high):
    """Values just outside a check, and of other types."""
    if kind == settings._LIST:
        return ([0] * (high + 1), 5, None, "x", {}) + (([],) if low else ())
    if kind == settings._TEXT:
        return ("x" * (high + 1), 5, None, b"x") + (("",) if low else ())
    return (low - 1, high + 1, "1", None, True, [], b"1")


def test_every_bad_module_value_names_its_key_and_the_remedy():
    for number, (name, kind, low, high, _) in enumerate(settings._MODULE_CHECKS):
        for value in bad_values(kind, low, high):
            fields = wire()
            fields[number + 1] = value
            said = refusal(fields)
            assert said.startswith(name + ": "), (said, name, value)
            assert str(high) in said or name == "module"


def test_every_bad_point_value_names_its_place_and_the_remedy():
    for number, (name, kind, low, high, _) in enumerate(settings._POINT_CHECKS):
        for value in bad_values(kind, low, high):
            fields = wire()
            fields[POINTS_KEY][1][number + 1] = value
            assert refusal(fields).startswith("points[1]." + name + ": "), (name, value)


def test_a_missing_key_is_named():
    for number, (name, _, _, _, default) in enumerate(settings._MODULE_CHECKS):
        if default is None:
            fields = wire()
            del fields[number + 1]
            assert refusal(fields).startswith(name + ": ")


def test_what_has_a_default_may_be_absent_and_is_not_written():
    module = settings.module_from_wire(wire())
    assert (module.hold_records, module.tls, module.gateway_port) == (1, 0, 502)
    assert module.points[1].clock_protect_s == 86400 and module.points[1].friendly == ()
    assert max(settings.module_to_wire(module)) == POINTS_KEY


def test_a_calendar_of_friendly_hours_is_checked_to_the_minute():
    good = [0, [[127, 0, 1440]], [20518]]
    for bad in (
        5, [], [0, [], []] + [0], [-1, [], []], [0, [[128, 0, 1]], []], [0, [[1, 60, 60]], []],
        [0, [[1, 60, 1441]], []], [0, [[1, 1440, 1440]], []], [0, [[1, 0]], []], [0, [], [-1]],
        [0, [[1, 0, 1]] * 9, []], [0, [], [1] * 65], [0, [[True, 0, 1]], []],
    ):  # fmt: skip
        said = refusal(replaced(0, friendly=[good, bad]))
        assert said.startswith("points[0].friendly: "), (said, bad)
    assert settings.module_from_wire(replaced(0, friendly=[good])).points[0].friendly == (
        (0, ((127, 0, 1440),), (20518,)),
    )


def test_a_meter_behind_a_gateway_needs_the_gateway():
    fields = replaced(0, meter=settings.MODBUS_TCP)
    assert refusal(fields).startswith("gateway_host: ")
    fields[18] = "10.0.0.7"
    assert settings.module_from_wire(fields).gateway_host == "10.0.0.7"


def test_an_unknown_key_is_named_by_its_number():
    fields = wire()
    fields[200] = 1
    assert refusal(fields).startswith("key 200: ")
    fields = wire()
    fields[POINTS_KEY][0][-1] = 1
    assert refusal(fields).startswith("points[0].key -1: ")


def test_what_is_not_a_map_is_refused():
    for value in (None, 1, [], "x", b""):
        assert "map" in refusal(value)
        fields = wire()
        fields[POINTS_KEY][0] = value
        assert refusal(fields).startswith("points[0]: must be a map")


def test_one_to_eight_points_with_numbers_of_their_own():
    for points in ([], None, {}, wire()[POINTS_KEY] * 5):
        fields = wire()
        fields[POINTS_KEY] = points
        assert refusal(fields).startswith("points")
    fields = wire()
    fields[POINTS_KEY][1][1] = 0
    assert refusal(fields).startswith("points[1].point: is used twice")


def replaced(point, **values):
    fields = wire()
    one = fields[POINTS_KEY][point]
    for number, (name, _, _, _, _) in enumerate(settings._POINT_CHECKS):
        if name in values:
            one[number + 1] = values[name]
    return fields


def test_values_that_contradict_each_other_are_named():
    for fields, start in (
        (replaced(1, imp_per_kwh=0), "points[1].imp_per_kwh: "),
        (replaced(0, meter_map=""), "points[0].meter_map: "),
        (replaced(0, unit=0), "points[0].meter_map: "),
        (replaced(0, warning_1_ncur=CUR), "points[0].warning_2_ncur: "),
        (replaced(0, warning_2_ncur=-1), "points[0].warning_2_ncur: "),
        (replaced(0, limit_ncur=3 * CUR), "points[0].warning_2_ncur: "),
        (replaced(0, rearm_ncur=0), "points[0].rearm_ncur: "),
    ):
        said = refusal(fields)
        assert said.startswith(start), said


def test_a_module_id_is_checked_for_its_characters():
    fields = wire()
    fields[2] = "Meter_1"
    assert refusal(fields).startswith("module: may hold lower-case")
