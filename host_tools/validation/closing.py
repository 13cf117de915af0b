"""Closing a difference with who and why; what closes by itself says so too.

Within the caller's transaction. What is still different opens again with the next message.
"""

from collections.abc import Collection
from dataclasses import dataclass

from host_tools.store.database import Store
from host_tools.validation.versions import connection_of


@dataclass(frozen=True, slots=True)
class Listed:
    """A difference with its point, and what closed it."""

    id: int
    module: str
    point: int
    kind: str
    detail: str
    seq: int
    module_value: str
    host_value: str
    count: int
    opened_s: int
    last_s: int
    closed_s: int | None
    who: str | None
    why: str | None


_LISTED = (
    "SELECT d.id, p.module, p.point, d.class, d.detail, d.seq, d.module_value, d.host_value,"
    " d.count, d.opened_s, d.last_s, d.closed_s, c.who, c.why FROM differences d"
    " JOIN points p ON p.id = d.point_id LEFT JOIN difference_closings c ON c.difference_id = d.id"
)


def listed(store: Store, module: str | None = None, closed: bool = False) -> list[Listed]:
    """Open differences, oldest first; with `closed` all of them."""
    where = "" if closed else " AND d.closed_s IS NULL"
    rows = connection_of(store).execute(
        f"{_LISTED} WHERE (CAST(? AS TEXT) IS NULL OR p.module = ?){where} ORDER BY d.id",
        (module, module),
    )
    return [Listed(*row) for row in rows.fetchall()]


def open_at(store: Store, point_id: int) -> dict[str, int]:
    """{class: the lowest entry} of the open differences of a point."""
    rows = connection_of(store).execute(
        "SELECT class, MIN(seq) FROM differences WHERE point_id = ? AND closed_s IS NULL"
        " GROUP BY class",
        (point_id,),
    )
    return {row[0]: int(row[1]) for row in rows.fetchall()}


def opened_since(
    store: Store, after_id: int, kinds: Collection[str], shards: Collection[int]
) -> list[Listed]:
    """Open differences of some classes and shards with a higher number, oldest first."""
    if not shards:
        return []
    classes, places = (", ".join("?" * len(each)) for each in (kinds, shards))
    rows = connection_of(store).execute(
        f"{_LISTED} JOIN modules m ON m.id = p.module WHERE d.id > ? AND d.closed_s IS NULL"
        f" AND d.class IN ({classes}) AND m.shard IN ({places}) ORDER BY d.id",
        (after_id, *kinds, *shards),
    )
    return [Listed(*row) for row in rows.fetchall()]


def one(store: Store, number: int) -> Listed | None:
    rows = connection_of(store).execute(f"{_LISTED} WHERE d.id = ?", (number,)).fetchall()
    return Listed(*rows[0]) if rows else None


def close(store: Store, number: int, who: str, why: str, now_s: int) -> None:
    """Closes one that is open."""
    connection = connection_of(store)
    connection.execute(
        "UPDATE differences SET closed_s = ? WHERE id = ? AND closed_s IS NULL", (now_s, number)
    )
    connection.execute(
        "INSERT INTO difference_closings (difference_id, who, why, at_s) VALUES (?, ?, ?, ?)",
        (number, who, why, now_s),
    )


def close_kind(store: Store, point_id: int, kind: str, who: str, why: str, now_s: int) -> None:
    """Closes the open ones of a class at a point."""
    rows = connection_of(store).execute(
        "SELECT id FROM differences WHERE point_id = ? AND class = ? AND closed_s IS NULL",
        (point_id, kind),
    )
    for (number,) in rows.fetchall():
        close(store, number, who, why, now_s)
