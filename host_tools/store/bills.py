"""Issued bills and receipts under gapless numbers. Content is canonical JSON, final once stored.

Writes belong inside the caller's transaction: a number is given out with what it is for, or not.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from host_tools import Refused
from host_tools.store.database import Store
from host_tools.store.sql import Connection
from protocol.units import DAY_S

Content = dict[str, object]


@dataclass(frozen=True, slots=True)
class Issued:
    """A bill, or a credit bill that names the one it takes back."""

    number: str
    point_id: int
    from_s: int
    to_s: int
    issued_s: int
    corrects: str | None
    content: str
    digest: bytes
    credited_by: str | None = None

    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.content))

    def sound(self) -> bool:
        """True while the content is what was issued."""
        return hashlib.sha256(self.content.encode()).digest() == self.digest


@dataclass(frozen=True, slots=True)
class Receipt:
    number: str
    reference: str
    issued_s: int
    content: str
    digest: bytes

    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.content))


_BILL = (
    "SELECT b.number, b.point_id, b.from_s, b.to_s, b.issued_s, b.corrects, b.content, b.digest,"
    " c.number FROM bills b LEFT JOIN bills c ON c.corrects = b.number"
)
_RECEIPT = "SELECT number, reference, issued_s, content, digest FROM receipts"


def of(store: Store) -> "Bills":
    """On the connection of a store, within its transactions."""
    return Bills(store._connection)


def canonical(content: Content) -> str:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Bills:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_number(self, series: str, year: int) -> tuple[str, int]:
        """The next number of a series in a year, and its place; others wait for it.

        Refused in a restored store that was not told which ones were given out before.
        """
        if self._forgotten(series, year):
            raise Refused(
                f"{series}-{year}: the store was restored and may have forgotten numbers; tell the"
                f" last one given out, such as `gridpurse bill resume {series}-{year}-000017`"
                " 请先告知恢复前最后的单号"
            )
        row = self._connection.execute(
            "INSERT INTO series (name, year, last) VALUES (?, ?, 1)"
            " ON CONFLICT (name, year) DO UPDATE SET last = series.last + 1 RETURNING last",
            (series, year),
        ).fetchone()
        place = int(row[0])
        return f"{series}-{year}-{place:06d}", place

    def _restored_s(self, year: int) -> int | None:
        """When a store was made of a backup that may lack numbers of a year; None: it was not."""
        row = self._connection.execute(
            "SELECT number FROM changes WHERE what = 'restored'"
        ).fetchone()
        # A day more: somewhere the next year had begun.
        if row is None or year > datetime.fromtimestamp(int(row[0]) + DAY_S, UTC).year:
            return None
        return int(row[0])

    def _place(self, series: str, year: int) -> tuple[int, int]:
        """(last place given out, when it was told)"""
        row = self._connection.execute(
            "SELECT last, resumed_s FROM series WHERE name = ? AND year = ?", (series, year)
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _forgotten(self, series: str, year: int) -> bool:
        """True for years up to that of a restore, until it is told where they had been."""
        restored_s = self._restored_s(year)
        return restored_s is not None and self._place(series, year)[1] < restored_s

    def resume(
        self,
        series: str,
        year: int,
        place: int,
        who: str,
        why: str,
        now_s: int,
        again: bool = False,
    ) -> tuple[int, int]:
        """Goes on behind a number; (first, last) of those that this store has forgotten.

        Refused when it can have forgotten none, when it has given out a later one, and, but for
        `again`, when another was told since the restore: a number that is passed over is lost.
        """
        told = f"{series}-{year}-{place:06d}"
        restored_s = self._restored_s(year)
        if restored_s is None:
            raise Refused(
                f"{told}: no backup was restored in {year} or later, so no number is forgotten"
                " 该年及其后未曾恢复备份，无需续接单号"
            )
        last, _ = self._place(series, year)
        if place < last:
            raise Refused(f"{told}: {last:06d} is here already 单号已使用")
        if place > last and not (again or self._forgotten(series, year)):
            raise Refused(
                f"{told}: the series goes on behind {last:06d} since the restore; if a later"
                " number has turned up, add --again 恢复后已续接，确有更后单号时请加 --again"
            )
        if place > last:
            self._connection.execute(
                "INSERT INTO lost_numbers (name, year, first, last, who, why, noted_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (series, year, last + 1, place, who, why, now_s),
            )
        self._connection.execute(
            "INSERT INTO series (name, year, last, resumed_s) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name, year) DO UPDATE SET last = excluded.last,"
            " resumed_s = excluded.resumed_s",
            (series, year, place, max(now_s, restored_s)),  # told since, whatever the clock says
        )
        return last + 1, place

    def add(
        self,
        series: str,
        year: int,
        point_id: int,
        span: tuple[int, int],
        now_s: int,
        content: Content,
        corrects: str | None = None,
    ) -> Issued:
        """Gives a number to the content, which then names it itself."""
        number, place = self.next_number(series, year)
        text = canonical({**content, "number": number})
        digest = hashlib.sha256(text.encode()).digest()
        self._connection.execute(
            "INSERT INTO bills (number, series, year, place, point_id, from_s, to_s, issued_s,"
            " corrects, content, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, series, year, place, point_id, *span, now_s, corrects, text, digest),
        )
        return Issued(number, point_id, *span, now_s, corrects, text, digest)

    def bill(self, number: str) -> Issued | None:
        row = self._connection.execute(f"{_BILL} WHERE b.number = ?", (number,)).fetchone()
        return Issued(*row) if row else None

    def bills(self, point_id: int | None = None) -> list[Issued]:
        """Of one point or of all, in the order of their numbers."""
        where, values = ("", ()) if point_id is None else (" WHERE b.point_id = ?", (point_id,))
        rows = self._connection.execute(
            f"{_BILL}{where} ORDER BY b.year, b.series, b.place", values
        )
        return [Issued(*row) for row in rows]

    def standing(self, point_id: int, at_s: int) -> Issued | None:
        """The bill of the period with an instant that was not taken back."""
        row = self._connection.execute(
            f"{_BILL} WHERE b.point_id = ? AND b.from_s <= ? AND ? < b.to_s"
            " AND b.corrects IS NULL AND c.number IS NULL ORDER BY b.issued_s, b.number",
            (point_id, at_s, at_s),
        ).fetchone()
        return Issued(*row) if row else None

    def receipt(self, reference: str) -> Receipt | None:
        row = self._connection.execute(f"{_RECEIPT} WHERE reference = ?", (reference,)).fetchone()
        return Receipt(*row) if row else None

    def add_receipt(
        self, series: str, year: int, reference: str, now_s: int, content: Content
    ) -> Receipt:
        number, place = self.next_number(series, year)
        text = canonical({**content, "number": number})
        digest = hashlib.sha256(text.encode()).digest()
        self._connection.execute(
            "INSERT INTO receipts (number, series, year, place, reference, issued_s, content,"
            " digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, series, year, place, reference, now_s, text, digest),
        )
        return Receipt(number, reference, now_s, text, digest)
