"""Whether what was added with a seal is as it was added: versions of historic and of settled
readings, and contracted powers. A seal is SHA-256, also over the one before it of the same point.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby

from host_tools.store import tariff_files
from host_tools.store.sql import Database
from host_tools.store.tariff_files import Contract
from host_tools.validation import historic, versions
from host_tools.validation.historic import value_of, version_of
from host_tools.validation.versions import reading_of

HISTORY, READINGS, CONTRACT = "historic readings", "readings", "contract"
Wrong = Iterator[tuple[str, str, str]]
Names = defaultdict[int, str]

_POINTS = "SELECT id, module, point FROM points"
_HISTORY = (
    "SELECT point_id, version, readings, digest, kind, rule, who, why, at_s, file, file_digest,"
    " document FROM history_versions ORDER BY point_id, version"
)
_VALUES = (
    "SELECT obis, start_s, end_s, value, quality, version, origin, failed, unit"
    " FROM history_readings"
    " WHERE point_id = ? AND version = ?"
)
_VERSIONS = (
    "SELECT point_id, version, seal, rule, who, why, at_s FROM vee_versions"
    " ORDER BY point_id, version"
)
_READINGS = (
    "SELECT point_id, seq, start_s, end_s, energy_wh, quality, version, tariff, origin, failed"
    " FROM vee_readings ORDER BY point_id, version, seq"
)
_NAMED = (
    "SELECT 'adjustment', point_id, MAX(version) FROM vee_adjustments GROUP BY point_id"
    " UNION ALL SELECT 'day', point_id, MAX(version) FROM vee_days GROUP BY point_id"
)
_UNFOUNDED = (
    "SELECT COUNT(*) FROM {kind}_readings r WHERE NOT EXISTS (SELECT 1 FROM {kind}_versions v"
    " WHERE v.point_id = r.point_id AND v.version = r.version)"
)
_BEFORE, _CHANGED = "the version before it is missing", "it or its readings have changed"


def wrong(database: Database) -> Wrong:
    """(kind, which, what) of everything that is not as it was added."""
    rows = database.connection.execute(_POINTS).fetchall()
    names: Names = defaultdict(lambda: "?")
    names.update({point_id: f"{module}/{point}" for point_id, module, point in rows})
    yield from _historic(database, names)
    yield from _settled(database, names)
    for kind, table in ((HISTORY, "history"), (READINGS, "vee")):
        ((orphans,),) = database.connection.execute(_UNFOUNDED.format(kind=table)).fetchall()
        if orphans:
            yield kind, "store", f"{orphans} readings of no version"
    yield from _contracts(database, names)


def _historic(database: Database, names: Names) -> Wrong:
    store = database.connection
    before: dict[int, bytes] = {}
    last: Counter[int] = Counter()
    for point_id, version, readings, digest, *made in store.execute(_HISTORY).fetchall():
        where = f"{names[point_id]} version {version}"
        values = [value_of(each) for each in store.execute(_VALUES, (point_id, version))]
        seal = before.get(point_id, historic.FIRST)
        if version != last[point_id] + 1:
            yield HISTORY, where, _BEFORE
        elif len(values) != readings:
            yield HISTORY, where, f"has {len(values)} readings, had {readings}"
        elif historic.sealed(seal, point_id, version, version_of(made), values) != bytes(digest):
            yield HISTORY, where, _CHANGED
        before[point_id], last[point_id] = bytes(digest), version


def _settled(database: Database, names: Names) -> Wrong:
    """The first versions of a point may be from before there were seals."""
    store = database.connection
    folded: dict[int, bytes] = {}
    last: Counter[int] = Counter()
    begun: set[int] = set()
    heads = store.execute(_VERSIONS).fetchall()
    groups = groupby(database.stream(_READINGS), lambda row: (row[0], row[6]))
    key, rows = next(groups, (None, iter(())))
    for point_id, version, seal, *head in heads:
        while key is not None and key < (point_id, version):  # of no version
            key, rows = next(groups, (None, iter(())))
        own = [reading_of(row[1:]) for row in rows] if key == (point_id, version) else []
        before = folded.get(point_id, versions.FIRST)
        folded[point_id] = versions.sealed(before, point_id, version, head, own)
        where = f"{names[point_id]} version {version}"
        if version != last[point_id] + 1:
            yield READINGS, where, _BEFORE
        elif point_id in begun if seal is None else bytes(seal) != folded[point_id]:
            yield READINGS, where, _CHANGED
        if seal is not None:
            begun.add(point_id)
            folded[point_id] = bytes(seal)  # one finding for one change
        last[point_id] = version
    for _ in groups:  # the answer is to be read to its end
        pass
    for what, point_id, version in store.execute(_NAMED).fetchall():
        if version > last[point_id]:
            told = f"its last {what} names version {version}, which is not there"
            yield READINGS, names[point_id], told


def _contracts(database: Database, names: Names) -> Wrong:
    folded: dict[int, bytes] = {}
    last: Counter[int] = Counter()
    rows = database.connection.execute(tariff_files.CONTRACTS.format(where="")).fetchall()
    for point_id, number, seal, *contract in rows:
        before = folded.get(point_id, tariff_files.FIRST)
        folded[point_id] = tariff_files.sealed(before, point_id, Contract(*contract))
        if number is None:  # from before there were seals
            continue
        where = f"{names[point_id]} {number}"
        if number != last[point_id] + 1:
            yield CONTRACT, where, "the one before it is missing"
        elif seal is None or bytes(seal) != folded[point_id]:
            yield CONTRACT, where, "it has changed"
        last[point_id] = number
        folded[point_id] = bytes(seal or b"")
