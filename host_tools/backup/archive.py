"""One file that is a whole backup: the store as SQLite copied it, then a manifest with its hash.

SQLite ignores what follows its last page, so the file opens as a database too, where nothing else
is left. Keys of modules are not in it: whoever reads a backup must not be able to speak for the
fleet. The manifest has a check of each key, which tells whether a key that is found later fits.
Nothing stands under its final name before it is whole and on the disk.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from host_tools import Refused
from host_tools.backup import moving
from host_tools.config import StoreAddress
from host_tools.files import PRIVATE
from host_tools.keys import KeyFiles
from host_tools.store import database
from host_tools.store.sql import Database, Failure, migrating, sqlite

MAGIC = b"\ngridpurse backup 1\n"
MANIFEST_BYTES_MAX = 1 << 28
KEYS = "keys"
# More than are given out between a backup and its restore: command ids that a module has seen and
# generations whose readers the broker has must not be given out again. The next worker asks the
# broker for the reader of each generation, so these are not as many.
COMMANDS_LEAP = 1000
GENERATIONS_LEAP = 200
_HASH_BYTES = 32
_LENGTH_BYTES = 8
_TAIL_BYTES = _HASH_BYTES + _LENGTH_BYTES + len(MAGIC)
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """`entries` is the number of the last journal row; `keys`: {module: check, None without}."""

    schema: int
    taken_s: int
    bytes: int
    sha256: str
    entries: int
    modules: int
    points: int
    keys: dict[str, str | None]


def take(place: StoreAddress, file: Path, now_s: int) -> Manifest:
    """Copies a store into a file while others write to it: one instant of it."""
    if file.exists():
        raise Refused(f"{file}: exists already; name a new file 文件已存在，请换名")
    new = file.with_name(f"{file.name}.new")
    with half_gone(new), source(place) as store:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        if isinstance(store, sqlite.SqliteDatabase):
            _copied(store.connection, new)
        else:
            _gathered(store, new)
        manifest = _described(new, place.folder.joinpath(KEYS), now_s)
        with new.open("ab") as stream:
            stream.write(_tail(manifest))
            _synced(stream)
        new.rename(file)
        _sync_folder(file.parent)
    return manifest


@contextmanager
def half_gone(new: Path) -> Iterator[None]:
    """Half a file goes, whatever ended the work; a failure of the system names the file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(error.filename or new)) from error
    finally:
        for path in (new, new.with_name(f"{new.name}-journal")):
            with suppress(OSError):
                path.unlink(missing_ok=True)


@contextmanager
def read_only(path: Path, immutable: bool = False) -> Iterator[sqlite3.Connection]:
    """A store as it is, of no newer schema than this program's; it is never brought up to date."""
    if not path.is_file():
        raise Refused(f"{path}: no such store; name its folder with --data 无此数据库")
    how = "immutable=1" if immutable else "mode=ro"
    wait_s = sqlite.BUSY_TIMEOUT_MS // 1000
    try:
        uri = f"{path.resolve().as_uri()}?{how}"
        connection = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)
        try:
            known = connection.execute(
                "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_version'"
            ).fetchone()
            if known != (1,):
                raise Refused(f"{path}: it is not a Gridpurse store 不是本系统的数据库")
            at = sqlite.version_of(connection)
            if at > migrating.newest():
                raise Refused(
                    f"{path}: schema {at} is newer than this program's {migrating.newest()};"
                    " update it 数据库版本较新，请升级程序"
                )
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise sqlite.explained(error, path) from error


@contextmanager
def source(place: StoreAddress) -> Iterator[Database]:
    """A store as it is, only to be read."""
    if place.url:
        from host_tools.store.sql import postgres  # noqa: PLC0415 - see store/database.py

        with postgres.looked_at(place) as store:
            yield store
        return
    path = place.folder.joinpath(database.FILE)
    with read_only(path) as connection:
        yield sqlite.SqliteDatabase(connection, path)


def _gathered(store: Database, new: Path) -> None:
    """All rows of a store on PostgreSQL, in a file of SQLite at the same schema."""
    try:
        copy = sqlite3.connect(new, isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous = OFF")  # synced as a whole, or gone
            sqlite.migrate(copy, new)
            copy.execute("BEGIN")
            store.begin_instant()
            moving.to_sqlite(store, copy)
            copy.execute("COMMIT")
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise sqlite.explained(error, new) from error


def _copied(store: sqlite3.Connection, new: Path) -> None:
    """All pages in one step: a writer that commits between two would make it begin again."""
    try:
        copy = sqlite3.connect(new, isolation_level=None)
        try:
            store.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise sqlite.explained(error, new) from error


def _described(new: Path, keys: Path, now_s: int) -> Manifest:
    with read_only(new, immutable=True) as copy:
        schema = sqlite.version_of(copy)
        modules = [row[0] for row in copy.execute("SELECT id FROM modules ORDER BY id")]
        (points,) = copy.execute("SELECT COUNT(*) FROM points").fetchone()
        (entries,) = copy.execute("SELECT COALESCE(MAX(rowid), 0) FROM entries").fetchone()
    with new.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    checks = {module: key_check(keys, module) for module in modules}
    size = new.stat().st_size
    return Manifest(schema, now_s, size, digest, entries, len(modules), points, checks)


def key_check(folder: Path, module: str) -> str | None:
    """Tells whether two keys are one, and nothing about the key; None without a usable one."""
    try:
        key = KeyFiles(folder).load(module)
    except Refused:
        return None
    return None if key is None else key.check()


def _tail(manifest: Manifest) -> bytes:
    text = json.dumps(asdict(manifest)).encode()
    return text + hashlib.sha256(text).digest() + len(text).to_bytes(_LENGTH_BYTES, "big") + MAGIC


def manifest_of(file: Path) -> Manifest:
    """What a backup says of itself; Refused when the file is none or not whole."""
    broken = f"{file}: not a whole backup; take another one 不是完整的备份，请另取一份"
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read()
        length = int.from_bytes(tail[_HASH_BYTES : _HASH_BYTES + _LENGTH_BYTES], "big")
        begin = size - _TAIL_BYTES - length
        if not tail.endswith(MAGIC) or length > MANIFEST_BYTES_MAX or begin < 0:
            raise Refused(broken)
        stream.seek(begin)
        text = stream.read(length)
    if hashlib.sha256(text).digest() != tail[:_HASH_BYTES]:
        raise Refused(broken)
    try:
        manifest = Manifest(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise Refused(f"{file}: made by another program; update this one 请升级程序") from error
    if manifest.bytes != begin:
        raise Refused(broken)
    return manifest


def check_hash(file: Path, manifest: Manifest, to: BinaryIO | None = None) -> None:
    """Reads the store in a backup, writes it where one says; Refused when it has changed."""
    told = hashlib.sha256()
    left = manifest.bytes
    with file.open("rb") as stream:
        while left:
            data = stream.read(min(left, _CHUNK_BYTES))
            if not data:
                break
            told.update(data)
            left -= len(data)
            if to is not None:
                to.write(data)
    if left or told.hexdigest() != manifest.sha256:
        raise Refused(
            f"{file}: its bytes are not those that were backed up; take another backup"
            " 内容与校验值不符，请另取一份备份"
        )


# Later than all that is held against it, though the clock of this host may be behind.
_RESTORED = (
    "INSERT INTO changes (what, number) VALUES ('restored', (SELECT MAX(at_s) FROM ("
    "SELECT ? AS at_s UNION ALL SELECT resumed_s + 1 FROM series)))"
    " ON CONFLICT (what) DO UPDATE SET number = excluded.number"
)


def restore(file: Path, place: StoreAddress, now_s: int) -> Manifest:
    """Makes a store from a backup, at the newest schema, and marks it as restored.

    Leases end, and what modules and broker may have seen since is not given out again. Both
    databases take backups of either.
    """
    manifest = manifest_of(file)
    if manifest.schema > migrating.newest():
        raise Refused(
            f"{file}: schema {manifest.schema} is newer than this program's {migrating.newest()};"
            " update it 备份版本较新，请升级程序"
        )
    folder = place.folder
    path = folder.joinpath(database.FILE)
    for name in (path.name, f"{path.name}-wal"):
        if not place.url and folder.joinpath(name).exists():
            raise Refused(
                f"{folder}: has a store already; name another folder 已有数据库，请换目录"
            )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with half_gone(new):
        new.unlink(missing_ok=True)
        opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with os.fdopen(opened, "wb") as stream:
            check_hash(file, manifest, stream)
            _synced(stream)
        _prepared(new, now_s)
        if place.url:
            _poured(new, place)
            return manifest
        new.rename(path)
        _sync_folder(folder)
    return manifest


def _prepared(new: Path, now_s: int) -> None:
    try:
        store = sqlite3.connect(new, isolation_level=None)
        try:
            store.execute("PRAGMA synchronous = FULL")
            sqlite.migrate(store, new)
            store.execute("BEGIN IMMEDIATE")
            store.execute(
                "UPDATE leases SET until_ms = 0, generation = generation + ?", (GENERATIONS_LEAP,)
            )
            store.execute("UPDATE modules SET command_id = command_id + ?", (COMMANDS_LEAP,))
            store.execute(_RESTORED, (now_s,))
            # Statements of before tell nothing of what was lost; one that comes now has an
            # instant, by its module's clock, which cannot be held against that of this host.
            store.execute("UPDATE points SET statement_s = NULL")
            store.execute("DELETE FROM statements_ahead")
            store.execute("UPDATE changes SET number = number + 1 WHERE what = 'fleet'")
            store.execute("COMMIT")
        finally:
            store.close()
    except sqlite3.Error as error:
        raise sqlite.explained(error, new) from error


def _poured(new: Path, place: StoreAddress) -> None:
    """Fills an empty database with a store that is ready to go on."""
    from host_tools.store.sql import postgres  # noqa: PLC0415 - see store/database.py

    store = postgres.opened(place, create=True)
    try:
        with closing(store.connection), closing(sqlite3.connect(new)) as rows:
            store.begin(beside=False)
            if store.connection.execute("SELECT 1 FROM modules LIMIT 1").fetchone():
                raise Refused(
                    f"{place.shown}: has a store already; name another database"
                    " 已有数据库，请另建数据库"
                )
            moving.to_postgres(rows, store.connection)
            store.commit()
    except Failure as error:
        raise store.explained(error) from error


def _synced(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
