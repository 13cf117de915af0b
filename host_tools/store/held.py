"""Rows of modules and points in hand: read once, changed in memory, written back together.

Inside a transaction a point's row is read once and its changes are written once, before anything
is asked of the store or at the end. The owner of a shard keeps rows between its transactions too,
because nobody else writes them: a point's row goes back only while it still names the last
journal row that was read, so whoever keeps rows without owning them commits nothing.
"""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from sys import intern
from typing import Any

from host_tools.store.records import Module, Point, Said
from host_tools.store.sql import Database
from protocol import ledger, topup
from protocol.ledger import State

KEPT_MAX = 200000  # rows of points in memory
FETCHED_MAX = 500  # modules at a time

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
_ASSIGNED = (
    "SELECT a.point_id, a.from_s, a.version FROM assignments a JOIN points p ON p.id = a.point_id"
)
_OF_SHARD = "SELECT id FROM modules WHERE shard = ?"

_DAY, _MARK = ledger.State._fields.index("day"), ledger.State._fields.index("mark")

Assignments = tuple[tuple[int, int], ...]


class Overtaken(Exception):
    """Somebody else settles these points by now: give them up, nothing was committed."""


def _module(row: tuple[Any, ...]) -> Module:
    return Module(intern(row[0]), *row[1:])


def _point(row: tuple[Any, ...]) -> Point:
    number, point, label = row[0], row[2], row[3]
    module, currency = intern(row[1]), intern(row[4])  # equal ones are one: looked at together
    day, mark, sent_seq = row[18], topup.Mark(*row[19:23]), row[23]
    if row[5] is None:
        state = ledger.genesis(module, point)._replace(mark=mark)
        said_head = None
    else:
        seq, from_s, time_s, kind = row[5:9]
        metered_s = time_s if kind in (ledger.CHARGE, ledger.OPENING) else from_s
        values = [seq, metered_s, *row[9:13], day, row[13], mark, *row[14:17]]
        state = ledger.State(*values)
        said_head = row[17] or row[16]
        sent_seq = max(sent_seq, seq)
    statement = Said(*row[24:32]) if row[24] is not None else None
    where = (number, module, point, label, currency)
    return Point(*where, state, sent_seq, said_head, statement, row[32], row[33])


class Held:
    """`keep` is for the owner of a shard; everybody else reads anew in every transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        self.keep = False
        self._unread: tuple[int, ...] = ()  # shards whose rows are to be read at once
        self._modules: dict[str, Module] = {}
        self._points: dict[tuple[str, int], Point] = {}
        self._assignments: dict[int, Assignments] = {}
        self._alike: dict[Assignments, Assignments] = {}  # most points have the same
        self._moved: dict[int, tuple[int, int]] = {}  # last_id of a point: newest, the store's
        self._altered: dict[int, Point] = {}  # newest rows of which more has changed
        self._touched: set[tuple[str, int]] | None = None  # since the step in hand began
        self._changed: set[str] = set()  # modules, likewise
        self._adopted: frozenset[int] | None = None  # points with adopted statements
        self._fleet_number = -1

    def own(self, shards: tuple[int, ...]) -> None:
        """Rows of these shards are kept from now on, and read at once when a transaction begins:
        one by one they would cost a new owner more than his first messages."""
        self.forget()
        self.keep, self._unread = bool(shards), shards
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
            self._points.clear()
            self._assignments.clear()
            self._alike.clear()
            self._adopted = None
            for shard in self._unread:
                self._read(_OF_SHARD, (shard,))
            self._unread = ()

    def _read(self, modules: str, values: tuple[Any, ...]) -> None:
        """The rows of the modules that an SQL list or query names, and of their points."""
        ask, most = self._connection.execute, (KEPT_MAX - len(self._points),)
        for row in ask(f"{_MODULE} WHERE id IN ({modules}) LIMIT ?", values + most):
            known = _module(row)
            self._modules[known.id] = known
        for row in ask(f"{_POINT} WHERE p.module IN ({modules}) LIMIT ?", values + most):
            point = _point(row)
            self._points.setdefault((point.module, point.point), point)
        rows = ask(f"{_ASSIGNED} WHERE p.module IN ({modules}) ORDER BY 1, 2", values)
        for point_id, found in groupby(rows, itemgetter(0)):
            self._assign(point_id, tuple(row[1:] for row in found))

    def end(self) -> None:
        """The transaction is over and everything was written."""
        if not self.keep or len(self._points) > KEPT_MAX:
            self.forget()

    def forget(self) -> None:
        """Everything in hand, written or not: the store alone is right."""
        for rows in (self._modules, self._points, self._assignments, self._moved, self._altered):
            rows.clear()
        self._adopted = None
        self._touched = None

    def step(self) -> None:
        """A part begins that may be undone alone; all before it has been written."""
        self.write()
        self._touched = set()
        self._changed.clear()

    def step_done(self) -> None:
        self._touched = None

    def undo(self) -> None:
        """The part was undone; what it touched is read anew."""
        self._moved.clear()
        self._altered.clear()
        for key in self._touched or ():
            self._points.pop(key, None)
        for module in self._changed:
            self._modules.pop(module, None)
        self._touched = None

    def write(self) -> None:
        """Brings the rows of points in the store up to date. Overtaken when one has moved on."""
        if self._moved:
            rows = [(last_id, number, was) for number, (last_id, was) in self._moved.items()]
            written = self._database.move(rows)
            if written != len(rows):
                raise Overtaken(f"{len(rows) - written} of {len(rows)} points have moved on")
            self._moved.clear()
        if self._altered:
            others = [
                (point.state.day, *point.state.mark, point.sent_seq, point.duplicates, point.id)
                for point in self._altered.values()
            ]
            self._database.alter(others)
            self._altered.clear()

    def module(self, module: str) -> Module | None:
        known = self._modules.get(module)
        if known is None:
            row = self._connection.execute(f"{_MODULE} WHERE id = ?", (module,)).fetchone()
            if row is None:
                return None
            known = _module(row)
            if self._keeping():
                self._modules[known.id] = known
        return known

    def fetch(self, modules: Iterable[str]) -> None:
        """Reads rows of modules and points that are not in hand, many at a time, for an owner
        whose database is far; every one of them would be a journey of its own."""
        if not (self.keep and self._database.far):
            return
        wanted = sorted({name for name in modules if name not in self._modules})
        for start in range(0, len(wanted), FETCHED_MAX):
            names = wanted[start : start + FETCHED_MAX]
            names += names[-1:] * (FETCHED_MAX - len(names))  # one statement for all
            self._read(", ".join("?" * FETCHED_MAX), tuple(names))

    def modules(self) -> list[Module]:
        return [_module(row) for row in self._connection.execute(f"{_MODULE} ORDER BY id")]

    def module_changed(self, module: str) -> None:
        """A module's row was written."""
        self._modules.pop(module, None)
        if self._touched is not None:
            self._changed.add(module)

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

    def move(self, point: Point, was: State, was_id: int) -> None:
        """The same for one that has a new last entry; before it stood at `was`."""
        number, module, place, _, _, state, _, _, _, _, last_id = point
        if state[_DAY] != was[_DAY] or state[_MARK] is not was[_MARK]:
            self._altered[number] = point
        known = self._moved.get(number)
        self._moved[number] = (last_id, was_id if known is None else known[1])
        key = module, place
        self._points[key] = point
        if self._touched is not None:
            self._touched.add(key)

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
            known = tuple(rows.fetchall())
            if self._keeping():
                known = self._assign(point_id, known)
        return known

    def adopted(self) -> frozenset[int]:
        """Points that went on from an adopted statement: few, and asked for with every repeat."""
        if self._adopted is None:
            rows = self._connection.execute("SELECT DISTINCT point_id FROM adoptions")
            self._adopted = frozenset(row[0] for row in rows)
        return self._adopted

    def _assign(self, point_id: int, found: Assignments) -> Assignments:
        known = self._assignments[point_id] = self._alike.setdefault(found, found)
        return known

    def fleet_changed(self) -> None:
        """Points, tariffs or assignments were written: workers read theirs anew."""
        self._connection.execute("UPDATE changes SET number = number + 1 WHERE what = 'fleet'")
        self._adopted = None
        self._assignments.clear()

    def _keeping(self) -> bool:
        return self.keep or self._connection.in_transaction
