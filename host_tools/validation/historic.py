"""Readings of a point from before its module, as files told them: versions, never an overwriting.

They were billed elsewhere: no entry, price or order comes of them. One number counts the versions
of all of a point: what a file said, what the checks made of it, what a person decided. Writes
belong inside the caller's transaction.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from host_tools.exchange import obis
from host_tools.exchange.readings_csv import DURATION_S_MAX
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import journal
from host_tools.validation.findings import UNBILLABLE
from host_tools.validation.series import ESTIMATED, MISSING, VERIFIED, Interval
from host_tools.validation.table import CHECKS
from host_tools.validation.versions import Reading, connection_of

IMPORTED, CHECKED, DECIDED = "imported", "checked", "decided"
REPLACED = "replaced"  # origin of what other intervals tell since
END_S = 1 << 36  # after everything
MAIN = str(obis.IMPORT)
FIRST = hashlib.sha256(b"gridpurse/1 history").digest()
# Checks that may take a value away: what one of them has marked is no example.
DOUBTS = frozenset(code for code, each in CHECKS.items() if UNBILLABLE & set(each.actions))


class Value(NamedTuple):
    """One version of a historic reading; a register's end is its start."""

    obis: str
    start_s: int
    end_s: int
    value: int
    quality: str
    version: int = 0
    origin: str = IMPORTED
    failed: tuple[str, ...] = ()
    unit: str = "Wh"

    @property
    def key(self) -> tuple[str, int, int]:
        """What all versions of it share."""
        return self.obis, self.start_s, self.end_s

    def is_interval_of_import(self) -> bool:
        """Whether it is energy that the point took in, and not a register or another quantity."""
        return self.obis == MAIN and self.start_s < self.end_s


@dataclass(frozen=True, slots=True)
class Version:
    """Who made one version of the readings of a point, from which file, and how it was checked."""

    kind: str
    rule: str
    who: str
    why: str
    at_s: int
    file: str = ""
    file_digest: bytes = b""
    document: str = ""


_VALUE = "obis, start_s, end_s, value, quality, version, origin, failed, unit"
_HEAD = "kind, rule, who, why, at_s, file, file_digest, document"
# An interval has a bounded length, so the key finds those of a span.
_IN_SPAN = "point_id = ? AND start_s BETWEEN ? AND ? AND end_s >= ?"
_OF_KIND = (
    "version IN (SELECT v.version FROM history_versions v"
    " WHERE v.point_id = r.point_id AND v.kind = ?)"
)
_STANDING = (
    "version = (SELECT MAX(o.version) FROM history_readings o WHERE o.point_id = r.point_id"
    " AND o.obis = r.obis AND o.start_s = r.start_s AND o.end_s = r.end_s)"
)


class Historic:
    """The historic readings of every point, beside journal and ledger."""

    def __init__(self, store: Store) -> None:
        self._connection = connection_of(store)
        self._database = store._database

    def number(self, point_id: int) -> int:
        """The version of a point's historic readings; 0: it has none."""
        rows = self._connection.execute(
            "SELECT COALESCE(MAX(version), 0) FROM history_versions WHERE point_id = ?",
            (point_id,),
        ).fetchall()
        return int(rows[0][0])

    def versions(self, point_id: int) -> list[Version]:
        """How they came about, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_HEAD} FROM history_versions"  # noqa: S608
            " WHERE point_id = ? ORDER BY version",
            (point_id,),
        ).fetchall()
        return [version_of(row) for row in rows]

    def imported(self, point_id: int, from_s: int = 0, to_s: int = END_S) -> list[Value]:
        """What files told of a span, both ends of it included."""
        where = f"{_IN_SPAN} AND {_OF_KIND}"
        return self._values(where, point_id, from_s, to_s, IMPORTED)

    def standing(self, point_id: int, from_s: int = 0, to_s: int = END_S) -> list[Value]:
        """What stands of a span, both ends of it included; what others tell since is left out."""
        found = self._values(f"{_IN_SPAN} AND {_STANDING}", point_id, from_s, to_s)
        return [each for each in found if each.origin != REPLACED]

    def sharing(self, point_id: int, from_s: int, to_s: int) -> list[Value]:
        """The intervals of energy taken in that stand and share time with a span."""
        return [
            each
            for each in self.standing(point_id, from_s, to_s)
            if each.is_interval_of_import() and each.start_s < to_s and from_s < each.end_s
        ]

    def every(self, point_id: int, from_s: int, to_s: int) -> list[Value]:
        """All versions of the intervals that share time with a span, oldest first."""
        found = [
            each
            for each in self._values(_IN_SPAN, point_id, from_s, to_s)
            if each.is_interval_of_import() and each.start_s < to_s and from_s < each.end_s
        ]
        return sorted(found, key=lambda each: (each.version, each.start_s))

    def decided(self, point_id: int) -> set[tuple[str, int, int]]:
        """Keys of the readings that a person ever decided about."""
        where = f"{_IN_SPAN} AND {_OF_KIND}"
        return {each.key for each in self._values(where, point_id, 0, END_S, DECIDED)}

    def add(self, point_id: int, made: Version, values: Iterable[Value]) -> int:
        """New values in place of those that stand; the version of the point that they make."""
        version = self.number(point_id) + 1
        kept = [each._replace(version=version) for each in values]
        before = self._digest(point_id, version - 1)
        digest = sealed(before, point_id, version, made, kept)
        self._connection.execute(
            f"INSERT INTO history_versions"  # noqa: S608
            f" (point_id, version, {_HEAD}, readings, digest)"
            f" VALUES ({', '.join('?' * 12)})",
            (
                point_id, version, made.kind, made.rule, made.who, made.why, made.at_s, made.file,
                made.file_digest, made.document, len(kept), digest,
            ),
        )  # fmt: skip
        rows = ((point_id, *each[:7], " ".join(each.failed), each.unit) for each in kept)
        self._database.fill("history_readings", ("point_id", *_VALUE.split(", ")), rows)
        return version

    def _digest(self, point_id: int, version: int) -> bytes:
        rows = self._connection.execute(
            "SELECT digest FROM history_versions WHERE point_id = ? AND version = ?",
            (point_id, version),
        ).fetchall()
        return bytes(rows[0][0]) if rows else FIRST

    def _values(
        self, where: str, point_id: int, from_s: int, to_s: int, *more: object
    ) -> list[Value]:
        rows = self._connection.execute(
            f"SELECT {_VALUE} FROM history_readings r WHERE {where}"  # noqa: S608
            " ORDER BY start_s, end_s, version",
            (point_id, from_s - DURATION_S_MAX, to_s, from_s, *more),
        ).fetchall()
        return [value_of(row) for row in rows]


def version_of(row: Sequence[Any]) -> Version:
    """A row of `history_versions`, its columns in the order of a Version."""
    return Version(*[*row[:6], bytes(row[6]), row[7]])


def value_of(row: Sequence[Any]) -> Value:
    """A row of `history_readings`, its columns in the order of a Value."""
    return Value(*[*row[:7], tuple(row[7].split()), row[8]])


def sealed(
    before: bytes, point_id: int, version: int, made: Version, values: Iterable[Value]
) -> bytes:
    """SHA-256 of a version with all of its readings, and of the one before."""
    head = [
        point_id, version, made.kind, made.rule, made.who, made.why, made.at_s, made.file,
        made.file_digest.hex(), made.document,
    ]  # fmt: skip
    rows = sorted(values, key=lambda value: value.key)
    return hashlib.sha256(before + json.dumps([head, rows]).encode()).digest()


def usable(store: Store, point: Point, from_s: int, to_s: int) -> list[Interval]:
    """Intervals that begin in a span and have a value, before the module's first record; `failed`
    has only what makes one doubtful."""
    historic = Historic(store)
    if not historic.number(point.id):
        return []
    found = [
        each
        for each in historic.standing(point.id, from_s, to_s)
        if each.is_interval_of_import() and each.quality != MISSING
    ]
    first_s = journal.first_s(store, point.id) if found else None
    return [
        interval_of(each)
        for each in found
        if from_s <= each.start_s < to_s and (first_s is None or each.end_s <= first_s)
    ]


def interval_of(each: Value) -> Interval:
    doubts = () if each.quality == VERIFIED else tuple(DOUBTS.intersection(each.failed))
    return Interval(
        each.start_s, each.end_s, each.value, each.quality, each.version, each.origin, doubts
    )


def reading_of(each: Value) -> Reading:
    """As a review shows it; no entry of the journal belongs to it."""
    return Reading(
        0, each.start_s, each.end_s, each.value, each.quality, each.version, None, each.origin,
        each.failed,
    )  # fmt: skip


def use(store: Store, point: Point, from_s: int, to_s: int) -> tuple[int, int]:
    """(seconds, Wh) that were metered in a span before the module; estimates say nothing."""
    found = [
        each
        for each in usable(store, point, from_s, to_s)
        if each.quality != ESTIMATED and not each.failed
    ]
    seconds = sum(each.end_s - each.start_s for each in found)
    return seconds, sum(each.energy_wh for each in found)
