"""Rows of modules and points in hand: read once, changed in memory, written back together.

Inside a transaction a point's row is read once and its changes are written once, before anything
is asked of the store or at the end. The owner of a shard keeps rows between its transactions too,
because nobody else writes them: a point's row goes back only while it still names the last
journal row that was read, so whoever keeps rows without owning them commits nothing.
"""

import sqlite3
from sys import intern
from typing import Any

from host_tools.store.records import Module, Point, Said
from protocol import ledger, topup

KEPT_MAX = 200000  # rows of points in memory

_MODULE = (
    "SELECT id, shard, epoch, events_seq, boot_id, boot_ticks_ms, hello_s, firmware, gone_s,"
    " retired_s FROM modules"
)
_POINT = (
    "SELECT p.id, p.module, p.point, p.label, p.currency, e.seq, e.from_s, e.time_s, e.kind,"
    " e.register_wh, e.balance_ncur, e.period, e.used_wh, e.version, e.charged_ncur,"
    " e.topups_ncur, e.head, e.said_head, p.day, p.mark_generation, p.mark_highest, p.mark_floor,"
    " p.mark_used, p.sent_seq, p.statement_seq, p.statement_balance_ncur, p.statement_head,"
    " p.statement_s, p.statement_register_wh, p.statement_version, p.statement_charged_ncur,"
    " p.statement_topups_ncur, p.duplicates, p.last_id"
    " FROM points p LEFT JOIN entries e ON e.id = p.last_id"
)
_MOVE = "UPDATE points SET last_id = ? WHERE id = ? AND last_id = ?"
_WRITE = (
    "UPDATE points SET day = ?, mark_generation = ?, mark_highest = ?, mark_floor = ?,"
    " mark_used = ?, sent_seq = ?, duplicates = ? WHERE id = ?"
)


Assignments = tuple[tuple[int, int], ...]


class Overtaken(Exception):
    """Somebody else settles these points by now: give them up, nothing was committed."""


def _point(row: tuple[Any, ...]) -> Point:
    number, point, label = row[0], row[2], row[3]
    module, currency = intern(row[1]), intern(row[4])  # equal ones are one: looked at together
    day, mark, sent_seq = row[18], topup.Mark(*row[19:23]), row[23]
    if row[5] is None:
        state = ledger.genesis(module, point)._replace(mark=mark)
        said = None
    else:
        seq, from_s, time_s, kind = row[5:9]
        metered_s = time_s if kind in (ledger.CHARGE, ledger.OPENING) else from_s
        values = [seq, metered_s, *row[9:13], day, row[13], mark, *row[14:17]]
        state = ledger.State(*values)
        said = Said(seq, None, row[17] or row[16])
        sent_seq = max(sent_seq, seq)
    statement = Said(*row[24:32]) if row[24] is not None else None
    where = (number, module, point, label, currency)
    return Point(*where, state, sent_seq, said, statement, row[32], row[33])


class Held:
    """`keep` is for the owner of a shard; everybody else reads anew in every transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.keep = False
        self._modules: dict[str, Module] = {}
        self._points: dict[tuple[str, int], Point] = {}
        self._assignments: dict[int, Assignments] = {}
        self._alike: dict[Assignments, Assignments] = {}  # most points have the same
        self._moved: dict[int, tuple[int, int]] = {}  # last_id of a point: newest, the store's
        self._altered: dict[int, Point] = {}  # newest rows of which more has changed
        self._touched: set[tuple[str, int]] | None = None  # since the step in hand began
        self._fleet_number = -1

    def begin(self) -> None:
        """A transaction has begun: what others may have changed meanwhile is read anew."""
        if not self.keep:
            return
        found = self._connection.execute("SELECT number FROM changes WHERE what = 'fleet'")
        (number,) = found.fetchone()
        if number != self._fleet_number:
            self._fleet_number = number
            self._modules.clear()
            self._assignments.clear()
            self._alike.clear()

    def end(self) -> None:
        """The transaction is over and everything was written."""
        if not self.keep or len(self._points) > KEPT_MAX:
            self.forget()

    def forget(self) -> None:
        """Everything in hand, written or not: the store alone is right."""
        for rows in (self._modules, self._points, self._assignments, self._moved, self._altered):
            rows.clear()
        self._touched = None

    def step(self) -> None:
        """A part begins that may be undone alone; all before it has been written."""
        self.write()
        self._touched = set()

    def step_done(self) -> None:
        self._touched = None

    def undo(self) -> None:
        """The part was undone; what it touched is read anew."""
        self._moved.clear()
        self._altered.clear()
        self._modules.clear()
        for key in self._touched or ():
            self._points.pop(key, None)
        self._touched = None

    def write(self) -> None:
        """Brings the rows of points in the store up to date. Overtaken when one has moved on."""
        if self._moved:
            rows = [(last_id, number, was) for number, (last_id, was) in self._moved.items()]
            written = self._connection.executemany(_MOVE, rows).rowcount
            if written != len(rows):
                raise Overtaken(f"{len(rows) - written} of {len(rows)} points have moved on")
            self._moved.clear()
        if self._altered:
            others = [
                (point.state.day, *point.state.mark, point.sent_seq, point.duplicates, point.id)
                for point in self._altered.values()
            ]
            self._connection.executemany(_WRITE, others)
            self._altered.clear()

    def module(self, module: str) -> Module | None:
        known = self._modules.get(module)
        if known is None:
            row = self._connection.execute(f"{_MODULE} WHERE id = ?", (module,)).fetchone()
            if row is None:
                return None
            known = Module(intern(row[0]), *row[1:])
            if self._keeping():
                self._modules[known.id] = known
        return known

    def modules(self) -> list[Module]:
        return [Module(*row) for row in self._connection.execute(f"{_MODULE} ORDER BY id")]

    def module_changed(self, module: str) -> None:
        """A module's row was written."""
        self._modules.pop(module, None)

    def point(self, module: str, number: int) -> Point | None:
        known = self._points.get((module, number))
        if known is None:
            row = self._connection.execute(
                f"{_POINT} WHERE p.module = ? AND p.point = ?", (module, number)
            ).fetchone()
            if row is None:
                return None
            known = _point(row)
            if self._keeping():
                self._points[known.module, number] = known
        return known

    def points(self, module: str | None) -> list[Point]:
        self.write()
        where, values = ("", ()) if module is None else ("WHERE p.module = ?", (module,))
        order = "ORDER BY p.module, p.point"
        rows = self._connection.execute(f"{_POINT} {where} {order}", values)
        return [_point(row) for row in rows]

    def change(self, point: Point) -> Point:
        """A new row of a point that is in hand."""
        self._altered[point.id] = point
        return self._keep(point)

    def move(self, before: Point, after: Point) -> Point:
        """The same for one that has a new last entry."""
        was, now = before.state, after.state
        if now.day != was.day or now.mark is not was.mark:
            self._altered[after.id] = after
        number = after.id
        known = self._moved.get(number)
        self._moved[number] = (after.last_id, before.last_id if known is None else known[1])
        if self._touched is None:
            self._points[after.module, after.point] = after
            return after
        return self._keep(after)

    def _keep(self, point: Point) -> Point:
        key = point.module, point.point
        self._points[key] = point
        if self._touched is not None:
            self._touched.add(key)
        return point

    def assignments(self, point_id: int) -> Assignments:
        """(from_s, tariff version) of a point, ascending."""
        known = self._assignments.get(point_id)
        if known is None:
            rows = self._connection.execute(
                "SELECT from_s, version FROM assignments WHERE point_id = ? ORDER BY from_s",
                (point_id,),
            )
            found = tuple(rows.fetchall())
            known = self._alike.setdefault(found, found)
            if self._keeping():
                self._assignments[point_id] = known
        return known

    def fleet_changed(self) -> None:
        """Points, tariffs or assignments were written: workers read theirs anew."""
        self._connection.execute("UPDATE changes SET number = number + 1 WHERE what = 'fleet'")
        self._assignments.clear()

    def _keeping(self) -> bool:
        return self.keep or self._connection.in_transaction
