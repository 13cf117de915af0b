"""The seal as the host opens and makes it by the million: the same bytes as protocol/, sooner.

The commonest message, a batch of plain intervals under a short tag, is read by one function that
takes exactly its canonical form; a batch of other short items by cbor2 and a look at what came
out. Whatever else it is, good or bad, goes through `messages.unseal`, which alone says what is
wrong with it. The tests hold all against each other.
"""

from collections.abc import Iterable
from hmac import compare_digest

import cbor2

from host_tools.keys import PreparedMac
from protocol import cbor, cose, messages
from protocol.ledger import HEAD_BYTES
from protocol.messages import ACK, READINGS, Ack, Readings
from protocol.units import FORGED, MESSAGE_BYTES_MAX, POINTS_MAX, Malformed

_TAG_BYTES = cose.TAG_BYTES[cose.HMAC_256_64]
_SEALED = b"\x84\x43\xa1\x01\x04\xa0"  # COSE_Mac0, protected {1: HMAC 256/64}, nothing unprotected
# How a batch begins, up to its first_seq: {bytes: (point, epoch)}. Of 5 to 7 fields the first is
# the kind; a point that is 0 and an epoch that is 1 go without saying. Numbers of one byte only.
_ONE_BYTE = range(24)
_BEGINNINGS = {
    bytes((
        0xA5 + (point != 0) + (epoch != 1), 0, READINGS,
        *((1, point) if point else ()), *((2, epoch) if epoch != 1 else ()), 3,
    )): (point, epoch)
    for point in _ONE_BYTE[:POINTS_MAX] for epoch in _ONE_BYTE
}  # fmt: skip
_KIND = bytes((0, READINGS))
_FIELDS = {(0, *where, 3, 4, 5, 6) for where in ((), (1,), (2,), (1, 2))}
_U32 = 0xFFFFFFFF
_TOP = 1 << 64  # what is beyond has a tag in CBOR
_ITEMS_MAX = 24  # longer ones are rare
_HEAD = b"\x06\x50"  # field 6: 16 bytes
_HEAD_AT = -18
_ONE_STREAM = b"\xa2\x00" + bytes((ACK,)) + b"\x02\xa1%c%b"  # {0: ACK, 2: {stream: seq}}


def opened(data: bytes, mac: PreparedMac) -> object:
    """The message of a module in sealed bytes, or Malformed."""
    payload = _payload(data, mac)
    if payload is not None:
        batch = _plain_batch(payload) or _batch(payload)
        if batch is not None:
            return batch
    return messages.unseal(data, mac, False)


def _payload(data: bytes, mac: PreparedMac) -> bytes | None:
    """The payload under a short tag; None for any other form, FORGED when the tag is wrong."""
    size = len(data)
    if data[:6] != _SEALED or not 16 < size <= MESSAGE_BYTES_MAX:
        return None
    end = size - _TAG_BYTES - 1
    first = data[6]
    if first == 0x58:
        at, length = 8, data[7]
        if length < 24:
            return None
    elif 0x40 <= first < 0x58:
        at, length = 7, first - 0x40
    else:
        return None
    if at + length != end or data[end] != 0x40 + _TAG_BYTES:
        return None
    if not compare_digest(mac.short_tag(data[6:end]), data[-_TAG_BYTES:]):
        raise Malformed(FORGED)
    return data[at:end]


def _plain_batch(payload: bytes) -> Readings | None:  # noqa: PLR0912
    """A batch whose items are all energies, in the one form it may have.

    In one piece, because calls would cost more than reading the numbers.
    """
    if payload[_HEAD_AT:-16] != _HEAD:
        return None
    at = 2 * (payload[0] - 0xA3)
    beginning = _BEGINNINGS.get(payload[:at])
    if beginning is None:
        return None
    numbers: list[int] = []
    wanted = 2
    end = len(payload) + _HEAD_AT
    while at < end:
        first = payload[at]
        if first < 24:
            number = first
            at += 1
        elif first == 24:
            number = payload[at + 1]
            if number < 24:
                return None
            at += 2
        elif first == 25:
            number = payload[at + 1] << 8 | payload[at + 2]
            if number < 0x100:
                return None
            at += 3
        elif first == 26:
            number = int.from_bytes(payload[at + 1 : at + 5], "big")
            if number < 0x10000:
                return None
            at += 5
        else:
            return None
        numbers.append(number)
        count = len(numbers)
        if count == 1:
            if payload[at] != 4 or not number:  # field 4 follows; sequences count from 1
                return None
            at += 1
        elif count == 2:
            items = payload[at + 1] - 0x80
            if payload[at] != 5 or not 0 < items < 24:
                return None
            wanted = 2 + items
            at += 2
    if at != end or len(numbers) != wanted or wanted == 2:
        return None
    return Readings(*beginning, numbers[0], numbers[1], numbers[2:], payload[-16:])


def _batch(payload: bytes) -> Readings | None:
    """A batch whose items are integers or short lists of them.

    cbor2 takes more than the contract, but that is of other types, or other bytes come back.
    """
    if payload[1:3] != _KIND:
        return None
    try:
        fields = cbor2.loads(payload)
    except Exception:  # whatever cbor2 thinks of it, `messages.unseal` says what is wrong
        return None
    if type(fields) is not dict or tuple(fields) not in _FIELDS or not _integers(fields):
        return None
    point, epoch, items, head = fields.get(1, 0), fields.get(2, 1), fields[5], fields[6]
    numbers = point, epoch, fields[3], fields[4]
    if not _integers(numbers) or min(numbers) < 0 or max(numbers) > _U32 or point >= POINTS_MAX:
        return None
    if not fields[3] or (1 in fields and not point) or (2 in fields and epoch == 1):
        return None
    if type(head) is not bytes or len(head) != HEAD_BYTES or type(items) is not list:
        return None
    if not 0 < len(items) <= _ITEMS_MAX:
        return None
    for item in items:
        inner = item if type(item) is list else (item,)
        if not _integers(inner) or len(inner) > _ITEMS_MAX:
            return None
    if cbor2.dumps(fields) != payload:
        return None
    return Readings(point, epoch, fields[3], fields[4], items, head)


def _integers(values: Iterable[object]) -> bool:
    """Whether all are integers of 64 bits and a sign, and none of them a boolean or a float."""
    for value in values:  # noqa: SIM110 - a generator would cost half as much again
        if type(value) is not int or not -_TOP <= value < _TOP:
            return False
    return True


def sealed_ack(ack: Ack, mac: PreparedMac) -> bytes:
    """`messages.seal` of an acknowledgement."""
    streams = ack.streams
    if len(streams) == 1 and ack.epoch == 1:
        ((stream, seq),) = streams.items()
        payload = _ONE_STREAM % (stream, cbor.head(0, seq))
    else:
        payload = messages.pack(ack)
    size = len(payload)
    framed = bytes((0x40 + size,)) + payload if size < 24 else bytes((0x58, size)) + payload
    return b"%b%b\x48%b" % (_SEALED, framed, mac.short_tag(framed))
