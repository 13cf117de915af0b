"""MQTT 3.1.1 packets, QoS 0 and 1: bytes in, values out.

Section numbers are those of the OASIS standard. No socket and no clock in here. The decoder is a
client's: whatever only a client may send is Malformed, and so is QoS 2, which is never asked for.
"""

import struct

from protocol.units import MALFORMED, OVERSIZED, Malformed, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CONNACK = const(2)
PUBLISH = const(3)
PUBACK = const(4)
SUBACK = const(9)
PINGRESP = const(13)

SUBACK_DENIED = const(0x80)

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

_STRING_BYTES_MAX = const(0xFFFF)
_REMAINING_BYTES_MAX = const(0xFFFFFFF)


def connect(
    client_id: str,
    keepalive_s: int,
    user: str | None = None,
    password: bytes | None = None,
    will: tuple[str, bytes, int, bool] | None = None,
) -> bytes:
    """CONNECT. The clean flag is always set: no session state is wanted at the broker.

    `will` is (topic, payload, qos, retain).
    """
    flags = 0x02
    tail = _string(client_id.encode())
    if will is not None:
        topic, payload, qos, retain = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        tail += _string(topic.encode()) + _string(payload)
    if user is not None:
        flags |= 0x80
        tail += _string(user.encode())
        if password is not None:  # 3.1.2.9: no password without a user name
            flags |= 0x40
            tail += _string(password)
    head = b"\x00\x04MQTT\x04" + struct.pack(">BH", flags, keepalive_s)
    return _packet(0x10, (head, tail))


def publish(
    topic: str,
    payload: bytes,
    qos: int = 0,
    packet_id: int = 0,
    *,
    dup: bool = False,
    retain: bool = False,
) -> bytes:
    """PUBLISH; `packet_id` counts with QoS 1 only."""
    first = 0x30 | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    number = struct.pack(">H", packet_id) if qos else b""
    return _packet(first, (_string(topic.encode()), number, payload))


def puback(packet_id: int) -> bytes:
    return struct.pack(">BBH", 0x40, 2, packet_id)


def subscribe(packet_id: int, subscriptions: "Sequence[tuple[str, int]]") -> bytes:
    """SUBSCRIBE to (filter, qos) pairs."""
    parts = [struct.pack(">H", packet_id)]
    for topic_filter, qos in subscriptions:
        parts.append(_string(topic_filter.encode()) + bytes((qos,)))
    return _packet(0x82, parts)


def _string(data: bytes) -> bytes:
    if len(data) > _STRING_BYTES_MAX:
        raise Malformed(OVERSIZED, "string")
    return struct.pack(">H", len(data)) + data


def _packet(first: int, parts: "Sequence[bytes]") -> bytes:
    remaining = sum([len(part) for part in parts])
    if remaining > _REMAINING_BYTES_MAX:
        raise Malformed(OVERSIZED, "packet")
    head = bytearray((first,))
    while remaining > 0x7F:
        head.append(remaining & 0x7F | 0x80)
        remaining >>= 7
    head.append(remaining)
    return bytes(head) + b"".join(parts)


class Decoder:
    """Packets out of a byte stream cut anywhere. Holds one packet at most, never above the bound.

    After Malformed the stream has lost its packet borders: close it and take a new decoder.
    """

    def __init__(self, packet_bytes_max: int) -> None:
        self._packet_bytes_max = packet_bytes_max
        self._first = -1  # first byte of the packet under way; -1 between packets
        self._remaining = 0
        self._shift = 0
        self._body: bytearray | None = None  # None until the remaining length is complete
        self._filled = 0

    def feed(self, data: bytes) -> list[tuple]:
        """The packets that `data` completes, in order:

        (CONNACK, session_present, code), (PUBLISH, topic, payload, qos, dup, retain, packet_id),
        (PUBACK, packet_id), (SUBACK, packet_id, codes), (PINGRESP,).
        """
        out = []
        at, end = 0, len(data)
        while at < end:
            if self._body is None:
                self._head(data[at])
                at += 1
            else:
                n = min(end - at, len(self._body) - self._filled)
                self._body[self._filled : self._filled + n] = data[at : at + n]
                self._filled += n
                at += n
            if self._body is not None and self._filled == len(self._body):
                out.append(_decode(self._first, self._body))
                self._first, self._body = -1, None
        return out

    def _head(self, byte: int) -> None:
        if self._first < 0:
            if byte >> 4 != PUBLISH and byte & 0x0F:  # 2.2.2: reserved in all that a client gets
                raise Malformed(MALFORMED, "flags")
            self._first = byte
            self._remaining = self._shift = 0
            return
        self._remaining |= (byte & 0x7F) << self._shift
        if byte & 0x80:
            self._shift += 7
            if self._shift > 21:  # 2.2.3: four bytes at most
                raise Malformed(MALFORMED, "length")
            return
        if self._remaining > self._packet_bytes_max:
            raise Malformed(OVERSIZED, "packet")
        self._body = bytearray(self._remaining)
        self._filled = 0


def _decode(first: int, body: bytes) -> tuple:
    """One packet from its first byte and everything behind its remaining length."""
    kind, size = first >> 4, len(body)
    if kind == PUBLISH:
        return _publish(first & 0x0F, body)
    if kind == PUBACK and size == 2:
        return (PUBACK, _packet_id(body))
    if kind == PINGRESP and size == 0:
        return (PINGRESP,)
    if kind == CONNACK and size == 2 and body[0] <= 1:
        return (CONNACK, body[0] == 1, body[1])
    if kind == SUBACK and size > 2:
        codes = bytes(body[2:])
        for code in codes:
            if code > 2 and code != SUBACK_DENIED:
                raise Malformed(MALFORMED, "suback")
        return (SUBACK, _packet_id(body), codes)
    raise Malformed(MALFORMED, "packet")


def _publish(flags: int, body: bytes) -> tuple:
    qos, dup = flags >> 1 & 3, flags & 8 != 0
    if qos > 1 or (dup and not qos):  # 3.3.1
        raise Malformed(MALFORMED, "flags")
    if len(body) < 2:
        raise Malformed(MALFORMED, "topic")
    at = 2 + (body[0] << 8 | body[1])
    if at == 2 or at + 2 * qos > len(body):
        raise Malformed(MALFORMED, "topic")
    try:
        topic = bytes(body[2:at]).decode()
    except UnicodeError:
        topic = "#"
    if "#" in topic or "+" in topic or "\0" in topic:  # 3.3.2.1, 1.5.3
        raise Malformed(MALFORMED, "topic")
    packet_id = 0
    if qos:
        packet_id = _packet_id(body[at : at + 2])
        at += 2
    return (PUBLISH, topic, bytes(body[at:]), qos, dup, flags & 1 != 0, packet_id)


def _packet_id(body: bytes) -> int:
    packet_id = body[0] << 8 | body[1]
    if not packet_id:  # 2.3.1
        raise Malformed(MALFORMED, "packet id")
    return packet_id
