"""COSE_Mac0 (RFC 9052 section 6.2): the seal around every Gridpurse message.

One fixed layout, in hexadecimal:  84  43 a1 01 alg  a0  payload  tag
that is the untagged form with protected {1: alg} and nothing unprotected: the topic says whose key
it is, and under any other key the tag is wrong. alg 4 is HMAC 256/64 (8-byte tag), 5 is HMAC
256/256 (32 bytes). payload and tag are byte strings with shortest lengths. The tag covers ["MAC0",
protected, b"", payload]. This module never interprets the payload and never holds keys.
"""

import hashlib

from protocol import cbor
from protocol.units import (
    FORGED,
    MALFORMED,
    MESSAGE_BYTES_MAX,
    OVERSIZED,
    UNSUPPORTED,
    Malformed,
    const,
)

HMAC_256_64 = const(4)
HMAC_256_256 = const(5)
TAG_BYTES = {4: 8, 5: 32}
KEY_BYTES_MIN = const(16)

# Directions, as `derive` takes them.
UP = b"gridpurse/1 up"
DOWN = b"gridpurse/1 down"

_BLOCK = const(64)
_BYTES_MAJOR = const(2)
_START = b"\x84\x43\xa1\x01"
_BARE = const(0xA0)


class Mac:
    """HMAC-SHA256 (RFC 2104) under one key of any length.

    Keeps the two padded key blocks, because hash objects on MicroPython cannot be copied.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = key + bytes(_BLOCK - len(key))
        self._inner = bytes([byte ^ 0x36 for byte in key])
        self._outer = bytes([byte ^ 0x5C for byte in key])

    def digest(self, *parts: bytes) -> bytes:
        """The 32-byte HMAC of the parts, joined."""
        inner = hashlib.sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def derive(root_key: bytes, direction: bytes) -> bytes:
    """The 32-byte key of one direction: HMAC-SHA256(root_key, direction).

    `direction` is UP, b"gridpurse/1 up", for module to host, or DOWN, b"gridpurse/1 down". Two
    keys, so that a message can never be reflected to its sender.
    """
    if len(root_key) < KEY_BYTES_MIN:
        raise ValueError("root key too short")
    if direction not in (UP, DOWN):
        raise ValueError("direction")
    return Mac(root_key).digest(direction)


def seal(alg: int, payload: bytes, mac: Mac) -> bytes:
    """The sealed message. `alg` is HMAC_256_64 or HMAC_256_256."""
    length = TAG_BYTES[alg]
    payload_head = cbor.head(_BYTES_MAJOR, len(payload))
    return b"".join(
        (
            _START,
            bytes((alg, _BARE)),
            payload_head,
            payload,
            cbor.head(_BYTES_MAJOR, length),
            _tag(mac, alg, payload_head, payload),
        )
    )


def open_sealed(
    data: bytes,
    mac: Mac,
    algs: tuple[int, ...] = (HMAC_256_64, HMAC_256_256),
    size_max: int = MESSAGE_BYTES_MAX,
) -> tuple[int, bytes]:
    """(alg, payload) of a message whose tag is right.

    Raises Malformed with OVERSIZED, MALFORMED (not our layout), UNSUPPORTED (an alg outside
    `algs`) or FORGED (the tag is wrong); only after FORGED was ruled out may anything in the
    message be believed.
    """
    if len(data) > size_max:
        raise Malformed(OVERSIZED, "message")
    alg, payload_head, payload, tag = _parse(data)
    if alg not in algs:
        raise Malformed(UNSUPPORTED, "alg")
    if not same(tag, _tag(mac, alg, payload_head, payload)):
        raise Malformed(FORGED)
    return alg, payload


def same(left: bytes, right: bytes) -> bool:
    """Equality whose time depends on the lengths only."""
    if len(left) != len(right):
        return False
    difference = 0
    for place in range(len(left)):
        difference |= left[place] ^ right[place]
    return difference == 0


def _tag(mac: Mac, alg: int, payload_head: bytes, payload: bytes) -> bytes:
    """Tag over the MAC_structure; the payload is hashed where it lies, not copied."""
    start = b"\x84\x64MAC0\x43\xa1\x01" + bytes((alg,)) + b"\x40"
    return mac.digest(start, payload_head, payload)[: TAG_BYTES[alg]]


def _parse(data: bytes) -> tuple[int, bytes, bytes, bytes]:
    """alg, head of the payload, payload and tag of the fixed layout."""
    if bytes(data[:4]) != _START or len(data) < 6 or data[5] != _BARE:
        raise Malformed(MALFORMED, "not our COSE_Mac0")
    alg = data[4]
    if alg not in TAG_BYTES:
        raise Malformed(UNSUPPORTED, "alg")
    payload, after_payload = cbor.byte_string(data, 6)
    tag, end = cbor.byte_string(data, after_payload)
    if len(tag) != TAG_BYTES[alg] or end != len(data):
        raise Malformed(MALFORMED, "tag length or trailing bytes")
    return alg, cbor.head(_BYTES_MAJOR, len(payload)), payload, tag
