"""Three nats-server nodes on this machine that hold every message three times.

Ports come from whoever starts them. A node may die at any time: the other two go on, and it
catches up when it is started again.
"""

import http.client
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho

from host_tools import Refused
from host_tools.broker import HOST, Broker, BrokerUser, Seat, free_port, new_password
from host_tools.config import BrokerAddress
from host_tools.mqtt_client import MqttClient

NODES = 3
READY_S_MAX = 120
PORTS_FROM, PORTS_END = 15000, 32000
LOOK_S = 0.1


def unused_ports() -> Iterator[int]:
    """Ports nobody uses now. A node that is down keeps its own: they lie below those that systems
    give to whoever connects."""
    first = secrets.randbelow(PORTS_END - PORTS_FROM)
    for place in range(PORTS_END - PORTS_FROM):
        port = PORTS_FROM + (first + place) % (PORTS_END - PORTS_FROM)
        with suppress(OSError):
            with socket.socket() as probe:
                probe.bind((HOST, port))  # not shared with anybody, as the next one is
            yield free_port(port)


def answer(port: int, path: str) -> bytes | None:
    """What a program of this machine says with which all is well."""
    link = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        link.request("GET", path)
        said = link.getresponse()
        return said.read() if said.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()


def wait_for(ready: Callable[[], bool], name: str, log: Path) -> None:
    """Refused when it takes too long."""
    end_s = time.monotonic() + READY_S_MAX
    while not ready():
        if time.monotonic() > end_s:
            raise Refused(f"{name}: not ready within {READY_S_MAX} s; see {log}")
        time.sleep(LOOK_S)


def greeted(broker: BrokerAddress) -> bool:
    """Whether it lets us in by MQTT. The first one whom it does makes it lay its streams out."""
    client = MqttClient(broker, "gp-cluster")
    try:
        client.connect(broker.host, broker.port)
        while not client.is_connected():
            if client.loop(LOOK_S) != paho.MQTT_ERR_SUCCESS:
                return False
        return True
    except OSError:
        return False
    finally:
        client.disconnect()


class Node:
    """One of them. `broker` is its process, `watch_port` where its health is seen."""

    def __init__(self, folder: Path, ports: Iterator[int], host_password: str, seat: Seat) -> None:
        self.name = seat.name
        self.watch_port = seat.watch_port
        self.broker = Broker(folder, next(ports), host_password, next(ports), seat)

    def healthy(self) -> bool:
        """True when it has caught up with its cluster."""
        return answer(self.watch_port, "/healthz") is not None


class Nodes:
    """The cluster. `start` returns once it takes and keeps messages."""

    def __init__(self, folder: Path, ports: Iterator[int], host_password: str) -> None:
        routes = tuple(next(ports) for _ in range(NODES))
        among = new_password()
        seats = [
            Seat(f"node-{number}", route, next(ports), routes, among)
            for number, route in enumerate(routes, 1)
        ]
        self.all = [Node(folder / seat.name, ports, host_password, seat) for seat in seats]

    @property
    def address(self) -> BrokerAddress:
        """Where and as whom the host connects by MQTT, to any of them."""
        return _joined([node.broker.address for node in self.all])

    @property
    def nats_address(self) -> BrokerAddress:
        """The same for a pull reader."""
        return _joined([node.broker.nats_address for node in self.all])

    def start(self, users: Iterable[BrokerUser]) -> None:
        """Refused in one line when one of them will not run."""
        users = tuple(users)
        for node in self.all:
            node.broker.start(users)
        self.wait()
        first = self.all[0]
        wait_for(lambda: greeted(first.broker.address), first.name, first.broker.log)

    def wait(self) -> None:
        """Until every node has caught up."""
        for node in self.all:
            wait_for(node.healthy, node.name, node.broker.log)

    def stop(self) -> None:
        for node in self.all:
            node.broker.stop()


def _joined(addresses: list[BrokerAddress]) -> BrokerAddress:
    first, *others = addresses
    return replace(first, fallbacks=tuple((each.host, each.port) for each in others))
