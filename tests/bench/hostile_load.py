"""What hostile messages cost the good ones: each class in equal parts, 30 of 100 messages.

    .venv/bin/python -m tests.bench.settlement bench hostile_load

The good messages are settled alone and among hostile ones, each from the same store and through a
nats-server of its own, a batch of either in turn; of ROUNDS times the middle ratio counts. Were a
hostile message to cost as much as a good one, the rate of the good ones would fall to 70 of 100.
Whoever is hostile here has the broker's password of his victim and, where it takes one to get past
the seal, the key, too.
Afterwards every message is accounted for: a row of `rejects` with the reason of its class, or a
duplicate; and the ledgers are those that the good messages alone leave, byte for byte.
"""

import hashlib
import logging
import random
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from host_tools.keys import KeyFiles, Keys, PreparedMac
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import Tenancy
from host_tools.store.database import open_store
from protocol import cose, messages, topics, units
from protocol.messages import Readings
from tests.bench import drain, fleet

GOOD = 140_000
SHARE = 30  # of 100 messages
ROUNDS = 3
HUGE_BYTES = (units.MESSAGE_BYTES_MAX + 1, 4 * units.MESSAGE_BYTES_MAX)
STRANGERS = 50  # modules of another shard
YEAR_S = 365 * 86400
LOG = logging.getLogger("host_tools")

Pair = tuple[str, bytes]


class Victim(NamedTuple):
    """What a module has sent, and its key: all that a hostile message is made from.

    `data` is one of its messages, `batch` what that says, `next_seq` what comes after all of them.
    """

    topic: str
    data: bytes
    batch: Readings
    next_seq: int
    mac: PreparedMac


class Hostile:
    """Makes messages of each class. `MAKERS`: class: (maker, reason), no reason: a duplicate."""

    def __init__(self, chance: random.Random, first_stranger: int) -> None:
        self._chance = chance
        self._strangers = [
            fleet.Meter(first_stranger + number, book)
            for number, book in zip(range(STRANGERS), fleet.books() * STRANGERS, strict=False)
        ]

    def strangers(self) -> list[fleet.Meter]:
        return self._strangers

    def forged(self, victim: Victim) -> Pair:
        data = bytearray(victim.data)
        at = self._chance.randrange(9, len(data) - 1)
        if at >= len(data) - 9:
            at += 1  # not the head of the tag: that would be malformed
        data[at] ^= 1 << self._chance.randrange(8)
        return victim.topic, bytes(data)

    def replayed(self, victim: Victim) -> Pair:
        return victim.topic, victim.data

    def truncated(self, victim: Victim) -> Pair:
        return victim.topic, victim.data[: self._chance.randrange(len(victim.data))]

    def huge(self, victim: Victim) -> Pair:
        more = self._chance.randrange(*HUGE_BYTES) - len(victim.data)
        return victim.topic, victim.data + self._chance.randbytes(more)

    def wrong_shard(self, victim: Victim) -> Pair:
        stranger = self._chance.choice(self._strangers)
        fresh = stranger.state.seq == 0
        data = stranger.opened() if fresh else stranger.charged([self._chance.randrange(2000)])
        return topics.up(fleet.SHARD, stranger.module), data

    def clock_lie(self, victim: Victim) -> Pair:
        item = [1, YEAR_S + self._chance.randrange(YEAR_S), units.SYNCHRONISED, 250]
        return self._sealed(victim, first_seq=victim.next_seq, items=[item])

    def contradictory(self, victim: Victim) -> Pair:
        (energy_wh,) = victim.batch.items
        return self._sealed(victim, items=[energy_wh + self._chance.randrange(1, 9999)])

    def rolled_back(self, victim: Victim) -> Pair:
        return self._sealed(victim, epoch=0, items=[self._chance.randrange(2000)])

    def _sealed(self, victim: Victim, **changes: object) -> Pair:
        return victim.topic, messages.seal(victim.batch._replace(**changes), victim.mac)


MAKERS: dict[str, tuple[Callable[[Hostile, Victim], Pair], int | None]] = {
    "forged": (Hostile.forged, units.FORGED),
    "replayed": (Hostile.replayed, None),
    "truncated": (Hostile.truncated, units.MALFORMED),
    "huge": (Hostile.huge, units.OVERSIZED),
    "wrong shard": (Hostile.wrong_shard, units.WRONG_SHARD),
    "clock lie": (Hostile.clock_lie, units.FUTURE),
    "contradictory": (Hostile.contradictory, units.CONTRADICTORY),
    "rolled back": (Hostile.rolled_back, units.REPLAYED),
}


class StrangersKeys:
    """The fleet's keys and those of some modules that it does not have."""

    def __init__(self, keys: Keys, strangers: list[fleet.Meter]) -> None:
        self._keys = keys
        self._others = {meter.module: fleet.key_of(meter.module) for meter in strangers}

    def up(self, module: str) -> PreparedMac | None:
        return self._mac(module, cose.UP) or self._keys.up(module)

    def down(self, module: str) -> PreparedMac | None:
        return self._mac(module, cose.DOWN) or self._keys.down(module)

    def ahead(self, modules: Iterable[str]) -> None:
        self._keys.ahead(modules)

    def changed(self, module: str) -> bool:
        return module not in self._others and self._keys.changed(module)

    def _mac(self, module: str, direction: bytes) -> PreparedMac | None:
        key = self._others.get(module)
        return key.mac(direction) if key is not None else None


class Seen(logging.Handler):
    """Counts lines of log while it is entered, and keeps them from anybody else."""

    lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1

    def __enter__(self) -> None:
        LOG.addHandler(self)
        LOG.propagate = False

    def __exit__(self, *_: object) -> None:
        LOG.removeHandler(self)
        LOG.propagate = True


class Outcome(NamedTuple):
    """Of one drain: messages a second, what was counted, and the ledgers' digest."""

    rate: int
    rejects: Counter[int]
    duplicates: int
    lines: int
    ledgers: str


def mixed(good: list[Pair], hostile: Hostile, keys: Keys, chance: random.Random) -> Iterator[Pair]:
    """The good messages in their order, and among them hostile ones, the classes in turn."""
    makers = [make for make, _ in MAKERS.values()]
    wanted = len(good) * SHARE // (100 - SHARE) // len(makers) * len(makers)
    after = Counter(chance.randrange(len(good)) for _ in range(wanted))
    sent: dict[str, list[bytes]] = {}
    made = 0
    for place, (topic, data) in enumerate(good):
        yield topic, data
        sent.setdefault(topic, []).append(data)
        for _ in range(after[place]):
            of, _ = good[chance.randrange(place + 1)]
            mac, old = keys.up(topics.parse(of).module), chance.choice(sent[of])
            next_seq = messages.unseal(sent[of][-1], mac, False).first_seq + 1
            victim = Victim(of, old, messages.unseal(old, mac, False), next_seq, mac)
            yield makers[made % len(makers)](hostile, victim)
            made += 1


class Side:
    """Waiting messages and the worker that settles them; the rate is that of the good ones."""

    def __init__(
        self, pairs: list[Pair], good: int, hostile: Hostile, made: Path, folder: Path
    ) -> None:
        self._good = good
        self._seen = Seen()
        self._place = place = drain.Place(made, folder)
        self._transport = transport = drain.transport_of(place, "jetstream")
        waiting = place.fill(pairs, transport)
        self._store = store = open_store(folder / fleet.STORE)
        with store.transaction():
            for meter in hostile.strangers():
                store.fleet.add_module(meter.module, fleet.SHARD + 1)
        keys = StrangersKeys(place.keys, hostile.strangers())
        self._tenancy = Tenancy(store, fleet.Standing(), "hostile", (fleet.SHARD,))
        self._consumer = Consumer(store, keys, fleet.Standing(), transport, self._tenancy)
        self._draining = drain.Draining(transport, waiting, self._consumer.consume)
        self._ns = 0

    @property
    def done(self) -> float:
        """1 when all is settled."""
        return self._draining.done / self._draining.waiting

    def step(self) -> None:
        """One batch, as the service takes it, on this side's time."""
        started_ns = time.monotonic_ns()
        if not self.done:
            drain.begin(self._tenancy, self._transport)
        with self._seen:
            self._draining.step()
        self._ns += time.monotonic_ns() - started_ns

    def outcome(self) -> Outcome:
        with self._seen:
            self._consumer.finish()
        self._transport.stop()
        self._store.close()
        path = Path(self._store.where)
        rate = self._good * 1_000_000_000 // self._ns
        return Outcome(rate, *_counted(path), self._seen.lines, _ledgers(path))

    def close(self) -> None:
        self._place.broker.kill()


def settled(
    good: list[Pair], pairs: list[Pair], hostile: Hostile, made: Path
) -> tuple[Outcome, Outcome]:
    """The good messages alone, and among hostile ones: a batch of either in turn, so that both
    meet the same machine, whatever else it does meanwhile."""
    with ExitStack() as stack:
        sides = []
        for found in (good, pairs):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=made.parent)))
            sides.append(Side(found, len(good), hostile, made, folder))
            stack.callback(sides[-1].close)
        with drain.uncollected():
            while any(side.done < 1 for side in sides):
                min(sides, key=lambda side: side.done).step()
        quiet, loud = (side.outcome() for side in sides)
        return quiet, loud


def _counted(path: Path) -> tuple[Counter[int], int]:
    """Refused messages by reason, and records that were counted as duplicates."""
    connection = sqlite3.connect(path)
    rejects = Counter(
        dict(connection.execute("SELECT reason, SUM(count) FROM rejects GROUP BY 1"))
    )
    (duplicates,) = connection.execute("SELECT SUM(duplicates) FROM points").fetchone()
    connection.close()
    return rejects, duplicates


def _ledgers(path: Path) -> str:
    """Digest of everything that is money, energy or order.

    Of a point's row all but two columns: the count of duplicates, and what is written with it.
    """
    told = hashlib.sha256()
    connection = sqlite3.connect(path)
    for table in ("entries", "postings", "topups", "differences", "events", "parked"):
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid"):
            told.update(repr(row).encode())
    names = [row[1] for row in connection.execute("PRAGMA table_info(points)")]
    kept = ", ".join(name for name in names if name not in ("duplicates", "sent_seq"))
    for row in connection.execute(f"SELECT {kept} FROM points ORDER BY id"):
        told.update(repr(row).encode())
    connection.close()
    return told.hexdigest()


def measure(
    messages_good: int = GOOD, made: Path | None = None, rounds: int = ROUNDS
) -> dict[str, int]:
    made = made or fleet.made()
    good = drain.pairs_of(made / "single", messages_good)
    values = {"hostile_load_before": drain.load()}
    ratios = []
    wrong = miscounted = lines = 0
    for number in range(rounds):
        chance = random.Random(fleet.SEED + number)
        hostile = Hostile(chance, fleet.METERS)
        pairs = list(mixed(good, hostile, KeyFiles(made / fleet.KEYS), chance))
        each = (len(pairs) - len(good)) // len(MAKERS)
        quiet, loud = settled(good, pairs, hostile, made)
        ratios.append(loud.rate * 100 // quiet.rate)
        print(f"hostile_load: {quiet.rate}/s alone, {loud.rate}/s among {len(pairs)}")
        wrong += quiet.ledgers != loud.ledgers
        wanted = Counter({reason: each for _, reason in MAKERS.values() if reason is not None})
        miscounted += (loud.rejects - wanted).total() + (wanted - loud.rejects).total()
        miscounted += abs(loud.duplicates - each) + quiet.duplicates + quiet.rejects.total()
        lines = max(lines, loud.lines)
        values["hostile_messages"] = len(pairs) - len(good)
    values["hostile_good_rate_ratio"] = sorted(ratios)[rounds // 2]
    values["hostile_ledgers_changed"] = wrong
    values["hostile_miscounted"] = miscounted
    values["hostile_log_lines"] = lines
    values["hostile_load_after"] = drain.load()
    return values
