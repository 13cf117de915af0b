"""All processes of the trial cluster: nodes, workers, and modules if wanted.

They end with the process that started them, and in order when it stops them: modules, then
workers, which finish the batch in hand, then the store's server and the nodes.
"""

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from host_tools import tariffs
from host_tools.broker import BrokerUser, new_password
from host_tools.clock import SystemClock
from host_tools.cluster import postgres
from host_tools.cluster.nodes import Nodes, answer, wait_for
from host_tools.config import DEFAULT_FILE, MQTT, NATS, BrokerAddress, StoreAddress
from host_tools.files import PRIVATE, write_whole
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.processes import Program, ours
from host_tools.settlement import enrol
from host_tools.setup import SECRET
from host_tools.simulate import broker_users
from host_tools.store.database import open_store

WORKERS = 2
SHARDS = 4
RESTART_S = 2  # between two starts of one program
DATA = "data"
POSTGRES = "postgres"
STORE_SECRET = "store.secret"  # noqa: S105 - the name of a file
MODULES_FILE = "modules.toml"  # the configuration that modules are simulated by
TARIFF = Path(__file__).parents[1] / "tariff_files" / "cn-bj-2012.toml"

_CONFIG = """# Made anew by `gridpurse cluster`. The keys: host_tools/config.py.
data_dir = "."
shards = {shards}

[broker]
kind = "{kind}"
host = "{host}"
port = {port}
fallbacks = "{fallbacks}"
user = "{user}"
password_file = "{secret}"
{store}"""
_STORE = """
[store]
url = "{url}"
password_file = "{secret}"
"""


class Worker(Program):
    """One `gridpurse settle`; no more than its share of the shards, so that all work."""

    def __init__(self, name: str, data: Path, http_port: int, environ: Mapping[str, str]) -> None:
        self.http_port = http_port
        own = {
            "GRIDPURSE_HTTP_PORT": str(http_port),
            "GRIDPURSE_SHARDS_MAX": str(-(-SHARDS // WORKERS)),
        }
        command = ours("settle", "--config", str(data / DEFAULT_FILE))
        super().__init__(name, command, data.parent / f"{name}.log", {**environ, **own})

    def serves(self) -> bool:
        """True when the nodes deliver it all of its shards, or it has none and stands by."""
        return answer(self.http_port, "/readyz") is not None

    def shards(self) -> list[int]:
        """Those that it has and is delivered."""
        said = answer(self.http_port, "/readyz")
        return list(json.loads(said)["shards"]) if said else []


class Cluster:
    """`server` is the folder of PostgreSQL's binaries, None for SQLite; `environ` is added to the
    workers' environment."""

    def __init__(
        self,
        folder: Path,
        ports: Iterator[int],
        server: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / DATA
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.nodes = Nodes(folder, ports, _kept(self.data / SECRET))
        self.workers = [
            Worker(f"worker-{number}", self.data, next(ports), environ or {})
            for number in range(1, WORKERS + 1)
        ]
        self.modules: Program | None = None
        self.postgres = None
        if server is not None:
            secret = _kept(self.data / STORE_SECRET)
            self.postgres = postgres.Server(server, folder / POSTGRES, next(ports), secret)
        self._started_s: dict[str, float] = {}

    @property
    def store(self) -> StoreAddress:
        if self.postgres is None:
            return StoreAddress(self.data)
        return StoreAddress(self.data, self.postgres.url, self.postgres.password)

    def open(self) -> None:
        """The store's server, if it has one, takes connections then."""
        if self.postgres is not None:
            self.postgres.prepare()
            self.postgres.start()
            wait_for(self.postgres.answers, self.postgres.name, self.postgres.log)

    def start(self, modules: int = 0) -> None:
        """Refused in one line when something will not run."""
        self.open()
        self.launch(self._enrolled(modules))
        if modules:
            names = [_module(number) for number in range(modules)]
            config = str(self.data / MODULES_FILE)
            command = ours("simulate", "--config", config, "--auto-close", "--module", *names)
            self.modules = Program("modules", command, self.folder / "modules.log")
            self.modules.start()

    def launch(self, users: Iterable[BrokerUser]) -> None:
        """Nodes that let these modules in, and workers that are served by them."""
        self._write_config(DEFAULT_FILE, NATS, self.nodes.nats_address)
        self._write_config(MODULES_FILE, MQTT, self.nodes.address)
        self.nodes.start(users)
        for worker in self.workers:
            worker.start()
        for worker in self.workers:
            wait_for(worker.serves, worker.name, worker.log)
        wait_for(self.served, "a worker for each shard", self.workers[0].log)

    def served(self) -> bool:
        """True when each shard has its worker; what is published before has nobody to keep it."""
        found = [shard for worker in self.workers for shard in worker.shards()]
        return sorted(found) == list(range(SHARDS))

    def revived(self) -> list[str]:
        """Starts again what has ended by itself; its names. Refused when a node will not run."""
        out = []
        for name, pid, again in self.running():
            if pid or time.monotonic() < self._started_s.get(name, 0) + RESTART_S:
                continue
            self._started_s[name] = time.monotonic()
            again()
            out.append(name)
        return out

    def running(self) -> list[tuple[str, int, Callable[[], None]]]:
        """(name, pid or 0, what starts it again) of all that should run."""
        found = [(node.name, node.broker.pid, node.broker.restart) for node in self.nodes.all]
        programs = [self.postgres, *self.workers, self.modules]
        return found + [(each.name, each.pid, each.start) for each in programs if each]

    def stop(self) -> None:
        if self.modules is not None:
            self.modules.end(signal.SIGINT)
        for worker in self.workers:
            worker.end()
        if self.postgres is not None:
            self.postgres.end(signal.SIGINT)  # PostgreSQL's own fast shutdown
        self.nodes.stop()

    def _enrolled(self, modules: int) -> list[BrokerUser]:
        """Who may log in at the nodes: every module of the store, so many at least."""
        store = open_store(self.store)
        try:
            book = tariffs.read_book(TARIFF)
            keys, now_s = KeyFiles(self.data / KEYS_FOLDER), SystemClock().now_s()
            for number in range(modules):
                name = _module(number)
                if store.fleet.module(name) is None:
                    point = enrol.NewPoint(0, f"Flat-{number + 1}", str(TARIFF), book)
                    enrol.enrol(store, keys, name, number % SHARDS, [point], now_s)
            return broker_users(self.data, store)
        finally:
            store.close()

    def _write_config(self, name: str, kind: str, address: BrokerAddress) -> None:
        url = "" if self.postgres is None else self.postgres.url
        text = _CONFIG.format(
            store="" if not url else _STORE.format(url=url, secret=STORE_SECRET),
            shards=list(range(SHARDS)),
            kind=kind,
            host=address.host,
            port=address.port,
            fallbacks=address.fallbacks_text,
            user=address.user,
            secret=SECRET,
        )
        write_whole(self.data / name, text, PRIVATE)


def _kept(secret: Path) -> str:
    """The password in a file, made the first time."""
    if not secret.exists():
        write_whole(secret, new_password(), PRIVATE)
    return secret.read_text(encoding="utf-8").strip()


def _module(number: int) -> str:
    return f"gp-{number + 1}"
