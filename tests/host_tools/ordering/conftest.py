"""Fixture: a desk and the command line on its store."""

from pathlib import Path

import pytest

from tests.host_tools.desk import Desk
from tests.host_tools.ordering.orderly import Orderly


@pytest.fixture
def orderly(desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Orderly:
    return Orderly(desk, capsys)
