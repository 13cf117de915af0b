"""How fast waiting messages are settled: verify, validate, rate, ledger, commit, acknowledge.

    .venv/bin/python -m tests.bench.settlement bench drain

The messages wait in nats-server; each run starts from the same store and ends when the last one is
acknowledged. Whoever else uses the machine only ever slows a run down, so of a rate the best of
ROUNDS counts. Ratios mean more: all parts of one are measured within the same minute, in turn, and
the best counts on both sides.
"""

import gc
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from host_tools.broker import Broker, free_port
from host_tools.keys import KeyFiles
from host_tools.settlement import seals
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.jetstream import JetStreamTransport
from host_tools.settlement.mqtt import MqttTransport
from host_tools.settlement.service import BATCHES_UNCOLLECTED
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Claim, Transport
from host_tools.store.database import open_store
from protocol import topics
from tests.bench import fleet, naive, pouring

BATCH = 4000
WAIT_MS = 5000
ROUNDS = 3
RATIO_MESSAGES = 160_000
NAIVE_MESSAGES = 6_000


class Place:
    """A broker with waiting messages and a store, for one run."""

    def __init__(self, made: Path, folder: Path) -> None:
        self.made = made
        self.folder = folder
        self.keys = KeyFiles(made / fleet.KEYS)
        shutil.copytree(made / fleet.STORE, folder / fleet.STORE)
        self.broker = Broker(folder / "nats", free_port(), nats_port=free_port())
        self.broker.start([])
        pouring.pour(self.broker.address, [], "first")  # makes the stream

    def fill(self, pairs: Iterable[tuple[str, bytes]], transport: Transport) -> int:
        """Lets messages wait for a transport that the broker knows already."""
        transport.open(Claim(fleet.SHARD, 1, 1))
        while not transport.ready():
            transport.take(1, 50)
        if isinstance(transport, MqttTransport):
            transport.shut(fleet.SHARD)
        return pouring.pour(self.broker.address, pairs, "fleet")


def pairs_of(path: Path, messages: int) -> list[tuple[str, bytes]]:
    """(topic, payload) of the first messages of a file of them."""
    found = islice(fleet.written(path), messages)
    return [(fleet.topic_of(number), data) for number, data in found]


def drained(kind: str, messages: int, by: str, made: Path) -> int:
    """Messages a second, all of it."""
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        place = Place(made, Path(folder))
        try:
            transport = transport_of(place, by)
            waiting = place.fill(pairs_of(made / kind, messages), transport)
            store = open_store(place.folder / fleet.STORE)
            tenancy = Tenancy(store, fleet.Standing(), "drain", (fleet.SHARD,))
            consumer = Consumer(store, place.keys, fleet.Standing(), transport, tenancy)
            started_ns = time.monotonic_ns()
            begin(tenancy, transport)
            found = run(transport, waiting, consumer.consume, started_ns)
            transport.stop()
            _settled(store.where, waiting, kind)
            store.close()
            return found
        finally:
            place.broker.kill()


def best(kind: str, messages: int, by: str, made: Path) -> int:
    """The same, of ROUNDS runs."""
    rates = [drained(kind, messages, by, made) for _ in range(ROUNDS)]
    print(f"drain: {kind} by {by}", *(f"{rate}/s" for rate in rates))
    return max(rates)


def _settled(path: Path, waiting: int, kind: str) -> None:
    """Nothing is missing and nothing is there twice."""
    with sqlite3.connect(path) as connection:
        (entries,) = connection.execute("SELECT COUNT(*) FROM readings").fetchone()
        (differences,) = connection.execute("SELECT COUNT(*) FROM differences").fetchone()
    connection.close()
    wanted = waiting * (fleet.BATCH if kind == "batch8" else 1)
    if (entries, differences) != (wanted, 0):
        raise RuntimeError(f"{entries} readings of {wanted}, {differences} differences")


def verified(messages: int, made: Path) -> int:
    """Messages a second when they are only received, verified, decoded and acknowledged."""
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        place = Place(made, Path(folder))
        try:
            transport = transport_of(place, "jetstream")
            waiting = place.fill(pairs_of(made / "single", messages), transport)

            def verify(deliveries: list, more: bool) -> None:
                for topic, payload, _ in deliveries:
                    seals.opened(payload, place.keys.up(topics.parse(topic).module))
                transport.acknowledge(deliveries)

            started_ns = time.monotonic_ns()
            transport.open(Claim(fleet.SHARD, 2, 1))
            return run(transport, waiting, verify, started_ns)
        finally:
            place.broker.kill()


def scripted(messages: int, made: Path) -> int:
    """Messages a second of the script that a user would write."""
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        place = Place(made, Path(folder))
        try:
            script = naive.Script(place.broker.address, place.keys, place.folder / "naive.sqlite")
            script.connect()
            script.pause()
            pairs = pairs_of(made / "single", messages)
            waiting = pouring.pour(place.broker.address, pairs, "fleet")
            started_ns = time.monotonic_ns()
            script.run(waiting)
            return rate(waiting, started_ns)
        finally:
            place.broker.kill()


def transport_of(place: Place, by: str) -> Transport:
    if by == "paho":
        return MqttTransport(place.broker.address)
    return JetStreamTransport(place.broker.nats_address)


class Draining:
    """What waits, taken batch by batch as the service does; `done` of `waiting` messages."""

    def __init__(
        self, transport: Transport, waiting: int, consume: Callable[[list, bool], None]
    ) -> None:
        self._transport, self._consume = transport, consume
        self.waiting = waiting
        self.done = self._batches = 0

    def step(self) -> None:
        deliveries = self._transport.take(BATCH, WAIT_MS)
        if not deliveries:
            raise RuntimeError(f"only {self.done} of {self.waiting} messages came")
        self.done += len(deliveries)
        self._consume(deliveries, self.done < self.waiting)
        self._batches += 1
        if self._batches % BATCHES_UNCOLLECTED == 0:
            gc.collect(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, which the service calls itself."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def begin(tenancy: Tenancy, transport: Transport) -> None:
    """Takes the shards, behind the reader that let messages wait for this one."""
    tenancy.look()
    for claim in tenancy.claims.values():
        transport.open(claim._replace(since=1))


def run(
    transport: Transport, waiting: int, consume: Callable[[list, bool], None], started_ns: int
) -> int:
    draining = Draining(transport, waiting, consume)
    with uncollected():
        while draining.done < waiting:
            draining.step()
    return rate(draining.done, started_ns)


def rate(messages: int, started_ns: int) -> int:
    return messages * 1_000_000_000 // (time.monotonic_ns() - started_ns)


def load() -> int:
    """Processes that wanted a processor in the last minute, in hundredths."""
    return int(os.getloadavg()[0] * 100)


def measure(messages: int = fleet.METERS * fleet.INTERVALS) -> dict[str, int]:
    made = fleet.made()
    values = {"drain_load_before": load()}
    eighths = fleet.METERS * fleet.BATCHES
    full = verify = script = 0
    for _ in range(ROUNDS):
        verify = max(verify, verified(RATIO_MESSAGES, made))
        full = max(full, drained("single", RATIO_MESSAGES, "jetstream", made))
        script = max(script, scripted(NAIVE_MESSAGES, made))
        print(f"drain: receive and verify {verify}/s, settled {full}/s, naive {script}/s")
    values["receive_verify_msgs_s"] = verify
    values["naive_script_msgs_s"] = script
    values["drain_sqlite_jetstream_msgs_s"] = best("single", messages, "jetstream", made)
    values["drain_sqlite_paho_msgs_s"] = best("single", messages // 2, "paho", made)
    batches = best("batch8", eighths, "jetstream", made)
    values["drain_sqlite_batch8_readings_s"] = batches * fleet.BATCH
    values["ratio_to_receive_verify"] = full * 100 // verify
    values["ratio_to_naive_script"] = full * 100 // script
    values["drain_load_after"] = load()
    return values
