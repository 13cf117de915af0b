"""Fills a broker faster than a client library could: MQTT 3.1.1, QoS 1, many at once."""

import socket
from collections.abc import Iterable

from firmware import mqtt_codec
from host_tools.config import BrokerAddress

UNDER_WAY_MAX = 1000
CHUNK = 65536
_PUBACK_BYTES = 4


def pour(broker: BrokerAddress, messages: Iterable[tuple[str, bytes]], client: str) -> int:
    """Publishes (topic, payload) pairs; returns how many the broker has acknowledged, all."""
    with socket.create_connection((broker.host, broker.port), timeout=60) as link:
        user = broker.user or None
        link.sendall(mqtt_codec.connect(client, 0, user, broker.password.encode()))
        if link.recv(4)[:1] != b"\x20":
            raise ConnectionError("no CONNACK")
        sent = acknowledged = 0
        out = bytearray()
        rest = b""
        for topic, payload in messages:
            sent += 1
            out += mqtt_codec.publish(topic, payload, 1, (sent - 1) % 65535 + 1)
            if len(out) >= CHUNK or sent - acknowledged >= UNDER_WAY_MAX:
                link.sendall(out)
                out.clear()
            while sent - acknowledged >= UNDER_WAY_MAX:
                rest, count = _counted(rest + link.recv(CHUNK))
                acknowledged += count
        link.sendall(out)
        while acknowledged < sent:
            rest, count = _counted(rest + link.recv(CHUNK))
            acknowledged += count
        link.sendall(mqtt_codec.DISCONNECT)
    return sent


def _counted(data: bytes) -> tuple[bytes, int]:
    """What is left of a stream of PUBACKs, and how many there were; nothing else comes."""
    count = len(data) // _PUBACK_BYTES
    if any(data[at] != 0x40 for at in range(0, count * _PUBACK_BYTES, _PUBACK_BYTES)) or not data:
        raise ConnectionError("the broker sent something else than PUBACK, or went away")
    return data[count * _PUBACK_BYTES :], count
