"""Replacements of modules, payments moved with them, closed points and key rotations.

Writes belong inside the caller's transaction. Nothing here is ever deleted.
"""

from dataclasses import dataclass, replace

from host_tools.store.database import Store
from host_tools.store.held import Overtaken
from host_tools.store.records import Module, Point, TopUp
from host_tools.store.sql import Connection
from protocol import messages


@dataclass(frozen=True, slots=True)
class Replacement:
    """A service point that a new module took over; amounts are what has been booked so far."""

    old_point: int
    new_point: int
    old_end_wh: int | None
    new_start_wh: int | None
    who: str
    why: str
    began_s: int
    ended_s: int | None
    out_ncur: int
    energy_ncur: int
    fixed_ncur: int
    debts: bytes
    old_seq: int
    new_seq: int
    quiet: int
    held: str
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new root key of a module on its way, or in use since."""

    module: str
    number: int
    salt: bytes
    new_check: bytes
    command_id: int
    who: str
    why: str
    began_s: int


_REPLACEMENT = (
    "SELECT old_point, new_point, old_end_wh, new_start_wh, who, why, began_s, ended_s, out_ncur,"
    " energy_ncur, fixed_ncur, debts, old_seq, new_seq, quiet, held, looks FROM replacements"
)
_TOLD_MORE = (
    "SELECT r.old_point, r.new_point, r.old_end_wh, r.new_start_wh, r.who, r.why, r.began_s,"
    " r.ended_s, r.out_ncur, r.energy_ncur, r.fixed_ncur, r.debts, r.old_seq, r.new_seq, r.quiet,"
    " r.held, r.looks FROM replacements r"
    " JOIN points o ON o.id = r.old_point JOIN points n ON n.id = r.new_point"
    " LEFT JOIN entries a ON a.id = o.last_id LEFT JOIN entries b ON b.id = n.last_id"
    " WHERE r.ended_s IS NULL AND (COALESCE(a.seq, 0) <> r.old_seq"
    " OR (r.quiet = 0 AND COALESCE(b.seq, 0) <> r.new_seq)) ORDER BY r.old_point"
)
_ROTATION = (
    "SELECT module, number, salt, new_check, command_id, who, why, began_s FROM key_rotations"
)

# What left the accounts of points and is no entry of their modules.
MOVED_OUT = (
    "SELECT old_point, out_ncur FROM replacements"
    " UNION ALL SELECT point_id, out_ncur FROM closed_points"
)


def of(store: Store) -> "Care":
    """On the connection of a store, within its transactions."""
    return Care(store, store._connection)


class Care:
    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self._connection = connection

    # replacements

    def begin(self, row: Replacement) -> None:
        self._connection.execute(
            "INSERT INTO replacements (old_point, new_point, old_end_wh, new_start_wh, who, why,"
            " began_s, debts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.old_point,
                row.new_point,
                row.old_end_wh,
                row.new_start_wh,
                row.who,
                row.why,
                row.began_s,
                row.debts,
            ),
        )

    def keep(self, row: Replacement) -> Replacement:
        """Writes a replacement as it stands now. Overtaken when another has written it since."""
        changed = self._connection.execute(
            "UPDATE replacements SET old_end_wh = ?, new_start_wh = ?, ended_s = ?, out_ncur = ?,"
            " energy_ncur = ?, fixed_ncur = ?, debts = ?, old_seq = ?, new_seq = ?, quiet = ?,"
            " held = ?, looks = looks + 1 WHERE old_point = ? AND looks = ?",
            (
                row.old_end_wh,
                row.new_start_wh,
                row.ended_s,
                row.out_ncur,
                row.energy_ncur,
                row.fixed_ncur,
                row.debts,
                row.old_seq,
                row.new_seq,
                row.quiet,
                row.held,
                row.old_point,
                row.looks,
            ),
        ).rowcount
        if changed != 1:
            raise Overtaken(f"replacement of point {row.old_point}: somebody else looks after it")
        return replace(row, looks=row.looks + 1)

    def told_more(self) -> list[Replacement]:
        """Those of which a journal has something that was not looked at yet."""
        rows = self._connection.execute(_TOLD_MORE)
        return [Replacement(*row) for row in rows]

    def of_old(self, point_id: int) -> Replacement | None:
        row = self._connection.execute(
            f"{_REPLACEMENT} WHERE old_point = ?", (point_id,)
        ).fetchone()
        return Replacement(*row) if row else None

    def of_new(self, point_id: int) -> Replacement | None:
        row = self._connection.execute(
            f"{_REPLACEMENT} WHERE new_point = ?", (point_id,)
        ).fetchone()
        return Replacement(*row) if row else None

    def successor(self, point: Point) -> str | None:
        """Where the customer of a point whose time is over has gone; None: nowhere."""
        row = self.of_old(point.id)
        if row is not None:
            to = self.point(row.new_point)
            return f"{to.module}/{to.point} took over from it; use that 已换模块"
        module = self._store.fleet.module_known(point.module)
        return None if module.retired_s is None else "its module is retired 模块已退役"

    def heirs(self, point: Point) -> list[Point]:
        """Those that took over from a point one after the other, as far as they have opened."""
        out = []
        row = self.of_old(point.id)
        while row is not None and (to := self.point(row.new_point)).state.time_s:
            out.append(to)
            row = self.of_old(to.id)
        return out

    def heir(self, point: Point) -> Point:
        """Who has the customer of a point now: itself, or the module that took over in the end.

        One that has not opened yet would refuse an order; until then the old one still hears.
        """
        return [point, *self.heirs(point)][-1]

    def point(self, point_id: int) -> Point:
        """A point by its row, as the store has it now; whoever owns it may have written since."""
        row = self._connection.execute(
            "SELECT module, point FROM points WHERE id = ?", (point_id,)
        ).fetchone()
        points = self._store.fleet.points(row[0])
        return next(point for point in points if point.point == row[1])

    def told(self, module: str, point: int, code: int) -> list[tuple[int, bytes]]:
        """(time_s, arguments) of a point's events of one code, oldest first."""
        rows = self._connection.execute(
            "SELECT time_s, args FROM events WHERE module = ? AND point = ? AND kind = ?"
            " AND code = ? ORDER BY seq",
            (module, point, messages.EVENTS, code),
        )
        return [(row[0], bytes(row[1])) for row in rows]

    # payments that move

    def move_topup(self, given: TopUp, to: Point, number: int, now_s: int) -> TopUp:
        """Gives a payment that waits another point and a number of it."""
        generation = to.state.mark.generation
        self._connection.execute(
            "INSERT INTO moved_topups (old_point, generation, number, new_point, new_generation,"
            " new_number, amount_ncur, moved_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                given.point_id,
                given.generation,
                given.number,
                to.id,
                generation,
                number,
                given.amount_ncur,
                now_s,
            ),
        )
        self._connection.execute(
            "UPDATE topups SET point_id = ?, generation = ?, number = ?, state = 'in flight'"
            " WHERE point_id = ? AND generation = ? AND number = ?",
            (to.id, generation, number, given.point_id, given.generation, given.number),
        )
        amount = given.amount_ncur
        return TopUp(
            to.id,
            generation,
            number,
            given.reference,
            amount,
            given.paid_s,
            "in flight",
            None,
        )

    def credited_there(self, point_id: int, generation: int, number: int, seq: int) -> int | None:
        """The amount of a moved payment that the old module has credited; None: none was moved."""
        row = self._connection.execute(
            "UPDATE moved_topups SET credited_seq = ?"
            " WHERE old_point = ? AND generation = ? AND number = ? RETURNING amount_ncur",
            (seq, point_id, generation, number),
        ).fetchone()
        return None if row is None else int(row[0])

    def credited_twice_ncur(self, point_id: int) -> int:
        """Payments that the old module credited although they had moved."""
        row = self._connection.execute(
            "SELECT SUM(amount_ncur) FROM moved_topups"
            " WHERE old_point = ? AND credited_seq IS NOT NULL",
            (point_id,),
        ).fetchone()
        return int(row[0] or 0)

    # points and modules whose time is over

    def close(self, point_id: int, out_ncur: int, account: str, reason: tuple[str, ...],
              now_s: int) -> None:  # fmt: skip
        """What was left has gone to an account. `reason` is (class, who, why)."""
        self._connection.execute(
            "INSERT INTO closed_points (point_id, out_ncur, account, class, who, why, closed_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (point_id, out_ncur, account, *reason, now_s),
        )

    def retire(self, module: Module, now_s: int) -> None:
        self._connection.execute(
            "UPDATE modules SET retired_s = ? WHERE id = ? AND retired_s IS NULL",
            (now_s, module.id),
        )
        self._store._held.fleet_changed()
        self._store._held.module_changed(module.id)

    def moved_out(self) -> dict[int, int]:
        """{point_id: what left its account and is no entry of its module}."""
        rows = self._connection.execute(MOVED_OUT)
        out: dict[int, int] = {}
        for point_id, out_ncur in rows:
            out[point_id] = out.get(point_id, 0) + out_ncur
        return out

    # keys

    def rotate(self, row: Rotation) -> None:
        self._connection.execute(
            "INSERT INTO key_rotations (module, number, salt, new_check, command_id, who, why,"
            " began_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.module,
                row.number,
                row.salt,
                row.new_check,
                row.command_id,
                row.who,
                row.why,
                row.began_s,
            ),
        )

    def sent_again(self, row: Rotation, command_id: int) -> None:
        self._connection.execute(
            "UPDATE key_rotations SET command_id = ? WHERE module = ? AND number = ?",
            (command_id, row.module, row.number),
        )

    def rotation(self, module: str) -> Rotation | None:
        """The newest one of a module."""
        return next(iter(self.rotations(module)), None)

    def rotating(self) -> frozenset[str]:
        """Modules that ever had another key on its way."""
        rows = self._connection.execute("SELECT DISTINCT module FROM key_rotations")
        return frozenset(row[0] for row in rows)

    def rotations(self, module: str) -> list[Rotation]:
        """Newest first."""
        rows = self._connection.execute(
            f"{_ROTATION} WHERE module = ? ORDER BY number DESC", (module,)
        )
        return [Rotation(*row) for row in rows]
