"""Fixture: a street with two modules, and the command line on its store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_tools.care.street import Street


@pytest.fixture
def street(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Street]:
    made = Street(tmp_path, capsys)
    yield made
    made.store.close()
