"""PostgreSQL: a fleet's store, with a worker on every machine.

A worker writes beside the others, because each keeps to the rows of its own shards and holds the
rows of their leases in every transaction; everybody else who writes is alone, as with SQLite. Two
advisory locks see to that: WRITE, shared by workers, and the one of each worker, which tells that
it lives. Commits are synchronous whatever the server's default is: a module trims what we
acknowledge.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from host_tools import Refused
from host_tools.config import StoreAddress
from host_tools.store.sql import (
    ALTER,
    ENTRY_COLUMNS,
    Away,
    Failure,
    Interrupted,
    Lost,
    Presence,
    Row,
    migrating,
)
from host_tools.store.sql.binary import copied, int8s
from host_tools.store.sql.months import name_of, number_of
from host_tools.store.sql.postgres_connection import PostgresConnection

WRITE = "26980, 1"  # the advisory lock of who writes; `26980, 2` is that of who numbers rows
_COPY = f"COPY entries ({', '.join(ENTRY_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_MOVE = (
    "UPDATE points SET last_id = moved.last_id"
    " FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS moved (last_id, id, was)"
    " WHERE points.id = moved.id AND points.last_id = moved.was"
)
NUMBERS = 1 << 20  # journal rows numbered at a time
ROWS_WAITING = 1 << 20  # all of a transaction: each COPY is a journey
NEXT_MONTH_S = 27 * 86400
AGAIN_S = 600


class PostgresDatabase:
    """What differs from SQLite; see `sql.Database`."""

    far = True
    rows_waiting = ROWS_WAITING

    def __init__(self, connection: PostgresConnection, address: StoreAddress) -> None:
        self.connection = connection
        self.where = address.shown
        self._attendances: list[Attendance] = []
        self._months: set[int] = set()  # that have their part of the journal
        self._month = self._again_s = 0

    def begin(self, beside: bool) -> None:
        shared = "_shared" if beside else ""
        try:
            self.connection.script(f"BEGIN; SELECT pg_advisory_xact_lock{shared}({WRITE})")
        except Failure:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def begin_instant(self) -> None:
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self) -> None:
        if self.connection.failed:
            raise Interrupted(f"{self.where}: a statement failed; nothing was written")
        self.connection.execute("COMMIT")

    def numbers(self, rows: int, now_s: int) -> tuple[int, int]:
        count = max(rows, NUMBERS)
        asked = self.connection.execute("SELECT entry_numbers(?, ?)", (number_of(now_s), count))
        first = asked.fetchone()[0]
        return first, first + count

    def outdated(self, number: int) -> bool:
        asked = self.connection.execute("SELECT number FROM changes WHERE what = 'closing'")
        row = asked.fetchone()
        return row is not None and number <= row[0]

    def append(self, rows: list[Row]) -> None:
        self.connection.copy(_COPY, copied(rows))

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.connection.copy_rows(f"COPY {table} ({', '.join(columns)}) FROM STDIN", rows)

    def move(self, rows: list[tuple[int, int, int]]) -> int:
        moved = self.connection.execute(
            _MOVE, [int8s(column) for column in zip(*rows, strict=True)]
        )
        return moved.rowcount

    def alter(self, rows: list[Row]) -> None:
        self.connection.executemany(ALTER, rows)

    def make_room(self, now_s: int) -> bool:
        """A part of the journal for this month and the next; what has none goes to the default."""
        for month in (now_s, now_s + NEXT_MONTH_S):
            first, end = number_of(month), number_of(month, 1)
            if first in self._months or now_s < self._again_s:
                continue
            try:
                self._make_part(name_of(month), first, end)
                self._months.add(first)
            except Lost:
                raise
            except Interrupted:  # somebody reads all of it, and writers must not wait for that
                self._again_s = now_s + AGAIN_S
        before, self._month = self._month, number_of(now_s)
        return self._month != before

    def _make_part(self, name: str, first: int, end: int) -> None:
        """Unless it is there, or rows of that time lie in the default part already."""
        execute = self.connection.execute
        if execute("SELECT to_regclass(?)", (name,)).fetchone()[0] is not None:
            return
        try:
            self.begin(beside=False)
            execute("SET LOCAL lock_timeout = '200ms'")
            late = execute(
                "SELECT 1 FROM entries_other WHERE id >= ? AND id < ? LIMIT 1", (first, end)
            ).fetchone()
            if late is None:
                self.connection.script(
                    f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF entries"
                    f" FOR VALUES FROM ({first}) TO ({end})"
                )
            self.commit()
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    @contextmanager
    def shrinking(self, table: str) -> Iterator[None]:
        self.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_remain")
        yield
        self.connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_remain")

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        return self.connection.stream(sql, parameters)

    def reconnect(self) -> None:
        self.connection.reconnect()
        for attendance in self._attendances:
            attendance.begin()

    def presence(self, owner: str) -> Presence:
        attendance = Attendance(self.connection, owner)
        self._attendances.append(attendance)
        return attendance

    def explained(self, error: Exception) -> Refused:
        return Refused(f"{self.where}: {error}")


class Attendance:
    """An advisory lock of the worker's session: the server drops it with the connection."""

    def __init__(self, connection: PostgresConnection, owner: str) -> None:
        self._connection = connection
        self._owner = owner
        self.begin()

    def begin(self) -> None:
        self._ask("pg_advisory_lock", self._owner)

    def gone(self, owner: str) -> bool:
        found = self._ask("pg_try_advisory_lock", owner)
        if found:
            self._ask("pg_advisory_unlock", owner)
        return bool(found)

    def close(self) -> None:
        """Ends with the connection."""

    def _ask(self, what: str, owner: str) -> Any:
        digest = hashlib.sha256(owner.encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        return self._connection.execute(f"SELECT {what}(?)", (key,)).fetchone()[0]


def opened(address: StoreAddress, create: bool) -> PostgresDatabase:
    """The store of an address, at the newest schema; made when there is none and `create`."""
    try:
        connection = PostgresConnection(address)
        try:
            if not create and not version_of(connection):
                raise Refused(f"{address.shown}: no store there; gridpurse setup makes one")
            migrate(connection, address.shown)
        except (Failure, Refused):
            connection.close()
            raise
    except Lost as error:
        raise Away(f"{address.shown}: {error}") from error
    except Failure as error:
        raise Refused(f"{address.shown}: {error}") from error
    return PostgresDatabase(connection, address)


@contextmanager
def looked_at(address: StoreAddress) -> Iterator[PostgresDatabase]:
    """A store at this program's schema, only to be read; whatever goes wrong is one line."""
    try:
        connection = PostgresConnection(address, read_only=True)
        try:
            at, newest = version_of(connection), migrating.newest()
            if not at:
                raise Refused(f"{address.shown}: no store there; gridpurse setup makes one")
            if at != newest:
                what = "start settle once" if at < newest else "update this program"
                raise Refused(f"{address.shown}: schema {at}, this program has {newest}; {what}")
            yield PostgresDatabase(connection, address)
        finally:
            connection.close()
    except Failure as error:
        raise Refused(f"{address.shown}: {error}") from error


def migrate(connection: PostgresConnection, where: str) -> None:
    """Applies the numbered migrations that are missing, all in one transaction."""
    at, newest = version_of(connection), migrating.newest()
    if at > newest:
        raise Refused(f"{where}: schema {at} is newer than this program's {newest}; update it")
    if at == newest:
        return
    try:
        connection.script(f"BEGIN; SELECT pg_advisory_xact_lock({WRITE})")
        connection.script(
            "CREATE TABLE IF NOT EXISTS schema_version"
            " (version BIGINT NOT NULL, name TEXT NOT NULL);"
            " CREATE OR REPLACE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE EXCEPTION ''%'', TG_ARGV[0] USING ERRCODE = ''23001''; END'"
        )
        at = version_of(connection)  # another process may have been quicker
        for number in range(at + 1, newest + 1):
            apply(connection, number)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def apply(connection: PostgresConnection, number: int) -> None:
    """One migration, inside the caller's transaction."""
    script = dict(migrating.scripts())[number]
    for statement in migrating.for_postgresql(script):
        connection.script(statement)
    connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, script.stem))


def version_of(connection: PostgresConnection) -> int:
    """0 for a database without a store."""
    asked = connection.execute("SELECT to_regclass('schema_version')")
    if asked.fetchone()[0] is None:
        return 0
    row = connection.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetchone()
    return int(row[0])
