"""Fixture: a street with two modules, and the command line on its store.

A test that gives `street` a database is played on that one; else it is SQLite.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_tools.care.street import Street
from tests.postgres import POSTGRESQL, SQLITE


@pytest.fixture
def street(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Street]:
    place = None
    if getattr(request, "param", SQLITE) == POSTGRESQL:
        place = request.getfixturevalue("postgres").address(tmp_path)
        monkeypatch.setenv("GRIDPURSE_STORE_URL", place.url)
    made = Street(tmp_path, capsys, place=place)
    yield made
    made.store.close()
