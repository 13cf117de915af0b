"""A trial cluster under load while its nodes are killed: nothing lost, nothing double.

    .venv/bin/python -m tests.bench.settlement proof cluster
    CLUSTER_S=60 ...                         a shorter form

Three nats-server nodes and two workers as `gridpurse cluster` runs them. 2,000 meters publish
2,000 readings a second, QoS 1, while every 20 s one node after the other is killed with SIGKILL
and started again. What the nodes acknowledged must be settled, once, and the ledgers must be those
that one worker makes of the same messages without a broker, byte for byte.
"""

import itertools
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

from host_tools.backup import archive
from host_tools.broker import free_port
from host_tools.cluster.cluster import SHARDS, Cluster
from host_tools.config import PREFIX
from host_tools.store.database import FILE
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
_COUNT = "SELECT COUNT(*), COUNT(DISTINCT point_id << 32 | seq) FROM entries"


class Watch(threading.Thread):
    """Looks how far each shard is settled; the longest time that one stood still."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.gap_ms_max = 0
        self._path = path

    def run(self) -> None:
        store = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        last: dict[int, int] = {}
        moved_s = dict.fromkeys(range(SHARDS), time.monotonic())
        while not self.over.wait(LOOK_S):
            for shard, newest in store.execute(_PROGRESS):
                now_s = time.monotonic()
                if newest != last.get(shard):
                    self.gap_ms_max = max(self.gap_ms_max, int((now_s - moved_s[shard]) * 1000))
                    last[shard], moved_s[shard] = newest, now_s
        store.close()


class Scene:
    """The cluster on a fleet's store, with the fleet's clock."""

    def __init__(self, made: Path, folder: Path) -> None:
        clock = folder / "clock"
        clock.write_bytes((fleet.NOW_S * 1000).to_bytes(8, "little"))
        shutil.copytree(made / fleet.STORE, folder / "data")
        (folder / "data" / archive.KEYS).symlink_to(made / fleet.KEYS)
        ports = (free_port() for _ in itertools.count())
        self.cluster = Cluster(folder, ports, {f"{PREFIX}CLOCK_FILE": str(clock)})
        self.path = self.cluster.data / FILE
        self.kills = 0

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


def counted(path: Path) -> tuple[int, int]:
    """(entries, different ones) of a store."""
    with archive.read_only(path) as store:
        return tuple(store.execute(_COUNT).fetchone())


def run(made: Path, count: int, rate: int, kill_s: int = KILL_S) -> dict[str, int]:
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        folder = Path(name)
        scene = Scene(made, folder)
        try:
            begun, _ = counted(scene.path)
            scene.cluster.launch([])
            watch = Watch(scene.path)
            watch.start()
            address = scene.cluster.nodes.address
            running = lanes.Fleet(address, made / "single", SHARDS, count, rate)
            scene.killed_while(running, kill_s)
            acknowledged, again, took_ms = running.result()
            end_s = time.monotonic() + SETTLED_S_MAX
            while counted(scene.path)[1] < begun + count and time.monotonic() < end_s:
                watch.over.wait(1)
                scene.cluster.revived()
            watch.over.set()
            watch.join()
        finally:
            scene.cluster.stop()
        rows, different = counted(scene.path)
        alone = folder / "alone"
        shutil.copytree(made / fleet.STORE, alone)
        restore.settled_on(alone, made, count, SHARDS)
        return {
            "cluster_readings": different - begun,
            "cluster_lost": acknowledged - (different - begun),
            "cluster_double": rows - different,
            "cluster_differences": restore.ledgers_unlike(alone / FILE, scene.path),
            "cluster_recovery_s_max": -(-watch.gap_ms_max // 1000),
            "cluster_kills": scene.kills,
            "cluster_sent_again": again,
            "cluster_readings_s": acknowledged * 1000 // took_ms,
        }


def measure() -> dict[str, int]:
    folder = figures.FOLDER / "fleet-cluster"
    made = fleet.made(folder, METERS, RUN_S * RATE // METERS, SHARDS, batches=0)
    return run(made, RUN_S * RATE, RATE)
