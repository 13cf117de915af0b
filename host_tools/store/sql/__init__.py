"""What the store asks of its database; sqlite.py and postgres.py give it, each in its own way.

One schema and one SQL for both: whole numbers of 64 bits, bytes and texts, `?` for a parameter,
ON CONFLICT and RETURNING; what only one of them can do stays in its file. A failure of either is
one of FAILURES; `explained` of the database makes one line with a remedy of it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from host_tools import Refused

# The columns of a journal row, in the order in which the ledgers hand rows over.
ENTRY_COLUMNS = (
    "id", "before_id", "point_id", "epoch", "from_s", "arrived_s", "contra", "charged_ncur",
    "topups_ncur", "head", "said_head", "seq", "kind", "time_s", "quality", "register_wh",
    "energy_wh", "version", "period", "used_wh", "amount_ncur", "number", "channel",
    "balance_ncur",
)  # fmt: skip
# What rows of points change to without a new journal row, and the point.
ALTER = (
    "UPDATE points SET day = ?, mark_generation = ?, mark_highest = ?, mark_floor = ?,"
    " mark_used = ?, sent_seq = ?, duplicates = ? WHERE id = ?"
)

Row = tuple[Any, ...]


class Failure(Exception):
    """PostgreSQL could not do what it was asked; the text is one line with its remedy."""


class Broken(Failure):
    """A rule of the schema forbids it: a key that exists already, a journal that only grows."""


class Interrupted(Failure):
    """Nothing of the transaction stands, unless it was just being committed; do it again."""


class Lost(Interrupted):
    """The server has gone: `reconnect` first."""


class Away(Refused):
    """There is no server to open a store at. A worker tries again, everybody else tells."""


FAILURES = (sqlite3.Error, Failure)
BROKEN = (sqlite3.IntegrityError, Broken)


class Rows(Protocol):
    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """sqlite3's own connection has it, so that nothing stands between it and the settling loop."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows: ...
    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Rows: ...
    def close(self) -> None: ...


class Presence(Protocol):
    """A worker that lives, and which others are certainly dead; who cannot tell says False."""

    def gone(self, owner: str) -> bool: ...
    def close(self) -> None: ...


class Database(Protocol):
    """One connection and what differs between the two databases. `where` holds no secret."""

    where: str
    far: bool  # a question is a journey: ask for many rows at once
    rows_waiting: int  # of the journal, at most, before they are written

    @property
    def connection(self) -> Connection: ...

    def begin(self, beside: bool) -> None:
        """Begins a transaction that writes: alone, or `beside` others of which each keeps to the
        rows of its own shards, where the database can."""

    def begin_instant(self) -> None:
        """Begins to read one instant, beside all writers."""

    def commit(self) -> None: ...

    def numbers(self, rows: int, now_s: int) -> tuple[int, int]:
        """(first, end) of numbers for journal rows, at least so many, above all that exist."""

    def outdated(self, number: int) -> bool:
        """Whether numbers from here on may not be used any more, in a new transaction."""

    def append(self, rows: list[Row]) -> None:
        """Journal rows, as ENTRY_COLUMNS has them."""

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Many rows of any other table, the quick way."""

    def move(self, rows: list[tuple[int, int, int]]) -> int:
        """How many points now have (last row, point, the last row before) that had the latter."""

    def alter(self, rows: list[Row]) -> None:
        """Rows of points, as ALTER has them."""

    def make_room(self, now_s: int) -> bool:
        """Prepares the journal for what comes next, outside a transaction. True when rows from
        now on belong into another part of it."""

    def shrinking(self, table: str) -> AbstractContextManager[None]:
        """Rows of a table that only grows may be deleted in the block, inside a transaction."""

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows of a long answer, one by one, inside a transaction."""

    def reconnect(self) -> None:
        """After `Lost`. Raises it again while there is no server."""

    def presence(self, owner: str) -> Presence: ...
    def explained(self, error: Exception) -> Refused: ...


def lease_ms(connection: Connection, ticks_ms: int) -> int:
    """The clock of leases, the same for all workers: this machine's, `ticks_ms`, where the store
    is a file of it, else the server's."""
    if isinstance(connection, sqlite3.Connection):
        return ticks_ms
    asked = connection.execute(
        "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    )
    return int(asked.fetchone()[0])
