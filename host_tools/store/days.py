"""Closed days: what was booked between two closings, sealed by a digest and chained.

A day is a range of journal rows. `bound` ends it: whoever books afterwards takes higher numbers,
so closing needs no lock on what is settled meanwhile, and nothing can be booked into a closed day.
Sums are Python's integers.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from host_tools import Refused
from host_tools.store.records import ClosedDay, Turnover
from host_tools.store.sql import Database
from protocol import cbor

FIRST_HEAD = hashlib.sha256(b"gridpurse/1 days").digest()
_CUSTOMER = 1  # of the table `accounts`: the account that every entry moves

_DAY = "SELECT day, entry_id, posting_id, closed_s, totals, digest, head FROM days"
# A chain head pins what an entry says; beside it, what the host has added.
_ENTRIES = (
    "SELECT e.id, e.point_id, e.epoch, e.contra, e.from_s, e.arrived_s, e.head, e.amount_ncur,"
    " p.currency FROM entries e JOIN points p ON p.id = e.point_id"
    " WHERE e.id > ? AND e.id <= ? ORDER BY e.id"
)
_POSTINGS = (
    "SELECT id, point_id, time_s, debit, credit, amount_ncur, currency, source, number"
    " FROM postings WHERE id > ? AND id <= ? ORDER BY id"
)


class Days:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def closed(self) -> list[ClosedDay]:
        """All closed days, in order."""
        return [ClosedDay(*row) for row in self._connection.execute(f"{_DAY} ORDER BY day")]

    def ends(self) -> tuple[int, int]:
        """The last rows of the journals at this instant; a worker may still number below them."""
        row = self._connection.execute(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM entries),"
            " (SELECT COALESCE(MAX(id), 0) FROM postings)"
        ).fetchone()
        return row[0], row[1]

    def bound(self) -> tuple[int, int]:
        """The same in a transaction alone; later rows are numbered above these, whoever writes
        them."""
        row = self.ends()
        self._connection.execute(
            "INSERT INTO changes VALUES ('closing', ?)"
            " ON CONFLICT (what) DO UPDATE SET number = excluded.number",
            (row[0],),
        )
        return row

    def sealed(
        self, before: ClosedDay | None, day: int, bound: tuple[int, int], now_s: int
    ) -> ClosedDay:
        """The day that ends at a bound, after the one closed before it; not written yet."""
        return self.again(before, ClosedDay(day, *bound, now_s, b"", b"", b""))

    def again(self, before: ClosedDay | None, day: ClosedDay) -> ClosedDay:
        """A day as its rows give it: the one that was closed, or something has changed."""
        told = hashlib.sha256()
        sides: dict[tuple[str, str], list[int]] = {}
        first = (before.entry_id, before.posting_id) if before else (0, 0)
        for currency, debit, credit, amount_ncur, row in self._rows(first, day):
            told.update(cbor.encode(row))
            for account, side in ((debit, 0), (credit, 1)):
                sides.setdefault((currency, account), [0, 0])[side] += amount_ncur
        totals = cbor.encode([[*key, *map(str, each)] for key, each in sorted(sides.items())])
        head = before.head if before else FIRST_HEAD
        sums = [day.day, day.entry_id, day.posting_id, day.closed_s, totals, told.digest()]
        head = hashlib.sha256(head + cbor.encode(sums)).digest()
        return replace(day, totals=totals, digest=told.digest(), head=head)

    def _rows(
        self, first: tuple[int, int], day: ClosedDay
    ) -> Iterator[tuple[str, str, str, int, list[object]]]:
        """(currency, debit, credit, amount, what is sealed) of every row of a day."""
        names = dict(self._connection.execute("SELECT code, name FROM accounts").fetchall())
        for row in self._database.stream(_ENTRIES, (first[0], day.entry_id)):
            amount_ncur, currency = row[7:]
            pair = names.get(row[3], "?"), names[_CUSTOMER]
            debit, credit = pair if amount_ncur > 0 else pair[::-1]
            yield currency, debit, credit, abs(amount_ncur), list(row[:7])
        for row in self._database.stream(_POSTINGS, (first[1], day.posting_id)):
            yield row[6], row[3], row[4], row[5], list(row)

    def add(self, before: ClosedDay | None, day: ClosedDay) -> None:
        """Closes a day, inside the caller's transaction. Refused when it is not the next one."""
        row = self._connection.execute(f"{_DAY} ORDER BY day DESC LIMIT 1").fetchone()
        if (ClosedDay(*row) if row else None) != before:
            raise Refused("another program has closed a day meanwhile; try again 请重试")
        self._connection.execute(
            "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                day.day,
                day.entry_id,
                day.posting_id,
                day.closed_s,
                day.totals,
                day.digest,
                day.head,
            ),
        )


def turnover_of(day: ClosedDay) -> list[Turnover]:
    """Debits and credits of every account in a closed day."""
    rows = cast(list[list[str]], cbor.decode(day.totals))
    return [
        Turnover(currency, "", account, int(debit), int(credit))
        for currency, account, debit, credit in rows
    ]
