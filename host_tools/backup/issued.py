"""Bills and receipts as they were issued: their content, and that no number is missing."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator

_ALL = (
    "SELECT 'bill', number, series, year, place, content, digest FROM bills UNION ALL"
    " SELECT 'receipt', number, series, year, place, content, digest FROM receipts"
)


def wrong(store: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """(which, what) of everything that is not as it was issued."""
    places: dict[tuple[str, int], list[int]] = {}
    for kind, number, series, year, place, content, digest in store.execute(_ALL):
        places.setdefault((series, year), []).append(place)
        if hashlib.sha256(content.encode()).digest() != digest:
            yield f"{kind} {number}", "its content is not what was issued"
        elif json.loads(content)["number"] != number:
            yield f"{kind} {number}", "its content has another number"
    last = {(name, year): n for name, year, n in store.execute("SELECT * FROM series").fetchall()}
    for key in sorted({*places, *last}):
        if sorted(places.get(key, [])) != list(range(1, last.get(key, 0) + 1)):
            yield f"series {key[0]}-{key[1]}", "a number is missing or was given twice"
