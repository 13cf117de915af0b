"""Entries of the host itself, each with the rule that asked for it. Money that no module entered.

Writes belong inside the caller's transaction; nothing is changed or deleted. A posting of source
'entry' has the number of the entry that it belongs to.
"""

from dataclasses import dataclass

from host_tools.store.database import Store
from host_tools.store.sql import Connection

TERMS = "terms"  # what a tariff asks beyond its module's book
ROLLBACK = "storage rollback"  # of records that a restored store lacks


@dataclass(frozen=True, slots=True)
class HostEntry:
    """`amount_ncur` is the credit of the customer; number is 0 until it is stored.

    `command_id` is the order that brings it to the module, 0 where the module has it already.
    """

    point_id: int
    kind: str
    from_s: int
    to_s: int
    version: int
    rule: str
    amount_ncur: int
    command_id: int
    posted_s: int
    number: int = 0


_ENTRY = (
    "SELECT point_id, class, from_s, to_s, version, rule, amount_ncur, command_id, posted_s,"
    " number FROM host_entries"
)


def of(store: Store) -> "HostEntries":
    """On the connection of a store, within its transactions."""
    return HostEntries(store._connection)


class HostEntries:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, point_id: int) -> list[HostEntry]:
        """Those of a point, oldest first."""
        rows = self._connection.execute(
            f"{_ENTRY} WHERE point_id = ? ORDER BY number", (point_id,)
        )
        return [HostEntry(*row) for row in rows]

    def of_rule(self, point_id: int, kind: str, rule: str) -> list[HostEntry]:
        """Those of a point that one rule made, oldest first."""
        return [each for each in self.all(point_id) if (each.kind, each.rule) == (kind, rule)]

    def add(self, entry: HostEntry) -> int:
        """Its number."""
        row = self._connection.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM host_entries")
        number = int(row.fetchone()[0])
        self._connection.execute(
            "INSERT INTO host_entries (number, point_id, class, from_s, to_s, version, rule,"
            " amount_ncur, command_id, posted_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                entry.point_id,
                entry.kind,
                entry.from_s,
                entry.to_s,
                entry.version,
                entry.rule,
                entry.amount_ncur,
                entry.command_id,
                entry.posted_s,
            ),
        )
        return number
