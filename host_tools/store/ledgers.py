"""The journals of money and energy: readings, entries, postings, and the state row of each point.

Every method but the queries runs inside the caller's transaction. Journals only grow.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from host_tools.store.records import Difference, Said, Settled
from protocol import ledger
from protocol.ledger import Entry, State

_ENTRY = (
    "SELECT seq, kind, time_s, quality, register_wh, energy_wh, version, period, used_wh,"
    " amount_ncur, number, channel, balance_ncur, head FROM entries"
)
_DIFFERENCE = (
    "SELECT point_id, class, seq, detail, module_value, host_value, opened_s, last_s, count,"
    " closed_s FROM differences"
)


class Ledgers:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append_readings(self, rows: Iterable[tuple[int, ...]]) -> None:
        """Rows (point_id, epoch, seq, from_s, to_s, register_wh, energy_wh, quality, version,
        charge_ncur, arrived_s)."""
        self._connection.executemany(
            "INSERT INTO readings (point_id, epoch, seq, from_s, to_s, register_wh, energy_wh,"
            " quality, version, charge_ncur, arrived_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def append_entries(self, point_id: int, entries: Iterable[tuple[Entry, bytes]]) -> None:
        """Entries with the chain head after each."""
        self._connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(point_id, *entry, head) for entry, head in entries],
        )

    def post(self, rows: Iterable[tuple[int, int, str, str, int, str, str, int]]) -> None:
        """Rows (point_id, time_s, debit, credit, amount_ncur, currency, source, number)."""
        self._connection.executemany(
            "INSERT INTO postings (point_id, time_s, debit, credit, amount_ncur, currency, source,"
            " number) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def settle_to(self, point_id: int, state: State) -> None:
        """Replaces the state row; the entries up to it are in the same transaction."""
        self._connection.execute(
            "UPDATE points SET seq = ?, time_s = ?, register_wh = ?, balance_ncur = ?, period = ?,"
            " used_wh = ?, day = ?, version = ?, mark_generation = ?, mark_highest = ?,"
            " mark_floor = ?, mark_used = ?, charged_ncur = ?, topups_ncur = ?, head = ?,"
            " sent_seq = MAX(sent_seq, ?) WHERE id = ?",
            (*state[:8], *state.mark, *state[9:], state.seq, point_id),
        )

    def entries(self, point_id: int, first_seq: int = 1, last_seq: int = -1) -> Iterator[Settled]:
        """Settled entries in order; up to the newest unless `last_seq` is given."""
        where = "WHERE point_id = ? AND seq >= ? AND (seq <= ? OR ? < 0) ORDER BY seq"
        values = (point_id, first_seq, last_seq, last_seq)
        return (Settled(*row) for row in self._connection.execute(f"{_ENTRY} {where}", values))

    def entry(self, point_id: int, seq: int) -> Settled | None:
        return next(self.entries(point_id, seq, seq), None)

    def metered_s(self, point_id: int, seq: int) -> int:
        """The instant that the register had before a sequence; 0 before the opening."""
        row = self._connection.execute(
            "SELECT time_s FROM entries WHERE point_id = ? AND seq < ? AND kind IN (?, ?)"
            " ORDER BY seq DESC LIMIT 1",
            (point_id, seq, ledger.CHARGE, ledger.OPENING),
        ).fetchone()
        return int(row[0]) if row else 0

    def sums(self, point_id: int, seq: int, kinds: tuple[int, ...]) -> int:
        """Sum of the amounts of some kinds of entries up to a sequence."""
        rows = self._connection.execute(
            "SELECT kind, SUM(amount_ncur) FROM entries WHERE point_id = ? AND seq <= ?"
            " GROUP BY kind",
            (point_id, seq),
        )
        return sum(amount_ncur for kind, amount_ncur in rows if kind in kinds)

    def recovered(self, point_id: int, which: int) -> int:
        """Sum of the amounts of one debt's entries, 0 or less."""
        row = self._connection.execute(
            "SELECT COALESCE(SUM(amount_ncur), 0) FROM entries"
            " WHERE point_id = ? AND kind = ? AND number = ?",
            (point_id, ledger.DEBT, which),
        ).fetchone()
        return int(row[0])

    def energy_wh(self, point_id: int) -> int:
        row = self._connection.execute(
            "SELECT COALESCE(SUM(energy_wh), 0) FROM entries WHERE point_id = ?", (point_id,)
        ).fetchone()
        return int(row[0])

    def accounts(self) -> dict[tuple[str, str], int]:
        """{(currency, account): debits less credits}; together they are zero in every currency."""
        rows = self._connection.execute(
            "SELECT currency, account, SUM(amount_ncur) FROM legs"
            " GROUP BY currency, account ORDER BY currency, account"
        )
        return {(currency, account): total for currency, account, total in rows}

    def account_by_point(self, account: str) -> dict[int, int]:
        """{point_id: debits less credits} of one account."""
        rows = self._connection.execute(
            "SELECT point_id, SUM(amount_ncur) FROM legs WHERE account = ? GROUP BY point_id",
            (account,),
        )
        return dict(rows.fetchall())

    def heard(self, point_id: int, sent_seq: int) -> None:
        """The module has written records up to this sequence."""
        self._connection.execute(
            "UPDATE points SET sent_seq = MAX(sent_seq, ?) WHERE id = ?", (sent_seq, point_id)
        )

    def said(self, point_id: int, said: Said) -> None:
        """Keeps a batch statement that is not older than the one kept."""
        self._connection.execute(
            "UPDATE points SET said_seq = ?, said_balance_ncur = ?, said_head = ?"
            " WHERE id = ? AND (said_seq IS NULL OR said_seq <= ?)",
            (said.seq, said.balance_ncur, said.head, point_id, said.seq),
        )

    def stated(self, point_id: int, said: Said) -> None:
        """Keeps a statement message."""
        self._connection.execute(
            "UPDATE points SET statement_seq = ?, statement_balance_ncur = ?, statement_head = ?,"
            " statement_s = ?, statement_register_wh = ?, statement_version = ?,"
            " statement_charged_ncur = ?, statement_topups_ncur = ? WHERE id = ?",
            (
                said.seq,
                said.balance_ncur,
                said.head,
                said.time_s,
                said.register_wh,
                said.version,
                said.charged_ncur,
                said.topups_ncur,
                point_id,
            ),
        )

    def count_duplicates(self, point_id: int, records: int) -> None:
        self._connection.execute(
            "UPDATE points SET duplicates = duplicates + ? WHERE id = ?", (records, point_id)
        )

    def differ(
        self,
        point_id: int,
        kind: str,
        detail: str,
        seq: int,
        values: tuple[object, object],
        now_s: int,
    ) -> None:
        """Opens a difference, or brings the open one of the same class and detail up to date.

        `values` are what the module and what the host says.
        """
        self._connection.execute(
            "INSERT INTO differences (point_id, class, detail, seq, module_value, host_value,"
            " opened_s, last_s, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)"
            " ON CONFLICT (point_id, class, detail) WHERE closed_s IS NULL DO UPDATE SET"
            " last_s = excluded.last_s, count = differences.count + 1",
            (point_id, kind, detail, seq, str(values[0]), str(values[1]), now_s, now_s),
        )

    def agree(self, point_id: int, kind: str, now_s: int) -> None:
        """Closes the open differences of a class."""
        self._connection.execute(
            "UPDATE differences SET closed_s = ?"
            " WHERE point_id = ? AND class = ? AND closed_s IS NULL",
            (now_s, point_id, kind),
        )

    def differences(self, point_id: int | None = None, closed: bool = False) -> list[Difference]:
        """Open differences, or with `closed` all of them."""
        rows = self._connection.execute(
            f"{_DIFFERENCE} WHERE (point_id = ? OR ? IS NULL) AND (closed_s IS NULL OR ?)"
            " ORDER BY id",
            (point_id, point_id, closed),
        )
        return [Difference(*row) for row in rows]
