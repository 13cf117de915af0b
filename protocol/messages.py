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
    MODULE_TARGET,
    NCUR_MAX,
    POINTS_MAX,
    UNKNOWN_KIND,
    WRONG_TOPIC,
    Malformed,
    const,
)

READINGS = const(1)
EVENTS = const(2)
STATEMENT = const(3)
RESULT = const(4)
HELLO = const(5)
ACK = const(16)
COMMAND = const(17)
TIME = const(18)

EVENT_STREAM = const(8)  # streams 0 to 7 are the points' ledgers

# items: see reading.py. head: the chain head after the last item. It pins register, balance,
# tariff version, tier position and top-up mark, which the receiver rebuilds; a statement spells
# them out.
Readings = namedtuple("Readings", "point epoch first_seq version items head")
# items: [[time_s, quality, code, point or 255, [integers]], ...]; a number stands for so many
# records that the outbox had no room for.
Events = namedtuple("Events", "epoch first_seq items")
# state: [balance, period, used, day, generation, highest, floor, used bitmap, head]
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

# Field checks: an integer from 0 to this number, or one of these.
SEQ = const(-1)  # 1 to 2**32 - 1
NCUR = const(-2)
FIRMWARE = const(-3)  # text of 1 to 32 characters
ITEMS = const(-4)  # list of 1 to ITEMS_MAX
STATE = const(-5)  # list of 9
ARGS = const(-6)  # list of 0 to ARGS_MAX
STREAMS = const(-7)  # map of up to 9 streams to integers of 32 bits
HEAD = const(-8)  # 16 bytes

ITEMS_MAX = const(1024)
ARGS_MAX = const(16)
POINT = POINTS_MAX - 1
U16 = const(0xFFFF)
U32 = const(0xFFFFFFFF)
INSTANT_S = const(1 << 40)
MS = const(1 << 50)
_DEPTH_MAX = const(10)  # of the slots of a tariff inside its command

# What a module receives; what the host does is in messages_up.py, which no module loads.
DOWN = {
    ACK: (U32, STREAMS),
    COMMAND: (SEQ, MODULE_TARGET, U16, INSTANT_S, INSTANT_S, ARGS),
    TIME: (U32, MS, MS),
}
TYPES = {
    READINGS: Readings,
    EVENTS: Events,
    STATEMENT: Statement,
    RESULT: Result,
    HELLO: Hello,
    ACK: Ack,
    COMMAND: Command,
    TIME: Time,
}

# Frequent and harmless to forge one by one: 64-bit tags. Everything that moves money or the relay
# by itself, or sets the clock, carries the full 256 bits.
_SHORT_TAG = (READINGS, EVENTS, ACK)


def alg_of(kind: int) -> int:
    return cose.HMAC_256_64 if kind in _SHORT_TAG else cose.HMAC_256_256


def is_down(kind: int) -> bool:
    """Kinds from 16 on travel from host to module."""
    return kind >= ACK


def kind_of(message: object) -> int:
    for kind, make in TYPES.items():
        if type(message) is make:
            return kind
    raise TypeError("not a message")


def default_of(kind: int, number: int) -> int:
    """The value for which a field is left out, and only then; -1 when it is always there."""
    pointed = kind in (READINGS, STATEMENT)
    if pointed and number == 1:
        return 0  # the point
    epoch = 2 if pointed or kind == HELLO else 1
    return 1 if number == epoch and kind <= ACK else -1


def pack(message: tuple[object, ...]) -> bytes:
    """The payload of a message; field numbers count from 1 in the order of the table."""
    kind = kind_of(message)
    fields: dict[int, object] = {0: kind}
    for number, value in enumerate(message):
        if value != default_of(kind, number + 1):
            fields[number + 1] = value
    return cbor.encode(fields)


def unpack(payload: bytes, down: bool = False) -> object:
    """The message in a payload of the given direction, every field checked, or Malformed."""
    fields = cbor.decode(payload, _DEPTH_MAX)
    # _fits also keeps `true` out: it equals kind 1 on CPython, but not on MicroPython.
    if not isinstance(fields, dict) or not _fits(fields.get(0), U32):
        raise Malformed(BAD_FIELD, "kind")
    kind = fields[0]
    make = TYPES.get(kind)
    if make is None:
        raise Malformed(UNKNOWN_KIND)
    if is_down(kind) != down:
        raise Malformed(WRONG_TOPIC, "direction")
    checks = DOWN[kind] if down else _up(kind)
    values = []
    for number, check in enumerate(checks):
        default = default_of(kind, number + 1)
        value = fields.get(number + 1, default)
        if not _fits(value, check) or (value == default and number + 1 in fields):
            raise Malformed(BAD_FIELD, "kind %d field %d" % (kind, number + 1))
        values.append(value)
    for number in fields:
        if not 0 <= number <= len(checks) and not number >= 32:
            raise Malformed(BAD_FIELD, "kind %d field %d" % (kind, number))
    return make(*values)


def _up(kind: int) -> "tuple[int, ...]":
    from protocol import messages_up

    return messages_up.UP[kind]


def _fits(value: object, check: int) -> bool:
    if check >= NCUR:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        if check == NCUR:
            return -NCUR_MAX <= value <= NCUR_MAX
        return 0 <= value <= check if check >= 0 else 1 <= value <= U32
    if check == FIRMWARE:
        return isinstance(value, str) and 1 <= len(value) <= 32
    if check == HEAD:
        return isinstance(value, bytes) and len(value) == 16
    if check > STREAMS:
        low, high = ((1, ITEMS_MAX), (9, 9), (0, ARGS_MAX))[ITEMS - check]
        return isinstance(value, list) and low <= len(value) <= high
    if not isinstance(value, dict) or len(value) > EVENT_STREAM + 1:
        return False
    for key, item in value.items():
        if not 0 <= key <= EVENT_STREAM or not _fits(item, U32):
            return False
    return True


def seal(message: tuple[object, ...], mac: cose.Mac) -> bytes:
    """The sealed bytes of a message, as they go into an MQTT payload."""
    return cose.seal(alg_of(kind_of(message)), pack(message), mac)


def unseal(data: bytes, mac: cose.Mac, down: bool, before: "cose.Mac | None" = None) -> object:
    """The message in sealed bytes that travelled in the given direction, or Malformed.

    `before` is of the key before, as long as what is under way may have its seal.
    """
    try:
        alg, payload = cose.open_sealed(data, mac)
    except Malformed as error:
        if before is None or error.reason != FORGED:
            raise
        alg, payload = cose.open_sealed(data, before)
    message = unpack(payload, down)
    if alg != alg_of(kind_of(message)):
        raise Malformed(FORGED, "tag too short for its kind")
    return message
