"""A point's settled entries as validation takes them: charges, local days, what events told.

The journal is walked from its newest entry backwards, so the past is found by the rows of closed
days. Reads only.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation.series import (
    ACTUAL,
    CLOCK_SET,
    OUTAGE,
    RELAY_OPEN,
    Interval,
    Register,
    Span,
)
from host_tools.validation.versions import Reading, connection_of
from protocol import cbor, codes, ledger, messages, tariff
from protocol.tariff import Book
from protocol.units import INVALID

EVENTS_MAX = 2000  # of a module, the newest ones that are looked at
_OF_SUPPLY = (
    codes.RELAY_OPENED,
    codes.RELAY_CLOSED,
    codes.CLOCK_SET,
    codes.QUALITY,
    codes.BOOT,
    codes.METER_IDENTITY,
)

_ROWS = (
    "WITH RECURSIVE walk (id) AS ("
    " SELECT last_id FROM points WHERE id = ?"
    " UNION ALL"
    " SELECT e.before_id FROM walk JOIN entries e ON e.id = walk.id WHERE e.seq > ?)"
    " SELECT e.seq, e.kind, e.from_s, e.time_s, e.quality, e.register_wh, e.energy_wh, e.version,"
    " e.period, e.used_wh, e.amount_ncur, e.number, e.balance_ncur, e.arrived_s,"
    " e.said_head"
    " FROM walk JOIN entries e ON e.id = walk.id WHERE e.seq >= ? ORDER BY e.seq"
)
_FIRST = (
    "WITH RECURSIVE walk (id) AS ("
    " SELECT last_id FROM points WHERE id = ?"
    " UNION ALL"
    " SELECT e.before_id FROM walk JOIN entries e ON e.id = walk.id)"
    " SELECT MIN(e.time_s) FROM walk JOIN entries e ON e.id = walk.id WHERE e.quality <> ?"
)


def adopted(kind: int, number: int) -> bool:
    """Whether an entry stands for records that were lost; a transfer of a module names its
    order."""
    return kind == ledger.TRANSFER and not number


class Row(NamedTuple):
    """A settled entry. A charge is for the energy from `from_s` to `time_s`."""

    seq: int
    kind: int
    from_s: int
    time_s: int
    clock: int  # quality of the module's time
    register_wh: int
    energy_wh: int
    version: int
    period: int
    used_wh: int
    amount_ncur: int
    number: int
    balance_ncur: int
    arrived_s: int
    said_head: bytes | None

    def is_charge(self) -> bool:
        return self.kind == ledger.CHARGE


class Told(NamedTuple):
    """An event of the module: when by its own clock, how good that was, and its arguments."""

    time_s: int
    clock: int
    code: int
    args: list[int]


def rows_of(store: Store, point_id: int, first_seq: int) -> list[Row]:
    """The entries of a point from a sequence to the newest, in order."""
    found = connection_of(store).execute(_ROWS, (point_id, first_seq, first_seq)).fetchall()
    return [Row(*row) for row in found]


def first_s(store: Store, point_id: int) -> int | None:
    """When the readings of a module begin, by a valid clock; None before its first record."""
    rows = connection_of(store).execute(_FIRST, (point_id, INVALID)).fetchall()
    return None if rows[0][0] is None else int(rows[0][0])


def point_of_row(store: Store, point_id: int) -> Point:
    """The service point of a row."""
    found = connection_of(store).execute(
        "SELECT module, point FROM points WHERE id = ?", (point_id,)
    )
    ((module, number),) = found.fetchall()
    return store.fleet.point_known(module, number)


def seq_before(store: Store, point_id: int, day: int) -> int:
    """A sequence that lies before a local day, as far as closed days tell; else the first one."""
    found = connection_of(store).execute(
        "SELECT first_seq FROM vee_days WHERE point_id = ? AND day < ? ORDER BY day DESC LIMIT 1",
        (point_id, day),
    )
    return next((int(row[0]) for row in found.fetchall()), 1)


def mark_of(store: Store, point_id: int) -> tuple[int, int]:
    """(validated up to, first entry of the day that goes on)."""
    rows = connection_of(store).execute(
        "SELECT seq, day_seq FROM vee_marks WHERE point_id = ?", (point_id,)
    )
    return next(((row[0], row[1]) for row in rows.fetchall()), (0, 1))


def book_of(store: Store, point: Point, version: int = 0) -> Book | None:
    """The tariff of a version, or the one in force at a point; it has the point's local time."""
    wanted = version or point.state.version or store.fleet.assigned(point.id, 1 << 40) or 0
    return store.fleet.book(wanted)


def reading_of(row: Row) -> Reading:
    """Version 0 of the reading of a charge."""
    return Reading(row.seq, row.from_s, row.time_s, row.energy_wh, ACTUAL)


def interval_of(reading: Reading) -> Interval:
    """A reading as an interval of a case."""
    return Interval(
        reading.start_s, reading.end_s, reading.energy_wh, reading.quality, reading.version
    )


def by_day(book: Book, rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
    """Entries in groups of one local day: a charge belongs to the day in which it begins."""
    out: list[tuple[int, list[Row]]] = []
    for row in rows:
        day = tariff.local_day(book, row.from_s if row.is_charge() else row.time_s)
        # Times of an invalid clock, or of a top-up, may lie before the entry before them.
        if not out or day > out[-1][0]:
            out.append((day, []))
        out[-1][1].append(row)
    return out


def intervals_of(rows: Sequence[Row]) -> tuple[Interval, ...]:
    """The charges as intervals. One without length counts with the one before it."""
    out: list[Interval] = []
    for row in rows:
        if not row.is_charge():
            continue
        if row.from_s == row.time_s and out and out[-1].end_s == row.time_s:
            before = out[-1]
            energy_wh = before.energy_wh + row.energy_wh
            out[-1] = Interval(before.start_s, before.end_s, energy_wh)
        elif row.from_s < row.time_s:
            out.append(Interval(row.from_s, row.time_s, row.energy_wh))
    return tuple(out)


def registers_of(rows: Sequence[Row], device: str) -> tuple[Register, ...]:
    """The register at both ends, and around each opening, which begins to count another one."""
    out: list[Register] = []
    last: Register | None = None
    number = 0
    for row in rows:
        if row.kind == ledger.OPENING:
            if last is not None:
                out.append(last)
                number += 1
            last = Register(row.time_s, row.register_wh, f"{device} {number}")
            out.append(last)
        elif row.is_charge():
            if last is None:
                before_wh = row.register_wh - row.energy_wh
                out.append(Register(row.from_s, before_wh, f"{device} {number}"))
            last = Register(row.time_s, row.register_wh, f"{device} {number}")
    if last is not None and (not out or out[-1] != last):
        out.append(last)
    return tuple(out)


def told(store: Store, point: Point) -> list[Told]:
    """What the module told lately of clock, supply, relay and meter of a point, oldest first."""
    marks = ", ".join("?" * len(_OF_SUPPLY))
    found = connection_of(store).execute(
        "SELECT time_s, quality, code, args FROM events"  # noqa: S608
        " WHERE module = ? AND kind = ?"
        f" AND code IN ({marks}) AND point IN (?, 255)"
        " AND seq > (SELECT events_seq FROM modules WHERE id = ?) - ? ORDER BY seq",
        (
            point.module, messages.EVENTS, *_OF_SUPPLY, point.point, point.module, EVENTS_MAX,
        ),
    )  # fmt: skip
    out = []
    for time_s, clock, code, wire in found.fetchall():
        args = cbor.decode(bytes(wire))
        if isinstance(args, list):
            out.append(Told(time_s, clock, code, args))
    return out


def spans_of(events: Iterable[Told], end_s: int) -> tuple[Span, ...]:
    """What the events mean for the supply: relay open, no supply, clock set."""
    out: list[Span] = []
    opened_s = lost_s = None
    for each in events:
        if each.code == codes.RELAY_OPENED and opened_s is None:
            opened_s = each.time_s
        elif each.code == codes.RELAY_CLOSED and opened_s is not None:
            out.append(Span(RELAY_OPEN, opened_s, each.time_s))
            opened_s = None
        elif each.code == codes.CLOCK_SET and len(each.args) > 1:
            out.append(Span(CLOCK_SET, *sorted(each.args[:2])))
        elif _supply(each) == 1 and lost_s is None:
            lost_s = each.time_s
        elif _supply(each) == 0 and lost_s is not None:
            out.append(Span(OUTAGE, lost_s, each.time_s))
            lost_s = None
    if opened_s is not None:
        out.append(Span(RELAY_OPEN, opened_s, end_s))
    return tuple(each for each in out if each.start_s <= each.end_s)


def _supply(event: Told) -> int | None:
    """1 when a supply was lost, 0 when it came back, None for any other event."""
    if event.code != codes.QUALITY or len(event.args) < 3:
        return None
    return int(bool(event.args[2])) if event.args[0] == codes.SUPPLY_LOST else None
