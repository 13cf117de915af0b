"""The tables of checks are the fields of the records; only CPython's namedtuples tell theirs."""

from protocol import settings


def test_every_field_has_its_check_in_its_place() -> None:
    assert [check[0] for check in settings._MODULE_CHECKS] == list(settings.Module._fields)
    assert [check[0] for check in settings._POINT_CHECKS] == list(settings.Point._fields)
    assert settings.Module._fields[settings._POINTS_AT] == "points"
    assert settings.Point._fields[settings._FRIENDLY_AT] == "friendly"
