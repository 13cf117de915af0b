"""The same with real processes: nats-server, `gridpurse settle` workers, and kill -9 of both.

Messages go out shuffled and repeated; between portions a worker or the broker dies. What is not
settled in the end is sent again, as modules do. Half of the runs read through paho, half from
JetStream.
"""

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from host_tools.broker import Broker, free_port
from host_tools.config import MQTT, NATS, BrokerAddress
from tests.bench import invariance, pouring
from tests.host_tools.desk import NOW_S
from tests.host_tools.genuine import Settle

RUNS = [(kind, workers) for kind in (MQTT, NATS) for workers in invariance.WORKERS]
PORTIONS = 12
RUN_S_MAX = 180
AGAIN_S = 3


class Scene:
    """A broker and some workers that can be killed."""

    def __init__(self, week: invariance.Week, folder: Path, kind: str, workers: int) -> None:
        self.week = week
        self.kills = 0
        self.broker = Broker(folder / "nats", free_port(), nats_port=free_port())
        self.broker.start([])
        self.pour([])
        address = self.broker.address if kind == MQTT else self.broker.nats_address
        self.workers = [self._worker(address, workers) for _ in range(workers)]

    def _worker(self, address: BrokerAddress, workers: int) -> Settle:
        shards = ",".join(str(shard) for shard in range(invariance.SHARDS))
        worker = Settle(self.week.folder, address, NOW_S, shards)
        worker.shards_max = -(-invariance.SHARDS // workers)
        worker.more = self.variables()
        worker.start(wait=False)
        return worker

    def variables(self) -> dict[str, str]:
        """What a worker is told besides."""
        return {}

    def pour(self, pairs: list[tuple[str, bytes]]) -> None:
        try:
            pouring.pour(self.broker.address, pairs, "modules")
        except OSError:
            print("invariance_real: the broker died under the messages", file=sys.stderr)

    def kill_something(self, chance: random.Random) -> None:
        self.kills += 1
        if chance.randrange(4) == 0:
            self.broker.kill()
            self.broker.start([])
            return
        worker = chance.choice(self.workers)
        worker.end(signal.SIGKILL)
        worker.start(wait=False)

    def settle(self, chance: random.Random) -> bool:
        """True once all is settled, within the time of a run."""
        post = invariance.Post(chance)
        post.send(self.week.messages, True)
        pairs = [(item.topic, item.payload) for queue in post.waiting.values() for item in queue]
        chance.shuffle(pairs)
        size = -(-len(pairs) // PORTIONS)
        for start in range(0, len(pairs), size):
            self.pour(pairs[start : start + size])
            self.kill_something(chance)
        end_s = time.monotonic() + RUN_S_MAX
        while lacking := self.week.lacking():
            if time.monotonic() > end_s:
                return False
            again_s = time.monotonic() + AGAIN_S
            while time.monotonic() < again_s and self.week.lacking():
                signal.sigtimedwait([], 0.1)
            streams = [self.week.streams[key] for key in lacking]
            self.pour([(item.topic, item.payload) for stream in streams for item in stream])
        return True

    def end(self) -> None:
        for worker in self.workers:
            worker.end(signal.SIGKILL)
        self.broker.kill()


def run(seed: int, kind: str, workers: int) -> tuple[bool, int]:
    """(same ledgers, kills) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        week, wanted = invariance.reference(seed, Path(folder))
        scene = Scene(week, Path(folder), kind, workers)
        try:
            done = scene.settle(random.Random(seed))
        finally:
            scene.end()
        return done and week.truth() == wanted, scene.kills


def measure() -> dict[str, int]:
    different = kills = 0
    for place, (kind, workers) in enumerate(RUNS):
        same, killed = run(1000 + place, kind, workers)
        print(f"invariance_real: {kind}, {workers} workers, {killed} kills: same {same}")
        different += not same
        kills += killed
    return {
        "invariance_real_runs": len(RUNS),
        "invariance_real_differences": different,
        "invariance_real_kills": kills,
    }
