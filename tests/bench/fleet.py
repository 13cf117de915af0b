"""A fleet whose messages wait to be settled: real keys, entries, seals, made by protocol/ alone.

    python -m tests.bench.fleet      makes it, or finds it made

20,000 meters, one point each. Their openings are settled in the store that a drain starts from;
`single` holds one interval a message, in another order of meters each interval, `batch8` eight.
What is made is kept under build/ and made anew when the sources it came from change.
"""

import hashlib
import random
import shutil
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from host_tools import tariffs
from host_tools.keys import KEY_BYTES, KeyFiles, RootKey
from host_tools.settlement import consumer as consuming
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Nowhere
from host_tools.store.database import open_store
from protocol import cose, ledger, messages, reading, topics
from protocol.messages import Readings
from protocol.units import SYNCHRONISED
from tests.bench import figures

METERS = 20_000
INTERVALS = 16
BATCH = 8
BATCHES = 5
SHARD = 0
SEED = 20260101
START_S = 1767225600  # 2026-01-01 00:00 UTC
NOW_S = START_S + 30 * 86400
FOLDER = figures.FOLDER / "fleet"
STORE = "store"
KEYS = "keys"
BOOKS = ("cn-bj-2012", "cn-zj-tou")
SOURCES = ("protocol", "host_tools/store/migrations", "tests/bench/fleet.py")
_HEAD = struct.Struct("<IH")


class Standing:
    """The clock of a drain: what waits is neither old nor from the future."""

    def now_ms(self) -> int:
        return NOW_S * 1000

    def now_s(self) -> int:
        return NOW_S

    def ticks_ms(self) -> int:
        return time.monotonic_ns() // 1000000


class Meter:
    """One point's ledger as its module writes it, without the past."""

    def __init__(self, number: int, book: object) -> None:
        self.module = name_of(number)
        self.book = book
        self.mac = key_of(self.module).mac(cose.UP)
        self.state = ledger.genesis(self.module, 0)

    def enter(self, entry: ledger.Entry) -> object:
        item = reading.to_item(self.state.time_s, entry)
        self.state = ledger.apply(self.state, entry)
        return item

    def opened(self) -> bytes:
        item = self.enter(ledger.opening(self.state, self.book, START_S, SYNCHRONISED, 1000))
        return self.sealed([item])

    def charged(self, energies_wh: list[int]) -> bytes:
        items = []
        for energy_wh in energies_wh:
            state = self.state
            time_s = reading.next_boundary_s(state.time_s)
            register_wh = state.register_wh + energy_wh
            entry = ledger.charge(state, self.book, time_s, SYNCHRONISED, register_wh)
            items.append(self.enter(entry))
        return self.sealed(items)

    def sealed(self, items: list[object]) -> bytes:
        state = self.state
        first_seq = state.seq + 1 - len(items)
        batch = Readings(0, 1, first_seq, self.book.version, items, state.head)
        return messages.seal(batch, self.mac)


def name_of(number: int) -> str:
    return f"m{number:05d}"


def topic_of(number: int, shards: int = 1) -> str:
    return topics.up(number % shards, name_of(number))


def key_of(module: str) -> RootKey:
    return RootKey(hashlib.sha256(b"bench key of " + module.encode()).digest()[:KEY_BYTES])


def books() -> list[object]:
    folder = figures.ROOT / "host_tools" / "tariff_files"
    return [tariffs.read_book(folder / f"{name}.toml") for name in BOOKS]


def written(path: Path) -> Iterator[tuple[int, bytes]]:
    """(meter, sealed message) of a file of messages."""
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            number, length = _HEAD.unpack(head)
            yield number, file.read(length)


def made(
    folder: Path = FOLDER,
    meters: int = METERS,
    intervals: int = INTERVALS,
    shards: int = 1,
    batches: int = BATCHES,
) -> Path:
    """The folder of the fleet: `single`, `batch8`, `keys` and a `store` with settled openings."""
    told = hashlib.sha256(repr((meters, intervals, batches, shards)).encode())
    for source in SOURCES:
        path = figures.ROOT / source
        for file in sorted(path.rglob("*.*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".sql"):
                told.update(file.read_bytes())
    mark = folder / "sources"
    if mark.exists() and mark.read_text(encoding="utf-8") == told.hexdigest():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / KEYS).mkdir(parents=True)
    found = books()
    fleet = [Meter(number, found[number % len(found)]) for number in range(meters)]
    _enrol(folder, fleet, found, shards)
    after = [meter.state for meter in fleet]
    _write(folder / "single", fleet, intervals, 1)
    for meter, state in zip(fleet, after, strict=True):
        meter.state = state
    _write(folder / "batch8", fleet, batches, BATCH)
    mark.write_text(told.hexdigest(), encoding="utf-8")
    return folder


def _enrol(folder: Path, fleet: list[Meter], books: list[object], shards: int) -> None:
    """Modules, points and keys at once, where the command would sync each of them to disk."""
    store = open_store(folder / STORE)
    keys = KeyFiles(folder / KEYS)
    with store.transaction():
        for book in books:
            store.fleet.store_book(str(book.version), book, START_S)
        for number, meter in enumerate(fleet):
            path = folder / KEYS / f"{meter.module}.key"
            path.write_bytes(key_of(meter.module).reveal())
            path.chmod(0o600)
            store.fleet.add_module(meter.module, number % shards)
            point_id = store.fleet.add_point(meter.module, 0, "", meter.book.currency)
            store.fleet.assign(point_id, meter.book.version, 0)
    tenancy = Tenancy(store, Standing(), "fleet", tuple(range(shards)))
    tenancy.look()
    consumer = consuming.Consumer(store, keys, Standing(), Nowhere(), tenancy)
    for start in range(0, len(fleet), 1000):
        consumer.consume(
            [
                Delivery(topic_of(number, shards), fleet[number].opened(), (0, 0, 0))
                for number in range(start, min(start + 1000, len(fleet)))
            ]
        )
    tenancy.leave()
    store.close()


def _write(path: Path, fleet: list[Meter], rounds: int, readings: int) -> None:
    chance = random.Random(SEED)
    order = list(range(len(fleet)))
    with path.open("wb") as file:
        for _ in range(rounds):
            chance.shuffle(order)
            for number in order:
                data = fleet[number].charged([chance.randrange(2000) for _ in range(readings)])
                file.write(_HEAD.pack(number, len(data)) + data)


if __name__ == "__main__":
    print(made())
    sys.exit(0)
