"""Every message kind as a table of integer field numbers, and the one way in and out of its seal.

A message is a CBOR map {0: kind, field: value, ...} inside COSE_Mac0; field numbers are never
reused and a receiver refuses a field it does not know only when the field is below 32 (see
README, evolution). `seal` and `unseal` are the only doors: what they return has been
authenticated.
"""

from collections import namedtuple

from protocol import cbor, cose
from protocol.units import (
    BAD_FIELD,
    FORGED,
    INVALID,
    MODULE_TARGET,
    NCUR_MAX,
    POINTS_MAX,
    UNKNOWN_KIND,
    WRONG_TOPIC,
    Malformed,
    const,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READINGS = const(1)
EVENTS = const(2)
STATEMENT = const(3)
RESULT = const(4)
HELLO = const(5)
ACK = const(16)
COMMAND = const(17)
TIME = const(18)

EVENT_STREAM = const(8)  # streams 0 to 7 are the points' ledgers

# items: see reading.py. statement: [balance, period, used, day, generation, highest, floor, used
# bitmap, head] after the last item. base_s and base_wh: metered instant and register before it.
Readings = namedtuple("Readings", "point epoch first_seq base_s base_wh version items statement")
# items: [[time_s, quality, code, point or 255, [integers]], ...]
Events = namedtuple("Events", "epoch first_seq items")
Statement = namedtuple(
    "Statement",
    "point epoch seq time_s quality register_wh version balance_ncur charged_ncur topups_ncur"
    " state",
)
Result = namedtuple("Result", "epoch seq time_s quality command_id status detail")
# streams: {stream: newest sequence written}; versions: {point: tariff version}
Hello = namedtuple(
    "Hello",
    "boot_id epoch ticks_ms time_s quality reset_cause firmware config_version streams versions",
)
# streams: {stream: highest contiguous sequence settled}
Ack = namedtuple("Ack", "epoch streams")
# target: a point or MODULE_TARGET; args depend on the action
Command = namedtuple("Command", "id target action issued_s expires_s args")
# Answers the hello of the same boot at that tick; time_ms is Unix milliseconds.
Time = namedtuple("Time", "boot_id ticks_ms time_ms")

# Field checks: (type code, low, high); bounds of text, bytes, lists and maps are lengths.
_INT, _TEXT, _LIST, _MAP = 0, 1, 2, 3
_POINT = (_INT, 0, POINTS_MAX - 1)
_TARGET = (_INT, 0, MODULE_TARGET)
_U16 = (_INT, 0, 0xFFFF)
_U32 = (_INT, 0, 0xFFFFFFFF)
_SEQ = (_INT, 1, 0xFFFFFFFF)
_S = (_INT, 0, 1 << 40)
_WH = (_INT, 0, 1 << 50)
_MS = (_INT, 0, 1 << 50)
_NCUR = (_INT, -NCUR_MAX, NCUR_MAX)
_QUALITY = (_INT, 0, INVALID)
_ITEMS = (_LIST, 1, 1024)
_DEPTH_MAX = const(10)  # of the slots of a tariff inside its command
_ARGS = (_LIST, 0, 16)
_STATE = (_LIST, 9, 9)
_STREAMS = (_MAP, 0, EVENT_STREAM + 1)

_SHAPES = {
    READINGS: (Readings, (_POINT, _U32, _SEQ, _S, _WH, _U32, _ITEMS, _STATE)),
    EVENTS: (Events, (_U32, _SEQ, _ITEMS)),
    STATEMENT: (
        Statement,
        (_POINT, _U32, _U32, _S, _QUALITY, _WH, _U32, _NCUR, _NCUR, _NCUR, _STATE),
    ),
    RESULT: (Result, (_U32, _SEQ, _S, _QUALITY, _U32, _U16, (_INT, -NCUR_MAX, NCUR_MAX))),
    HELLO: (
        Hello,
        (_U32, _U32, _MS, _S, _QUALITY, _U16, (_TEXT, 1, 32), _U32, _STREAMS, _STREAMS),
    ),
    ACK: (Ack, (_U32, _STREAMS)),
    COMMAND: (Command, (_SEQ, _TARGET, _U16, _S, _S, _ARGS)),
    TIME: (Time, (_U32, _MS, _MS)),
}
_KIND_OF = {shape[0]: kind for kind, shape in _SHAPES.items()}

# Frequent and harmless to forge one by one: 64-bit tags. Everything that moves money or the relay
# by itself, or sets the clock, carries the full 256 bits.
_SHORT_TAG = (READINGS, EVENTS, ACK)


def alg_of(kind: int) -> int:
    return cose.HMAC_256_64 if kind in _SHORT_TAG else cose.HMAC_256_256


def is_down(kind: int) -> bool:
    """Kinds from 16 on travel from host to module."""
    return kind >= ACK


def kind_of(message: object) -> int:
    return _KIND_OF[type(message)]


def pack(message: tuple[object, ...]) -> bytes:
    """The payload of a message; field numbers count from 1 in the order of the table."""
    fields: dict[int, object] = {0: kind_of(message)}
    for number, value in enumerate(message):
        fields[number + 1] = value
    return cbor.encode(fields)


def unpack(payload: bytes) -> object:
    """The message in a payload, every field checked. Malformed with a reason otherwise."""
    fields = cbor.decode(payload, _DEPTH_MAX)
    # _fits also keeps `true` out: it equals kind 1 on CPython, but not on MicroPython.
    if not isinstance(fields, dict) or not _fits(fields.get(0), _U32):
        raise Malformed(BAD_FIELD, "kind")
    shape = _SHAPES.get(fields[0])
    if shape is None:
        raise Malformed(UNKNOWN_KIND)
    make, checks = shape
    values = []
    for number, check in enumerate(checks):
        value = fields.get(number + 1)
        if not _fits(value, check):
            raise Malformed(BAD_FIELD, make.__name__ + " field %d" % (number + 1))
        values.append(value)
    for number in fields:
        if not 0 <= number <= len(checks) and not number >= 32:
            raise Malformed(BAD_FIELD, make.__name__ + " field %d" % number)
    return make(*values)


def _fits(value: object, check: tuple[int, int, int]) -> bool:
    kind, low, high = check
    if kind == _INT:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if kind == _TEXT:
        return isinstance(value, str) and low <= len(value) <= high
    if kind == _LIST:
        return isinstance(value, list) and low <= len(value) <= high
    if not isinstance(value, dict) or not low <= len(value) <= high:
        return False
    for key, item in value.items():
        if not 0 <= key <= EVENT_STREAM or not _fits(item, _U32):
            return False
    return True


def seal(message: tuple[object, ...], kid: bytes, mac: cose.Mac) -> bytes:
    """The sealed bytes of a message, as they go into an MQTT payload."""
    return cose.seal(alg_of(kind_of(message)), kid, pack(message), mac)


def unseal(
    data: bytes, mac_for_kid: "Callable[[bytes], cose.Mac | None]", down: bool
) -> tuple[bytes, object]:
    """(kid, message) of sealed bytes that travelled in the given direction, or Malformed."""
    kid, alg, payload = cose.open_sealed(data, mac_for_kid)
    message = unpack(payload)
    kind = kind_of(message)
    if is_down(kind) != down:
        raise Malformed(WRONG_TOPIC, "direction")
    if alg != alg_of(kind):
        raise Malformed(FORGED, "tag too short for its kind")
    return kid, message
