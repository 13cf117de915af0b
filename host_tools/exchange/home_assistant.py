"""Service points as Home Assistant sees them: MQTT discovery, retained, and their states.

One device a service point, with sensors for energy and balance and one that tells trouble. Home
Assistant only looks: nothing here subscribes, so nothing that it publishes reaches a module. The
state is what the host settled, never what a module claims.
"""

import json
import queue
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from host_tools import Refused
from host_tools.config import BrokerAddress
from host_tools.exchange.bills_csv import decimal
from host_tools.exchange.readings_csv import utc
from host_tools.exchange.records import named
from host_tools.mqtt_client import MqttClient
from protocol import topics
from protocol.units import BAD_FIELD, POINTS_MAX, Malformed

DISCOVERY, STATES = "homeassistant", "gridpurse"
BRIDGE = f"{STATES}/bridge/available"  # no module: its id would have a point behind it
ONLINE, OFFLINE = "online", "offline"
MAKER = "Gridpurse"
WAIT_S = 10
CLIENT = "gp-home-assistant"
_REFUSED_FROM = 0x80


@dataclass(frozen=True, slots=True)
class PointState:
    """What the host knows of a service point. `trouble` is empty when there is none."""

    module: str
    point: int
    label: str
    currency: str
    register_wh: int
    balance_ncur: int
    settled_s: int
    online: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """Always retained: who comes later sees it too."""

    topic: str
    payload: str


def discovery(state: PointState) -> list[Message]:
    """What tells Home Assistant of a point; the same point gives the same bytes."""
    base, node = _base(state), _node(state)
    common: dict[str, object] = {
        "availability": [{"topic": f"{base}/available"}, {"topic": BRIDGE}],
        "availability_mode": "all",
        "device": {
            "identifiers": [node],
            "manufacturer": MAKER,
            "model": f"{state.module} / {state.point}",
            "name": named(state.label),
        },
        "state_topic": f"{base}/state",
    }
    sensors: dict[str, dict[str, object]] = {
        "energy": {
            "name": "Energy 电量",
            "device_class": "energy",
            "state_class": "total_increasing",
            "unit_of_measurement": "Wh",
            "value_template": "{{ value_json.register_wh }}",
        },
        "balance": {
            "name": "Balance 余额",
            "device_class": "monetary",
            "state_class": "total",
            "unit_of_measurement": state.currency,
            "value_template": "{{ value_json.balance }}",
        },
        "settled": {
            "name": "Settled 已结算至",
            "device_class": "timestamp",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.settled }}",
        },
    }
    out = [_config("sensor", node, key, {**common, **more}) for key, more in sensors.items()]
    trouble: dict[str, object] = {
        **common,
        "name": "Trouble 异常",
        "device_class": "problem",
        "payload_on": "ON",
        "payload_off": "OFF",
        "value_template": "{{ value_json.problem }}",
        "json_attributes_topic": f"{base}/state",
    }
    return [*out, _config("binary_sensor", node, "trouble", trouble)]


def states(state: PointState) -> list[Message]:
    """The values; money is an exact decimal in quotes, because JSON numbers are floats."""
    base = _base(state)
    values: dict[str, object] = {
        "balance": decimal(state.balance_ncur, 9),
        "problem": "ON" if state.trouble else "OFF",
        "register_wh": state.register_wh,
        "settled": utc(state.settled_s),
        "trouble": state.trouble,
    }
    return [
        Message(f"{base}/state", _json(values)),
        Message(f"{base}/available", ONLINE if state.online else OFFLINE),
    ]


def removal(state: PointState) -> list[Message]:
    """Makes Home Assistant forget a point: empty retained messages."""
    return [Message(each.topic, "") for each in (*discovery(state), *states(state))]


class Link:
    """A connection that publishes. `will` is what the broker tells when it is lost.

    The first connection is made at once or Refused in one line; later ones make themselves, and
    `fresh` is set by each, because a broker that was away may have forgotten everything.
    """

    def __init__(self, broker: BrokerAddress, will: Message | None = None) -> None:
        self.fresh = threading.Event()
        self._where = f"broker {broker.where}"
        self._answer: queue.Queue[ReasonCode] = queue.Queue()
        self._client = client = MqttClient(broker, CLIENT)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._connected
        try:
            client.connect(broker.host, broker.port)
        except OSError as error:
            raise Refused(f"{self._where}: {error.strerror or error}; is it running?") from error
        client.loop_start()
        try:
            reason = self._answer.get(timeout=WAIT_S)
        except queue.Empty as error:
            self.close()
            what = f"no answer within {WAIT_S} s; is it an MQTT broker?"
            raise Refused(f"{self._where}: {what}") from error
        if reason.value >= _REFUSED_FROM:
            self.close()
            raise Refused(f"{self._where}: {reason}; check user and password")

    def _connected(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _: object
    ) -> None:
        self.fresh.set()
        self._answer.put(reason)

    def up(self) -> bool:
        return bool(self._client.is_connected())

    def send(self, messages: Iterable[Message]) -> int:
        """Sends them retained and waits until the broker has each. How many; Refused otherwise."""
        sent = 0
        try:
            for each in messages:
                told = self._client.publish(each.topic, each.payload, qos=1, retain=True)
                told.wait_for_publish(WAIT_S)
                if not told.is_published():
                    what = f"{each.topic}: not taken; may this user publish there?"
                    raise Refused(f"{self._where}: {what}")
                sent += 1
        except (RuntimeError, ValueError) as error:  # paho: not connected, or a queue full
            raise Refused(f"{self._where}: the connection was lost; try again") from error
        return sent

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def publish(broker: BrokerAddress, messages: Iterable[Message]) -> int:
    """Sends messages over a connection of their own. How many; Refused in one line."""
    with closing(Link(broker)) as link:
        return link.send(messages)


def _config(component: str, node: str, key: str, payload: dict[str, object]) -> Message:
    topic = f"{DISCOVERY}/{component}/{node}/{key}/config"
    return Message(topic, _json({**payload, "unique_id": f"{node}_{key}"}))


def _base(state: PointState) -> str:
    if not topics.module_id_ok(state.module) or not 0 <= state.point < POINTS_MAX:
        raise Malformed(BAD_FIELD, f"{state.module!r} {state.point}: no such point")
    return f"{STATES}/{state.module}/{state.point}"


def _node(state: PointState) -> str:
    return f"gridpurse_{state.module}_{state.point}"


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
