"""Modules, service points, tariff books and who uses which. Books never change once stored."""

from host_tools import Refused
from host_tools.store.held import Held
from host_tools.store.records import Module, Point
from host_tools.store.sql import BROKEN, Connection
from protocol import cbor, tariff, tariff_book, topup


class Fleet:
    """Who exists. Books are kept in memory once read: a stored version is final."""

    def __init__(self, connection: Connection, held: Held) -> None:
        self._connection = connection
        self._held = held
        self.module = held.module  # as they are: both are asked for with every reading
        self.point = held.point
        self.fetch = held.fetch
        self._books: dict[int, tariff.Book] = {}

    def add_module(self, module: str, shard: int) -> None:
        try:
            self._connection.execute(
                "INSERT INTO modules (id, shard) VALUES (?, ?)", (module, shard)
            )
        except BROKEN as error:
            raise Refused(f"module {module}: it is enrolled already") from error
        self._held.fleet_changed()

    def add_point(self, module: str, point: int, label: str, currency: str) -> int:
        """Row id of a new service point, at the state before its first entry."""
        day, mark = 0, topup.START
        cursor = self._connection.execute(
            "INSERT INTO points (module, point, label, currency, day, mark_generation,"
            " mark_highest, mark_floor, mark_used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " RETURNING id",
            (module, point, label, currency, day, *mark),
        )
        return int(cursor.fetchone()[0])

    def module_known(self, module: str) -> Module:
        """A module that is enrolled, as it stands now."""
        known = self.module(module)
        if known is None:
            raise LookupError(module)
        return known

    def point_known(self, module: str, point: int) -> Point:
        """A service point that exists, as it stands now."""
        known = self.point(module, point)
        if known is None:
            raise LookupError(f"{module}/{point}")
        return known

    def modules(self) -> list[Module]:
        return self._held.modules()

    def points(self, module: str | None = None) -> list[Point]:
        return self._held.points(module)

    def set_epoch(self, module: str, epoch: int) -> None:
        self._connection.execute("UPDATE modules SET epoch = ? WHERE id = ?", (epoch, module))
        self._held.module_changed(module)

    def set_events_seq(self, module: str, seq: int) -> None:
        self._connection.execute("UPDATE modules SET events_seq = ? WHERE id = ?", (seq, module))
        self._held.module_changed(module)

    def greeted(
        self,
        module: str,
        boot_id: int,
        ticks_ms: int,
        now_s: int,
        firmware: str,
        config_version: int,
        reset_cause: int,
    ) -> None:
        """Keeps what a hello said of the module."""
        self._connection.execute(
            "UPDATE modules SET boot_id = ?, boot_ticks_ms = ?, hello_s = ?, firmware = ?,"
            " config_version = ?, reset_cause = ? WHERE id = ?",
            (boot_id, ticks_ms, now_s, firmware, config_version, reset_cause, module),
        )
        self._held.module_changed(module)

    def gone(self, module: str, now_s: int) -> None:
        """The broker has lost a module; until it is heard again."""
        self._connection.execute("UPDATE modules SET gone_s = ? WHERE id = ?", (now_s, module))
        self._held.module_changed(module)

    def back(self, module: str) -> None:
        self._connection.execute(
            "UPDATE modules SET gone_s = NULL WHERE id = ? AND gone_s IS NOT NULL", (module,)
        )
        self._held.module_changed(module)

    def store_book(self, name: str, book: tariff.Book, now_s: int) -> None:
        """Keeps a book; Refused when its version already means another one."""
        wire = cbor.encode(tariff_book.to_wire(book))
        row = self._connection.execute(
            "SELECT book FROM tariffs WHERE version = ?", (book.version,)
        ).fetchone()
        if row is None:
            self._connection.execute(
                "INSERT INTO tariffs VALUES (?, ?, ?, ?, ?)",
                (book.version, book.currency, name, wire, now_s),
            )
        elif row[0] != wire:
            raise Refused(
                f"{name}: version {book.version} is another tariff already; raise `version`"
            )

    def book(self, version: int) -> tariff.Book | None:
        known = self._books.get(version)
        if known is None:
            row = self._connection.execute(
                "SELECT book FROM tariffs WHERE version = ?", (version,)
            ).fetchone()
            if row is None:
                return None
            known = self._books[version] = tariff_book.from_wire(cbor.decode(row[0]))
        return known

    def assign(self, point_id: int, version: int, from_s: int) -> None:
        """From an instant on, this version is what the point should be charged by."""
        self._connection.execute(
            "INSERT INTO assignments VALUES (?, ?, ?)"
            " ON CONFLICT (point_id, from_s) DO UPDATE SET version = excluded.version",
            (point_id, from_s, version),
        )
        self._held.fleet_changed()

    def assign_next(self, point: Point, version: int, now_s: int) -> int:
        """From now on, the same, and whatever was decided before is over; the instant.

        Where the host's clock has stepped back since, an older decision has a later instant. It
        is dropped while nothing of its time is settled: that clock was ahead. Else the present
        one is behind, what was charged stays, and the new decision begins right after the old.
        """
        kept = [from_s for from_s, _ in self._held.assignments(point.id)]
        if now_s >= point.state.time_s:
            self._connection.execute(
                "DELETE FROM assignments WHERE point_id = ? AND from_s > ?", (point.id, now_s)
            )
        elif kept and kept[-1] > now_s:
            now_s = kept[-1] + 1
        self.assign(point.id, version, now_s)
        return now_s

    def assigned_last(self, point_id: int) -> int | None:
        """The version that was decided last, whatever its instant."""
        versions = [version for _, version in self._held.assignments(point_id)]
        return versions[-1] if versions else None

    def adopted(self) -> frozenset[int]:
        """Points that went on from an adopted statement."""
        return self._held.adopted()

    def restated(self) -> None:
        """A point or its module was moved on by somebody who does not own its shard."""
        self._held.fleet_changed()

    def assigned(self, point_id: int, at_s: int) -> int | None:
        """The version the point should be charged by at an instant."""
        found = None
        for from_s, version in self._held.assignments(point_id):
            if from_s <= at_s:
                found = version
        return found
