"""What corrected readings cost, as one order to the module: the whole that is owed less what was
ordered before.

The whole is worked out anew each time, from the journal and what stands in place of its readings,
so an order that is repeated, interrupted, refused or overtaken by the next correction never counts
twice: only the rest is ordered. It takes a walk back to the first reading that was ever corrected.
"""

import json
from dataclasses import dataclass

from host_tools.ordering.kinds import ADJUSTMENTS, YEAR_S
from host_tools.rating.rerating import Adjustment, Charge, Correction, rerate
from host_tools.settlement import commands
from host_tools.store import orders
from host_tools.store.database import Store
from host_tools.store.orders import Note
from host_tools.store.records import Point
from host_tools.validation import journal
from host_tools.validation.journal import Row
from host_tools.validation.series import MISSING
from host_tools.validation.versions import Reading, Versions, connection_of
from protocol import codes
from protocol.tariff import Position

RERATING, CLOCK, TARIFF = "re-rating", "clock", "tariff"  # classes of an adjustment
_LIVE = ("queued", "sent", "done")  # an order of these has moved, or is to move, the balance


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is ordered: rule, class of the adjustment, the person or program, and why."""

    rule: str
    name: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """An adjustment as it lies in the store; `state` is its command's."""

    number: int
    command_id: int
    version: int
    tariffs: str
    rule: str
    first_seq: int
    from_s: int
    to_s: int
    charges: int
    energy_wh: int
    owed_ncur: int
    amount_ncur: int
    at_s: int
    state: str


def ordered(store: Store, point: Point) -> list[Ordered]:
    """The adjustments of a point, oldest first."""
    rows = connection_of(store).execute(
        "SELECT a.number, a.command_id, a.version, a.tariffs, a.rule, a.first_seq, a.from_s,"
        " a.to_s, a.charges, a.energy_wh, a.owed_ncur, a.amount_ncur, a.at_s, c.state"
        " FROM vee_adjustments a JOIN commands c ON c.module = ? AND c.id = a.command_id"
        " WHERE a.point_id = ? ORDER BY a.number",
        (point.module, point.id),
    )
    return [Ordered(*row) for row in rows.fetchall()]


def owed(store: Store, point: Point) -> Adjustment | None:
    """What all that stands corrected makes of the charges; None where it changes nothing."""
    versions = Versions(store)
    first_seq = versions.first_change(point.id)
    if first_seq is None:
        return None
    standing = versions.standing(point.id, first_seq)
    rows = journal.rows_of(store, point.id, max(1, first_seq - 1))
    start = _position(rows.pop(0)) if rows[0].seq < first_seq else Position(0, 0)
    befores = [start, *map(_position, rows)]
    charges = [
        _charge(row, was) for row, was in zip(rows, befores, strict=False) if row.is_charge()
    ]
    corrections = []
    tariffs: dict[int, int] = {}
    for charge in charges:
        stands = standing.get(charge.seq)
        if stands is None or stands.quality == MISSING:
            continue  # what has no value yet stays as it was charged
        if stands.tariff is not None:
            tariffs[charge.seq] = stands.tariff
        if _moved(stands, charge):
            instants = stands.start_s, stands.end_s
            corrections.append(Correction(charge.seq, stands.energy_wh, stands.version, instants))
    if not corrections and not tariffs:
        return None
    versions_used = {charge.version for charge in charges} | set(tariffs.values())
    books = {version: store.fleet.book(version) for version in versions_used}
    known = {version: book for version, book in books.items() if book is not None}
    return rerate(
        start, charges, corrections, known, lambda each: tariffs.get(each.seq, each.version)
    )


def work_off(
    store: Store, point: Point, cause: Cause, now_s: int, read: tuple[int, int, int]
) -> Ordered | None:
    """Orders what is owed and not ordered yet, within the caller's transaction; None for nothing.

    `read` is (first sequence, from, to) of what was corrected, where nothing is owed any more.
    """
    due = owed(store, point)
    before = ordered(store, point)
    owed_ncur = due.amount_ncur if due else 0
    amount_ncur = owed_ncur - sum(each.amount_ncur for each in before if each.state in _LIVE)
    if not amount_ncur:
        return None
    version = Versions(store).number(point.id)
    reason, _ = ADJUSTMENTS[cause.name]
    args: list[object] = [reason, amount_ncur]
    where = (point.module, point.point)
    command_id = commands.issue(store, *where, codes.ADJUST, args, now_s, YEAR_S)
    made = Ordered(
        len(before) + 1,
        command_id,
        version,
        " ".join(str(each) for each in (due.versions if due else (point.state.version,))),
        cause.rule,
        *(read if due is None else (due.first_seq, due.from_s, due.to_s)),
        due.charges if due else 0,
        due.energy_wh if due else 0,
        owed_ncur,
        amount_ncur,
        now_s,
        "queued",
    )
    _keep(store, point, made, cause)
    return made


def _keep(store: Store, point: Point, made: Ordered, cause: Cause) -> None:
    connection_of(store).execute(
        "INSERT INTO vee_adjustments (point_id, number, command_id, version, tariffs, rule,"
        " first_seq, from_s, to_s, charges, energy_wh, owed_ncur, amount_ncur, at_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            point.id, made.number, made.command_id, made.version, made.tariffs, made.rule,
            made.first_seq, made.from_s, made.to_s, made.charges, made.energy_wh, made.owed_ncur,
            made.amount_ncur, made.at_s,
        ),
    )  # fmt: skip
    asked = {
        "kind": cause.name,
        "rule": made.rule,
        "readings_version": made.version,
        "tariff_versions": made.tariffs,
        "first_entry": made.first_seq,
        "from_s": made.from_s,
        "to_s": made.to_s,
    }
    told = f"{cause.why} [{made.rule}, readings {made.version}, tariff {made.tariffs}]"
    reference = f"readings {point.module}/{point.point} {made.number}"
    wanted = json.dumps(asked, sort_keys=True)
    note = Note(point.module, made.command_id, wanted, cause.who, told, reference)
    orders.of(store).note(note)


def _charge(row: Row, before: Position) -> Charge:
    metered = row.from_s, row.time_s, row.energy_wh
    return Charge(row.seq, *metered, row.version, -row.amount_ncur, before, _position(row))


def _position(row: Row) -> Position:
    return Position(row.period, row.used_wh)


def _moved(stands: Reading, was: Charge) -> bool:
    metered = was.from_s, was.to_s, was.energy_wh
    return (stands.start_s, stands.end_s, stands.energy_wh) != metered
