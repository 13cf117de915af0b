"""Statements that modules made past records which the store lacks, and those that were adopted.

Writes belong inside the caller's transaction. An adoption is never changed or deleted.
"""

from dataclasses import dataclass

from host_tools.store.database import Store
from host_tools.store.records import Parked
from host_tools.store.sql import Connection


@dataclass(frozen=True, slots=True)
class Adoption:
    """Records `first_seq` to `seq` were lost; `payload` is the module's statement after them."""

    point_id: int
    seq: int
    first_seq: int
    payload: bytes
    who: str
    why: str
    adopted_s: int


def of(store: Store) -> "Adoptions":
    """On the connection of a store, within its transactions."""
    return Adoptions(store._connection)


class Adoptions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def restored_s(self) -> int | None:
        """When the store was made of a backup; None for one that never was."""
        row = self._connection.execute(
            "SELECT number FROM changes WHERE what = 'restored'"
        ).fetchone()
        return int(row[0]) if row else None

    def ahead(self, point_id: int) -> tuple[bytes, int] | None:
        """(payload, when it was heard) of the statement that is kept."""
        row = self._connection.execute(
            "SELECT payload, heard_s FROM statements_ahead WHERE point_id = ?", (point_id,)
        ).fetchone()
        return (bytes(row[0]), int(row[1])) if row else None

    def keep_ahead(self, point_id: int, payload: bytes, now_s: int) -> None:
        self._connection.execute(
            "INSERT INTO statements_ahead (point_id, payload, heard_s) VALUES (?, ?, ?)"
            " ON CONFLICT (point_id) DO UPDATE SET payload = excluded.payload,"
            " heard_s = excluded.heard_s",
            (point_id, payload, now_s),
        )

    def parked(self, module: str, stream: int) -> list[Parked]:
        """All batches of a stream that wait, by their first sequence."""
        rows = self._connection.execute(
            "SELECT first_seq, digest, payload FROM parked WHERE module = ? AND stream = ?"
            " ORDER BY first_seq, digest",
            (module, stream),
        )
        return [Parked(*row) for row in rows]

    def add(self, adopted: Adoption) -> None:
        self._connection.execute(
            "INSERT INTO adoptions (point_id, seq, first_seq, payload, who, why, adopted_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                adopted.point_id,
                adopted.seq,
                adopted.first_seq,
                adopted.payload,
                adopted.who,
                adopted.why,
                adopted.adopted_s,
            ),
        )

    def last(self, point_id: int) -> Adoption | None:
        """The newest adoption of a point."""
        row = self._connection.execute(
            "SELECT point_id, seq, first_seq, payload, who, why, adopted_s FROM adoptions"
            " WHERE point_id = ? ORDER BY seq DESC LIMIT 1",
            (point_id,),
        ).fetchone()
        return Adoption(*row) if row else None

    def suspended_ncur(self, point_id: int) -> int:
        """Payments that a module has credited among lost records and nobody has booked again."""
        row = self._connection.execute(
            "SELECT COALESCE(SUM(CASE WHEN debit = 'suspense' THEN amount_ncur"
            " WHEN credit = 'suspense' THEN -amount_ncur ELSE 0 END), 0) FROM postings"
            " WHERE point_id = ? AND source = 'entry' AND number > 0",
            (point_id,),
        ).fetchone()
        return int(row[0])

    def numbers(self, point_id: int, generation: int) -> set[int]:
        """The top-up numbers of a point that belong to a payment."""
        rows = self._connection.execute(
            "SELECT number FROM topups WHERE point_id = ? AND generation = ?",
            (point_id, generation),
        )
        return {int(row[0]) for row in rows}
