"""Tariff files as they were added, by version. The book beside each is what modules get of it.

Writes belong inside the caller's transaction. A stored version is final.
"""

import hashlib
import sqlite3
from dataclasses import dataclass

from host_tools.store.database import Store


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A version of the store; `text` is None where only its book was ever given."""

    version: int
    name: str
    currency: str
    text: str | None
    digest: bytes | None
    stored_s: int


_FILE = (
    "SELECT t.version, COALESCE(d.name, t.name), t.currency, d.text, d.digest,"
    " COALESCE(d.stored_s, t.stored_s) FROM tariffs t"
    " LEFT JOIN tariff_documents d ON d.version = t.version"
)


def of(store: Store) -> "TariffFiles":
    """On the connection of a store, within its transactions."""
    return TariffFiles(store._connection)


class TariffFiles:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> list[StoredFile]:
        rows = self._connection.execute(f"{_FILE} ORDER BY t.version")
        return [StoredFile(*row) for row in rows]

    def file(self, version: int) -> StoredFile | None:
        row = self._connection.execute(f"{_FILE} WHERE t.version = ?", (version,)).fetchone()
        return StoredFile(*row) if row else None

    def add(self, version: int, name: str, text: str, now_s: int) -> None:
        """Keeps the file of a book that is stored already."""
        digest = hashlib.sha256(text.encode()).digest()
        self._connection.execute(
            "INSERT INTO tariff_documents (version, name, text, digest, stored_s)"
            " VALUES (?, ?, ?, ?, ?)",
            (version, name, text, digest, now_s),
        )

    def points(self, version: int) -> int:
        """How many points were ever assigned to a version."""
        row = self._connection.execute(
            "SELECT COUNT(DISTINCT point_id) FROM assignments WHERE version = ?", (version,)
        ).fetchone()
        return int(row[0])
