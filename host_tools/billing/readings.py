"""What a bill tells of the readings under it: the worst quality, and how much was estimated.

The share is of the period's time, as check V21 counts it. Reads only.
"""

from dataclasses import replace

from host_tools.billing.statement import Statement
from host_tools.exchange.records import RAW
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import journal
from host_tools.validation.journal import Row
from host_tools.validation.series import (
    ACTUAL,
    ESTIMATED,
    MANUAL,
    MISSING,
    SUBSTITUTED,
    VERIFIED,
    share_permille,
)
from host_tools.validation.versions import Versions
from protocol import tariff

# A reading that is not validated is worse than a good one, and known to be no worse than that.
_BEST_FIRST = (ACTUAL, VERIFIED, RAW, SUBSTITUTED, MANUAL, ESTIMATED, MISSING)


def told(store: Store, point: Point, found: Statement) -> Statement:
    """A statement with the quality of its readings as they stand now."""
    book = journal.book_of(store, point)
    if book is None:
        return found
    before = journal.seq_before(store, point.id, tariff.local_day(book, found.from_s))
    rows = [row for row in journal.rows_of(store, point.id, before) if _in(row, found)]
    seqs = (rows[0].seq, rows[-1].seq) if rows else (0, -1)
    standing = Versions(store).standing(point.id, *seqs)
    upto_seq, _ = journal.mark_of(store, point.id)
    qualities = {
        row.seq: standing[row.seq].quality
        if row.seq in standing
        else (ACTUAL if row.seq <= upto_seq else RAW)
        for row in rows
    }
    worst = max(qualities.values(), key=_BEST_FIRST.index, default=RAW)
    estimated_s = sum(
        max(0, row.time_s - max(row.from_s, found.from_s))  # an unset clock may run backwards
        for row in rows
        if qualities[row.seq] == ESTIMATED
    )
    permille = share_permille(estimated_s, found.to_s - found.from_s)
    return replace(found, worst_quality=worst, estimated_permille=permille)


def _in(row: Row, found: Statement) -> bool:
    """As a statement sorts charges: a reading at midnight ends the day before."""
    return row.is_charge() and found.from_s < row.time_s <= found.to_s
