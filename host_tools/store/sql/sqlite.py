"""SQLite: one file, one writer at a time, every program on this machine.

Write-ahead log and synchronous=FULL: a module trims what we acknowledge, so a commit has to
survive a power cut; NORMAL would sync the log at checkpoints only and may lose the last commits.
The cost is one sync a batch, not one a reading. A writer waits for another one rather than fail.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host_tools import Refused
from host_tools.store.sql import ALTER, ENTRY_COLUMNS, Presence, Row, migrating
from host_tools.store.sql.worker_files import WorkerFiles

BUSY_TIMEOUT_MS = 10000
WAL_PAGES = 16384  # written back less often than by default: the rows of points are rewritten most
NUMBERS_END = 1 << 63
CACHE_KIB = 8192  # the rows of a large batch at once, and those that a module repeats or denies
ROWS_AT_ONCE = 64  # of the journal in one statement: a quarter quicker than each in its own
ROWS_WAITING = 256  # so few are still in the processor's caches: a sixth of a whole drain

_COLUMNS = ", ".join(ENTRY_COLUMNS)
_ROW = f"({', '.join('?' * len(ENTRY_COLUMNS))})"
_INSERT = f"INSERT INTO entries ({_COLUMNS}) VALUES {_ROW}"  # noqa: S608 - names of our own
_INSERT_MANY = _INSERT + f", {_ROW}" * (ROWS_AT_ONCE - 1)
_MOVE = "UPDATE points SET last_id = ? WHERE id = ? AND last_id = ?"

# What went wrong with the file, by SQLite's primary result code, and what to do about it.
_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space and start again, nothing was lost",
    sqlite3.SQLITE_READONLY: "it is read-only; make it and its folder writable for this user",
    sqlite3.SQLITE_PERM: "no permission; make it and its folder writable for this user",
    sqlite3.SQLITE_BUSY: "another program keeps it locked; stop that one and start again",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked; stop that one and start again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the folder and its permissions",
    sqlite3.SQLITE_NOTADB: "it is not a Gridpurse store; name another data folder",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore the last backup",
    sqlite3.SQLITE_IOERR: "reading or writing failed; check the disk (is it full?)",
}


class SqliteDatabase:
    """Everything of it goes through sqlite3's own connection."""

    far = False
    rows_waiting = ROWS_WAITING

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self.where = str(path)

    def begin(self, beside: bool) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def begin_instant(self) -> None:
        self.connection.execute("BEGIN")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def numbers(self, rows: int, now_s: int) -> tuple[int, int]:
        row = self.connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM entries")
        return row.fetchone()[0], NUMBERS_END

    def outdated(self, number: int) -> bool:
        return True  # another writer may have added rows meanwhile

    def append(self, rows: list[Row]) -> None:
        end = len(rows) - len(rows) % ROWS_AT_ONCE
        for at in range(0, end, ROWS_AT_ONCE):
            values: list[Any] = []
            for row in rows[at : at + ROWS_AT_ONCE]:
                values += row
            self.connection.execute(_INSERT_MANY, values)
        if end < len(rows):
            self.connection.executemany(_INSERT, rows[end:])

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({listed}) VALUES ({marks})"  # noqa: S608 - names of ours
        self.connection.executemany(sql, rows)

    def move(self, rows: list[tuple[int, int, int]]) -> int:
        return self.connection.executemany(_MOVE, rows).rowcount

    def alter(self, rows: list[Row]) -> None:
        self.connection.executemany(ALTER, rows)

    def make_room(self, now_s: int) -> bool:
        return False  # a table of SQLite has no parts

    @contextmanager
    def shrinking(self, table: str) -> Iterator[None]:
        name, sql = self.connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name = ?",
            (f"{table}_remain",),
        ).fetchone()
        self.connection.execute(f"DROP TRIGGER {name}")
        yield
        self.connection.execute(sql)

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        return self.connection.execute(sql, parameters)

    def reconnect(self) -> None:
        """Nothing: a file does not go away."""

    def presence(self, owner: str) -> Presence:
        return WorkerFiles(self.path.parent.joinpath("workers"), owner)

    def explained(self, error: Exception) -> Refused:
        return explained(error, self.path)


def connected(path: Path) -> sqlite3.Connection:
    """The file of a store, made when there is none, at the newest schema; Refused in one line."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise Refused(f"{folder}: {error.strerror}; name another folder with --data") from error
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS // 1000, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, path)
        except (sqlite3.Error, Refused):
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explained(error, path) from error
    return connection


def explained(error: Exception, path: Path) -> Refused:
    """The one line for a failure of the database; an unknown failure keeps SQLite's own words."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return Refused(f"{path}: {_REMEDIES.get(code, str(error))}")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Applies the numbered migrations that are missing, each in a transaction of its own."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, name TEXT NOT NULL)"
    )
    at, newest = version_of(connection), migrating.newest()
    if at > newest:
        raise Refused(f"{path}: schema {at} is newer than this program's {newest}; update it")
    for number, script in migrating.scripts():
        if number > at:
            _apply(connection, number, script)


def _apply(connection: sqlite3.Connection, number: int, script: Path) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if version_of(connection) < number:  # another process may have been quicker
            for statement in migrating.for_sqlite(script):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, script.stem))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def version_of(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetchone()
    return int(row[0])
