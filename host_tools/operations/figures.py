"""What the store alone knows about the running of the service, read beside the settling.

A connection of its own that can only read. Every query ends after a bounded number of rows or
answers from a small index, and returns few rows, because each row takes the interpreter's lock.
"""

import sqlite3
from contextlib import closing
from typing import NamedTuple

from host_tools.config import StoreAddress
from host_tools.store.database import FILE
from host_tools.store.sql import Connection
from protocol import ledger

NEWEST_ROWS = 1000  # journal rows looked at for the newest reading: the last ones settled
WAIT_S_MAX = 2


class StoreFigures(NamedTuple):
    """newest_s: end of the newest interval among the last settled ones, None before the first."""

    newest_s: int | None
    commands_open: int
    differences_open: dict[str, int]  # by class
    parked: int  # batches that wait for a gap to close


def read_only(store: StoreAddress) -> Connection:
    """A connection to the store that changes nothing; one of FAILURES when there is none."""
    if store.url:
        # Slow to load, as in store/database.py.
        from host_tools.store.sql.postgres_connection import PostgresConnection  # noqa: PLC0415

        return PostgresConnection(store, read_only=True)
    uri = f"{store.folder.joinpath(FILE).resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=WAIT_S_MAX, isolation_level=None)


def newest_s(connection: Connection) -> int | None:
    row = connection.execute(
        "SELECT MAX(time_s) FROM"
        " (SELECT kind, time_s FROM entries ORDER BY id DESC LIMIT ?) AS newest WHERE kind = ?",
        (NEWEST_ROWS, ledger.CHARGE),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def differences_open(connection: Connection) -> dict[str, int]:
    return dict(
        connection.execute(
            "SELECT class, COUNT(*) FROM differences WHERE closed_s IS NULL GROUP BY class"
        ).fetchall()
    )


def count(connection: Connection, what: str) -> int:
    """Rows of a table with its condition; the text is ours, never a caller's."""
    return int(connection.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0])  # noqa: S608


def of_store(store: StoreAddress) -> StoreFigures:
    with closing(read_only(store)) as connection:
        return StoreFigures(
            newest_s(connection),
            count(connection, "commands WHERE state IN ('queued', 'sent')"),
            differences_open(connection),
            count(connection, "parked"),
        )
