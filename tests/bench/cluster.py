"""A trial cluster under load while its nodes are killed: nothing lost, nothing double.

    .venv/bin/python -m tests.bench.settlement proof cluster
    CLUSTER_S=60 ...                         a shorter form

Three nats-server nodes, two workers and PostgreSQL, where it is installed, as `gridpurse cluster`
runs them. 2,000 meters publish
2,000 readings a second, QoS 1, while every 20 s one node after the other is killed with SIGKILL
and started again. What the nodes acknowledged must be settled, once, and the ledgers must be those
that one worker makes of the same messages without a broker, byte for byte.
"""

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from host_tools.backup import archive, moving
from host_tools.cluster import postgres
from host_tools.cluster.cluster import SHARDS, Cluster
from host_tools.cluster.nodes import unused_ports
from host_tools.config import PREFIX, StoreAddress
from host_tools.operations.figures import read_only
from host_tools.store.database import FILE, open_store
from host_tools.store.sql.postgres_connection import PostgresConnection
from tests.bench import figures, fleet, lanes, restore

METERS = 2000
RATE = 2000
RUN_S = int(os.environ.get("CLUSTER_S", "600"))
KILL_S = 20
FIRST_KILL_S = 5
LOOK_S = 0.1
SETTLED_S_MAX = 120  # after the last acknowledgement

_PROGRESS = (
    "SELECT m.shard, MAX(p.last_id) FROM points p JOIN modules m ON m.id = p.module GROUP BY 1"
)
_COUNT = "SELECT COUNT(*), COUNT(DISTINCT point_id * 4294967296 + seq) FROM entries"


class Watch(threading.Thread):
    """Looks how far each shard is settled; the longest time that one stood still."""

    def __init__(self, store: StoreAddress) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.gap_ms_max = 0
        self._store = store

    def run(self) -> None:
        last: dict[int, int] = {}
        moved_s = dict.fromkeys(range(SHARDS), time.monotonic())
        with closing(read_only(self._store)) as store:
            while not self.over.wait(LOOK_S):
                for shard, newest in store.execute(_PROGRESS):
                    now_s = time.monotonic()
                    if newest != last.get(shard):
                        gap_ms = int((now_s - moved_s[shard]) * 1000)
                        self.gap_ms_max = max(self.gap_ms_max, gap_ms)
                        last[shard], moved_s[shard] = newest, now_s


class Scene:
    """The cluster on a fleet's store, with the fleet's clock."""

    def __init__(self, made: Path, folder: Path, server: Path | None) -> None:
        clock = folder / "clock"
        clock.write_bytes((fleet.NOW_S * 1000).to_bytes(8, "little"))
        environ = {f"{PREFIX}CLOCK_FILE": str(clock)}
        self.cluster = Cluster(folder, unused_ports(), server, environ)
        (self.cluster.data / archive.KEYS).symlink_to(made / fleet.KEYS)
        self.kills = 0
        self._fleet_store = made / fleet.STORE / FILE

    def open(self) -> None:
        self.cluster.open()
        store = self.cluster.store
        if store.url:
            open_store(store).close()
            with (
                closing(PostgresConnection(store)) as to,
                closing(sqlite3.connect(self._fleet_store)) as known,
            ):
                to.execute("BEGIN")
                moving.to_postgres(known, to)
                to.execute("COMMIT")
        else:
            shutil.copy(self._fleet_store, store.folder)
        self.cluster.launch([])

    def killed_while(self, running: lanes.Fleet, kill_s: int) -> None:
        """Kills node after node until the fleet has sent everything."""
        end_s = time.monotonic() + FIRST_KILL_S
        while running.process.is_alive():
            running.process.join(LOOK_S)
            self.cluster.revived()
            if time.monotonic() >= end_s:
                end_s += kill_s
                nodes = self.cluster.nodes.all
                node = nodes[self.kills % len(nodes)]
                self.kills += 1
                if node.broker.pid:
                    os.kill(node.broker.pid, 9)


def counted(store: StoreAddress) -> tuple[int, int]:
    """(entries, different ones)."""
    with closing(read_only(store)) as link:
        return tuple(link.execute(_COUNT).fetchone())


def ledgers_unlike(one: StoreAddress, other: StoreAddress) -> int:
    """Entries that differ, or that only one has."""
    with closing(read_only(one)) as a, closing(read_only(other)) as b:
        for link in (a, b):
            link.execute("BEGIN")
        rows = [
            link.stream(restore.LEDGERS)
            if isinstance(link, PostgresConnection)
            else link.execute(restore.LEDGERS)
            for link in (a, b)
        ]
        return restore.unlike(*rows)


def run(
    made: Path, count: int, rate: int, kill_s: int = KILL_S, server: Path | None = None
) -> dict[str, int]:
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's user has to come through
        scene = Scene(made, folder, server)
        store = scene.cluster.store
        try:
            scene.open()
            begun, _ = counted(store)
            watch = Watch(store)
            watch.start()
            address = scene.cluster.nodes.address
            running = lanes.Fleet(address, (made / "single", SHARDS, 0, count), rate)
            scene.killed_while(running, kill_s)
            acknowledged, again, took_ms = running.result()
            end_s = time.monotonic() + SETTLED_S_MAX
            while counted(store)[1] < begun + count and time.monotonic() < end_s:
                watch.over.wait(1)
                scene.cluster.revived()
            watch.over.set()
            watch.join()
            rows, different = counted(store)
            alone = folder / "alone"
            shutil.copytree(made / fleet.STORE, alone)
            restore.settled_on(alone, made, count, SHARDS)
            differences = ledgers_unlike(StoreAddress(alone), store)
        finally:
            scene.cluster.stop()
        return {
            "cluster_readings": different - begun,
            "cluster_lost": acknowledged - (different - begun),
            "cluster_double": rows - different,
            "cluster_differences": differences,
            "cluster_recovery_s_max": -(-watch.gap_ms_max // 1000),
            "cluster_kills": scene.kills,
            "cluster_sent_again": again,
            "cluster_readings_s": acknowledged * 1000 // took_ms,
            "cluster_on_postgres": int(server is not None),
        }


def measure() -> dict[str, int]:
    folder = figures.FOLDER / "fleet-cluster"
    made = fleet.made(folder, METERS, RUN_S * RATE // METERS, SHARDS, batches=0)
    server = postgres.binaries() if postgres.reachable(folder) else None
    return run(made, RUN_S * RATE, RATE, server=server)
