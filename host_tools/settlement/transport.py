"""How messages come in and go out: a thin interface, and MQTT 3.1.1 through paho behind it.

A delivery is acknowledged to the broker only by `acknowledge`, after the host committed it. Each
shard has a persistent session, so that the broker keeps what arrives while its owner is away.
"""

import logging
import queue
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tools.config import BrokerAddress
from protocol import topics

QUEUE_MAX = 2000  # deliveries in memory; beyond it the broker has to wait
KEEPALIVE_S = 30
RECONNECT_S_MAX = 4  # a handful of workers comes back, not a fleet
REFUSED_CODES_FROM = 0x80

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came. `token` names it towards the broker, for one connection only."""

    topic: str
    payload: bytes
    token: tuple[int, int, int]  # shard, connection, packet id (0: wants no acknowledgement)


class Transport(Protocol):
    def start(self) -> None: ...
    def take(self, most: int, wait_ms: int) -> list[Delivery]: ...
    def acknowledge(self, deliveries: list[Delivery]) -> None: ...
    def publish(self, topic: str, payload: bytes, qos: int) -> None: ...
    def stop(self) -> None: ...


class _Session:
    """The MQTT session of one shard. paho's thread calls the `_on_*` methods."""

    def __init__(
        self, shard: int, broker: BrokerAddress, inbound: "queue.Queue[Delivery]"
    ) -> None:
        self._shard = shard
        self._inbound = inbound
        self._connection = 0
        self._stopping = threading.Event()
        self.ready = threading.Event()
        self.refusal = ""
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"gp-settle-{shard}",
            clean_session=False,
            manual_ack=True,
        )
        if broker.user:
            self.client.username_pw_set(broker.user, broker.password)
        self.client.reconnect_delay_set(1, RECONNECT_S_MAX)
        self.client.max_queued_messages_set(QUEUE_MAX)
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = self._on_connect_fail
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.connect_async(broker.host, broker.port, keepalive=KEEPALIVE_S)

    def start(self) -> None:
        self.client.loop_start()

    def stop(self) -> None:
        self._stopping.set()
        self.client.disconnect()
        self.client.loop_stop()

    def acknowledge(self, token: tuple[int, int, int]) -> None:
        """Nothing for a connection that is gone: its packet ids may name other messages by now."""
        if token[1] == self._connection and token[2]:
            self.client.ack(token[2], 1)

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("broker refused shard %d: %s", self._shard, reason)
            return
        self._connection += 1
        client.subscribe([(topic, 1) for topic in self._topics()])

    def _topics(self) -> list[str]:
        return [topics.all_of(way, self._shard) for way in (topics.UP, topics.WILL)]

    def _on_connect_fail(self, _client: mqtt.Client, _data: Any) -> None:
        log.warning("no broker for shard %d; trying again", self._shard)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        self._connection += 1
        if not self._stopping.is_set():
            log.warning("connection of shard %d lost: %s", self._shard, reason)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        if any(reason.value >= REFUSED_CODES_FROM for reason in reasons):
            self.refusal = f"shard {self._shard}: the broker refuses the subscription to " + (
                f"{' and '.join(self._topics())}; give this user that permission"
            )
        self.ready.set()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        token = (self._shard, self._connection, message.mid)
        delivery = Delivery(_topic_of(message), bytes(message.payload), token)
        while not self._stopping.is_set():
            try:
                self._inbound.put(delivery, timeout=1)
                return
            except queue.Full:
                continue


def _topic_of(message: mqtt.MQTTMessage) -> str:
    """The topic as text; what is not UTF-8 is shown, and refused later, like any wrong topic."""
    return bytes(message._topic).decode("utf-8", "backslashreplace")


class PahoTransport:
    """One session a shard, one queue for all of them."""

    def __init__(self, broker: BrokerAddress, shards: tuple[int, ...]) -> None:
        self._inbound: queue.Queue[Delivery] = queue.Queue(QUEUE_MAX)
        self._sessions = {shard: _Session(shard, broker, self._inbound) for shard in shards}

    def start(self) -> None:
        for session in self._sessions.values():
            session.start()

    def stop(self) -> None:
        for session in self._sessions.values():
            session.stop()

    def ready(self) -> bool:
        """True once the broker has answered the subscription of every shard."""
        return all(session.ready.is_set() for session in self._sessions.values())

    def refusal(self) -> str:
        """Why the broker will not serve us, in one line; empty when it does."""
        return next((item.refusal for item in self._sessions.values() if item.refusal), "")

    def take(self, most: int, wait_ms: int) -> list[Delivery]:
        """Up to `most` deliveries; waits for the first one only."""
        try:
            out = [self._inbound.get(timeout=timedelta(milliseconds=wait_ms).total_seconds())]
        except queue.Empty:
            return []
        while len(out) < most:
            try:
                out.append(self._inbound.get_nowait())
            except queue.Empty:
                break
        return out

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._sessions[delivery.token[0]].acknowledge(delivery.token)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Hands a message to the session of the topic's shard; paho sends it when connected."""
        session = self._sessions.get(topics.parse(topic).shard)
        if session is not None:
            session.client.publish(topic, payload, qos=qos)
