"""Any number of workers, any order, any repetition, any death: the ledgers of one worker in order.

Each history is a week of some modules. It is settled once by one worker in order, and then by 1,
2, 3 or 7 workers from a broker that shuffles, repeats and withholds, while workers die at any
statement they send to the store, or stall until others have taken over. Everything that is money,
energy or order is compared to the last byte. The store, leases, keys, seals and workers are the
real ones; the broker here is a model of what one may do at worst. `invariance_real` has real ones.
"""

import logging
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from host_tools import tariffs
from host_tools.keys import KeyFiles
from host_tools.settlement import commands, enrol
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import LEASE_MS, Tenancy
from host_tools.settlement.transport import Claim, Delivery, Nowhere
from host_tools.store.database import FILE, Store, open_store
from host_tools.store.held import Overtaken
from host_tools.store.sql.sqlite import SqliteDatabase
from protocol import topics
from protocol.messages import EVENT_STREAM
from tests.bench import figures
from tests.host_tools.desk import DeskClock
from tests.host_tools.genuine import START_S, PointLedger, Sender

SHARDS = 7
WORKERS = (1, 2, 3, 7)
SEEDS = 50
EVENTS = 11
STATEMENTS_MAX = 90  # after how many statements a worker may die
BOOKS = [
    tariffs.read_book(figures.ROOT / f"host_tools/tariff_files/{name}.toml")
    for name in ("cn-bj-2012", "cn-zj-tou")
]

# Whatever the order was, this must come out the same. Left out: row numbers, how often a thing was
# repeated, and what is still parked, which is nothing in the end.
_TRUTH = (
    "SELECT p.module, p.point, e.epoch, e.from_s, e.arrived_s, e.contra, e.charged_ncur,"
    " e.topups_ncur, e.head, e.said_head, e.seq, e.kind, e.time_s, e.quality, e.register_wh,"
    " e.energy_wh, e.version, e.period, e.used_wh, e.amount_ncur, e.number, e.channel,"
    " e.balance_ncur FROM entries e JOIN points p ON p.id = e.point_id"
    " ORDER BY p.module, p.point, e.seq, e.id",
    "SELECT p.module, p.point, p.day, p.mark_generation, p.mark_highest, p.mark_floor,"
    " p.mark_used, e.seq FROM points p LEFT JOIN entries e ON e.id = p.last_id"
    " ORDER BY p.module, p.point",
    "SELECT point_id, time_s, account, amount_ncur, currency, source, number FROM legs"
    " ORDER BY point_id, source, number, account, amount_ncur",
    "SELECT point_id, generation, number, amount_ncur, state, credited_seq FROM topups"
    " ORDER BY point_id, generation, number",
    "SELECT module, epoch, seq, kind, time_s, quality, code, point, args FROM events"
    " ORDER BY module, seq, id",
    "SELECT point_id, class, detail, module_value, host_value FROM differences"
    " ORDER BY point_id, class, detail",
    "SELECT module, stream, first_seq FROM parked",
)


class Died(BaseException):
    """kill -9: nothing of ours runs any more."""


class Mortal(sqlite3.Connection):
    """A connection of a worker that dies before its n-th statement."""

    left = -1

    def _lives(self) -> None:
        if self.left == 0:
            raise Died
        self.left -= 1

    def execute(self, *what: object) -> sqlite3.Cursor:
        self._lives()
        return super().execute(*what)

    def executemany(self, *what: object) -> sqlite3.Cursor:
        self._lives()
        return super().executemany(*what)


class Week:
    """A folder with a store, and the messages of some modules, in order."""

    def __init__(self, seed: int, folder: Path) -> None:
        chance = random.Random(seed)
        self.folder = folder
        self.messages: list[Delivery] = []
        self.streams: dict[tuple[str, int], list[Delivery]] = {}
        self.last: dict[tuple[str, int], int] = {}
        store = open_store(folder)
        keys = KeyFiles(folder / "keys")
        for number in range(chance.choice((3, 5, 8))):
            self._module(store, keys, f"m{number}", number % SHARDS, chance)
        store.close()
        for stream in self.streams.values():
            self.messages += stream

    def _module(
        self, store: Store, keys: KeyFiles, module: str, shard: int, chance: random.Random
    ) -> None:
        book = chance.choice(BOOKS)
        numbers = range(chance.choice((1, 2)))
        points = [enrol.NewPoint(number, "", "book", book) for number in numbers]
        key = enrol.enrol(store, keys, module, shard, points, START_S)
        sender = Sender(module, key, shard)
        topic = topics.up(shard, module)
        for new in points:
            made = PointLedger(module, new.point, book)
            made.open()
            paid = 0
            for _ in range(chance.randrange(20, 90)):
                move = chance.randrange(12)
                if move == 0:
                    made.fixed()
                elif move == 1 and paid < 6:
                    paid += 1
                    made.top_up(self._paid(store, module, new.point, paid), 5000 * paid)
                else:
                    made.charge(chance.choice((0, 250, 3000, chance.randrange(60000))))
            stream, seq = [], 1
            while seq <= len(made.entries):
                count = chance.choice((1, 1, 1, 2, 3, 8))
                stream.append(Delivery(topic, sender.seal(made.batch(seq, count)), None))
                seq += count
            self.streams[module, new.point] = stream
            self.last[module, new.point] = len(made.entries)
        sealed = [
            sender.seal(sender.events(seq, [START_S + seq, 0, 1, 255, [seq]]))
            for seq in range(1, EVENTS + 1)
        ]
        self.streams[module, EVENT_STREAM] = [Delivery(topic, data, None) for data in sealed]
        self.last[module, EVENT_STREAM] = EVENTS

    def _paid(self, store: Store, module: str, number: int, count: int) -> int:
        with store.transaction():
            point = store.fleet.point_known(module, number)
            reference = f"{module} {number} {count}"
            return commands.pay(store, point, reference, 5000 * count, START_S).number

    def asked(self, *questions: str) -> list[list[tuple[object, ...]]]:
        """The answers of the store."""
        connection = sqlite3.connect(self.folder / FILE)
        rows = [connection.execute(question).fetchall() for question in questions]
        connection.close()
        return rows

    def mortal(self) -> SqliteDatabase:
        """A worker's own way to the store: `left` statements of its connection until it dies."""
        path = self.folder / FILE
        connection = sqlite3.connect(path, factory=Mortal, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")  # nobody cuts the power here
        connection.execute("PRAGMA foreign_keys = ON")
        return SqliteDatabase(connection, path)

    def leases_end(self, clock: DeskClock) -> None:
        clock.ms += LEASE_MS + 1

    def lacking(self) -> list[tuple[str, int]]:
        """The streams that are not settled to their end."""
        (rows,) = self.asked(
            "SELECT p.module, p.point, e.seq FROM points p JOIN entries e ON e.id = p.last_id"
            f" UNION ALL SELECT id, {EVENT_STREAM}, events_seq FROM modules"
        )
        known = {(module, stream): seq for module, stream, seq in rows}
        return [key for key, seq in self.last.items() if known.get(key, 0) < seq]

    def truth(self) -> bytes:
        return repr(self.asked(*_TRUTH)).encode()


class Post:
    """The broker at its worst: any order, repetitions, and what was not acknowledged again."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.waiting: dict[int, deque[Delivery]] = {shard: deque() for shard in range(SHARDS)}

    def send(self, messages: list[Delivery], shuffled: bool) -> None:
        messages = list(messages)
        if shuffled:
            messages += self.chance.choices(messages, k=len(messages) // 4)
            self.chance.shuffle(messages)
            late = messages[: len(messages) // 10]  # what was sent first comes last
            messages = messages[len(late) :] + late
        for message in messages:
            self.waiting[topics.parse(message.topic).shard].append(message)

    def left(self) -> int:
        return sum(len(queue) for queue in self.waiting.values())


class Letters(Nowhere):
    """The transport of one worker at that broker."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.claims: set[int] = set()
        self.out: list[Delivery] = []

    def open(self, claim: Claim) -> None:
        self.claims.add(claim.shard)

    def shut(self, shard: int) -> None:
        self.claims.discard(shard)

    def take(self, most: int, wait_ms: int) -> list[Delivery]:
        for shard in sorted(self.claims):
            queue = self.post.waiting[shard]
            while queue and len(self.out) < most:
                self.out.append(queue.popleft())
        return list(self.out)

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        if self.post.chance.randrange(8) == 0:  # the acknowledgement is lost
            self.back()
        self.out.clear()

    def back(self) -> None:
        """What was not acknowledged comes again, in another order."""
        self.post.chance.shuffle(self.out)
        for message in self.out:
            self.post.waiting[topics.parse(message.topic).shard].appendleft(message)
        self.out.clear()

    def shards(self) -> set[int]:
        return set(self.claims)


class Worker:
    """One worker, from its birth to its death."""

    def __init__(self, week: Week, post: Post, clock: DeskClock, name: str, most: int) -> None:
        database = week.mortal()
        self.connection = database.connection
        store = Store(database)
        keys = KeyFiles(week.folder / "keys")
        self.letters = Letters(post)
        self.tenancy = Tenancy(store, clock, name, tuple(range(SHARDS)), most)
        self.consumer = Consumer(store, keys, clock, self.letters, self.tenancy)

    def look(self) -> None:
        if self.tenancy.look():
            self.letters.claims = set(self.tenancy.claims)

    def work(self, most: int) -> None:
        deliveries = self.letters.take(most, 0)
        if deliveries:
            self.consumer.consume(deliveries)

    def end(self) -> None:
        self.connection.close()
        self.letters.back()


class Crew:
    """The workers of one run, and what happens to them."""

    def __init__(self, week: Week, workers: int, chance: random.Random, hostile: bool) -> None:
        self.week = week
        self.chance = chance
        self.hostile = hostile
        self.clock = DeskClock()
        self.post = Post(chance)
        self.most = -(-SHARDS // workers)
        self.born = self.deaths = self.overtaken = 0
        self.workers = [self._worker() for _ in range(workers)]

    def _worker(self) -> Worker:
        self.born += 1
        return Worker(self.week, self.post, self.clock, f"w{self.born}", self.most)

    def settle(self) -> None:
        """Until everything is settled; a module sends again what nobody acknowledged."""
        self.post.send(self.week.messages, self.hostile)
        while self.post.left() or self._send_again():
            for worker in self.workers:
                worker.look()
            self._turn(self.chance.randrange(len(self.workers)))
        for worker in self.workers:
            worker.end()

    def _turn(self, place: int) -> None:
        worker = self.workers[place]
        fate = self.chance.randrange(6) if self.hostile else -1
        if fate == 0:
            worker.connection.left = self.chance.randrange(STATEMENTS_MAX)
        elif fate == 1:  # stalls with a batch in hand until others have its shards and messages
            held = worker.letters.take(self.chance.randrange(1, 40), 0)
            worker.letters.back()
            self._replace(place)
            self.workers[place].work(self.chance.randrange(1, 40))
            worker.letters.out = held
        try:
            worker.work(self.chance.randrange(1, 16))
        except Overtaken:
            self.overtaken += 1
        except Died:
            self.deaths += 1
            worker.end()
            self._replace(place)
            return
        worker.connection.left = -1
        if worker not in self.workers:
            worker.end()

    def _replace(self, place: int) -> None:
        """Time goes by, and another one takes the place and its shards."""
        self.week.leases_end(self.clock)
        self.workers[place] = self._worker()
        for other in self.workers:
            other.look()

    def _send_again(self) -> bool:
        lacking = self.week.lacking()
        for key in lacking:
            self.post.send(self.week.streams[key], False)
        return bool(lacking)


def history(
    seed: int, workers: int, moved: Callable[[Week], Week] | None = None
) -> tuple[bool, int, int]:
    """(same ledgers, deaths, overtaken) of one history with so many workers.

    `moved` takes the week to another database.
    """
    with tempfile.TemporaryDirectory() as folder:
        week, wanted = reference(seed, Path(folder))
        if moved is not None:
            week = moved(week)
        crew = Crew(week, workers, random.Random(seed * 10 + workers), True)
        crew.settle()
        return week.truth() == wanted, crew.deaths, crew.overtaken


def reference(seed: int, folder: Path) -> tuple[Week, bytes]:
    """A week that is not settled yet, and what one worker makes of it in order."""
    week = Week(seed, folder / "week")
    other = shutil.copytree(week.folder, folder / "other")
    Crew(week, 1, random.Random(seed), False).settle()
    wanted = week.truth()
    week.folder = other
    return week, wanted


def measure(seeds: int = SEEDS) -> dict[str, int]:
    pairs = [(seed, workers) for seed in range(seeds) for workers in WORKERS]
    quiet = (logging.WARNING,)  # parking is bounded, and says so each time
    with ProcessPoolExecutor(figures.PROCESSES, None, logging.disable, quiet) as pool:
        found = list(pool.map(history, *zip(*pairs, strict=True)))
    different = [pair for pair, (same, _, _) in zip(pairs, found, strict=True) if not same]
    for seed, workers in different:
        print(f"invariance: seed {seed} with {workers} workers differs", file=sys.stderr)
    return {
        "invariance_histories": len(pairs),
        "invariance_differences": len(different),
        "invariance_deaths": sum(deaths for _, deaths, _ in found),
        "invariance_overtaken": sum(overtaken for _, _, overtaken in found),
    }
