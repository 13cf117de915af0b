"""Short runs of the settlement's proofs, and proof that they would notice."""

import functools
import importlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from host_tools.backup import archive, check
from host_tools.config import MQTT, NATS, StoreAddress
from host_tools.settlement import inbox, jetstream, nats, settle
from host_tools.settlement.tenancy import Tenancy
from host_tools.store.database import FILE
from host_tools.store.sql import sqlite
from protocol import ledger
from tests.bench import (
    drain,
    drain_postgres,
    fleet,
    hostile_load,
    invariance,
    invariance_postgres,
    invariance_real,
    pouring,
    rate_50m,
    restore,
    settlement,
)
from tests.host_tools.genuine import Settle, by_deadline
from tests.postgres import Server


def test_a_few_hostile_histories_leave_the_ledgers_of_one_worker() -> None:
    values = invariance.measure(seeds=2)
    assert (values["invariance_histories"], values["invariance_differences"]) == (8, 0)
    assert values["invariance_deaths"] > 0


@pytest.mark.parametrize("kind", [MQTT, NATS])
def test_real_workers_and_brokers_that_are_killed_leave_the_same_ledgers(kind: str) -> None:
    same, kills = invariance_real.run(7, kind, 2)
    assert same and kills > 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    made.begin()
    yield made
    made.end()


@pytest.mark.parametrize("workers", [2, 7])
def test_workers_on_postgresql_leave_the_ledgers_of_one_on_sqlite(
    server: Server, workers: int
) -> None:
    moved = functools.partial(invariance_postgres.moved, server)
    assert invariance.history(3, workers, moved)[0]


def test_a_database_server_that_is_killed_leaves_the_same_ledgers(server: Server) -> None:
    same, kills = invariance_postgres.run(server, 2001, NATS, 2)
    assert same and kills > 0


def test_a_small_fleet_drains_whole_by_two_workers_on_postgresql(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = fleet.made(tmp_path_factory.mktemp("fleet") / "made", meters=51, intervals=4)
    url = drain_postgres.prepared(server, made)
    assert drain_postgres.drained(server, url, 51 * fleet.BATCHES, made) > 0


def test_without_fences_a_stalled_worker_changes_the_ledgers_and_the_proof_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tenancy, "confirm", lambda self: None)
    monkeypatch.setattr(sqlite, "_MOVE", "UPDATE points SET last_id = ? WHERE id = ? AND ? >= 0")
    noticed = 0
    for seed in range(8):
        try:
            noticed += not invariance.history(seed, 3)[0]
        except (sqlite3.IntegrityError, ValueError):  # an event twice, an entry missing
            noticed += 1
    assert noticed


def test_a_small_fleet_drains_whole_through_both_transports(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = fleet.made(tmp_path_factory.mktemp("fleet") / "made", meters=50, intervals=4)
    for by in ("paho", "jetstream"):
        assert drain.drained("single", 200, by, made) > 0  # counts what is in the store


def test_hostile_messages_among_good_ones_are_all_counted_and_move_no_ledger(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fleet.made(tmp_path_factory.mktemp("fleet") / "made", meters=50, intervals=14)
    values = hostile_load.measure(700, made, rounds=1)
    assert values["hostile_messages"] == 296
    assert (values["hostile_ledgers_changed"], values["hostile_miscounted"]) == (0, 0)
    monkeypatch.setattr(settle, "check_repeated", lambda facts, repeated: None)
    values = hostile_load.measure(700, made, rounds=1)
    assert values["hostile_miscounted"] > 0  # contradictions went for duplicates


def test_a_filled_journal_is_what_the_modules_would_have_entered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("filled")
    made = fleet.made(folder / "made", meters=40, intervals=1)
    grown = rate_50m.Grown(made, folder / "grown", 40 * 2800, intervals=2)  # all tiers
    grown.settled()  # as their modules go on: heads and sums are the same
    grown.store.close()
    path = folder / "grown" / FILE
    with closing(sqlite.connected(path)) as connection:
        found = check.check(sqlite.SqliteDatabase(connection, path))
        assert (found.entries, found.findings) == (40 * 2800 + 80, [])
        rows = connection.execute("SELECT * FROM entries WHERE point_id = 7 ORDER BY seq")
        names = [column[0] for column in rows.description]
        entries = [dict(zip(names, row, strict=True)) for row in rows]
    book = fleet.books()[(7 - 1) % len(fleet.BOOKS)]
    state = ledger.genesis(fleet.name_of(6), 0)
    for entry in entries:
        if entry["kind"] == ledger.OPENING:
            made_there = ledger.opening(state, book, fleet.START_S, 0, entry["register_wh"])
        else:
            made_there = ledger.charge(state, book, entry["time_s"], 0, entry["register_wh"])
        assert made_there == tuple(entry[name] for name in ledger.Entry._fields)
        state = ledger.apply(state, made_there)
        assert state.head == entry["head"]


def test_backups_under_load_are_the_books_up_to_their_last_row(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = fleet.made(tmp_path_factory.mktemp("fleet") / "made", meters=300, intervals=20)
    values = restore.run(made, 300, 20, 3)
    assert values["restore_difference"] == 0 and values["restore_entries"] == 300 * 21


def test_an_older_backup_goes_on_with_the_same_broker_and_says_what_it_lacks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("older")
    place = drain.Place(fleet.made(folder / "made", meters=40, intervals=6), folder)
    messages = [
        (fleet.topic_of(number), data) for number, data in fleet.written(place.made / "single")
    ]
    old, new = folder / fleet.STORE, folder / "new"
    new.mkdir()
    workers = [Settle(data, place.broker.nats_address, fleet.NOW_S) for data in (old, new)]

    def settled(worker: Settle, first: int, last: int, entries: int) -> None:
        pouring.pour(place.broker.address, messages[first:last], "fleet")
        by_deadline(lambda: restore.entries(worker.data / FILE) == entries, "settled")

    try:
        (old / archive.KEYS).symlink_to(place.made / fleet.KEYS)
        workers[0].start()
        settled(workers[0], 0, 80, 120)
        archive.take(StoreAddress(old), folder / "backup", fleet.NOW_S)
        for _ in range(3):
            workers[0].end()
            workers[0].start()
        settled(workers[0], 80, 160, 200)
        workers[0].end()
        assert readers(place) == ["gp-settle-0-5"]  # newer than the backup knows
        archive.restore(folder / "backup", StoreAddress(new), fleet.NOW_S)
        (new / archive.KEYS).symlink_to(place.made / fleet.KEYS)
        workers[1].start()
        assert len(readers(place)) == 1  # those of the old store are gone
        pouring.pour(place.broker.address, messages[160:], "fleet")
        by_deadline(lambda: len(missing(workers[1])) == 40, "every point says what it lacks")
        assert restore.entries(new / FILE) == 120
        settled(workers[1], 80, 160, 280)  # as if the broker had kept them
        assert missing(workers[1]) == []
    finally:
        for worker in workers:
            worker.end()
        place.broker.kill()


def missing(worker: Settle) -> list[object]:
    found = worker.reconcile()["differences"]
    assert isinstance(found, list) and all(item["kind"] == inbox.MISSING for item in found)
    return found


def readers(place: drain.Place) -> list[str]:
    """The readers of the shard that the broker has."""
    link = nats.Connection(place.broker.nats_address)
    inbox_of = "_INBOX.gridpurse.proof"
    link.subscribe(f"{inbox_of}.>", 0)
    names = [f"gp-settle-0-{number}" for number in range(1, 220)]
    try:
        return [
            name
            for name in names
            if b"ack_floor"
            in link.request(
                f"$JS.API.CONSUMER.INFO.{jetstream.STREAM}.{name}", b"{}", 10000, inbox_of
            )
        ]
    finally:
        link.close()


def test_the_comparison_sees_one_changed_digit_and_one_row_less(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = fleet.made(tmp_path_factory.mktemp("fleet") / "made", meters=20, intervals=1)
    folder = made / fleet.STORE
    archive.take(StoreAddress(folder), made / "backup", fleet.NOW_S)
    for number, statement in enumerate(
        (
            "UPDATE entries SET arrived_s = arrived_s + 1 WHERE id = 9",
            "DELETE FROM entries WHERE id = 9",
        )
    ):
        copy = made / f"copy-{number}"
        archive.restore(made / "backup", StoreAddress(copy), fleet.NOW_S)
        assert restore.differences(copy / FILE, folder / FILE) == 0
        with sqlite3.connect(copy / FILE) as store:
            store.execute("DROP TRIGGER entries_stay")
            store.execute("DROP TRIGGER entries_remain")
            store.execute(statement)
        store.close()
        assert restore.differences(copy / FILE, folder / FILE) > 0


def test_every_part_of_the_report_can_be_measured() -> None:
    for part in (part for parts in settlement.PARTS.values() for part in parts):
        assert callable(importlib.import_module(f"tests.bench.{part}").measure), part
