"""Short runs of the settlement's proofs, and proof that they would notice."""

import importlib
import sqlite3

import pytest

from host_tools.config import MQTT, NATS
from host_tools.settlement.tenancy import Tenancy
from host_tools.store import held
from tests.bench import drain, fleet, invariance, invariance_real, settlement


def test_a_few_hostile_histories_leave_the_ledgers_of_one_worker() -> None:
    values = invariance.measure(seeds=2)
    assert (values["invariance_histories"], values["invariance_differences"]) == (8, 0)
    assert values["invariance_deaths"] > 0


@pytest.mark.parametrize("kind", [MQTT, NATS])
def test_real_workers_and_brokers_that_are_killed_leave_the_same_ledgers(kind: str) -> None:
    same, kills = invariance_real.run(7, kind, 2)
    assert same and kills > 0


def test_without_fences_a_stalled_worker_changes_the_ledgers_and_the_proof_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tenancy, "confirm", lambda self: None)
    monkeypatch.setattr(held, "_MOVE", "UPDATE points SET last_id = ? WHERE id = ? AND ? >= 0")
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


def test_every_part_of_the_report_can_be_measured() -> None:
    for part in (part for parts in settlement.PARTS.values() for part in parts):
        assert callable(importlib.import_module(f"tests.bench.{part}").measure), part
