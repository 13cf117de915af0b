"""Rows of modules and points in hand: read once, changed in memory, written back together.

Inside a transaction a point's row is read once and its changes are written once, before anything
is asked of the store or at the end. The owner of a shard keeps rows between its transactions too,
because nobody else writes them: a point's row goes back only while it still names the last
journal row that was read, so whoever keeps rows without owning them commits nothing.
"""

import sqlite3
from typing import Any

from host_tools.store.records import Module, Point, Said
from protocol import ledger, topup

KEPT_MAX = 200000  # rows of points in memory

_MODULE = (
    "SELECT id, shard, epoch, events_seq, boot_id, boot_ticks_ms, hello_s, firmware, gone_s"
    " FROM modules"
)
_POINT = (
    "SELECT id, module, point, label, currency, seq, time_s, register_wh, balance_ncur, period,"
    " used_wh, day, version, mark_generation, mark_highest, mark_floor, mark_used, charged_ncur,"
    " topups_ncur, head, sent_seq, said_seq, said_balance_ncur, said_head, statement_seq,"
    " statement_balance_ncur, statement_head, statement_s, statement_register_wh,"
    " statement_version, statement_charged_ncur, statement_topups_ncur, duplicates, last_id"
    " FROM points"
)
_WRITE = (
    "UPDATE points SET seq = ?, time_s = ?, register_wh = ?, balance_ncur = ?, period = ?,"
    " used_wh = ?, day = ?, version = ?, mark_generation = ?, mark_highest = ?, mark_floor = ?,"
    " mark_used = ?, charged_ncur = ?, topups_ncur = ?, head = ?, sent_seq = ?, said_seq = ?,"
    " said_balance_ncur = ?, said_head = ?, duplicates = ?, last_id = ?"
    " WHERE id = ? AND last_id = ?"
)


class Overtaken(Exception):
    """Somebody else settles these points by now: give them up, nothing was committed."""


def _point(row: tuple[Any, ...]) -> Point:
    values = [*row[5:13], topup.Mark(*row[13:17]), *row[17:20]]
    state = ledger.State(*values)
    said = Said(*row[21:24]) if row[21] is not None else None
    statement = Said(*row[24:32]) if row[24] is not None else None
    where = [*row[:5], state, row[20], said, statement, row[32], row[33]]
    return Point(*where)


class Held:
    """`keep` is for the owner of a shard; everybody else reads anew in every transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.keep = False
        self._modules: dict[str, Module] = {}
        self._points: dict[tuple[str, int], Point] = {}
        self._assignments: dict[int, list[tuple[int, int]]] = {}
        self._changed: dict[int, tuple[Point, int]] = {}  # newest row, last_id in the store
        self._touched: set[tuple[str, int]] = set()  # since the step in hand began
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

    def end(self) -> None:
        """The transaction is over and everything was written."""
        if not self.keep or len(self._points) > KEPT_MAX:
            self.forget()

    def forget(self) -> None:
        """Everything in hand, written or not: the store alone is right."""
        for rows in (self._modules, self._points, self._assignments, self._changed):
            rows.clear()
        self._touched.clear()

    def step(self) -> None:
        """A part begins that may be undone alone; all before it has been written."""
        self.write()
        self._touched.clear()

    def undo(self) -> None:
        """The part was undone; what it touched is read anew."""
        self._changed.clear()
        self._modules.clear()
        for key in self._touched:
            self._points.pop(key, None)

    def write(self) -> None:
        """Brings the rows of points in the store up to date. Overtaken when one has moved on."""
        if not self._changed:
            return
        rows = []
        for point, last_id in self._changed.values():
            state, said = point.state, point.said
            seq, balance_ncur, head = said[:3] if said is not None else (None, None, None)
            rows.append(
                (
                    *state[:8],
                    *state[8],
                    *state[9:],
                    point.sent_seq,
                    seq,
                    balance_ncur,
                    head,
                    point.duplicates,
                    point.last_id,
                    point.id,
                    last_id,
                )
            )
        written = self._connection.executemany(_WRITE, rows).rowcount
        if written != len(rows):
            raise Overtaken(f"{len(rows) - written} of {len(rows)} points have moved on")
        self._changed.clear()

    def module(self, module: str) -> Module | None:
        known = self._modules.get(module)
        if known is None:
            row = self._connection.execute(f"{_MODULE} WHERE id = ?", (module,)).fetchone()
            if row is None:
                return None
            known = Module(*row)
            if self._keeping():
                self._modules[module] = known
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
                f"{_POINT} WHERE module = ? AND point = ?", (module, number)
            ).fetchone()
            if row is None:
                return None
            known = _point(row)
            if self._keeping():
                self._points[module, number] = known
        return known

    def points(self, module: str | None) -> list[Point]:
        self.write()
        where, values = ("", ()) if module is None else ("WHERE module = ?", (module,))
        rows = self._connection.execute(f"{_POINT} {where} ORDER BY module, point", values)
        return [_point(row) for row in rows]

    def change(self, before: Point, after: Point) -> None:
        """A new row of a point; `before` is the one in hand."""
        key = after.module, after.point
        self._points[key] = after
        self._touched.add(key)
        known = self._changed.get(after.id)
        self._changed[after.id] = (after, before.last_id if known is None else known[1])

    def assignments(self, point_id: int) -> list[tuple[int, int]]:
        """(from_s, tariff version) of a point, ascending."""
        known = self._assignments.get(point_id)
        if known is None:
            known = self._connection.execute(
                "SELECT from_s, version FROM assignments WHERE point_id = ? ORDER BY from_s",
                (point_id,),
            ).fetchall()
            if self._keeping():
                self._assignments[point_id] = known
        return known

    def fleet_changed(self) -> None:
        """Points, tariffs or assignments were written: workers read theirs anew."""
        self._connection.execute("UPDATE changes SET number = number + 1 WHERE what = 'fleet'")
        self._assignments.clear()

    def _keeping(self) -> bool:
        return self.keep or self._connection.in_transaction
