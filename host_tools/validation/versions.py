"""Versions of intervals: an edit is a new row with who, when and why; nothing is ever overwritten.

Works over the tables of schema/ on whatever connection it is given; writes belong inside the
caller's transaction. Raw rows are immutable, and a bill names the versions that it used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from host_tools import Refused
from host_tools.validation.series import ESTIMATED, MANUAL, MISSING, SUBSTITUTED, Interval

SCHEMA = Path(__file__).with_name("schema")
MACHINE = "validation"
WHY_CHARACTERS_MAX = 500


class Rows(Protocol):
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What is asked of a database: SQLite's own connection has it."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows: ...


@dataclass(frozen=True, slots=True)
class Raw:
    """One row as it came. `scale` is the power of ten of the value."""

    point: str
    device: str
    meter: str
    obis: str
    time_s: int
    seq: int
    value: int
    scale: int
    arrived_s: int
    status: int
    source: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one interval, with the person or program that made it."""

    interval: Interval
    who: str
    at_s: int
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit did; `bills` have used an earlier version and are to be re-rated from here."""

    interval: Interval
    bills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of a run: new versions, and values that contradict what a person decided."""

    changes: tuple[Change, ...]
    contradicted: tuple[tuple[Interval, Interval], ...]  # (what stands, what came)


_COLUMNS = "start_s, end_s, energy_wh, quality, version, origin, failed"


class Versions:
    """The intervals of every point. `point` and `obis` name a series."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, rows: Iterable[Raw]) -> int:
        """Keeps raw rows; the same row again is dropped. How many were new."""
        new = 0
        for row in rows:
            found = self._connection.execute(
                "INSERT INTO vee_raw (point, device, meter, obis, time_s, seq, value, scale,"
                " arrived_s, status, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING RETURNING seq",
                (
                    row.point, row.device, row.meter, row.obis, row.time_s, row.seq, row.value,
                    row.scale, row.arrived_s, row.status, row.source,
                ),
            ).fetchall()  # fmt: skip
            new += len(found)
        return new

    def current(self, point: str, obis: str, start_s: int, end_s: int) -> tuple[Interval, ...]:
        """The versions that stand, of intervals that begin in the span."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_current"  # noqa: S608
            " WHERE point = ? AND obis = ? AND start_s >= ? AND start_s < ? ORDER BY start_s",
            (point, obis, start_s, end_s),
        ).fetchall()
        return tuple(_interval(row) for row in rows)

    def history(self, point: str, obis: str, start_s: int) -> tuple[Version, ...]:
        """Every version of one interval, the first one first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS}, who, at_s, why FROM vee_intervals"  # noqa: S608
            " WHERE point = ? AND obis = ? AND start_s = ? ORDER BY version",
            (point, obis, start_s),
        ).fetchall()
        return tuple(Version(_interval(row), row[7], row[8], row[9]) for row in rows)

    def keep(self, point: str, obis: str, intervals: Iterable[Interval], at_s: int) -> Kept:
        """Stores what validation made of a series; what is as it was gets no new version.

        What a person decided stands: it gives way only to an estimate for a value that was
        rejected. A value that is news and contradicts the decision is returned.
        """
        wanted = sorted(intervals, key=lambda each: each.start_s)
        if not wanted:
            return Kept((), ())
        span = (wanted[0].start_s, wanted[-1].start_s + 1)
        standing = {each.start_s: each for each in self.current(point, obis, *span)}
        decided = self._decided(point, obis, *span)
        changes, contradicted = [], []
        for each in wanted:
            last = standing.get(each.start_s)
            if last and _same(last, each):
                continue
            if last is None or each.start_s not in decided or _fills(last, each):
                why = "validated again" if last else "arrived"
                changes.append(self._insert(point, obis, each, MACHINE, at_s, why))
            elif each.quality != MISSING and self._is_news(point, obis, each):
                contradicted.append((last, each))
        return Kept(tuple(changes), tuple(contradicted))

    def _decided(self, point: str, obis: str, start_s: int, end_s: int) -> set[int]:
        """Starts of the intervals that a person ever decided about."""
        rows = self._connection.execute(
            "SELECT DISTINCT start_s FROM vee_intervals"
            " WHERE point = ? AND obis = ? AND start_s >= ? AND start_s < ? AND who <> ?",
            (point, obis, start_s, end_s, MACHINE),
        ).fetchall()
        return {row[0] for row in rows}

    def _is_news(self, point: str, obis: str, came: Interval) -> bool:
        known = {each.interval.energy_wh for each in self.history(point, obis, came.start_s)}
        return came.energy_wh not in known

    def edit(
        self,
        point: str,
        obis: str,
        wanted: Interval,
        who: str,
        at_s: int,
        why: str,
    ) -> Change:
        """A person's version n + 1; `wanted.version` is the n that the person looked at."""
        person(who, why)
        versions = self.history(point, obis, wanted.start_s)
        if not versions:
            raise Refused(f"{point}: no interval at {wanted.start_s}; list what there is first")
        last = versions[-1].interval
        if last.version != wanted.version:
            raise Refused(
                f"{point}: version {wanted.version} of {wanted.start_s} is not the last one,"
                f" {last.version} is; look again"
            )
        if last.end_s != wanted.end_s:
            raise Refused(f"{point}: the interval at {wanted.start_s} ends at {last.end_s}")
        if wanted.energy_wh < 0:
            raise Refused(f"{point}: {wanted.energy_wh} Wh is below zero; write what was used")
        return self._insert(point, obis, wanted, who, at_s, why)

    def set_value(
        self, point: str, obis: str, seen: Interval, energy_wh: int, who: str, at_s: int, why: str
    ) -> Change:
        """A manual value for the version that was seen."""
        wanted = Interval(
            seen.start_s, seen.end_s, energy_wh, MANUAL, seen.version, f"manual, {who}"
        )
        return self.edit(point, obis, wanted, who, at_s, why)

    def use(self, bill: str, point: str, obis: str, intervals: Iterable[Interval]) -> None:
        """Notes which versions a bill is made of. Refused when one of them must not be billed."""
        for each in intervals:
            if each.quality == MISSING:
                raise Refused(f"{bill}: the interval at {each.start_s} is missing; estimate first")
            self._connection.execute(
                "INSERT INTO vee_bill_intervals (bill, point, obis, start_s, version)"
                " VALUES (?, ?, ?, ?, ?)",
                (bill, point, obis, each.start_s, each.version),
            )

    def used(self, bill: str) -> tuple[Interval, ...]:
        """The versions that a bill was made of, so that it can be computed again."""
        rows = self._connection.execute(
            "SELECT i.start_s, i.end_s, i.energy_wh, i.quality, i.version, i.origin, i.failed"
            " FROM vee_bill_intervals AS b JOIN vee_intervals AS i ON i.point = b.point"
            " AND i.obis = b.obis AND i.start_s = b.start_s AND i.version = b.version"
            " WHERE b.bill = ? ORDER BY i.start_s",
            (bill,),
        ).fetchall()
        return tuple(_interval(row) for row in rows)

    def _insert(
        self, point: str, obis: str, each: Interval, who: str, at_s: int, why: str
    ) -> Change:
        rows = self._connection.execute(
            "INSERT INTO vee_intervals (point, obis, start_s, version, end_s, energy_wh, quality,"
            " origin, failed, who, at_s, why) SELECT ?, ?, ?, COALESCE(MAX(version), 0) + 1,"
            " ?, ?, ?, ?, ?, ?, ?, ? FROM vee_intervals"
            " WHERE point = ? AND obis = ? AND start_s = ? RETURNING version",
            (
                point, obis, each.start_s, each.end_s, each.energy_wh, each.quality, each.origin,
                " ".join(each.failed), who, at_s, why, point, obis, each.start_s,
            ),
        ).fetchall()  # fmt: skip
        bills = self._connection.execute(
            "SELECT bill FROM vee_bill_intervals"
            " WHERE point = ? AND obis = ? AND start_s = ? ORDER BY bill",
            (point, obis, each.start_s),
        ).fetchall()
        made = Interval(
            each.start_s, each.end_s, each.energy_wh, each.quality, rows[0][0], each.origin,
            each.failed,
        )  # fmt: skip
        return Change(made, tuple(row[0] for row in bills))


def person(who: str, why: str) -> None:
    """Refuses what has no name or no reason."""
    if not who.strip() or who == MACHINE:
        raise Refused("who: name the person who decides")
    if not why.strip() or len(why) > WHY_CHARACTERS_MAX:
        raise Refused(f"why: give the reason, in 1 to {WHY_CHARACTERS_MAX} characters")


def _same(one: Interval, other: Interval) -> bool:
    return (one.end_s, one.energy_wh, one.quality, one.origin, one.failed) == (
        other.end_s, other.energy_wh, other.quality, other.origin, other.failed,
    )  # fmt: skip


def _fills(stands: Interval, came: Interval) -> bool:
    """An estimate, or a check meter, for a value that a person rejected; also a better one."""
    guesses = (ESTIMATED, SUBSTITUTED)
    return stands.quality in (MISSING, *guesses) and came.quality in guesses


def _interval(row: Any) -> Interval:
    return Interval(row[0], row[1], row[2], row[3], row[4], row[5], tuple(row[6].split()))
