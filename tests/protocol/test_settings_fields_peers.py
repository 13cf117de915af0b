"""The tables of checks are the fields of the records; only CPython's namedtuples tell theirs."""

from protocol import settings


def test_every_field_has_its_check_in_its_place() -> None:
    module = [name for name, _, _, _ in settings._MODULE_CHECKS]
    assert [*module, "points"] == list(settings.Module._fields)
    assert [name for name, _, _, _ in settings._POINT_CHECKS] == list(settings.Point._fields)
    assert len(settings._MODULE_CHECKS) + 1 == settings._POINTS_KEY
