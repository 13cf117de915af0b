"""A restored backup that is older than what modules were acknowledged: told, never guessed."""

from pathlib import Path

import pytest

from host_tools import cli
from host_tools.backup import archive
from host_tools.config import StoreAddress
from host_tools.keys import KeyFiles
from host_tools.settlement import commands, inbox, reconcile
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import Tenancy
from host_tools.store.database import open_store
from protocol import codes
from tests.host_tools.desk import NOW_S, Desk, DeskClock, DeskTransport
from tests.host_tools.genuine import PointLedger


class Restored(Desk):
    """The desk of a store that was restored beside the old one; module and keys stay."""

    def __init__(self, old: Desk, file: Path, folder: Path, now_s: int = NOW_S) -> None:
        self.place = StoreAddress(folder)
        archive.restore(file, self.place, now_s)
        old.folder.joinpath("keys").rename(folder / "keys")
        self.folder, self.sender, self.ledger = folder, old.sender, old.ledger
        self.store = open_store(folder)
        self.clock, self.transport = DeskClock(), DeskTransport()
        self.tenancy = Tenancy(self.store, self.clock, "other", (0,))
        self.tenancy.look()
        keys = KeyFiles(folder / "keys")
        self.consumer = Consumer(self.store, keys, self.clock, self.transport, self.tenancy)


def pay(desk: Desk, reference: str, amount_ncur: int = 7_000_000_000) -> int:
    """The number of a booked payment."""
    with desk.store.transaction():
        point = desk.store.fleet.point_known("m1", 0)
        return commands.pay(desk.store, point, reference, amount_ncur, NOW_S).number


def older(tmp_path: Path) -> tuple[Desk, PointLedger, Path]:
    """Five charges in the backup; three charges settled and trimmed after it."""
    desk = Desk(tmp_path / "data")
    made = desk.opened(charges=4)
    desk.take(made.batch(1, 5))
    file = tmp_path / "backup"
    archive.take(desk.place, file, NOW_S)
    for _ in range(3):
        made.charge(250)
    desk.take(made.batch(6, 3))
    assert desk.seq() == 8
    return desk, made, file


def test_a_gap_after_a_restore_is_told_and_no_balance_is_guessed(tmp_path: Path) -> None:
    old, made, file = older(tmp_path)
    desk = Restored(old, file, tmp_path / "new")
    books, balance_ncur = desk.journal(), desk.store.fleet.point_known("m1", 0).state.balance_ncur
    made.charge(100)
    desk.take(made.batch(9, 1), made.statement())
    assert desk.journal() == books and desk.seq() == 5
    (found,) = desk.store.ledgers.differences()
    assert (found.kind, found.detail, found.seq) == (inbox.MISSING, "readings", 6)
    assert (found.module_value, found.host_value) == ("goes on at 9", "settled to 5")
    row = reconcile.reconcile(desk.store, NOW_S)[0]
    assert not row.reconciled and "4 records not settled" in row.why
    assert desk.store.fleet.point_known("m1", 0).state.balance_ncur == balance_ncur
    acks = [item for item in desk.said() if hasattr(item, "streams")]
    assert all(ack.streams.get(0, 0) <= 5 for ack in acks)  # the module trims nothing by it


def test_a_broker_that_still_has_the_records_closes_the_gap(tmp_path: Path) -> None:
    old, made, file = older(tmp_path)
    desk = Restored(old, file, tmp_path / "new")
    made.charge(100)
    desk.take(made.batch(9, 1))
    assert desk.differences() == [inbox.MISSING]
    desk.take(made.batch(6, 3))
    assert desk.seq() == 9 and desk.differences() == []
    assert desk.store.fleet.point_known("m1", 0).state == made.state


def test_a_gap_without_a_restore_is_told_once_it_has_lasted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    made = desk.opened(charges=5)
    desk.take(made.batch(1, 2))
    desk.take(made.batch(4, 1))
    assert desk.differences() == []
    desk.clock.s += inbox.GAP_S
    desk.take(made.batch(5, 1))
    assert desk.differences() == [inbox.MISSING]
    desk.take(made.batch(3, 1))
    assert desk.differences() == [] and desk.seq() == 5


def test_a_gap_in_the_events_is_told_too(tmp_path: Path) -> None:
    old, _, file = older(tmp_path)
    old.take(*[old.sender.result(seq, 99) for seq in (1, 2, 3)])
    assert old.store.fleet.module_known("m1").events_seq == 3
    desk = Restored(old, file, tmp_path / "new")
    desk.take(desk.sender.result(4, 99))
    (found,) = desk.store.ledgers.differences()
    assert (found.kind, found.detail) == (inbox.MISSING, "events")
    desk.take(*[desk.sender.result(seq, 99) for seq in (1, 2, 3)])
    assert desk.store.fleet.module_known("m1").events_seq == 4 and desk.differences() == []


def test_payments_booked_again_in_their_order_get_their_old_numbers(tmp_path: Path) -> None:
    old, made, file = older(tmp_path)
    numbers = [pay(old, name) for name in ("cash-1", "cash-2")]
    made.top_up(numbers[0], 7_000_000_000)
    desk = Restored(old, file, tmp_path / "new")
    assert [pay(desk, name) for name in ("cash-1", "cash-2")] == numbers
    desk.take(made.batch(6, len(made.entries) - 5))
    assert desk.differences() == []
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    assert cli.main(["verify", str(desk.folder)]) == 0


def test_commands_after_a_restore_have_ids_that_no_module_has_seen(tmp_path: Path) -> None:
    old, _, file = older(tmp_path)
    with old.store.transaction():
        seen = [commands.issue(old.store, "m1", 0, codes.STATE, [], NOW_S, 60) for _ in range(9)]
    desk = Restored(old, file, tmp_path / "new")
    with desk.store.transaction():
        fresh = commands.issue(desk.store, "m1", 0, codes.STATE, [], NOW_S, 60)
    assert fresh > max(seen)


@pytest.mark.parametrize("after_ms", [0, 5000])
def test_a_lease_in_a_backup_keeps_nobody_out(tmp_path: Path, after_ms: int) -> None:
    old, _, file = older(tmp_path)
    old.clock.ms += after_ms
    desk = Restored(old, file, tmp_path / "new")
    claim = desk.tenancy.claims[0]
    assert claim.generation > old.tenancy.claims[0].generation
    assert claim.since <= old.tenancy.claims[0].generation  # its reader at the broker goes
