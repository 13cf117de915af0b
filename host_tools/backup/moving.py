"""All rows of a store from one database to another of the same schema, as they are.

The order is that of the references. Row numbers stay, and what counts goes on above them.
"""

import sqlite3
from itertools import islice
from typing import TYPE_CHECKING

from host_tools.store.sql import Database

if TYPE_CHECKING:
    from host_tools.store.sql.postgres_connection import PostgresConnection

ROWS = 2000  # at a time
# Filled by the migrations, and so there before anything is moved.
_MADE = ("accounts", "changes", "schema_version")


def tables(store: sqlite3.Connection) -> dict[str, list[str]]:
    """{table: its columns}, each behind those it refers to."""
    names = [
        row[0]
        for row in store.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY rowid"
        ).fetchall()
    ]
    named = {
        name: {row[2] for row in store.execute(f"PRAGMA foreign_key_list({name})").fetchall()}
        for name in names
    }
    out: dict[str, list[str]] = {}
    while len(out) < len(names):
        for name in names:
            if name not in out and named[name] - {name} <= out.keys():
                columns = store.execute(f"PRAGMA table_info({name})").fetchall()
                out[name] = [row[1] for row in columns]
    return out


def to_postgres(store: sqlite3.Connection, to: "PostgresConnection") -> None:
    """Fills an empty store at the same schema, inside the caller's transaction."""
    found = tables(store)
    for name in _MADE:
        to.execute(f"DELETE FROM {name}")  # noqa: S608 - a name of ours
    for name, columns in found.items():
        listed = ", ".join(columns)
        rows = store.execute(f"SELECT {listed} FROM {name}")  # noqa: S608
        to.copy_rows(f"COPY {name} ({listed}) FROM STDIN", rows)
    _count_on(to, found)


def _count_on(to: "PostgresConnection", found: dict[str, list[str]]) -> None:
    """New rows are numbered above those that have come."""
    for name, columns in found.items():
        if "id" not in columns:
            continue
        (sequence,) = to.execute("SELECT pg_get_serial_sequence(?, 'id')", (name,)).fetchone()
        newest = f"(SELECT COALESCE(MAX(id), 0) + 1 FROM {name})"  # noqa: S608 - a name of ours
        if sequence is not None:
            to.execute(f"SELECT setval(?::regclass, {newest}, false)", (sequence,))
        elif name == "entries":
            to.execute(f"SELECT entry_numbers({newest}, 1)")


def to_sqlite(store: Database, to: sqlite3.Connection) -> None:
    """The other way, of one instant; into an empty store at the same schema."""
    found = tables(to)
    for name in _MADE:
        to.execute(f"DELETE FROM {name}")  # noqa: S608 - a name of ours
    for name, columns in found.items():
        listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
        insert = f"INSERT INTO {name} ({listed}) VALUES ({marks})"  # noqa: S608
        rows = store.stream(f"SELECT {listed} FROM {name} ORDER BY 1")  # noqa: S608
        while part := list(islice(rows, ROWS)):
            to.executemany(insert, part)
