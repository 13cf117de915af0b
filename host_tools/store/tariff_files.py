"""Tariff files as they were added, by version, and what points have contracted.

The book beside each file is what modules get of it. Writes belong inside the caller's transaction.
A stored version is final.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import NamedTuple

from host_tools.store.database import Store
from host_tools.store.sql import Connection


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A version of the store; `text` is None where only its book was ever given."""

    version: int
    name: str
    currency: str
    text: str | None
    digest: bytes | None
    stored_s: int


class Contract(NamedTuple):
    """The contracted power of a point from an instant on, with who noted it, why and when."""

    from_s: int
    contract_mw: int
    who: str
    why: str
    noted_s: int


FIRST = hashlib.sha256(b"gridpurse/1 contracts").digest()
# In the order in which they were noted; those of before they were numbered come first.
CONTRACTS = (
    "SELECT point_id, number, seal, from_s, contract_mw, who, why, noted_s FROM contracts"
    " {where} ORDER BY point_id, number IS NOT NULL, number, from_s"
)

_FILE = (
    "SELECT t.version, COALESCE(d.name, t.name), t.currency, d.text, d.digest,"
    " COALESCE(d.stored_s, t.stored_s) FROM tariffs t"
    " LEFT JOIN tariff_documents d ON d.version = t.version"
)


def of(store: Store) -> "TariffFiles":
    """On the connection of a store, within its transactions."""
    return TariffFiles(store._connection)


class TariffFiles:
    def __init__(self, connection: Connection) -> None:
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

    def contracts(self, point_id: int) -> list[tuple[int, int]]:
        """(from_s, milliwatts) of a point's contracted power, ascending."""
        rows = self._connection.execute(
            "SELECT from_s, contract_mw FROM contracts WHERE point_id = ? ORDER BY from_s",
            (point_id,),
        )
        return [(int(row[0]), int(row[1])) for row in rows]

    def add_contract(self, point_id: int, new: Contract) -> None:
        rows = self._connection.execute(
            CONTRACTS.format(where="WHERE point_id = ?"), (point_id,)
        ).fetchall()
        number, seal = 0, FIRST
        for row in rows:
            number, seal = row[1] or 0, sealed(seal, point_id, Contract(*row[3:]))
        self._connection.execute(
            "INSERT INTO contracts"
            " (point_id, from_s, contract_mw, who, why, noted_s, number, seal)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (point_id, *new, number + 1, sealed(seal, point_id, new)),
        )

    def points(self, version: int) -> int:
        """How many points were ever assigned to a version."""
        row = self._connection.execute(
            "SELECT COUNT(DISTINCT point_id) FROM assignments WHERE version = ?", (version,)
        ).fetchone()
        return int(row[0])


def sealed(before: bytes, point_id: int, contract: Contract) -> bytes:
    """SHA-256 of a contract, and of the one before it."""
    return hashlib.sha256(before + json.dumps([point_id, *contract]).encode()).digest()
