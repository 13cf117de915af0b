"""The daily row of a point: module against host, and what validation says of the day.

A difference is counted by its class: late readings, an estimated split of a long interval, an
invalid clock; what is none of these has a row among the differences.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from host_tools.settlement import settle
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import closing
from host_tools.validation.journal import Row
from host_tools.validation.series import ACTUAL, worst
from host_tools.validation.versions import Versions, connection_of
from protocol import ledger
from protocol.units import INTERVAL_S, INVALID

LATE_S = 3600
# While one of these is open, module and host do not agree.
DISAGREE = (settle.ROLLBACK, settle.TAMPER, settle.SWAP, settle.UNEXPLAINED)


@dataclass(frozen=True, slots=True)
class Day:
    """A local day that is over, its entries, and the checks that could not run."""

    day: int
    rows: Sequence[Row]
    not_run: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A row of the table `vee_days`, but for its revision."""

    day: int
    first_seq: int
    last_seq: int
    intervals: int
    energy_wh: int
    charged_ncur: int
    balance_ncur: int
    agreed: int
    quality: str
    failed: str
    not_run: str
    late: int
    split: int
    no_clock: int
    version: int


_COLUMNS = (
    "day, first_seq, last_seq, intervals, energy_wh, charged_ncur, balance_ncur, agreed, quality,"
    " failed, not_run, late, split, no_clock, version"
)


def summary(store: Store, point: Point, day: Day) -> Summary:
    """The day as its entries, and what stands in place of their readings, have it."""
    rows = day.rows
    versions = Versions(store)
    standing = versions.standing(point.id, rows[0].seq, rows[-1].seq)
    charges = [row for row in rows if row.is_charge()]
    readings = [standing[row.seq] for row in charges if row.seq in standing]
    charged = (ledger.CHARGE, ledger.FIXED)
    found = closing.open_at(store, point.id).keys()
    return Summary(
        day.day,
        rows[0].seq,
        rows[-1].seq,
        len(charges),
        sum(row.energy_wh for row in charges),
        -sum(row.amount_ncur for row in rows if row.kind in charged),
        rows[-1].balance_ncur,
        int(found.isdisjoint(DISAGREE) and not any(row.said_head for row in rows)),
        worst((ACTUAL, *(each.quality for each in readings))),
        " ".join(sorted({code for each in readings for code in each.failed})),
        " ".join(day.not_run),
        sum(row.arrived_s - row.time_s >= LATE_S for row in charges),
        sum(row.time_s - row.from_s > INTERVAL_S for row in charges),
        sum(row.clock == INVALID for row in charges),
        versions.number(point.id),
    )


def keep_day(store: Store, point: Point, made: Summary, now_s: int) -> bool:
    """Adds a row of the day; False when it says what the last one said."""
    known = days_of(store, point, made.day, made.day)
    if known and known[0] == made:
        return False
    connection = connection_of(store)
    rows = connection.execute(
        "SELECT COALESCE(MAX(revision), 0) + 1 FROM vee_days WHERE point_id = ? AND day = ?",
        (point.id, made.day),
    )
    (revision,) = rows.fetchall()[0]
    values = astuple(made)
    marks = ", ".join("?" * (len(values) + 3))
    connection.execute(
        f"INSERT INTO vee_days (point_id, revision, at_s, {_COLUMNS})"  # noqa: S608
        f" VALUES ({marks})",
        (point.id, revision, now_s, *values),
    )
    return True


def days_of(store: Store, point: Point, first_day: int, last_day: int) -> list[Summary]:
    """The rows that stand of some local days, in order."""
    rows = connection_of(store).execute(
        f"SELECT {_COLUMNS} FROM vee_days d WHERE point_id = ?"  # noqa: S608
        " AND day BETWEEN ? AND ? AND revision = (SELECT MAX(o.revision) FROM vee_days o"
        " WHERE o.point_id = d.point_id AND o.day = d.day) ORDER BY day",
        (point.id, first_day, last_day),
    )
    return [Summary(*row) for row in rows.fetchall()]
