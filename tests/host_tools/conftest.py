"""Fixtures: a settlement in this process, and one of real processes around a real broker.

A test file that says `ON_BOTH = True` has its `desk` once on SQLite and once on PostgreSQL.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools.broker import Broker, free_port
from host_tools.cluster.nodes import greeted
from tests.host_tools.desk import Desk, Yard
from tests.postgres import POSTGRESQL, SQLITE, Server


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command of this process that begins a log would leave it to the tests behind it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all; every test takes a database of its own."""
    server = Server()
    server.begin()
    yield server
    server.end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "desk" in metafunc.fixturenames and getattr(metafunc.module, "ON_BOTH", False):
        metafunc.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)


@pytest.fixture
def desk(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    place = None
    if getattr(request, "param", SQLITE) == POSTGRESQL:
        place = request.getfixturevalue("postgres").address(tmp_path)
        monkeypatch.setenv("GRIDPURSE_STORE_URL", place.url)
    made = Desk(tmp_path, place)
    yield made
    made.store.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """nats-server that has laid its streams out."""
    made = Broker(tmp_path, free_port(), nats_port=free_port())
    made.start([])
    assert greeted(made.address)
    yield made
    made.kill()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    made.close()
