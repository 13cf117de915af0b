"""PostgreSQL: a fleet's store, with a worker on every machine.

A worker writes beside the others, because each keeps to the rows of its own shards and holds the
rows of their leases in every transaction; everybody else who writes is alone, as with SQLite. Two
advisory locks see to that: WRITE, shared by workers, and the one of each worker, which tells that
it lives. Commits are synchronous whatever the server's default is: a module trims what we
acknowledge.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import pq
from psycopg.types.numeric import Int8BinaryDumper, NumericBinaryLoader, NumericLoader
from psycopg.types.string import StrBinaryDumper

from host_tools import Refused
from host_tools.config import StoreAddress
from host_tools.store.sql import (
    ALTER,
    ENTRY_COLUMNS,
    Away,
    Broken,
    Failure,
    Interrupted,
    Lost,
    Presence,
    Row,
    Rows,
    migrating,
)
from host_tools.store.sql.binary import Int8s, Int8sDumper, copied, int8s
from host_tools.store.sql.months import name_of, number_of

WRITE = 0x67726964  # advisory locks: who writes, who numbers
CONNECT_S_MAX = 10
# A worker may think for a while over a batch; one that has stopped must not keep others out.
_SESSION = (
    "SET synchronous_commit = on; SET jit = off; SET lock_timeout = '10s';"
    " SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
    " SET client_min_messages = warning"
)
_COPY = f"COPY entries ({', '.join(ENTRY_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_MOVE = (
    "UPDATE points SET last_id = moved.last_id"
    " FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) AS moved (last_id, id, was)"
    " WHERE points.id = moved.id AND points.last_id = moved.was"
)
NUMBERS = 1 << 20  # journal rows numbered at a time

_LOST = ("08", "57P", "25P03")  # SQLSTATE: connection, shutdown, idle too long
_AGAIN = ("40001", "40P01", "55P03")  # serialisation, deadlock, lock not to be had
_REMEDIES = {
    "53100": "the server's disk is full; free some space, nothing was lost",
    "53300": "it has no connection left; raise max_connections or stop a program",
    "28P01": "wrong password; name the right one in [store] password_file or PGPASSFILE",
    "28000": "this user may not log in; see pg_hba.conf and [store] url",
    "3D000": "there is no such database; createdb makes it",
    "42501": "this user lacks a right; it has to own the database's schema",
    "25006": "the server is read-only; name the primary in [store] url",
    "42P01": "it is not a Gridpurse store; gridpurse setup makes one",
}
_AWAY = "the server does not answer; start it, or mend [store] url"


class _Whole(NumericLoader):
    """Sums are whole numbers; PostgreSQL calls them numeric so that they cannot overflow."""

    def load(self, data: Any) -> Any:
        return int(super().load(data))


class _WholeBinary(NumericBinaryLoader):
    def load(self, data: Any) -> Any:
        return int(super().load(data))


class PostgresConnection:
    """Looks like sqlite3's: `?` for a parameter, transactions by their statements."""

    def __init__(self, address: StoreAddress, read_only: bool = False) -> None:
        self._address = address
        self._read_only = read_only
        self._link = self._connected()

    def _connected(self) -> psycopg.Connection[Any]:
        try:
            link = psycopg.connect(
                self._address.url,
                autocommit=True,
                connect_timeout=CONNECT_S_MAX,
                application_name="gridpurse",
                cursor_factory=psycopg.RawCursor,
                password=self._address.password or None,
            )
        except psycopg.Error as error:
            raise failure(error, None) from None  # the cause may hold what must not be told
        adapters = link.adapters
        adapters.register_dumper(int, Int8BinaryDumper)
        adapters.register_dumper(str, StrBinaryDumper)
        adapters.register_dumper(Int8s, Int8sDumper)
        adapters.register_loader("numeric", _Whole)
        adapters.register_loader("numeric", _WholeBinary)
        with _told(link):
            link.execute(_SESSION)
            if self._read_only:
                link.execute("SET default_transaction_read_only = on")
        return link

    def reconnect(self) -> None:
        self.close()
        self._link = self._connected()

    @property
    def in_transaction(self) -> bool:
        status = self._link.info.transaction_status
        return status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)

    @property
    def failed(self) -> bool:
        """A statement of the transaction has failed: COMMIT would undo it without a word."""
        return self._link.info.transaction_status == pq.TransactionStatus.INERROR

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        with _told(self._link):
            return self._link.cursor().execute(_numbered(sql), parameters, binary=True)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Rows:
        with _told(self._link):
            cursor = self._link.cursor()
            cursor.executemany(_numbered(sql), rows)
            return cursor

    def script(self, sql: str) -> None:
        """Any number of statements, without parameters."""
        with _told(self._link):
            self._link.execute(sql, prepare=False)

    def copy(self, sql: str, data: Iterable[bytes]) -> None:
        """COPY ... FROM STDIN of what is in the right form already."""
        with _told(self._link), self._link.cursor().copy(sql) as copy:
            for part in data:
                copy.write(part)

    def copy_rows(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same of rows, for any table."""
        with _told(self._link), self._link.cursor().copy(sql) as copy:
            for row in rows:
                copy.write_row(row)

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of a long answer, without having all of them here; inside a transaction."""
        with _told(self._link), psycopg.RawServerCursor(self._link, "rows") as cursor:
            cursor.itersize = 10000
            cursor.execute(_numbered(sql), parameters, binary=True)
            yield from cursor

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._link.close()


class PostgresDatabase:
    """What differs from SQLite; see `sql.Database`."""

    far = True

    def __init__(self, connection: PostgresConnection, address: StoreAddress) -> None:
        self.connection = connection
        self.where = address.shown
        self._attendances: list[Attendance] = []
        self._months: set[int] = set()  # that have their part of the journal

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

    def move(self, rows: list[tuple[int, int, int]]) -> int:
        moved = self.connection.execute(
            _MOVE, [int8s(column) for column in zip(*rows, strict=True)]
        )
        return moved.rowcount

    def alter(self, rows: list[Row]) -> None:
        self.connection.executemany(ALTER, rows)

    def make_room(self, now_s: int) -> None:
        """A part of the journal for this month and the next; what has none goes to the default."""
        for month in (now_s, now_s + 27 * 86400):
            first, end = number_of(month), number_of(month, 1)
            if first in self._months:
                continue
            try:
                self._make_part(name_of(month), first, end)
            except Interrupted:  # somebody reads: another time
                return
            self._months.add(first)

    def _make_part(self, name: str, first: int, end: int) -> None:
        """Unless it is there, or rows of that time lie in the default part already."""
        execute = self.connection.execute
        if execute("SELECT to_regclass(?)", (name,)).fetchone()[0] is not None:
            return
        try:
            self.begin(beside=False)
            execute("SET LOCAL lock_timeout = '2s'")
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


@contextmanager
def _told(link: psycopg.Connection[Any]) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise failure(error, link) from error


def failure(error: psycopg.Error, link: psycopg.Connection[Any] | None) -> Failure:
    """What a failure means to whoever asked: one line, without what a row or a login holds."""
    state = error.sqlstate or ""
    words = " ".join((error.diag.message_primary or str(error)).split())
    text = _REMEDIES.get(state, words)
    if isinstance(error, psycopg.IntegrityError):
        return Broken(text)
    if state.startswith(_AGAIN):
        return Interrupted(f"{text}; another program was in the way")
    if link is not None and (link.closed or link.broken):
        return Lost(f"{_AWAY}: {words}" if not state else words)
    if link is None and not state:
        return Lost(_refused_by(words) or f"{_AWAY}: {words}")
    return Lost(words) if state.startswith(_LOST) else Failure(text)


def _refused_by(words: str) -> str:
    """libpq tells a refused login in words only."""
    for pattern, state in (
        (r"password authentication failed|no password supplied", "28P01"),
        (r"database \".*\" does not exist", "3D000"),
        (r"no pg_hba.conf entry|role \".*\" does not exist", "28000"),
    ):
        if re.search(pattern, words):
            return _REMEDIES[state]
    return ""


@lru_cache(maxsize=1000)
def _numbered(sql: str) -> str:
    """`?` as PostgreSQL numbers its parameters; no text of ours has a question mark in it."""
    parts = sql.split("?")
    return parts[0] + "".join(f"${place}{part}" for place, part in enumerate(parts[1:], 1))
