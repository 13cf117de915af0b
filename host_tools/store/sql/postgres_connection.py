"""A connection to PostgreSQL that looks like sqlite3's, and what its failures mean.

Commits are synchronous whatever the server's default is: a module trims what we acknowledge. No
message holds a password, a row or a parameter.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import pq
from psycopg.types.numeric import Int8BinaryDumper, NumericBinaryLoader, NumericLoader
from psycopg.types.string import StrBinaryDumper

from host_tools.config import StoreAddress
from host_tools.store.sql import Broken, Failure, Interrupted, Lost, Rows
from host_tools.store.sql.binary import Int8s, Int8sDumper

CONNECT_S_MAX = 10
# A worker may think for a while over a batch; one that has stopped must not keep others out.
_SESSION = (
    "SET synchronous_commit = on; SET jit = off; SET lock_timeout = '10s';"
    " SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
    " SET client_min_messages = warning"
)
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
