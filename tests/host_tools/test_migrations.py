"""A store of every released schema opens, and says the same as before."""

import sqlite3
from pathlib import Path

from host_tools.settlement import posting, reconcile
from host_tools.store import database
from host_tools.store.sql import migrating
from protocol import cbor, ledger, tariff_book
from protocol.ledger import Entry, State
from tests.host_tools.desk import BOOK, NOW_S
from tests.host_tools.genuine import PointLedger

FIRST = migrating.MIGRATIONS / "0001_settlement.sql"
_MODULE = "INSERT INTO modules (id, shard, epoch, events_seq) VALUES ('m1', 0, 1, 0)"
_POINT = (
    "INSERT INTO points (id, module, point, label, currency, seq, time_s, register_wh,"
    " balance_ncur, period, used_wh, day, version, mark_generation, mark_highest, mark_floor,"
    " mark_used, charged_ncur, topups_ncur, head, sent_seq, said_seq, said_head)"
    f" VALUES (?, 'm1', ?, '', 'CNY', {', '.join('?' * 18)})"
)


def first_store(folder: Path, ledgers: list[PointLedger], said_head: bytes) -> None:
    """A store as the first schema kept it."""
    folder.mkdir()
    with sqlite3.connect(folder / database.FILE) as to:
        to.executescript(FIRST.read_text(encoding="utf-8"))
        to.execute("CREATE TABLE schema_version (version INTEGER NOT NULL, name TEXT NOT NULL)")
        to.execute("INSERT INTO schema_version VALUES (1, '0001_settlement')")
        wire = cbor.encode(tariff_book.to_wire(BOOK))
        to.execute("INSERT INTO tariffs VALUES (?, 'CNY', 'book', ?, 0)", (BOOK.version, wire))
        to.execute(_MODULE)
        for number, made in enumerate(ledgers, 1):
            state = made.state
            sums = (*state[:8], *state.mark, *state[9:])
            to.execute(_POINT, (number, made.point, *sums, state.seq, state.seq, said_head))
            for before, entry, after in zip(
                made.states, made.entries, made.states[1:], strict=False
            ):
                _entered(to, number, before, entry, after)
    to.close()


def _entered(
    to: sqlite3.Connection, point: int, before: State, entry: Entry, after: State
) -> None:
    marks = ", ".join("?" * 15)
    to.execute(f"INSERT INTO entries VALUES ({marks})", (point, *entry, after.head))
    if entry.kind == ledger.CHARGE:
        row = (point, 1, entry.seq, before.time_s, entry.time_s, entry.register_wh)
        more = (entry.energy_wh, entry.quality, entry.version, -entry.amount_ncur, NOW_S)
        marks = ", ".join("?" * 11)
        to.execute(f"INSERT INTO readings VALUES (NULL, {marks})", row + more)
    if entry.amount_ncur:
        other = posting.ENERGY if entry.kind == ledger.CHARGE else posting.SUSPENSE
        pair = (posting.CUSTOMER, other) if entry.amount_ncur < 0 else (other, posting.CUSTOMER)
        row = (point, entry.time_s, *pair, abs(entry.amount_ncur), "CNY", "entry", entry.seq)
        to.execute("INSERT INTO postings VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def test_a_store_of_the_first_schema_keeps_every_entry_state_and_account(tmp_path: Path) -> None:
    ledgers = [PointLedger("m1", number, BOOK) for number in (0, 1)]
    for made in ledgers:
        made.open()
        for _ in range(9):
            made.charge(250)
    ledgers[0].top_up(2, 7000)
    ledgers[0].charge(100)
    first_store(tmp_path / "data", ledgers, bytes(16))
    with database.opened(tmp_path / "data") as store:
        for number, made in enumerate(ledgers, 1):
            point = store.fleet.point_known("m1", made.point)
            assert point.state == made.state
            assert point.said is not None and point.said.head == bytes(16)
            kept = list(store.ledgers.entries(number))
            assert [entry.seq for entry in kept] == [entry.seq for entry in made.entries]
            for entry, wanted, after in zip(kept, made.entries, made.states[1:], strict=True):
                assert (entry.head, entry.balance_ncur) == (after.head, wanted.balance_ncur)
                assert (entry.charged_ncur, entry.topups_ncur) == after[9:11]
            for seq in range(1, len(made.entries) + 2):
                assert store.ledgers.metered_s(point, seq) == made.states[seq - 1].time_s
        accounts = store.ledgers.accounts()
        assert accounts["CNY", posting.SUSPENSE] == 7000
        assert reconcile.trial_balance(store)
