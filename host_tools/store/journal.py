"""Everything that was booked, in the order of its rows, for whoever recomputes it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from host_tools.store.database import Store
from host_tools.store.sql import Connection
from protocol.ledger import Entry


class Booked(NamedTuple):
    """A row of either journal: an entry of a module, or a posting. Amounts are 0 or more."""

    book: str
    id: int
    time_s: int
    point: str  # module/number
    currency: str
    debited: str
    credited: str
    amount_ncur: int
    source: str
    number: int
    rule: str  # of an entry of the host: class, rule and tariff version
    entry: Entry | None
    head: bytes


_ENTRIES = (
    "SELECT e.id, p.module, p.point, p.currency, a.name, e.head, e.seq, e.kind, e.time_s,"
    " e.quality, e.register_wh, e.energy_wh, e.version, e.period, e.used_wh, e.amount_ncur,"
    " e.number, e.channel, e.balance_ncur FROM entries e JOIN points p ON p.id = e.point_id"
    " JOIN accounts a ON a.code = e.contra WHERE e.id > ? AND e.id <= ? ORDER BY e.id LIMIT ?"
)
_POSTINGS = (
    "SELECT o.id, o.time_s, p.module, p.point, o.currency, o.debit, o.credit, o.amount_ncur,"
    " o.source, o.number, h.class, h.rule, h.version FROM postings o"
    " JOIN points p ON p.id = o.point_id"
    " LEFT JOIN host_entries h ON o.source = 'entry' AND h.number = o.number"
    " WHERE o.id > ? AND o.id <= ? ORDER BY o.id LIMIT ?"
)
_ROWS = 5000  # at a time
CUSTOMER = "customer prepaid"


def booked(store: Store, entry_id: int, posting_id: int) -> Iterator[Booked]:
    """Rows up to these numbers, entries first; rows of a journal only grow at its end."""
    connection = store._connection
    for row in _pages(connection, _ENTRIES, entry_id):
        row_id, module, number, currency, contra, head = row[:6]
        entry = Entry(*row[6:])
        amount_ncur = int(entry.amount_ncur)
        debit, credit = (contra, CUSTOMER) if amount_ncur > 0 else (CUSTOMER, contra)
        if not amount_ncur:
            debit = credit = ""
        where = (f"{module}/{number}", currency, debit, credit, abs(amount_ncur))
        yield Booked(
            "entry", row_id, entry.time_s, *where, "entry", entry.seq, "", entry, bytes(head)
        )
    for row in _pages(connection, _POSTINGS, posting_id):
        row_id, time_s, module, point, currency, debit, credit, amount_ncur = row[:8]
        rule = "" if row[10] is None else f"{row[10]}: {row[11]}, version {row[12]}"
        where = (f"{module}/{point}", currency, debit, credit, amount_ncur)
        yield Booked("posting", row_id, time_s, *where, row[8], row[9], rule, None, b"")


def _pages(connection: Connection, sql: str, last_id: int) -> Iterator[tuple[Any, ...]]:
    at = 0
    while rows := connection.execute(sql, (at, last_id, _ROWS)).fetchall():
        yield from rows
        at = rows[-1][0]
