"""Versions of settled readings: an edit is a new row with who, when and why, never an overwriting.

Version 0 of a reading is the journal's own row, which validation does not copy. One number counts
the versions of all readings of a point: what stood at a number is found again for ever, so that a
bill or an order names every value by it. Writes belong inside the caller's transaction.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from host_tools import Refused
from host_tools.store.database import Store

MACHINE = "validation"
WHY_CHARACTERS_MAX = 500
SEQ_MAX = 1 << 62
FIRST = hashlib.sha256(b"gridpurse/1 readings").digest()


class Rows(Protocol):
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What is asked of a database, whichever it is."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows: ...


def connection_of(store: Store) -> Connection:
    """That of a store, within its transactions."""
    return store._connection


class Reading(NamedTuple):
    """One version of the reading that a charge of the journal came from.

    `tariff` is the version it should have been priced by, None for the one it was. Instants are
    others than the metered ones where the module's clock was wrong.
    """

    seq: int
    start_s: int
    end_s: int
    energy_wh: int
    quality: str
    version: int = 0
    tariff: int | None = None
    origin: str = ""
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one reading, with the person or program that made it, and by which rule."""

    reading: Reading
    rule: str
    who: str
    why: str
    at_s: int


_COLUMNS = "seq, start_s, end_s, energy_wh, quality, version, tariff, origin, failed"
_STANDING = (
    "version = (SELECT MAX(o.version) FROM vee_readings o"
    " WHERE o.point_id = r.point_id AND o.seq = r.seq AND o.version <= ?)"
)
_LATEST = 1 << 30


class Versions:
    """The versions of the readings of every point, beside the journal."""

    def __init__(self, store: Store) -> None:
        self._connection = connection_of(store)

    def number(self, point_id: int) -> int:
        """The version of the readings of a point; 0: as they were metered."""
        rows = self._connection.execute(
            "SELECT COALESCE(MAX(version), 0) FROM vee_versions WHERE point_id = ?", (point_id,)
        ).fetchall()
        return int(rows[0][0])

    def corrected(self) -> list[int]:
        """Rows of the points that have any version of a reading."""
        rows = self._connection.execute(
            "SELECT DISTINCT point_id FROM vee_versions ORDER BY point_id"
        )
        return [row[0] for row in rows.fetchall()]

    def standing(
        self, point_id: int, first_seq: int = 0, last_seq: int = SEQ_MAX, at: int = _LATEST
    ) -> dict[int, Reading]:
        """What stands in place of the journal's own, by sequence; as of a version if given."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM vee_readings r"  # noqa: S608
            f" WHERE point_id = ? AND seq BETWEEN ? AND ? AND {_STANDING} ORDER BY seq",
            (point_id, first_seq, last_seq, at),
        ).fetchall()
        return {row[0]: reading_of(row) for row in rows}

    def first_change(self, point_id: int) -> int | None:
        """The first reading that ever was to be priced otherwise than it was metered."""
        rows = self._connection.execute(
            "SELECT MIN(seq) FROM vee_readings WHERE point_id = ?"
            " AND (origin <> '' OR tariff IS NOT NULL)",
            (point_id,),
        ).fetchall()
        return None if rows[0][0] is None else int(rows[0][0])

    def priced_otherwise(self, point_id: int) -> bool:
        """Whether any reading was ever to be priced by another tariff than the module knew."""
        rows = self._connection.execute(
            "SELECT 1 FROM vee_readings WHERE point_id = ? AND tariff IS NOT NULL LIMIT 1",
            (point_id,),
        ).fetchall()
        return bool(rows)

    def changes(self, point_id: int) -> tuple[int, int, int, int] | None:
        """(first sequence, last one, from, to) of all readings that ever were."""
        rows = self._connection.execute(
            "SELECT MIN(seq), MAX(seq), MIN(start_s), MAX(end_s) FROM vee_readings"
            " WHERE point_id = ? AND (origin <> '' OR tariff IS NOT NULL)",
            (point_id,),
        ).fetchall()
        first_seq, last_seq, from_s, to_s = rows[0]
        return None if first_seq is None else (first_seq, last_seq, from_s, to_s)

    def decided(self, point_id: int, first_seq: int, last_seq: int) -> set[int]:
        """Sequences of the readings that a person ever decided about."""
        rows = self._connection.execute(
            "SELECT DISTINCT r.seq FROM vee_readings r JOIN vee_versions v"
            " ON v.point_id = r.point_id AND v.version = r.version"
            " WHERE r.point_id = ? AND r.seq BETWEEN ? AND ? AND v.who <> ?",
            (point_id, first_seq, last_seq, MACHINE),
        ).fetchall()
        return {row[0] for row in rows}

    def history(self, point_id: int, first_seq: int, last_seq: int) -> list[Version]:
        """Every version of some readings but the journal's own, oldest first."""
        rows = self._connection.execute(
            "SELECT r.seq, r.start_s, r.end_s, r.energy_wh, r.quality, r.version, r.tariff,"
            " r.origin, r.failed, v.rule, v.who, v.why, v.at_s FROM vee_readings r"
            " JOIN vee_versions v ON v.point_id = r.point_id AND v.version = r.version"
            " WHERE r.point_id = ? AND r.seq BETWEEN ? AND ? ORDER BY r.version, r.seq",
            (point_id, first_seq, last_seq),
        ).fetchall()
        return [Version(reading_of(row), *row[9:]) for row in rows]

    def add(
        self,
        point_id: int,
        readings: Iterable[Reading],
        rule: str,
        who: str,
        why: str,
        at_s: int,
    ) -> int:
        """New readings in place of those that stand; the version of the point that they make."""
        readings = list(readings)
        version = self.number(point_id) + 1
        head = rule, who, why, at_s
        seal = sealed(self._seal(point_id), point_id, version, head, readings)
        self._connection.execute(
            "INSERT INTO vee_versions (point_id, version, rule, who, why, at_s, seal)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (point_id, version, *head, seal),
        )
        for each in readings:
            self._connection.execute(
                "INSERT INTO vee_readings (point_id, seq, version, start_s, end_s, energy_wh,"
                " quality, tariff, origin, failed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    point_id, each.seq, version, each.start_s, each.end_s, each.energy_wh,
                    each.quality, each.tariff, each.origin, " ".join(each.failed),
                ),
            )  # fmt: skip
        return version

    def _seal(self, point_id: int) -> bytes:
        """That of the last version, worked out where all are from before there were any."""
        rows = self._connection.execute(
            "SELECT seal FROM vee_versions WHERE point_id = ? ORDER BY version DESC LIMIT 1",
            (point_id,),
        ).fetchall()
        if rows and rows[0][0] is not None:
            return bytes(rows[0][0])
        readings: dict[int, list[Reading]] = {}
        for each in self.history(point_id, 0, SEQ_MAX) if rows else ():
            readings.setdefault(each.reading.version, []).append(each.reading)
        heads = self._connection.execute(
            "SELECT version, rule, who, why, at_s FROM vee_versions WHERE point_id = ?"
            " ORDER BY version",
            (point_id,),
        )
        seal = FIRST
        for version, *head in heads.fetchall():
            seal = sealed(seal, point_id, version, head, readings.get(version, []))
        return seal

    def keep(
        self, point_id: int, verdicts: Mapping[int, Reading], raw: Mapping[int, Reading], at_s: int
    ) -> int:
        """Stores what validation makes of readings; how many are news.

        `raw` has all readings that were looked at, `verdicts` those that are not simply actual.
        What a person decided stands, and so do a corrected clock and tariff.
        """
        if not raw:
            return 0
        first, last = min(raw), max(raw)
        standing = self.standing(point_id, first, last)
        decided = self.decided(point_id, first, last) if standing else set()
        news = []
        for seq, own in raw.items():
            stands = standing.get(seq, own)
            wanted = verdicts.get(seq, own)
            same = (stands.quality, stands.failed) == (wanted.quality, wanted.failed)
            if seq in decided or same:
                continue
            news.append(stands._replace(quality=wanted.quality, failed=wanted.failed))
        if news:
            rules = " ".join(sorted({code for each in news for code in each.failed})) or "passed"
            self.add(point_id, news, rules, MACHINE, "checked", at_s)
        return len(news)


def person(who: str, why: str) -> None:
    """Refuses what has no name or no reason."""
    if not who.strip() or who == MACHINE or not who.isprintable():
        raise Refused("--by: name the person who decides 须写明决定人")
    if not why.strip() or len(why) > WHY_CHARACTERS_MAX or not why.isprintable():
        raise Refused(f"--reason: write 1 to {WHY_CHARACTERS_MAX} characters 须写明原因")


def sealed(
    before: bytes,
    point_id: int,
    version: int,
    head: Sequence[object],
    readings: Iterable[Reading],
) -> bytes:
    """SHA-256 of a version, `head` its rule, who, why and when, with all of its readings, and of
    the one before."""
    rows = sorted(each._replace(version=version) for each in readings)
    return hashlib.sha256(before + json.dumps([point_id, version, *head, rows]).encode()).digest()


def reading_of(row: Sequence[Any]) -> Reading:
    """A row of `vee_readings`, its columns in the order of a Reading."""
    seq, start_s, end_s, energy_wh, quality, version, tariff, origin, failed = row[:9]
    codes = tuple(failed.split())
    return Reading(seq, start_s, end_s, energy_wh, quality, version, tariff, origin, codes)
