"""Opens the SQLite file of the host, brings its schema up to date, and names its failures.

Write-ahead log and synchronous=FULL: a module trims what we acknowledge, so a commit has to
survive a power cut; NORMAL would sync the log at checkpoints only and may lose the last commits.
The cost is one sync a batch, not one a reading. A writer waits for another one rather than fail.
Never downgrades: a newer file is refused.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools import Refused
from host_tools.store.days import Days
from host_tools.store.fleet import Fleet
from host_tools.store.held import Held
from host_tools.store.intake import Intake
from host_tools.store.leases import Leases
from host_tools.store.ledgers import Ledgers
from host_tools.store.payments import Payments

FILE = "gridpurse.sqlite"
BUSY_TIMEOUT_MS = 10000
WAL_PAGES = 16384  # written back less often than by default: the rows of points are rewritten most
MIGRATIONS = Path(__file__).with_name("migrations")

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


class Store:
    """One connection. Its parts share it; writes belong inside `transaction`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._held = Held(connection)
        self.fleet = Fleet(connection, self._held)
        self.ledgers = Ledgers(connection, self._held)
        self.payments = Payments(connection)
        self.intake = Intake(connection, self._held)
        self.leases = Leases(connection)
        self.days = Days(connection)

    def own(self, shards: tuple[int, ...]) -> None:
        """Keeps rows of points between transactions; for who holds the leases of these shards."""
        self._forget()
        self._held.own(shards)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it; the write lock is taken at once."""
        self._connection.execute("BEGIN IMMEDIATE")
        done = False
        try:
            self._held.begin()
            self.ledgers.begin()
            yield
            self.ledgers.write()
            self.intake.write()
            self._connection.execute("COMMIT")
            done = True
        finally:
            if not done:
                self._forget()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._held.end()

    @contextmanager
    def instant(self) -> Iterator[None]:
        """Everything read in the block is of one instant; writers go on meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._forget()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def step(self) -> Iterator[None]:
        """Part of a transaction that is undone alone when the block raises."""
        self.ledgers.write()
        self._held.step()
        refused = self.intake.step()
        self._connection.execute("SAVEPOINT step")
        try:
            yield
            self.ledgers.write()
            self._held.step_done()
        except BaseException:
            self.ledgers.forget()
            self.intake.undo(refused)
            self._held.undo()
            if self._connection.in_transaction:  # a full disk has already undone everything
                self._connection.execute("ROLLBACK TO step")
                self._connection.execute("RELEASE step")
            raise
        self._connection.execute("RELEASE step")

    def _forget(self) -> None:
        self.ledgers.forget()
        self.intake.forget()
        self._held.forget()

    def close(self) -> None:
        self._connection.close()


def open_store(folder: Path, create: bool = True) -> Store:
    """The store in a data folder, at the newest schema; Refused in one line."""
    path = folder.joinpath(FILE)
    if not create and not path.exists():
        raise Refused(f"{path}: no such store; name the folder with --data")
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
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection, path)
        except (sqlite3.Error, Refused):
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explained(error, path) from error
    return Store(connection, path)


@contextmanager
def opened(folder: Path, create: bool = True) -> Iterator[Store]:
    """The store for one block; whatever goes wrong with its file is one line."""
    store = open_store(folder, create)
    try:
        yield store
    except sqlite3.Error as error:
        raise explained(error, store.path) from error
    finally:
        store.close()


def explained(error: sqlite3.Error, path: Path) -> Refused:
    """The one line for a failure of the database; an unknown failure keeps SQLite's own words."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return Refused(f"{path}: {_REMEDIES.get(code, str(error))}")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Applies the numbered migrations that are missing, each in a transaction of its own."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, name TEXT NOT NULL)"
    )
    at = version_of(connection)
    if at > newest():
        raise Refused(f"{path}: schema {at} is newer than this program's {newest()}; update it")
    for script in _scripts():
        number = int(script.name[:4])
        if number > at:
            _apply(connection, number, script)


def newest() -> int:
    """The schema of this program."""
    return int(_scripts()[-1].name[:4])


def _scripts() -> list[Path]:
    return sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def _apply(connection: sqlite3.Connection, number: int, script: Path) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if version_of(connection) < number:  # another process may have been quicker
            for statement in statements(script.read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?, ?)", (number, script.stem))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def version_of(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetchone()
    return int(row[0])


def statements(script: str) -> list[str]:
    """The statements of a script, one by one, because `executescript` would commit in between."""
    out = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            out.append(pending)
            pending = ""
    return out
