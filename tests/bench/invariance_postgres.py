"""The histories of `invariance` on PostgreSQL, held against one worker on SQLite.

    .venv/bin/python -m tests.bench.settlement proof invariance_postgres

First with workers that take turns in one process and die at any statement, then with two real ones
at a time, real brokers, and kill -9 of worker, broker and database server.
"""

import copy
import functools
import random
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from host_tools.backup import moving
from host_tools.config import MQTT, NATS, StoreAddress
from host_tools.settlement.tenancy import LEASE_MS
from host_tools.store.database import FILE
from host_tools.store.sql import Rows
from host_tools.store.sql.postgres import PostgresDatabase
from host_tools.store.sql.postgres_connection import PostgresConnection
from tests.bench import invariance
from tests.bench.invariance import Died, Week
from tests.bench.invariance_real import Scene
from tests.host_tools.desk import DeskClock
from tests.postgres import Server

SEEDS = 12
WORKERS = (1, 2, 3, 7)
REAL = [(kind, workers) for kind in (MQTT, NATS) for workers in (2, 3)]


class Mortal(PostgresConnection):
    """As invariance.Mortal."""

    left = -1

    def _lives(self) -> None:
        if self.left == 0:
            raise Died
        self.left -= 1

    def execute(self, *what: object) -> Rows:
        self._lives()
        return super().execute(*what)

    def executemany(self, *what: object) -> Rows:
        self._lives()
        return super().executemany(*what)

    def copy(self, *what: object) -> None:
        self._lives()
        super().copy(*what)


class FleetWeek(Week):
    """A week whose store is on a server; keys stay in the folder."""

    address: StoreAddress

    def asked(self, *questions: str) -> list[list[tuple[object, ...]]]:
        with closing(PostgresConnection(self.address)) as connection:
            return [connection.execute(question).fetchall() for question in questions]

    def mortal(self) -> PostgresDatabase:
        return PostgresDatabase(Mortal(self.address), self.address)

    def leases_end(self, clock: DeskClock) -> None:
        with closing(PostgresConnection(self.address)) as connection:
            connection.execute("UPDATE leases SET until_ms = until_ms - ?", (LEASE_MS + 1,))


def moved(server: Server, week: Week) -> FleetWeek:
    """The same week, before it is settled, in a new database."""
    there = copy.copy(week)
    there.__class__ = FleetWeek
    there.address = server.address(week.folder)
    connection = PostgresConnection(there.address)
    with closing(connection), closing(sqlite3.connect(week.folder / FILE)) as store:
        connection.execute("BEGIN")
        moving.to_postgres(store, connection)
        connection.execute("COMMIT")
    return there


class FleetScene(Scene):
    """Real workers, and a server that dies, too."""

    def __init__(
        self, server: Server, week: FleetWeek, folder: Path, kind: str, workers: int
    ) -> None:
        self.server = server
        super().__init__(week, folder, kind, workers)

    def variables(self) -> dict[str, str]:
        return {"GRIDPURSE_STORE_URL": self.week.address.url}

    def kill_something(self, chance: random.Random) -> None:
        if chance.randrange(4):
            super().kill_something(chance)
            return
        self.kills += 1
        self.server.kill()
        self.server.begin()


def run(server: Server, seed: int, kind: str, workers: int) -> tuple[bool, int]:
    """(same ledgers, kills) of one run of real workers."""
    with tempfile.TemporaryDirectory() as folder:
        week, wanted = invariance.reference(seed, Path(folder))
        week = moved(server, week)
        scene = FleetScene(server, week, Path(folder), kind, workers)
        try:
            done = scene.settle(random.Random(seed))
        finally:
            scene.end()
        return done and week.truth() == wanted, scene.kills


def measure(seeds: int = SEEDS) -> dict[str, int]:
    pairs = [(seed, workers) for seed in range(seeds) for workers in WORKERS]
    different = kills = 0
    server = Server()
    try:
        server.begin()
        for seed, workers in pairs:
            same, died, _ = invariance.history(seed, workers, functools.partial(moved, server))
            kills += died
            if not same:
                different += 1
                print(f"invariance_postgres: {seed}, {workers} workers differ", file=sys.stderr)
        for place, (kind, workers) in enumerate(REAL):
            same, died = run(server, 2000 + place, kind, workers)
            print(f"invariance_postgres: {kind}, {workers} workers, {died} kills: same {same}")
            different += not same
            kills += died
    finally:
        server.end()
    return {
        "invariance_postgres_histories": len(pairs) + len(REAL),
        "invariance_postgres_differences": different,
        "invariance_postgres_kills": kills,
    }
