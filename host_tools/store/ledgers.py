"""The journals of money and energy: entries with their readings and postings, and differences.

Every method but the queries runs inside the caller's transaction. Journals only grow. A row of the
journal names the one before it of its point, so a point's history is walked from its newest entry
backwards and nothing has to be kept sorted. Rows wait in memory until something is asked of the
store or the transaction ends.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from host_tools.store.held import Held
from host_tools.store.records import Difference, Point, Said, Settled
from protocol import ledger
from protocol.ledger import Entry, State

_INSERT = (
    "INSERT INTO entries (id, before_id, point_id, epoch, from_s, arrived_s, contra, head, seq,"
    " kind, time_s, quality, register_wh, energy_wh, version, period, used_wh, amount_ncur,"
    " number, channel, balance_ncur)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# The entries of a point from the newest back to a sequence.
_WALK = (
    "WITH RECURSIVE walk (id) AS ("
    " SELECT last_id FROM points WHERE id = ?"
    " UNION ALL"
    " SELECT e.before_id FROM walk JOIN entries e ON e.id = walk.id WHERE e.seq > ?)"
)
_ENTRY = (
    f"{_WALK} SELECT e.seq, e.kind, e.time_s, e.quality, e.register_wh, e.energy_wh, e.version,"
    " e.period, e.used_wh, e.amount_ncur, e.number, e.channel, e.balance_ncur, e.head"
    " FROM walk JOIN entries e ON e.id = walk.id"
)
_DIFFERENCE = (
    "SELECT point_id, class, seq, detail, module_value, host_value, opened_s, last_s, count,"
    " closed_s FROM differences"
)


class Ledgers:
    def __init__(self, connection: sqlite3.Connection, held: Held) -> None:
        self._connection = connection
        self._held = held
        self._rows: list[tuple[object, ...]] = []
        self._next_id = 0  # of the transaction in hand; 0 until the store was asked
        self._differing: set[int] | None = None  # points with open differences, for the owner

    def begin(self) -> None:
        """A transaction has begun: another writer may have added rows meanwhile."""
        self._next_id = 0

    def forget(self) -> None:
        """What waits is dropped; the store alone is right."""
        self._rows.clear()
        self._differing = None

    def write(self) -> None:
        """Brings the store up to date with what waits in memory."""
        if self._rows:
            self._connection.executemany(_INSERT, self._rows)
            self._rows.clear()
        self._held.write()

    def append(
        self,
        point: Point,
        folded: Iterable[tuple[Entry, State]],
        contras: Iterable[int],
        epoch: int,
        said: Said,
        now_s: int,
    ) -> Point:
        """Journals entries with their opposite accounts; the point's row after them.

        `said` is what the module says it has after the last of them.
        """
        here = self._held.point(point.module, point.point) or point
        if not self._next_id:
            row = self._connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM entries")
            self._next_id = row.fetchone()[0]
        row_id, before_id, state = self._next_id, here.last_id, here.state
        for (entry, after), contra in zip(folded, contras, strict=True):
            where = (row_id, before_id, here.id, epoch, state.time_s, now_s, contra, after.head)
            self._rows.append(where + entry)
            before_id, state = row_id, after
            row_id += 1
        self._next_id = row_id
        if here.said is not None and here.said.seq > said.seq:
            said = here.said
        sent_seq = max(here.sent_seq, state.seq)
        known = here.statement, here.duplicates, before_id
        after_all = Point(*here[:5], state, sent_seq, said, *known)
        self._held.change(here, after_all)
        return after_all

    def post(self, rows: Iterable[tuple[int, int, str, str, int, str, str, int]]) -> None:
        """Rows (point_id, time_s, debit, credit, amount_ncur, currency, source, number)."""
        self._connection.executemany(
            "INSERT INTO postings (point_id, time_s, debit, credit, amount_ncur, currency, source,"
            " number) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def entries(self, point_id: int, first_seq: int = 1, last_seq: int = -1) -> Iterator[Settled]:
        """Settled entries in order; up to the newest unless `last_seq` is given."""
        self.write()
        where = "WHERE e.seq >= ? AND (e.seq <= ? OR ? < 0) ORDER BY e.seq"
        values = (point_id, first_seq, first_seq, last_seq, last_seq)
        return (Settled(*row) for row in self._connection.execute(f"{_ENTRY} {where}", values))

    def entry(self, point_id: int, seq: int) -> Settled | None:
        return next(self.entries(point_id, seq, seq), None)

    def metered_s(self, point: Point, seq: int) -> int:
        """The instant that the register had before a sequence; 0 before the opening."""
        if seq > point.state.seq:
            return int(point.state.time_s)
        self.write()
        row = self._connection.execute(
            f"{_WALK} SELECT e.from_s FROM walk JOIN entries e ON e.id = walk.id WHERE e.seq = ?",
            (point.id, seq, seq),
        ).fetchone()
        return int(row[0]) if row else 0

    def sums(self, point_id: int, seq: int, kinds: tuple[int, ...]) -> int:
        """Sum of the amounts of some kinds of entries up to a sequence."""
        self.write()
        rows = self._connection.execute(
            f"{_WALK} SELECT e.kind, SUM(e.amount_ncur) FROM walk JOIN entries e ON e.id = walk.id"
            " WHERE e.seq <= ? GROUP BY e.kind",
            (point_id, 0, seq),
        )
        return sum(amount_ncur for kind, amount_ncur in rows if kind in kinds)

    def recovered(self, point_id: int, which: int) -> int:
        """Sum of the amounts of one debt's entries, 0 or less."""
        self.write()
        row = self._connection.execute(
            f"{_WALK} SELECT COALESCE(SUM(e.amount_ncur), 0)"
            " FROM walk JOIN entries e ON e.id = walk.id WHERE e.kind = ? AND e.number = ?",
            (point_id, 0, ledger.DEBT, which),
        ).fetchone()
        return int(row[0])

    def energy_wh(self, point_id: int) -> int:
        self.write()
        row = self._connection.execute(
            f"{_WALK} SELECT COALESCE(SUM(e.energy_wh), 0)"
            " FROM walk JOIN entries e ON e.id = walk.id",
            (point_id, 0),
        ).fetchone()
        return int(row[0])

    def accounts(self) -> dict[tuple[str, str], int]:
        """{(currency, account): debits less credits}; together they are zero in every currency."""
        self.write()
        rows = self._connection.execute(
            "SELECT currency, account, SUM(amount_ncur) FROM legs"
            " GROUP BY currency, account ORDER BY currency, account"
        )
        return {(currency, account): total for currency, account, total in rows}

    def account_by_point(self, account: str) -> dict[int, int]:
        """{point_id: debits less credits} of one account."""
        self.write()
        rows = self._connection.execute(
            "SELECT point_id, SUM(amount_ncur) FROM legs WHERE account = ? GROUP BY point_id",
            (account,),
        )
        return dict(rows.fetchall())

    def heard(self, point: Point, sent_seq: int) -> None:
        """The module has written records up to this sequence."""
        here = self._held.point(point.module, point.point) or point
        if sent_seq > here.sent_seq:
            self._held.change(here, here._replace(sent_seq=sent_seq))

    def count_duplicates(self, point: Point, records: int) -> None:
        here = self._held.point(point.module, point.point) or point
        self._held.change(here, here._replace(duplicates=here.duplicates + records))

    def stated(self, point: Point, said: Said) -> None:
        """Keeps a statement message."""
        here = self._held.point(point.module, point.point) or point
        self._connection.execute(
            "UPDATE points SET statement_seq = ?, statement_balance_ncur = ?, statement_head = ?,"
            " statement_s = ?, statement_register_wh = ?, statement_version = ?,"
            " statement_charged_ncur = ?, statement_topups_ncur = ? WHERE id = ?",
            (*said, point.id),
        )
        self._held.change(here, here._replace(statement=said))

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
        if self._differing is not None:
            self._differing.add(point_id)

    def agree(self, point_id: int, kind: str, now_s: int) -> None:
        """Closes the open differences of a class."""
        if self._held.keep and self._differing is None:
            rows = self._connection.execute(
                "SELECT DISTINCT point_id FROM differences WHERE closed_s IS NULL"
            )
            self._differing = {row[0] for row in rows}
        if self._differing is not None and point_id not in self._differing:
            return
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
