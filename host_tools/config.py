"""The configuration of the host's service: one TOML file, each value overridden by environment.

    data_dir = "data"            GRIDPURSE_DATA_DIR
    shards = [0]                 GRIDPURSE_SHARDS=0,1
    clock_file = "clock"         GRIDPURSE_CLOCK_FILE     simulated time only
    [broker]
    host = "127.0.0.1"           GRIDPURSE_BROKER_HOST
    port = 1883                  GRIDPURSE_BROKER_PORT
    fallbacks = "b2:1883"        GRIDPURSE_BROKER_FALLBACKS   the cluster's other nodes, in turn
    ca_file = "ca.pem"           GRIDPURSE_BROKER_CA_FILE     TLS; trusts nobody else
    user = "host"                GRIDPURSE_BROKER_USER
    password_file = "secret"     GRIDPURSE_BROKER_PASSWORD_FILE, or ..._PASSWORD itself
    kind = "mqtt"                GRIDPURSE_BROKER_KIND    "nats": pull from JetStream at `port`
    [store]
    url = "postgresql://..."     GRIDPURSE_STORE_URL      none: SQLite in the data folder
    password_file = "secret"     GRIDPURSE_STORE_PASSWORD_FILE, or ..._PASSWORD, or PGPASSFILE
    [settle]
    batch_messages = 4000        most messages of one transaction
    shards_max = 0               most shards of this worker; 0: all of the list
    poll_ms = 200                how soon a queued command is noticed
    log = "text"                 GRIDPURSE_LOG            "json": one object a line
    [http]
    host = "127.0.0.1"           GRIDPURSE_HTTP_HOST
    port = 0                     GRIDPURSE_HTTP_PORT      health and metrics; 0: none

Relative paths in the file are relative to it. Every error is one line: file, key, remedy.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from host_tools import Refused, master_key, tls
from host_tools.clock import Clock, FileClock, SystemClock
from protocol import places, topics
from protocol.units import Malformed

DEFAULT_FILE = "gridpurse.toml"
MQTT = "mqtt"
NATS = "nats"
TEXT, JSON = "text", "json"
PREFIX = "GRIDPURSE_"
PASSWORD = f"{PREFIX}BROKER_PASSWORD"
STORE_PASSWORD = f"{PREFIX}STORE_PASSWORD"
POSTGRESQL = ("postgresql://", "postgres://")
NOT_UTF_8 = "is not UTF-8; save it as UTF-8 请另存为 UTF-8"
LIKE = 0.7  # how much a variable must look like one of ours to be taken for a slip


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is and who we are there; `fallbacks` are other nodes of the same cluster."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    kind: str = "mqtt"
    fallbacks: tuple[tuple[str, int], ...] = ()
    ca_file: Path | None = None  # None: no TLS

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def fallbacks_text(self) -> str:
        """As settings of host and module write them."""
        return ",".join(f"{host}:{port}" for host, port in self.fallbacks)

    def turned(self) -> "BrokerAddress":
        """The same cluster with its next node in front."""
        (host, port), *others = (*self.fallbacks, (self.host, self.port))
        return replace(self, host=host, port=port, fallbacks=tuple(others))


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the ledgers are: in a file of the data folder, or, with a URL, on a PostgreSQL server.

    Keys of modules are in the folder either way.
    """

    folder: Path
    url: str = ""
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The URL without its options."""
        return self.url.split("?")[0]


@dataclass(frozen=True, slots=True)
class Settings:
    broker: BrokerAddress
    shards: tuple[int, ...]
    data_dir: Path
    clock_file: Path | None
    batch_messages: int
    poll_ms: int
    shards_max: int = 0
    log: str = TEXT
    http_host: str = "127.0.0.1"
    http_port: int = 0
    store_url: str = ""
    store_password: str = field(default="", repr=False)

    def store(self) -> StoreAddress:
        return StoreAddress(self.data_dir, self.store_url, self.store_password)

    def clock(self) -> Clock:
        return FileClock(self.clock_file) if self.clock_file else SystemClock()


class _Table:
    """One table of the file with the environment on top; every key is taken once, none is left."""

    def __init__(
        self,
        where: str,
        values: dict[str, object],
        environ: Mapping[str, str],
        names: set[str] | None = None,
    ) -> None:
        self._where = where
        self._values = dict(values)
        self._environ = environ
        self.names = set() if names is None else names  # variables asked for, by all tables

    def _raw(self, key: str, variable: str) -> tuple[object, str]:
        """The value and the place it came from, for messages."""
        value = self._values.pop(key, None)
        self.names.add(variable)
        if variable in self._environ:
            return self._environ[variable], variable
        return value, f"{self._where}{key}"

    def text(self, key: str, variable: str, default: str) -> str:
        value, place = self._raw(key, variable)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Refused(f"{place}: must be a text in quotes")
        return value

    def name(self, key: str, variable: str, default: str) -> str:
        """A text that is not empty: an empty host would mean every interface."""
        text = self.text(key, variable, default)
        if not text.strip():
            place = variable if variable in self._environ else f"{self._where}{key}"
            raise Refused(f"{place}: must not be empty; remove it for {default}")
        return text

    def choice(self, key: str, variable: str, *choices: str) -> str:
        """One of the words; the first one is the default."""
        value, place = self._raw(key, variable)
        if value is None:
            return choices[0]
        if not isinstance(value, str) or value not in choices:
            raise Refused(f"{place}: must be " + " or ".join(f'"{item}"' for item in choices))
        return value

    def path(self, key: str, variable: str, base: Path, default: str) -> Path | None:
        """A path: relative to `base` in the file, to the working folder in the environment."""
        from_file = variable not in self._environ
        text = self.text(key, variable, default)
        if not text:
            return None
        return base / text if from_file else Path(text)

    def whole(self, key: str, variable: str, default: int, low: int, high: int) -> int:
        value, place = self._raw(key, variable)
        return default if value is None else _whole(value, place, low, high)

    def wholes(self, key: str, variable: str, low: int, high: int) -> tuple[int, ...]:
        value, place = self._raw(key, variable)
        if value is None:
            return (0,)
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list) or not items:
            raise Refused(f"{place}: must be a list such as [0, 1]")
        out = tuple(_whole(item, place, low, high) for item in items)
        if len(set(out)) != len(out):
            raise Refused(f"{place}: names one shard twice; remove one")
        return out

    def table(self, key: str) -> "_Table":
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise Refused(f"{self._where}{key}: must be a table, written [{key}]")
        return _Table(f"{self._where}{key}.", value, self._environ, self.names)

    def finish(self) -> None:
        for key in self._values:
            raise Refused(f"{self._where}{key}: is unknown; remove it")


def _whole(value: object, place: str, low: int, high: int) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(f"{place}: must be a whole number from {low} to {high}")
    return value


def read_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings of a file (None: gridpurse.toml where it exists) and the environment."""
    document: dict[str, object] = {}
    if path is None and Path(DEFAULT_FILE).exists():
        path = Path(DEFAULT_FILE)
    base = Path()
    if path is not None:
        document, base = read_toml(path), path.parent
    top = _Table(f"{path}: " if path else "", document, environ)
    in_file = "GRIDPURSE_DATA_DIR" not in environ
    data_dir = Path(top.name("data_dir", "GRIDPURSE_DATA_DIR", "gridpurse-data"))
    shards = top.wholes("shards", "GRIDPURSE_SHARDS", 0, topics.SHARD_MAX)
    clock_file = top.path("clock_file", "GRIDPURSE_CLOCK_FILE", base, "")
    broker = _broker(top.table("broker"), base, environ)
    store_url, store_password = _store(top.table("store"), base, environ)
    settle = top.table("settle")
    batch_messages = settle.whole("batch_messages", "GRIDPURSE_BATCH_MESSAGES", 4000, 1, 20000)
    poll_ms = settle.whole("poll_ms", "GRIDPURSE_POLL_MS", 200, 10, 60000)
    most = len(shards)
    shards_max = settle.whole("shards_max", "GRIDPURSE_SHARDS_MAX", 0, 0, most)
    log = settle.choice("log", "GRIDPURSE_LOG", TEXT, JSON)
    settle.finish()
    http = top.table("http")
    http_host = http.name("host", "GRIDPURSE_HTTP_HOST", "127.0.0.1")
    http_port = http.whole("port", "GRIDPURSE_HTTP_PORT", 0, 0, 65535)
    http.finish()
    top.finish()
    _refuse_slips(environ, {*top.names, PASSWORD, STORE_PASSWORD, master_key.VARIABLE})
    return Settings(
        broker,
        shards,
        base / data_dir if in_file else data_dir,
        clock_file,
        batch_messages,
        poll_ms,
        shards_max,
        log,
        http_host,
        http_port,
        store_url,
        store_password,
    )


def _refuse_slips(environ: Mapping[str, str], names: set[str]) -> None:
    """A misspelt variable would be a setting silently ignored. Others may begin like ours."""
    ours = [name.removeprefix(PREFIX) for name in sorted(names)]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in names:
            like = get_close_matches(name.removeprefix(PREFIX), ours, 1, LIKE)
            if like:
                raise Refused(f"{name}: is unknown; did you mean {PREFIX}{like[0]}?")


def _broker(table: _Table, base: Path, environ: Mapping[str, str]) -> BrokerAddress:
    host = table.name("host", "GRIDPURSE_BROKER_HOST", "127.0.0.1")
    port = table.whole("port", "GRIDPURSE_BROKER_PORT", 1883, 1, 65535)
    user = table.text("user", "GRIDPURSE_BROKER_USER", "")
    path = table.path("password_file", "GRIDPURSE_BROKER_PASSWORD_FILE", base, "")
    kind = table.choice("kind", "GRIDPURSE_BROKER_KIND", MQTT, NATS)
    listed = table.text("fallbacks", "GRIDPURSE_BROKER_FALLBACKS", "")
    try:
        fallbacks = places.all_of("[broker] fallbacks", listed)
    except Malformed as error:
        raise Refused(error.detail) from error
    ca_file = table.path("ca_file", "GRIDPURSE_BROKER_CA_FILE", base, "")
    if ca_file:
        tls.trusting(ca_file)
    table.finish()
    password = environ.get(PASSWORD, "") or _password(path, "broker")
    return BrokerAddress(host, port, user, password, kind, fallbacks, ca_file)


def _store(table: _Table, base: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """URL and password of a PostgreSQL server; empty for SQLite."""
    url = table.text("url", "GRIDPURSE_STORE_URL", "")
    path = table.path("password_file", "GRIDPURSE_STORE_PASSWORD_FILE", base, "")
    table.finish()
    if not url:
        return "", ""
    check_url(url)
    return url, environ.get(STORE_PASSWORD, "") or _password(path, "store")


def check_url(url: str) -> None:
    """Refused for what cannot be the URL of a store, without telling it: it may hold a secret."""
    if not url.startswith(POSTGRESQL):
        raise Refused("store.url: must begin with postgresql://; without it the store is SQLite")
    try:
        open_word = urlsplit(url).password is not None or "password=" in url
    except ValueError as error:
        raise Refused("store.url: is not a URL; write postgresql://user@host/database") from error
    if open_word:
        raise Refused("store.url: must not hold the password; put it into store.password_file")


def _password(path: Path | None, whose: str) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: the {whose}'s password cannot be read: {error}") from error


def toml_text(path: Path) -> str:
    """A TOML file without the mark that Notepad puts before it; Refused in one line."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise Refused(f"{path}: no such file") from error
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: {NOT_UTF_8}") from error


def read_toml(path: Path) -> dict[str, object]:
    """A TOML document; Refused in one line when there is none."""
    try:
        return tomllib.loads(toml_text(path))
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path}: not TOML: {error}") from error
