"""A store of every released schema opens, and says the same as before."""

from pathlib import Path

import pytest

from host_tools.config import StoreAddress
from host_tools.settlement import posting, reconcile
from host_tools.store import database
from host_tools.store.database import Store
from host_tools.store.records import ClosedDay
from host_tools.store.sql import Connection, migrating
from protocol import cbor, codes, ledger, tariff_book
from protocol.ledger import Entry, State
from tests.host_tools.desk import BOOK, NOW_S
from tests.host_tools.genuine import PointLedger
from tests.postgres import POSTGRESQL, SQLITE

_MODULE = "INSERT INTO modules (id, shard, epoch, events_seq) VALUES ('m1', 0, 1, 0)"
_POINT = (
    "INSERT INTO points (id, module, point, label, currency, seq, time_s, register_wh,"
    " balance_ncur, period, used_wh, day, version, mark_generation, mark_highest, mark_floor,"
    " mark_used, charged_ncur, topups_ncur, head, sent_seq, said_seq, said_head)"
    f" VALUES (?, 'm1', ?, '', 'CNY', {', '.join('?' * 18)})"
)
_READING = (
    "INSERT INTO readings (point_id, epoch, seq, from_s, to_s, register_wh, energy_wh, quality,"
    " version, charge_ncur, arrived_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REJECT = (
    "INSERT INTO rejects (source, first_s, last_s, topic, module, reason, detail, digest, bytes,"
    " size, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_POSTING = (
    "INSERT INTO postings (point_id, time_s, debit, credit, amount_ncur, currency, source, number)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def place_of(kind: str, folder: Path, request: pytest.FixtureRequest) -> StoreAddress:
    if kind == SQLITE:
        return StoreAddress(folder)
    return StoreAddress(folder, request.getfixturevalue("postgres").database())


def at_schema(patch: pytest.MonkeyPatch, version: int) -> None:
    """This program as it was when that schema was its newest."""
    released = migrating.scripts()[:version]
    patch.setattr(migrating, "scripts", lambda: released)


def fill(to: Connection, ledgers: list[PointLedger], said_head: bytes) -> None:
    """Rows as the first schema kept them."""
    wire = cbor.encode(tariff_book.to_wire(BOOK))
    to.execute("INSERT INTO tariffs VALUES (?, 'CNY', 'book', ?, 0)", (BOOK.version, wire))
    to.execute(_MODULE)
    for number, made in enumerate(ledgers, 1):
        state = made.state
        sums = (*state[:8], *state.mark, *state[9:])
        to.execute(_POINT, (number, made.point, *sums, state.seq, state.seq, said_head))
        for before, entry, after in zip(made.states, made.entries, made.states[1:], strict=False):
            _entered(to, number, before, entry, after)
    to.execute(
        "INSERT INTO commands (module, id, target, action, args, issued_s, expires_s, state)"
        " VALUES ('m1', 1, 0, ?, ?, 0, 1, 'done')",
        (codes.STATE, b"\x80"),
    )
    for number in range(3):
        row = ("host", NOW_S, NOW_S, "t", "m1", 1, "", bytes((number,)) * 16, b"", 9, number + 1)
        to.execute(_REJECT, row)


def first_store(place: StoreAddress, ledgers: list[PointLedger], said_head: bytes) -> None:
    """A store as the first program made it."""
    with pytest.MonkeyPatch.context() as patch:
        at_schema(patch, 1)
        with database.opened(place) as store:
            fill(store._connection, ledgers, said_head)


def _entered(to: Connection, point: int, before: State, entry: Entry, after: State) -> None:
    marks = ", ".join("?" * 15)
    to.execute(f"INSERT INTO entries VALUES ({marks})", (point, *entry, after.head))
    if entry.kind == ledger.CHARGE:
        row = (point, 1, entry.seq, before.time_s, entry.time_s, entry.register_wh)
        more = (entry.energy_wh, entry.quality, entry.version, -entry.amount_ncur, NOW_S)
        to.execute(_READING, row + more)
    if entry.amount_ncur:
        other = posting.ENERGY if entry.kind == ledger.CHARGE else posting.SUSPENSE
        pair = (posting.CUSTOMER, other) if entry.amount_ncur < 0 else (other, posting.CUSTOMER)
        row = (point, entry.time_s, *pair, abs(entry.amount_ncur), "CNY", "entry", entry.seq)
        to.execute(_POSTING, row)


def fill_later(to: Connection, version: int) -> list[object]:
    """Rows of the tables that came after the first schema; what is to be found of them."""
    kept: list[object] = []
    if version >= 3:
        to.execute("INSERT INTO command_notes VALUES ('m1', 1, '{}', 'Li Na', 'order 7', 'r1')")
        kept.append("Li Na")
    if version >= 4:
        row = (20000, 3, 0, NOW_S, b"t", b"d", b"h")
        to.execute("INSERT INTO days VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        kept.append(ClosedDay(*row))
    return kept


@pytest.mark.parametrize("kind", [SQLITE, POSTGRESQL])
@pytest.mark.parametrize("version", range(1, migrating.newest()))
def test_a_store_of_every_released_schema_keeps_every_entry_state_and_account(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, version: int
) -> None:
    place = place_of(kind, tmp_path / "data", request)
    ledgers = [PointLedger("m1", number, BOOK) for number in (0, 1)]
    for made in ledgers:
        made.open()
        for _ in range(9):
            made.charge(250)
    ledgers[0].top_up(2, 7000)
    ledgers[0].charge(100)
    first_store(place, ledgers, bytes(16))
    with pytest.MonkeyPatch.context() as patch:
        at_schema(patch, version)
        with database.opened(place) as store:
            kept = fill_later(store._connection, version)
    with database.opened(place) as store:
        found = store._connection.execute("SELECT MAX(version) FROM schema_version").fetchone()
        assert found == (migrating.newest(),)
        same_books(store, ledgers)
        notes = store._connection.execute("SELECT who FROM command_notes").fetchall()
        assert [*(who for (who,) in notes), *store.days.closed()] == kept


def same_books(store: Store, ledgers: list[PointLedger]) -> None:
    for number, made in enumerate(ledgers, 1):
        point = store.fleet.point_known("m1", made.point)
        assert point.state == made.state
        assert point.said is not None and point.said.head == bytes(16)
        kept = list(store.ledgers.entries(number))
        assert [entry.seq for entry in kept] == [entry.seq for entry in made.entries]
        for entry, wanted, after in zip(kept, made.entries, made.states[1:], strict=True):
            assert (entry.head, entry.balance_ncur) == (after.head, wanted.balance_ncur)
            assert (entry.charged_ncur, entry.topups_ncur) == after[9:11]
        for entry in store.ledgers.since(point, 1, 20):
            assert entry.from_s == made.states[entry.seq - 1].time_s
    accounts = store.ledgers.accounts()
    assert accounts["CNY", posting.SUSPENSE] == 7000
    assert reconcile.trial_balance(store)
    assert [row.count for row in store.intake.rejects("m1")] == [1, 2, 3]
