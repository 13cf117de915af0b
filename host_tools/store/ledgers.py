"""The journals of money and energy: entries with their readings and postings, and differences.

Every method but the queries runs inside the caller's transaction. Journals only grow. A row of the
journal names the one before it of its point, so a point's history is walked from its newest entry
backwards and nothing has to be kept sorted. Rows wait in memory until there are as many as the
database takes best, something is asked of the store or the transaction ends.
"""

from collections.abc import Iterable, Iterator

from host_tools.store.held import Held
from host_tools.store.records import Difference, Point, Repeated, Said, Settled, Turnover
from host_tools.store.sql import Database, Row, Rows
from protocol import ledger
from protocol.ledger import Entry, State

# The entries of a point from the newest back to a sequence.
_WALK = (
    "WITH RECURSIVE walk (id) AS ("
    " SELECT last_id FROM points WHERE id = ?"
    " UNION ALL"
    " SELECT e.before_id FROM walk JOIN entries e ON e.id = walk.id WHERE e.seq > ?)"
)
_WALKED = "FROM walk JOIN entries e ON e.id = walk.id"
_ENTRY = (
    "SELECT e.seq, e.kind, e.time_s, e.quality, e.register_wh, e.energy_wh, e.version, e.period,"
    " e.used_wh, e.amount_ncur, e.number, e.channel, e.balance_ncur, e.head, e.charged_ncur,"
    " e.topups_ncur"
)
_REPEATED = (
    "SELECT e.before_id, e.from_s, e.seq, e.kind, e.time_s, e.quality, e.register_wh, e.energy_wh,"
    " e.version, e.used_wh, e.amount_ncur, e.number, e.channel"
)
_REPEATED_AT = (11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22)  # in a row of _INSERT
STEPS_MAX = 32  # further back a walk is quicker
STRIDE_MAX = 7  # SQLite nests eleven questions and no more
# The row that lies so many steps before a row of its point.
_ROWS_BACK = [
    "".join((
        f"{_REPEATED} FROM entries e WHERE e.id = ",
        "(SELECT before_id FROM entries WHERE id = " * steps, "?", ")" * steps,
    ))
    for steps in range(STRIDE_MAX + 1)
]  # fmt: skip
_DIFFERENCE = (
    "SELECT point_id, class, seq, detail, module_value, host_value, opened_s, last_s, count,"
    " closed_s FROM differences"
)
_HALF_BITS = 32
_TURNOVER = (
    "SELECT l.currency, l.account, l.amount_ncur > 0, SUM(l.amount_ncur >> 32),"
    " SUM(l.amount_ncur & 4294967295),"
)
_SIDES = (
    "FROM legs l JOIN points p ON p.id = l.point_id JOIN modules m ON m.id = p.module"
    " GROUP BY 1, 2, 3, 6"
)

# By what a trial balance may be broken down: the group's name.
GROUPS = {
    "all": "''",
    "shard": "CAST(m.shard AS TEXT)",
    "module": "p.module",
    "point": "p.module || '/' || p.point",
}

Values = tuple[int, ...]
_new = tuple.__new__  # of a named tuple without the call that sorts its arguments


class Ledgers:
    def __init__(self, database: Database, held: Held) -> None:
        self._database = database
        self._connection = database.connection
        self._held = held
        self._rows: list[Row] = []
        self._next_id = self._end_id = 0  # numbers of rows that are ours to use
        self.looked_back = 0  # rows of repeated entries in the transaction in hand
        self._differing: set[int] | None = None  # points with open differences, for the owner

    def begin(self) -> None:
        """A transaction has begun: another writer may have added rows meanwhile."""
        self.looked_back = 0
        if self._database.outdated(self._next_id):
            self._next_id = self._end_id = 0

    def renumber(self) -> None:
        """Rows from now on are numbered above all that exist: points have another owner."""
        self._next_id = self._end_id = 0

    def forget(self) -> None:
        """What waits is dropped; the store alone is right."""
        self._rows.clear()
        self._differing = None

    def write(self) -> None:
        """Brings the store up to date with what waits in memory."""
        self._write_rows()
        self._held.write()

    def _write_rows(self) -> None:
        if self._rows:
            self._database.append(self._rows)
            self._rows.clear()

    def append(
        self,
        point: Point,
        folded: list[tuple[Entry, State]],
        contras: list[int],
        epoch: int,
        said_head: bytes,
        now_s: int,
    ) -> Point:
        """Journals entries with their opposite accounts; the point's row after them.

        `said_head` is the chain head that the module says it has after the last of them.
        """
        row_id = self.next_id(len(folded), now_s)
        number, before_id, state = point.id, point.last_id, point.state
        last = folded[-1][1]
        rows: list[Row] = []
        for (entry, after), contra in zip(folded, contras, strict=True):
            said = said_head if after is last and said_head != after.head else None
            where = (row_id, before_id, number, epoch, state.time_s, now_s, contra)
            rows.append((*where, *after[9:], said, *entry))
            before_id, state = row_id, after
            row_id += 1
        return self.append_rows(point, rows, last, said_head)

    def next_id(self, rows: int, now_s: int) -> int:
        """The number of the first of so many rows, of whoever appends them first."""
        if self._next_id + rows > self._end_id:
            self._next_id, self._end_id = self._database.numbers(rows, now_s)
        return self._next_id

    def append_rows(self, point: Point, rows: list[Row], state: State, said_head: bytes) -> Point:
        """The same for rows as _INSERT has them, numbered from `next_id`, and the state after."""
        self._rows += rows
        last_id = self._next_id = self._next_id + len(rows)
        number, module, place, label, currency, before, sent_seq, _, statement, count, was = point
        seq = state[0]
        sent_seq = sent_seq if sent_seq > seq else seq
        moved = _new(Point, (
            number, module, place, label, currency, state, sent_seq, said_head, statement, count,
            last_id - 1,
        ))  # fmt: skip
        self._held.move(moved, before, was)
        if len(self._rows) >= self._database.rows_waiting:
            self._write_rows()
        return moved

    def post(self, rows: Iterable[tuple[int, int, str, str, int, str, str, int]]) -> None:
        """Rows (point_id, time_s, debit, credit, amount_ncur, currency, source, number)."""
        self._connection.executemany(
            "INSERT INTO postings (point_id, time_s, debit, credit, amount_ncur, currency, source,"
            " number) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def entries(self, point_id: int, first_seq: int = 1, last_seq: int = -1) -> Iterator[Settled]:
        """Settled entries in order; up to the newest unless `last_seq` is given."""
        where = "WHERE e.seq >= ? AND (e.seq <= ? OR ? < 0) ORDER BY e.seq"
        values = (first_seq, last_seq, last_seq)
        rows = self._walked(point_id, first_seq, _ENTRY, where, values)
        return (Settled(*row) for row in rows)

    def entry(self, point_id: int, seq: int) -> Settled | None:
        return next(self.entries(point_id, seq, seq), None)

    def since(self, point: Point, first_seq: int, most: int) -> list[Repeated]:
        """Settled entries from a sequence on, at most so many.

        What is repeated is mostly what came last: a few rows back, which are found from row to
        row, first among those that wait.
        """
        back = point.state.seq + 1 - first_seq
        self.looked_back += back
        found: list[Row] = []
        if back > STEPS_MAX:
            where = "WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq DESC"
            values = (first_seq, first_seq + most)
            found = self._walked(point.id, first_seq, _REPEATED, where, values).fetchall()
            back = 0
        row_id, waiting = point.last_id, self._rows
        written = self._next_id - len(waiting)  # this and what is above waits
        while back and waiting and row_id >= written:
            row = waiting[row_id - written]
            row_id = row[1]
            if back <= most:
                found.append((row_id, row[4], *(row[at] for at in _REPEATED_AT)))
            back -= 1
        while back:
            skipped = min(max(0, back - most), STRIDE_MAX)
            row = self._connection.execute(_ROWS_BACK[skipped], (row_id,)).fetchone()
            row_id = row[0]
            back -= skipped
            if back <= most:
                found.append(row)
            back -= 1
        return [_new(Repeated, row[1:]) for row in reversed(found)]

    def recovered(self, point_id: int, which: int) -> int:
        """Sum of the amounts of one debt's entries, 0 or less."""
        where, values = "WHERE e.kind = ? AND e.number = ?", (ledger.DEBT, which)
        rows = self._walked(point_id, 0, "SELECT e.amount_ncur", where, values)
        return sum(row[0] for row in rows)

    def energy_wh(self, point_id: int) -> int:
        return sum(row[0] for row in self._walked(point_id, 0, "SELECT e.energy_wh"))

    def _walked(
        self, point_id: int, first_seq: int, what: str, where: str = "", values: Values = ()
    ) -> Rows:
        """Rows of the entries of a point from the newest back to a sequence."""
        self.write()
        sql = f"{_WALK} {what} {_WALKED} {where}"
        return self._connection.execute(sql, (point_id, first_seq, *values))

    def accounts(self) -> dict[tuple[str, str], int]:
        """{(currency, account): debits less credits}; together they are zero in every currency."""
        rows = self.turnover("all")
        return {(row.currency, row.account): row.debit_ncur - row.credit_ncur for row in rows}

    def turnover(self, by: str) -> list[Turnover]:
        """Debits and credits of every account, in each currency and each of GROUPS[by].

        Halves are summed apart: the sum over a fleet may leave the database's 64 bits.
        """
        self.write()
        rows = self._connection.execute(f"{_TURNOVER} {GROUPS[by]} {_SIDES}")
        found: dict[tuple[str, str, str], list[int]] = {}
        for currency, account, debit, high, low, group in rows:
            sides = found.setdefault((currency, group, account), [0, 0])
            sides[0 if debit else 1] += abs((high << _HALF_BITS) + low)
        return [Turnover(*key, *sides) for key, sides in sorted(found.items())]

    def account_by_point(self, account: str) -> dict[int, int]:
        """{point_id: debits less credits} of one account."""
        self.write()
        rows = self._connection.execute(
            "SELECT point_id, SUM(amount_ncur) FROM legs WHERE account = ? GROUP BY point_id",
            (account,),
        )
        return dict(rows.fetchall())

    def heard(self, point: Point, sent_seq: int) -> Point:
        """The module has written records up to this sequence."""
        if sent_seq <= point.sent_seq:
            return point
        return self._held.change(point._replace(sent_seq=sent_seq))

    def count_duplicates(self, point: Point, records: int) -> Point:
        *same, duplicates, last_id = point
        return self._held.change(_new(Point, (*same, duplicates + records, last_id)))

    def stated(self, point: Point, said: Said) -> Point:
        """Keeps a statement message."""
        self._connection.execute(
            "UPDATE points SET statement_seq = ?, statement_balance_ncur = ?, statement_head = ?,"
            " statement_s = ?, statement_register_wh = ?, statement_version = ?,"
            " statement_charged_ncur = ?, statement_topups_ncur = ? WHERE id = ?",
            (*said, point.id),
        )
        return self._held.change(point._replace(statement=said))

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

    def agree(self, point_id: int, kind: str, now_s: int, detail: str | None = None) -> None:
        """Closes the open differences of a class, all or those of one detail."""
        if self._held.keep and self._differing is None:
            rows = self._connection.execute(
                "SELECT DISTINCT point_id FROM differences WHERE closed_s IS NULL"
            )
            self._differing = {row[0] for row in rows}
        if self._differing is not None and point_id not in self._differing:
            return
        self._connection.execute(
            "UPDATE differences SET closed_s = ?"
            " WHERE point_id = ? AND class = ? AND closed_s IS NULL"
            " AND (detail = ? OR CAST(? AS TEXT) IS NULL)",
            (now_s, point_id, kind, detail, detail),
        )

    def differences(self, point_id: int | None = None, closed: bool = False) -> list[Difference]:
        """Open differences, or with `closed` all of them."""
        rows = self._connection.execute(
            f"{_DIFFERENCE} WHERE (point_id = ? OR CAST(? AS BIGINT) IS NULL)"
            " AND (closed_s IS NULL OR CAST(? AS BIGINT) <> 0)"
            " ORDER BY id",
            (point_id, point_id, int(closed)),
        )
        return [Difference(*row) for row in rows]
