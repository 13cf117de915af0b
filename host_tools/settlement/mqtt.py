"""MQTT 3.1.1 through paho, on any broker: one persistent session a shard.

The broker keeps a shard's messages in the session of its fixed client id while its owner changes,
and a new owner's connection ends the old one's. paho runs without its thread: we read for it in
large pieces, and all it writes during a batch leaves in one. In a cluster every failure leads to
the next node, which knows the session as well.
"""

import logging
import select
import socket
import ssl
import struct
import time
from datetime import timedelta
from typing import Any

import paho.mqtt.client as paho

from host_tools.config import BrokerAddress
from host_tools.mqtt_client import MqttClient
from host_tools.settlement.seldom import Seldom
from host_tools.settlement.transport import Claim, Delivery, shard_of
from protocol import topics

QUEUE_MAX = 20000  # messages of ours that wait for a broker that has gone
KEEPALIVE_S = 30
CONNECT_S_MAX = 5
RETRY_MS = 1000
SOON_MS = 5000  # a connection that ends so early has hardly ended by chance, the second time
REFUSED, LOST, TAKEN = "refused", "lost", "taken"
ROUNDS_QUIET = 60  # of trying all nodes in vain, one in so many is told
PIECE_BYTES = 262144
REFUSED_CODES_FROM = 0x80
NAMES_MAX = 200000  # topics remembered

Token = tuple[int, int, int]  # shard, connection, packet id (0: wants no acknowledgement)

log = logging.getLogger(__name__)


class _Link:
    """The socket of a connection as paho sees it: reads from memory, writes into it."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._in = b""
        self._at = 0
        self._out = bytearray()
        self._ended = False

    def pending(self) -> int:
        """Bytes that can be read without waiting; paho asks for it by this name."""
        return len(self._in) - self._at

    def fill(self) -> None:
        """Takes in what has come; the end of the connection shows when all before it is read."""
        try:
            piece = self._plain.recv(PIECE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):  # or only a part of a TLS record
            return
        except OSError:
            piece = b""
        self._in = self._in[self._at :] + piece
        self._at = 0
        self._ended = not piece

    def recv(self, size: int) -> bytes:
        at = self._at
        if at == len(self._in) and not self._ended:
            raise BlockingIOError
        piece = self._in[at : at + size]
        self._at = at + len(piece)
        return piece

    def send(self, data: bytes) -> int:
        self._out += data
        return len(data)

    def flush(self) -> None:
        """Sends everything; a broker that does not take it in time is a broken connection."""
        if self._out:
            data, self._out = self._out, bytearray()
            self._plain.settimeout(KEEPALIVE_S)
            try:
                self._plain.sendall(data)
            finally:
                self._plain.setblocking(False)

    def end(self) -> None:
        """Nothing comes or goes any more; what has come can still be read."""
        self._out.clear()
        self._ended = True

    def setblocking(self, _blocking: bool) -> None:
        self._plain.setblocking(False)

    def fileno(self) -> int:
        return self._plain.fileno()

    def close(self) -> None:
        """The last words go out first: paho closes right after its DISCONNECT."""
        try:
            self.flush()
        except OSError:
            log.debug("the broker has closed already")
        self._plain.close()


class _Client(MqttClient):
    """paho over a `_Link`."""

    link: _Link | None = None

    def _create_socket(self) -> Any:
        plain: Any = super()._create_socket()
        self.link = _Link(plain)
        return self.link


class _Session:
    """The MQTT session of one shard."""

    def __init__(self, shard: int, broker: BrokerAddress, inbound: list[Delivery]) -> None:
        self.shard = shard
        self._broker = broker  # the node in front is the one we use or try
        self._tried = 0  # nodes in vain, since one has served us
        self._inbound = inbound
        self._connection = 0
        self._names: dict[bytes, str] = {}
        self._retry_ms = 0
        self._connected_ms: int | None = None
        self._soon = 0  # connections in a row that ended right after they began
        self._refused = False
        self._told = Seldom(log)
        self._stopping = False
        self.ready = False
        self.refusal = ""
        self._name = f"gp-settle-{shard}"
        self.client = _Client(broker, self._name, clean_session=False, manual_ack=True)
        self.client.connect_timeout = CONNECT_S_MAX
        self.client.max_queued_messages_set(QUEUE_MAX)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self._use(broker)

    def _use(self, broker: BrokerAddress) -> None:
        """The next connection goes to the node in front."""
        self._broker = broker
        self.client.connect_async(broker.host, broker.port, keepalive=KEEPALIVE_S)

    def serve(self) -> _Link | None:
        """Keeps the connection up; the link to wait for, or None without a connection."""
        self._told.look(_now_ms())
        if self.client.socket() is None:
            if _now_ms() < self._retry_ms:
                return None
            if self._tried or self._connection:
                self._use(self._broker.turned())
            self._tried += 1
            if self._tried % (1 + len(self._broker.fallbacks)) == 0:
                self._retry_ms = _now_ms() + RETRY_MS
            try:
                self.client.reconnect()
            except OSError as error:
                rounds = (self._tried - 1) // (1 + len(self._broker.fallbacks))
                level = logging.DEBUG if rounds % ROUNDS_QUIET else logging.WARNING
                where = self._broker.where
                log.log(level, "no broker for shard %d at %s: %s", self.shard, where, error)
                return None
        self.client.loop_misc()
        self.flush()
        return self.client.link if self.client.socket() is not None else None

    def read(self, most: int) -> None:
        """Takes in what has come, until `most` deliveries wait for settlement."""
        link = self.client.link
        if link is None:
            return
        if not link.pending():
            link.fill()
        while len(self._inbound) < most and self.client.socket() is not None:
            before = link.pending()
            self.client.loop_read()
            if link.pending() == before:
                return

    def flush(self) -> None:
        if self.client.socket() is not None and self.client.link is not None:
            self.client.loop_write()  # what a callback has queued
            try:
                self.client.link.flush()
            except OSError as error:
                log.warning("shard %d: broker does not take what we send: %s", self.shard, error)
                self.client.link.end()
                while self.client.socket() is not None:  # reads what came before, then the end
                    self.client.loop_read()

    def stop(self) -> None:
        self._stopping = True
        self.flush()
        self.client.disconnect()

    def acknowledge(self, tokens: list[Token]) -> None:
        """All PUBACKs in one piece. None for a connection that is gone: its packet ids may name
        other messages by now."""
        link = self.client.link
        numbers = [token[2] for token in tokens if token[1] == self._connection and token[2]]
        if link is not None and self.client.socket() is not None:
            link.send(b"".join([struct.pack(">BBH", 0x40, 2, number) for number in numbers]))
        self.flush()

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refused = True
            self._told.warn(REFUSED, f"broker refused shard {self.shard}: {reason}", _now_ms())
            return
        self._connection += 1
        self._connected_ms = _now_ms()
        client.subscribe([(topic, 1) for topic in self._topics()])

    def _topics(self) -> list[str]:
        return [topics.all_of(way, self.shard) for way in (topics.UP, topics.WILL)]

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        self._connection += 1
        self.ready = False
        now_ms, began_ms, refused = _now_ms(), self._connected_ms, self._refused
        self._connected_ms, self._refused = None, False
        if self._stopping or refused:
            return
        if began_ms is not None:  # nats-server ends the attempt after a theft before it begins
            self._soon = self._soon + 1 if now_ms - began_ms < SOON_MS else 0
        text = f"connection of shard {self.shard} lost: {reason}"
        if self._soon > 1:
            text += f"; is another worker connected with this client id, {self._name}?"
        self._told.warn(TAKEN if self._soon > 1 else LOST, text, now_ms)

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        if any(reason.value >= REFUSED_CODES_FROM for reason in reasons):
            self.refusal = f"shard {self.shard}: the broker refuses the subscription to " + (
                f"{' and '.join(self._topics())}; give this user that permission"
            )
        self.ready = True
        self._tried = 0

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        token = (self.shard, self._connection, message.mid)
        self._inbound.append(Delivery(self._topic_of(message), bytes(message.payload), token))

    def _topic_of(self, message: paho.MQTTMessage) -> str:
        """The topic as text; what is not UTF-8 is shown, and refused later, like a wrong topic."""
        name = bytes(message._topic)
        topic = self._names.get(name)
        if topic is None:
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            topic = self._names[name] = name.decode("utf-8", "backslashreplace")
        return topic


class MqttTransport:
    """One session a shard, one queue for all of them."""

    def __init__(self, broker: BrokerAddress) -> None:
        self._broker = broker
        self._inbound: list[Delivery] = []
        self._sessions: dict[int, _Session] = {}

    def open(self, claim: Claim) -> None:
        self.shut(claim.shard)
        self._sessions[claim.shard] = _Session(claim.shard, self._broker, self._inbound)

    def shut(self, shard: int) -> None:
        session = self._sessions.pop(shard, None)
        if session is not None:
            session.stop()
            self._inbound[:] = [
                item
                for item in self._inbound
                if isinstance(item.token, tuple) and item.token[0] != shard
            ]

    def stop(self) -> None:
        for shard in list(self._sessions):
            self.shut(shard)

    def shards(self) -> set[int]:
        return set(self._sessions)

    def ready(self) -> bool:
        return all(session.ready for session in self._sessions.values())

    def backlog(self) -> int:
        """What has come and is not taken; MQTT does not say what the broker keeps."""
        return len(self._inbound)

    def refusal(self) -> str:
        return next((item.refusal for item in self._sessions.values() if item.refusal), "")

    def take(self, most: int, wait_ms: int) -> list[Delivery]:
        end_ms = _now_ms() + wait_ms
        while True:
            left_ms = max(0, end_ms - _now_ms())
            self._read(most, 0 if self._inbound else left_ms)
            if self._inbound or not left_ms:
                break
        out = self._inbound[:most]
        del self._inbound[:most]
        return out

    def _read(self, most: int, wait_ms: int) -> None:
        """Takes in what has come, or comes within that time."""
        links = {}
        for session in self._sessions.values():
            link = session.serve()
            if link is not None:
                links[link] = session
        if any(link.pending() for link in links):
            wait_ms = 0
        elif len(links) < len(self._sessions):
            wait_ms = min(wait_ms, RETRY_MS)
        wait_s = timedelta(milliseconds=wait_ms).total_seconds()
        found, _, _ = select.select(list(links), [], [], wait_s)
        for link, session in links.items():
            if link in found or link.pending():
                session.read(most)
                session.flush()

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        tokens: dict[int, list[Token]] = {}
        for delivery in deliveries:
            token: Any = delivery.token
            tokens.setdefault(token[0], []).append(token)
        for shard, session in self._sessions.items():
            session.acknowledge(tokens.get(shard, []))

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """paho keeps a QoS 1 message until the broker has it; QoS 0 needs a connection."""
        session = self._sessions.get(shard_of(topic))
        if session is not None and (qos or session.client.is_connected()):
            session.client.publish(topic, payload, qos=qos)

    def flush(self) -> None:
        for session in self._sessions.values():
            session.flush()


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000
