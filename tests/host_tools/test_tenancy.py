"""Leases: one owner a shard, taken over when it is dead or silent, fenced when it comes back."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from host_tools.settlement.tenancy import LEASE_MS, Tenancy
from host_tools.store.database import Store, open_store
from host_tools.store.held import Overtaken
from host_tools.store.sql.worker_files import WorkerFiles
from tests.host_tools.desk import BOOK, NOW_S, TOU_BOOK, DeskClock, enrolled
from tests.host_tools.genuine import START_S


def worker(store: Store, clock: DeskClock, name: str, most: int = 0) -> Tenancy:
    return Tenancy(store, clock, name, (0, 1, 2), most)


def test_shards_are_shared_out_and_taken_over_after_the_lease(tmp_path: Path) -> None:
    clock, stores = DeskClock(), [open_store(tmp_path) for _ in range(2)]
    first, second = worker(stores[0], clock, "a", 2), worker(stores[1], clock, "b")
    assert first.look() and second.look()
    assert (set(first.claims), set(second.claims)) == ({0, 1}, {2})
    clock.ms += LEASE_MS - 1
    assert not second.look()
    clock.ms += 2
    assert second.look()
    assert set(second.claims) == {0, 1, 2}
    assert second.claims[0].generation == 2
    with pytest.raises(Overtaken), stores[0].transaction():
        first.confirm()
    assert first.look() and not first.claims
    second.leave()
    assert first.look() and set(first.claims) == {0, 1}
    for store in stores:
        store.close()


def test_who_had_to_wait_takes_nothing_that_was_given_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, stores = DeskClock(), [open_store(tmp_path) for _ in range(2)]
    first, second = worker(stores[0], clock, "a", 2), worker(stores[1], clock, "b")
    begin = stores[1].transaction

    def begun_behind_the_first(beside: bool = False) -> AbstractContextManager[None]:
        clock.ms += 5
        assert first.look() or first.claims
        return begin(beside)

    monkeypatch.setattr(stores[1], "transaction", begun_behind_the_first)
    for _ in range(3):
        second.look()
        assert (set(first.claims), set(second.claims)) == ({0, 1}, {2})
    for store in stores:
        store.close()


def test_all_shards_of_a_worker_that_died_are_free_at_once(tmp_path: Path) -> None:
    clock, store = DeskClock(), open_store(tmp_path)
    files = [WorkerFiles(tmp_path / "workers", name) for name in ("a", "b")]
    assert not files[1].gone("a")
    dead = Tenancy(store, clock, "a", (0, 1, 2), 0, files[0])
    heir = Tenancy(store, clock, "b", (0, 1, 2), 0, files[1])
    dead.look()
    assert not heir.look()
    files[0]._file.close()  # its lock goes with the process
    assert heir.look()
    assert set(heir.claims) == {0, 1, 2}
    files[1].close()
    store.close()


def test_a_lease_of_before_a_restart_of_the_machine_has_expired(tmp_path: Path) -> None:
    clock, store = DeskClock(), open_store(tmp_path)
    clock.ms = 10 * LEASE_MS
    worker(store, clock, "a").look()
    clock.ms = 5
    assert worker(store, clock, "b").look()
    store.close()


def test_an_owner_reads_the_rows_of_his_shards_at_once_and_no_others(tmp_path: Path) -> None:
    store, others = open_store(tmp_path), open_store(tmp_path)
    for module, shard in (("m1", 0), ("m2", 0), ("m3", 1)):
        enrolled(store, tmp_path, module, shard)
    before = [store.fleet.point_known(module, 1) for module in ("m1", "m2", "m3")]
    asked: list[str] = []
    store.own((0,))
    with store.transaction():
        store._connection.set_trace_callback(asked.append)
        for module, point in zip(("m1", "m2"), before, strict=False):
            assert store.fleet.module_known(module).shard == 0
            assert store.fleet.point_known(module, 1) == point
            assert store.fleet.assigned(point.id, NOW_S) == BOOK.version
        assert asked == []
        assert store.fleet.point_known("m3", 1) == before[2]
        assert len(asked) == 1
        store._connection.set_trace_callback(None)
    with others.transaction():  # a change from outside is seen
        others.fleet.store_book("tou", TOU_BOOK, NOW_S)
        others.fleet.assign(before[0].id, TOU_BOOK.version, START_S)
    with store.transaction():
        assert store.fleet.assigned(before[0].id, NOW_S) == TOU_BOOK.version
    for each in (store, others):
        each.close()
