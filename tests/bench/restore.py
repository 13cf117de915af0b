"""Backups taken while a fleet is settled, restored elsewhere, held against the store they are of.

    .venv/bin/python -m tests.bench.settlement proof restore

nats-server, `gridpurse settle`, `gridpurse backup` and who sends are processes of their own and
work at the same time, while payments are booked. Each backup is restored into a folder of its own
and verified; its journal, postings and payments must be those of the settled store up to its last
row, byte for byte. The oldest of them then takes the whole fleet's messages once more and must
reach the ledgers of the store that never stopped.
"""

import multiprocessing
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

from host_tools.backup import archive, check
from host_tools.config import BrokerAddress, StoreAddress
from host_tools.keys import KeyFiles
from host_tools.settlement import topup
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Nowhere
from host_tools.store import database
from host_tools.store.sql import sqlite
from tests.bench import drain, figures, fleet, pouring
from tests.host_tools.genuine import Settle, by_deadline

METERS = 4000
INTERVALS = 20
BACKUPS = 8
BATCH = 4000
PAYMENT_NCUR = 20_000_000_000
# Journals with the number that only grows, and columns that are as of the instant of writing.
_JOURNALS = (
    "SELECT * FROM entries WHERE id <= ? ORDER BY id",
    "SELECT * FROM postings WHERE id <= ? ORDER BY id",
    "SELECT point_id, generation, number, reference, amount_ncur, paid_s FROM topups"
    " WHERE rowid <= ? ORDER BY rowid",
)
_LASTS = (
    "SELECT MAX(id) FROM entries",
    "SELECT MAX(id) FROM postings",
    "SELECT MAX(rowid) FROM topups",
)
# All that an entry says, without which row it lies in and when it came.
LEDGERS = (
    "SELECT point_id, epoch, from_s, contra, charged_ncur, topups_ncur, head, said_head, seq,"
    " kind, time_s, quality, register_wh, energy_wh, version, period, used_wh, amount_ncur,"
    " number, channel, balance_ncur FROM entries ORDER BY point_id, seq"
)
Rows = Iterator[tuple[object, ...]]


def unlike(one: Rows, other: Rows) -> int:
    """Rows that differ, or that only one has."""
    return sum(a != b for a, b in zip_longest(one, other))


def differences(restored: Path, truth: Path) -> int:
    """Rows of a restored store that are not those of the other one, and what is not sound."""
    with archive.read_only(restored) as copy, archive.read_only(truth) as store:
        found = check.check(sqlite.SqliteDatabase(copy, restored)).found
        for journal, last in zip(_JOURNALS, _LASTS, strict=True):
            upto = copy.execute(last).fetchone()
            found += unlike(copy.execute(journal, upto), store.execute(journal, upto))
    return found


def ledgers_unlike(one: Path, other: Path) -> int:
    with archive.read_only(one) as copy, archive.read_only(other) as store:
        return unlike(copy.execute(LEDGERS), store.execute(LEDGERS))


def entries(path: Path) -> int:
    with sqlite3.connect(path) as store:
        (last,) = store.execute("SELECT MAX(id) FROM entries").fetchone()
    store.close()
    return int(last)


def settled_on(folder: Path, made: Path, messages: int, shards: int = 1) -> None:
    """Settles the fleet's messages in a store, the known and the new, as if sent again."""
    folder.joinpath(archive.KEYS).symlink_to(made / fleet.KEYS)
    store = database.open_store(folder)
    tenancy = Tenancy(store, fleet.Standing(), "again", tuple(range(shards)))
    tenancy.look()
    keys = KeyFiles(made / fleet.KEYS)
    consumer = Consumer(store, keys, fleet.Standing(), Nowhere(), tenancy)
    found = islice(fleet.written(made / "single"), messages)
    while batch := list(islice(found, BATCH)):
        consumer.consume(
            [Delivery(fleet.topic_of(number, shards), data, (0, 0, 0)) for number, data in batch]
        )
    tenancy.leave()
    store.close()


def _send(broker: BrokerAddress, path: Path, messages: int) -> None:
    found = islice(fleet.written(path), messages)
    pouring.pour(broker, ((fleet.topic_of(number), data) for number, data in found), "fleet")


def under_load(place: drain.Place, worker: Settle, messages: int, backups: int) -> list[Path]:
    """Backups that were taken while the fleet's messages were being settled."""
    path = worker.data / database.FILE
    begun = entries(path)
    arguments = (place.broker.address, place.made / "single", messages)
    generator = multiprocessing.Process(target=_send, args=arguments)
    generator.start()
    out = []
    for number in range(backups):
        wanted = begun + messages * number // backups
        by_deadline(lambda wanted=wanted: entries(path) > wanted, f"{wanted} entries settled")
        for paid in range(20):
            meter, reference = fleet.name_of(paid), f"cash-{number}-{paid}"
            topup.top_up(worker.data, fleet.Standing(), meter, 0, reference, PAYMENT_NCUR)
        file = place.folder / f"{number}.backup"
        taken = worker.command("backup", str(file))
        if taken.returncode:
            raise RuntimeError(taken.stderr)
        out.append(file)
    by_deadline(lambda: entries(path) >= begun + messages, "all settled")
    generator.join()
    return [file for file in out if begun < archive.manifest_of(file).entries < begun + messages]


def run(made: Path, meters: int, intervals: int, backups: int) -> dict[str, int]:
    messages = meters * intervals
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        place = drain.Place(made, Path(name))
        data = place.folder / fleet.STORE
        data.joinpath(archive.KEYS).symlink_to(made / fleet.KEYS)
        worker = Settle(data, place.broker.nats_address, fleet.NOW_S)
        try:
            worker.start()
            taken = under_load(place, worker, messages, backups)
        finally:
            worker.end()
            place.broker.kill()
        truth = data / database.FILE
        found = 0
        for number, file in enumerate(taken):
            begun_ns = time.monotonic_ns()
            folder = place.folder / f"restored-{number}"
            archive.restore(file, StoreAddress(folder), fleet.NOW_S)
            off = differences(folder / database.FILE, truth)
            took_ms = (time.monotonic_ns() - begun_ns) // 1_000_000
            print(
                f"restore: {file.name}, {entries(folder / database.FILE)} entries, {off} differ,"
            )
            print(f"    restored, verified and compared in {took_ms} ms")
            found += off
            if number == 0:
                settled_on(folder, made, messages)
                found += ledgers_unlike(folder / database.FILE, truth)
            shutil.rmtree(folder)
        return {
            "restore_difference": found,
            "restore_backups_under_load": len(taken),
            "restore_entries": entries(truth),
        }


def measure(meters: int = METERS, intervals: int = INTERVALS) -> dict[str, int]:
    made = fleet.made(figures.FOLDER / "fleet-restore", meters, intervals)
    return run(made, meters, intervals, BACKUPS)


if __name__ == "__main__":
    sys.exit(figures.write("restore", measure(), targets=figures.TARGETS["settlement proof"]))
