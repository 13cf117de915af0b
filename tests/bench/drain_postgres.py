"""How fast two sharded workers settle waiting messages of 8 readings on PostgreSQL.

    .venv/bin/python -m tests.bench.settlement bench drain_postgres

Two processes, each with the lease of its shard, a connection of its own and a reader at the same
broker; the time runs from the word "go" to the last acknowledgement of the slower one. The server
syncs every commit. One worker on SQLite is measured within the same minute: only the ratio means
much on a machine that others use, too.
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

from host_tools.backup import moving
from host_tools.broker import HOST, HOST_USER
from host_tools.config import BrokerAddress, StoreAddress
from host_tools.keys import KeyFiles
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.jetstream import JetStreamTransport
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Claim
from host_tools.store.database import FILE, open_store
from host_tools.store.sql.postgres_connection import PostgresConnection
from protocol import topics
from tests.bench import drain, figures, fleet, pouring
from tests.postgres import Server

WORKERS = 2


def shard_of(number: int) -> int:
    return number % WORKERS


def prepared(server: Server, made: Path) -> str:
    """The URL of a store with the fleet, its shards shared out, and all openings settled."""
    url = server.database()
    address = StoreAddress(made, url)
    open_store(address).close()
    connection = PostgresConnection(address)
    with closing(connection), closing(sqlite3.connect(made / fleet.STORE / FILE)) as store:
        connection.execute("BEGIN")
        moving.to_postgres(store, connection)
        shards = f"CAST(SUBSTR(id, 2) AS BIGINT) % {WORKERS}"
        connection.execute(f"UPDATE modules SET shard = {shards}")
        connection.execute("DELETE FROM leases")
        connection.execute("COMMIT")
        connection.execute("VACUUM ANALYZE")
    return url


def drained(server: Server, url: str, messages: int, made: Path) -> int:
    """Messages a second, all of it, from a copy of a prepared store."""
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        place = drain.Place(made, Path(folder))
        try:
            waiting = _filled(place, messages)
            address = StoreAddress(made, server.copy(url))
            children = [_child(place, address, shard, waiting[shard]) for shard in waiting]
            for child in children:
                child.stdout.readline()  # ready
            started_ns = time.monotonic_ns()
            for child in children:
                child.stdin.close()  # go
            ends = [child.wait() for child in children]
            took_ns = time.monotonic_ns() - started_ns
            for child in children:
                child.stdout.close()
            if any(ends):
                raise RuntimeError(f"workers ended with {ends}")
            total = sum(waiting.values())
            _settled(address, total)
            return total * 1_000_000_000 // took_ns
        finally:
            place.broker.kill()


def _filled(place: drain.Place, messages: int) -> dict[int, int]:
    """Lets messages wait at the broker; {shard: how many}."""
    waiting = dict.fromkeys(range(WORKERS), 0)
    transport = JetStreamTransport(place.broker.nats_address)
    for shard in waiting:
        transport.open(Claim(shard, 1, 1))
    while not transport.ready():
        transport.take(1, 50)
    pairs = []
    for number, data in islice(fleet.written(place.made / "batch8"), messages):
        waiting[shard_of(number)] += 1
        pairs.append((topics.up(shard_of(number), fleet.name_of(number)), data))
    pouring.pour(place.broker.address, pairs, "fleet")
    transport.stop()
    return waiting


def _child(
    place: drain.Place, address: StoreAddress, shard: int, waiting: int
) -> "subprocess.Popen[bytes]":
    broker = place.broker.nats_address
    words = [address.url, place.made / fleet.KEYS, broker.port, broker.password, shard, waiting]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.drain_postgres", *map(str, words)],
        cwd=figures.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _settled(address: StoreAddress, waiting: int) -> None:
    """Nothing is missing, nothing is there twice, and every point ends at its last row."""
    with closing(PostgresConnection(address)) as connection:
        counted = connection.execute(
            "SELECT (SELECT COUNT(*) FROM readings), (SELECT COUNT(*) FROM differences),"
            " (SELECT SUM(e.seq) - COUNT(*) FROM points p JOIN entries e ON e.id = p.last_id)"
        ).fetchone()
    wanted = waiting * fleet.BATCH
    if counted != (wanted, 0, wanted):  # each point's opening besides
        raise RuntimeError(f"{counted} instead of {wanted} readings, no difference")


def work(url: str, keys: str, port: str, password: str, shard: str, waiting: str) -> None:
    """One worker: ready, go, and the end."""
    store = open_store(StoreAddress(Path(keys), url))
    clock = fleet.Standing()
    broker = BrokerAddress(HOST, int(port), HOST_USER, password)
    transport = JetStreamTransport(broker, f"worker{shard}")
    tenancy = Tenancy(store, clock, f"worker{shard}", (int(shard),))
    consumer = Consumer(store, KeyFiles(Path(keys)), clock, transport, tenancy)
    store.make_room(clock.now_s())
    print("ready", flush=True)
    sys.stdin.read()
    started_ns = time.monotonic_ns()
    drain.begin(tenancy, transport)
    drain.run(transport, int(waiting), consumer.consume, started_ns)
    transport.stop()
    store.close()


def measure(messages: int = fleet.METERS * fleet.BATCHES) -> dict[str, int]:
    made = fleet.made()
    server = Server(durable=True)
    best = beside = 0
    try:
        server.begin()
        url = prepared(server, made)
        for _ in range(drain.ROUNDS):
            best = max(best, drained(server, url, messages, made) * fleet.BATCH)
            one = drain.drained("batch8", messages, "jetstream", made) * fleet.BATCH
            beside = max(beside, one)
            print(f"drain_postgres: two workers {best} readings/s, SQLite {beside}")
    finally:
        server.end()
    return {
        "drain_postgres_2_workers_batch8_readings_s": best,
        "ratio_postgres_2_workers_to_sqlite": best * 100 // beside,
    }


if __name__ == "__main__":
    work(*sys.argv[1:])
