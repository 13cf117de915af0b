"""Fixture: a desk that is judged, see judged.py."""

from pathlib import Path

import pytest

from tests.host_tools.desk import Desk
from tests.host_tools.ordering.orderly import Orderly
from tests.host_tools.validation.judged import Judged


@pytest.fixture
def judged(desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Judged:
    return Judged(Orderly(desk, capsys))
