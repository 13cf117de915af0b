"""A fleet that publishes at its own pace, whatever happens to the nodes of its cluster.

Connections as modules have them: MQTT 3.1.1, QoS 1, spread over the nodes. When one breaks, its
lane goes to the next node and sends again what was not acknowledged, in order. A process of its
own, so that it takes no turn from who is measured.
"""

import multiprocessing
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from firmware import mqtt_codec
from host_tools.config import BrokerAddress
from tests.bench import fleet

LANES = 6
UNDER_WAY_MAX = 500  # of one lane
ANSWER_S = 5
TICK_S = 0.02
CHUNK = 65536
_PUBACK = struct.Struct(">BBH")


class Lane(threading.Thread):
    """One connection. `waiting` is filled by the pace; closed by `over`."""

    def __init__(self, number: int, broker: BrokerAddress) -> None:
        super().__init__(daemon=True)
        self.waiting: deque[tuple[str, bytes]] = deque()
        self.over = threading.Event()
        self.acknowledged = self.again = 0
        self._name = f"lane-{number}"
        self._broker = broker
        for _ in range(number % (1 + len(broker.fallbacks))):
            self._broker = self._broker.turned()
        self._under_way: dict[int, bytes] = {}  # packet id: message, in the order of sending
        self._packet = 0

    def run(self) -> None:
        while not self._done():
            try:
                with self._connected() as link:
                    self._serve(link)
            except OSError:
                self._broker = self._broker.turned()
                self.over.wait(TICK_S)

    def _done(self) -> bool:
        return self.over.is_set() and not self.waiting and not self._under_way

    def _connected(self) -> socket.socket:
        broker = self._broker
        link = socket.create_connection((broker.host, broker.port), timeout=ANSWER_S)
        try:
            link.sendall(mqtt_codec.connect(self._name, 0, broker.user, broker.password.encode()))
            if link.recv(4) != b"\x20\x02\x00\x00":
                raise ConnectionError("no CONNACK")
        except OSError:
            link.close()
            raise
        return link

    def _serve(self, link: socket.socket) -> None:
        link.sendall(b"".join(self._under_way.values()))
        self.again += len(self._under_way)
        rest, heard_s = b"", time.monotonic()
        while not self._done():
            link.sendall(b"".join(self._next()))
            readable, _, _ = select.select([link], [], [], TICK_S)
            if readable:
                rest = self._heard(rest + self._received(link))
                heard_s = time.monotonic()
            elif not self._under_way:
                heard_s = time.monotonic()
            elif time.monotonic() > heard_s + ANSWER_S:
                raise ConnectionError("no answer")
        link.sendall(mqtt_codec.DISCONNECT)

    def _next(self) -> Iterator[bytes]:
        while self.waiting and len(self._under_way) < UNDER_WAY_MAX:
            self._packet = self._packet % 65535 + 1
            topic, payload = self.waiting.popleft()
            message = mqtt_codec.publish(topic, payload, 1, self._packet)
            self._under_way[self._packet] = message
            yield message

    def _received(self, link: socket.socket) -> bytes:
        data = link.recv(CHUNK)
        if not data:
            raise ConnectionError("closed")
        return data

    def _heard(self, data: bytes) -> bytes:
        """Counts PUBACKs; what is left of the stream."""
        whole = len(data) - len(data) % _PUBACK.size
        for kind, _, packet in _PUBACK.iter_unpack(data[:whole]):
            if kind != 0x40:
                raise ConnectionError("something else than PUBACK")
            if self._under_way.pop(packet, None) is not None:
                self.acknowledged += 1
        return data[whole:]


def pace(
    broker: BrokerAddress, pairs: Iterable[tuple[str, bytes]], rate: int
) -> tuple[int, int, int]:
    """Publishes so many a second, later all the faster. -> (acknowledged, sent again, ms)."""
    lanes = [Lane(number, broker) for number in range(LANES)]
    for lane in lanes:
        lane.start()
    started_s = time.monotonic()
    tick = threading.Event()
    for sent, (topic, payload) in enumerate(pairs):
        while sent >= (time.monotonic() - started_s) * rate:
            tick.wait(TICK_S)
        lanes[hash(topic) % LANES].waiting.append((topic, payload))  # a module has one connection
    for lane in lanes:
        lane.over.set()
    for lane in lanes:
        lane.join()
    took_ms = int((time.monotonic() - started_s) * 1000)
    return sum(lane.acknowledged for lane in lanes), sum(lane.again for lane in lanes), took_ms


def messages(path: Path, shards: int, first: int, last: int) -> Iterator[tuple[str, bytes]]:
    """(topic, payload) of a fleet's file, from one message to another."""
    for number, data in islice(fleet.written(path), first, last):
        yield fleet.topic_of(number, shards), data


def _run(broker: BrokerAddress, what: tuple[Path, int, int, int], rate: int, told: Connection):
    told.send(pace(broker, messages(*what), rate))


class Fleet:
    """The process; `what` is of `messages`. `result` waits for its end."""

    def __init__(self, broker: BrokerAddress, what: tuple[Path, int, int, int], rate: int) -> None:
        self._told, told = multiprocessing.Pipe(duplex=False)
        arguments = (broker, what, rate, told)
        self.process = multiprocessing.Process(target=_run, args=arguments, daemon=True)
        self.process.start()
        told.close()

    def result(self) -> tuple[int, int, int]:
        out = self._told.recv()
        self.process.join()
        return tuple(out)
