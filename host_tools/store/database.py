"""The settlement store, on SQLite or PostgreSQL: how it is opened, and its transactions.

Never downgrades: a store of a newer program is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools import Refused
from host_tools.config import StoreAddress
from host_tools.store.days import Days
from host_tools.store.fleet import Fleet
from host_tools.store.held import Held
from host_tools.store.intake import Intake
from host_tools.store.leases import Leases
from host_tools.store.ledgers import Ledgers
from host_tools.store.payments import Payments
from host_tools.store.sql import FAILURES, Database, Presence, sqlite

FILE = "gridpurse.sqlite"


class Store:
    """One connection. Its parts share it; writes belong inside `transaction`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        self.where = database.where
        self._held = Held(database)
        self.fleet = Fleet(self._connection, self._held)
        self.ledgers = Ledgers(database, self._held)
        self.payments = Payments(self._connection)
        self.intake = Intake(self._connection, self._held)
        self.leases = Leases(self._connection)
        self.days = Days(database)

    def own(self, owned: bool) -> None:
        """Keeps rows of points between transactions, or stops that; for who holds their leases."""
        self._forget()
        self.ledgers.renumber()
        self._held.keep = owned

    @contextmanager
    def transaction(self, beside: bool = False) -> Iterator[None]:
        """All of the block or nothing of it; the write lock is taken at once.

        The owner of shards writes beside other owners where the database can; so may whoever only
        asks for leases (`beside`). Everybody else is alone.
        """
        self._database.begin(beside or self._held.keep)
        done = False
        try:
            self._held.begin()
            self.ledgers.begin()
            yield
            self.ledgers.write()
            self.intake.write()
            self._database.commit()
            done = True
        finally:
            if not done:
                self._forget()
            self._roll_back()
        self._held.end()

    @contextmanager
    def instant(self) -> Iterator[None]:
        """Everything read in the block is of one instant; writers go on meanwhile."""
        self._database.begin_instant()
        try:
            yield
        finally:
            self._forget()
            self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def step(self) -> Iterator[None]:
        """Part of a transaction that is undone alone when the block raises."""
        self.ledgers.write()
        self._held.step()
        mark = self.intake.mark()
        self._connection.execute("SAVEPOINT step")
        try:
            yield
            self.ledgers.write()
            self._held.step_done()
        except BaseException:
            self.ledgers.forget()
            self.intake.undo(mark)
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

    def make_room(self, now_s: int) -> None:
        """For a worker, now and then: prepares the journal for what comes next."""
        if self._database.make_room(now_s):
            self.ledgers.renumber()

    def presence(self, owner: str) -> Presence:
        """Tells others that a worker lives, and it which others do not."""
        return self._database.presence(owner)

    def reconnect(self) -> None:
        """After sql.Lost: a new connection, and nothing in hand."""
        self.own(False)
        self._database.reconnect()

    def close(self) -> None:
        self._connection.close()


def open_store(place: StoreAddress | Path, create: bool = True) -> Store:
    """The store of an address or a data folder, at the newest schema; Refused in one line."""
    return Store(_opened(StoreAddress(place) if isinstance(place, Path) else place, create))


def _opened(address: StoreAddress, create: bool) -> Database:
    if address.url:
        # Slow to load, and most hosts have no use for it.
        from host_tools.store.sql import postgres  # noqa: PLC0415

        return postgres.opened(address, create)
    path = address.folder.joinpath(FILE)
    if not create and not path.exists():
        raise Refused(f"{path}: no such store; name the folder with --data")
    return sqlite.SqliteDatabase(sqlite.connected(path), path)


@contextmanager
def opened(place: StoreAddress | Path, create: bool = True) -> Iterator[Store]:
    """The store for one block; whatever goes wrong with its database is one line."""
    store = open_store(place, create)
    try:
        yield store
    except FAILURES as error:
        raise store._database.explained(error) from error
    finally:
        store.close()
