"""Fixtures: a settlement in this process, and one of real processes around a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_tools.desk import Desk, Yard


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    made.close()
