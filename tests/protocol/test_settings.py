# runs on: cpython micropython
"""Settings: what goes in comes out, and every bad value is one line with key and remedy."""

from protocol import settings
from protocol.units import BAD_FIELD, Malformed

CUR = 1000000000
POINT = settings.Point(
    0, settings.MODBUS, "sdm120", 1, 0, 0, 0, 60000, 0,
    5 * CUR, 2 * CUR, 0, CUR, 1000 * CUR, 500 * CUR, 1,
)  # fmt: skip
PULSE = settings.Point(
    7, settings.PULSE, "", 0, 3, 3200, 12345, 60000, settings.NO_RELAY,
    5 * CUR, 2 * CUR, -CUR, CUR, 1000 * CUR, 500 * CUR, 0,
)  # fmt: skip

POINTS_KEY = len(settings._MODULE_CHECKS) + 1


def wire():
    """A good configuration, as freshly decoded."""
    fields = {}
    for number, (_, kind, low, _) in enumerate(settings._MODULE_CHECKS):
        fields[number + 1] = "m" if kind == settings._TEXT else low
    fields[POINTS_KEY] = [
        {number + 1: value for number, value in enumerate(point)} for point in (POINT, PULSE)
    ]
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
    if kind == settings._TEXT:
        return ("x" * (high + 1), 5, None, b"x") + (("",) if low else ())
    return (low - 1, high + 1, "1", None, True, [], b"1")


def test_every_bad_module_value_names_its_key_and_the_remedy():
    for number, (name, kind, low, high) in enumerate(settings._MODULE_CHECKS):
        for value in bad_values(kind, low, high):
            fields = wire()
            fields[number + 1] = value
            said = refusal(fields)
            assert said.startswith(name + ": "), (said, name, value)
            assert str(high) in said or name == "module"


def test_every_bad_point_value_names_its_place_and_the_remedy():
    for number, (name, kind, low, high) in enumerate(settings._POINT_CHECKS):
        for value in bad_values(kind, low, high):
            fields = wire()
            fields[POINTS_KEY][1][number + 1] = value
            assert refusal(fields).startswith("points[1]." + name + ": "), (name, value)


def test_a_missing_key_is_named():
    for number, (name, _, _, _) in enumerate(settings._MODULE_CHECKS):
        fields = wire()
        del fields[number + 1]
        assert refusal(fields).startswith(name + ": ")
    fields = wire()
    del fields[POINTS_KEY]
    assert refusal(fields).startswith("points: ")


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
    for number, (name, _, _, _) in enumerate(settings._POINT_CHECKS):
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
