"""Leases: one owner a shard, taken over when it is dead or silent, fenced when it comes back."""

from pathlib import Path

import pytest

from host_tools.settlement.tenancy import LEASE_MS, Tenancy
from host_tools.store.database import Store, open_store
from host_tools.store.held import Overtaken
from host_tools.store.sql.worker_files import WorkerFiles
from tests.host_tools.desk import DeskClock


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
