"""Somebody with every right on the broker: listens to all topics, repeats and forges messages.

It knows no key, so nothing it does may move money or a relay.
"""

import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tools import Refused
from host_tools.config import BrokerAddress
from protocol import cbor, cose, messages, topics

CONNECT_S_MAX = 10


class Intruder:
    """`heard` holds (topic, payload) in order of arrival; its own messages are among them."""

    def __init__(self, address: BrokerAddress) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._address = address
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="intruder")
        self._client.username_pw_set(address.user, address.password)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message

    def start(self) -> None:
        self._client.connect(self._address.host, self._address.port)
        self._client.loop_start()
        if not self._subscribed.wait(CONNECT_S_MAX):
            raise Refused("demo: the listener got no answer from the broker")

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        # Not "#", which would also ask for the bare prefix and be refused as a whole.
        client.subscribe([(f"{way}/+/+", 1) for way in (topics.UP, topics.DOWN)])

    def _message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))

    def repeat(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)

    def first(self, topic: str, kind: int) -> bytes:
        """The first message of a kind on a topic; the kind can be read without any key."""
        for heard, payload in self.heard:
            if heard == topic and kind_of_sealed(payload) == kind:
                return payload
        raise Refused(f"demo: no message of kind {kind} was heard on {topic}")

    def last(self, topic: str, kind: int) -> bytes:
        for heard, payload in reversed(self.heard):
            if heard == topic and kind_of_sealed(payload) == kind:
                return payload
        raise Refused(f"demo: no message of kind {kind} was heard on {topic}")


def kind_of_sealed(sealed: bytes) -> int:
    """The kind a sealed message claims: field 0, which its encoding puts first in the payload."""
    payload, _ = cbor.byte_string(sealed, 6)
    return payload[2]


def forged(message: tuple[object, ...]) -> bytes:
    """A well-formed message sealed with a key that is not the module's."""
    return messages.seal(message, cose.Mac(b"not the key of any module!!!!!!!"))
