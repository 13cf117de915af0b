"""Whether historic readings are those that were imported and decided: every version's own SHA-256,
which is over the version before it too."""

from collections.abc import Iterator

from host_tools.store.sql import Database
from host_tools.validation.historic import FIRST, sealed, value_of, version_of

HISTORY = "historic readings"

_VERSIONS = (
    "SELECT v.point_id, p.module, p.point, v.version, v.readings, v.digest, v.kind, v.rule, v.who,"
    " v.why, v.at_s, v.file, v.file_digest, v.document FROM history_versions v"
    " LEFT JOIN points p ON p.id = v.point_id ORDER BY v.point_id, v.version"
)
_READINGS = (
    "SELECT obis, start_s, end_s, value, quality, version, origin, failed, unit"
    " FROM history_readings"
    " WHERE point_id = ? AND version = ?"
)
_UNFOUNDED = (
    "SELECT COUNT(*) FROM history_readings r WHERE NOT EXISTS (SELECT 1 FROM history_versions v"
    " WHERE v.point_id = r.point_id AND v.version = r.version)"
)


def wrong(database: Database) -> Iterator[tuple[str, str, str]]:
    """(kind, which, what) of every version that is not as it was added."""
    store = database.connection
    before: dict[int, bytes] = {}
    counted: dict[int, int] = {}
    for row in store.execute(_VERSIONS).fetchall():
        point_id, module, number, version, readings, digest = row[:6]
        where = f"{module}/{number} version {version}"
        made = version_of(row[6:])
        values = [value_of(each) for each in store.execute(_READINGS, (point_id, version))]
        if version != counted.get(point_id, 0) + 1:
            yield HISTORY, where, "the version before it is missing"
        elif len(values) != readings:
            yield HISTORY, where, f"has {len(values)} readings, had {readings}"
        elif sealed(before.get(point_id, FIRST), point_id, version, made, values) != bytes(digest):
            yield HISTORY, where, "it or its readings have changed"
        before[point_id], counted[point_id] = bytes(digest), version
    ((orphans,),) = store.execute(_UNFOUNDED).fetchall()
    if orphans:
        yield HISTORY, "store", f"{orphans} readings of no version"
