"""What was issued, added or entered for good: bills and receipts with their numbers, tariff files,
entries of the host with their postings."""

import hashlib
import json
from collections.abc import Iterator

from host_tools.store.sql import Connection

BILL, TARIFF, ENTRY = "bill", "tariff", "host entry"
_ALL = (
    "SELECT 'bill', number, series, year, place, content, digest FROM bills UNION ALL"
    " SELECT 'receipt', number, series, year, place, content, digest FROM receipts"
)
# Entries of the host that have no posting of their amount, and postings of no entry.
_UNPOSTED = (
    "SELECT h.number FROM host_entries h WHERE NOT EXISTS (SELECT 1 FROM postings o"
    " WHERE o.source = 'entry' AND o.number = h.number AND o.point_id = h.point_id"
    " AND o.amount_ncur = ABS(h.amount_ncur)) ORDER BY h.number"
)
_UNFOUNDED = (
    "SELECT o.id FROM postings o WHERE o.source = 'entry' AND o.number > 0"
    " AND NOT EXISTS (SELECT 1 FROM host_entries h"
    " WHERE h.number = o.number AND h.point_id = o.point_id) ORDER BY o.id"
)


def wrong(store: Connection) -> Iterator[tuple[str, str, str]]:
    """(kind, which, what) of everything that is not as it was."""
    yield from _numbered(store)
    for version, text, digest in store.execute(
        "SELECT version, text, digest FROM tariff_documents ORDER BY version"
    ).fetchall():
        if hashlib.sha256(text.encode()).digest() != digest:
            yield TARIFF, f"version {version}", "its file is not what was added"
    for (number,) in store.execute(_UNPOSTED).fetchall():
        yield ENTRY, f"{number}", "has no posting of its amount"
    for (number,) in store.execute(_UNFOUNDED).fetchall():
        yield ENTRY, f"posting {number}", "its entry is not there"


def _numbered(store: Connection) -> Iterator[tuple[str, str, str]]:
    places: dict[tuple[str, int], list[int]] = {}
    for kind, number, series, year, place, content, digest in store.execute(_ALL):
        places.setdefault((series, year), []).append(place)
        if hashlib.sha256(content.encode()).digest() != digest:
            yield BILL, f"{kind} {number}", "its content is not what was issued"
        elif json.loads(content)["number"] != number:
            yield BILL, f"{kind} {number}", "its content has another number"
    for series, year, first, upto in store.execute(
        "SELECT name, year, first, last FROM lost_numbers"
    ).fetchall():
        places.setdefault((series, year), []).extend(range(first, upto + 1))
    rows = store.execute("SELECT name, year, last FROM series").fetchall()
    last = {(name, year): place for name, year, place in rows}
    for key in sorted({*places, *last}):
        if sorted(places.get(key, [])) != list(range(1, last.get(key, 0) + 1)):
            yield BILL, f"series {key[0]}-{key[1]}", "a number is missing or was given twice"
