"""Damaged messages, the same on both interpreters: only Malformed may come out of the doors.

Half of the inputs are sealed bytes damaged in place, half are damaged payloads under a right seal,
so that the decoder, the field checks and what lies behind them are reached. Deterministic.
"""

import struct
from binascii import hexlify

from protocol import cbor, codes, cose, facts, messages, settings, tariff_book
from protocol.units import MESSAGE_BYTES_MAX, Malformed

ROOT_KEY = bytes(range(32))
# Bytes that start an item with a length or a form that is not ours.
LIES = b"\x5b\x9b\xbb\x7b\x5f\x9f\xbf\xff\x1b\x3b\xf9\xfb\xc1\x98\xb8\x58\x18\x1f\xf4\xf6"


class Dice:
    """A linear congruential generator: the same numbers on both interpreters."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
        return (self.state >> 33) % limit

    def bytes(self, count):
        return bytes([self.below(256) for _ in range(count)])


def flip(dice, data, other):
    out = bytearray(data)
    for _ in range(1 + dice.below(4)):
        if out:
            out[dice.below(len(out))] ^= 1 << dice.below(8)
    return out


def truncate(dice, data, other):
    return data[: dice.below(len(data) + 1)]


def splice(dice, data, other):
    return data[: dice.below(len(data) + 1)] + other[dice.below(len(other) + 1) :]


def lie(dice, data, other):
    at = dice.below(len(data) + 1)
    return data[:at] + bytes([LIES[dice.below(len(LIES))]]) + data[at + dice.below(2) :]


def nest(dice, data, other):
    at = dice.below(len(data) + 1)
    shell = (b"\x81", b"\xa1\x00", b"\x82\x00", b"\x9a\x00\x00\x00\x01")[dice.below(4)]
    return data[:at] + shell * (1 + dice.below(200)) + data[at:]


def fill(dice, data, other):
    at = dice.below(len(data) + 1)
    return data[:at] + bytes([dice.below(256)]) * dice.below(MESSAGE_BYTES_MAX) + data[at:]


def many(dice, data, other):
    """An array of as many equal small things as a message may hold."""
    things = (b"\x80", b"\xa0", b"\x40", b"\x41\x00", b"\x61a", b"\x00", b"\x82\x00\x00")
    thing = things[dice.below(len(things))]
    count = MESSAGE_BYTES_MAX // len(thing) - 40
    start = b"\xa2\x00" + bytes([1 + dice.below(18)]) + b"\x07\x99"
    return start + struct.pack(">H", count) + thing * count


def wide(dice, data, other):
    """A map of as many pairs as a message may hold."""
    pairs = 970
    out = bytearray(7 + 4 * pairs)
    out[:7] = b"\xa2\x00" + bytes([1 + dice.below(18)]) + b"\x07\xb9" + struct.pack(">H", pairs)
    for key in range(pairs):
        struct.pack_into(">BHB", out, 7 + 4 * key, 0x19, 256 + key, 0)
    return out


def noise(dice, data, other):
    return dice.bytes(dice.below(80))


def keep(dice, data, other):
    return data


MUTATIONS = (flip, flip, truncate, splice, lie, lie, nest, fill, many, wide, noise, keep)


class Doors:
    """Everything hostile bytes can reach, under one key.

    A host opens what travels up, here also what travels down; a module opens only the latter, so
    all is sealed that way for it.
    """

    def __init__(self, host):
        self.host = host
        self.macs = {
            False: cose.Mac(cose.derive(ROOT_KEY, cose.UP)),
            True: cose.Mac(cose.derive(ROOT_KEY, cose.DOWN)),
        }

    def enter(self, data, down):
        """The message, after everything behind its door has looked at it; Malformed otherwise."""
        message = messages.unseal(data, self.macs[down], down)
        self.inside(message)
        return message

    def inside(self, message):
        kind = messages.kind_of(message)
        if kind == messages.READINGS:
            facts.of_items(0, message.version, message.items)
        elif kind == messages.COMMAND and message.args:
            if message.action == codes.TARIFF:
                tariff_book.from_wire(message.args[0])
            elif message.action == codes.CONFIG:
                settings.module_from_wire(message.args[0])


def read_corpus(path):
    """[(down, payload)] of a file of rows: 1 byte, length of 2 bytes, payload."""
    rows = []
    with open(path, "rb") as file:
        head = file.read(3)
        while head:
            down, length = struct.unpack("<BH", head)
            rows.append((bool(down), file.read(length)))
            head = file.read(3)
    return rows


def damaged(dice, corpus, doors):
    """(sealed bytes, down, payload or None) of the next input."""
    down, payload = corpus[dice.below(len(corpus))]
    down = down or not doors.host
    _, other = corpus[dice.below(len(corpus))]
    mutate = MUTATIONS[dice.below(len(MUTATIONS))]
    alg = cose.HMAC_256_64
    # The tag length follows the kind, unless the dice say otherwise.
    if payload[2] not in (1, 2, 16) or dice.below(16) == 0:
        alg = cose.HMAC_256_256
    if dice.below(2):
        sealed = cose.seal(alg, payload, doors.macs[down])
        return bytes(mutate(dice, sealed, other)), down, None
    payload = bytes(mutate(dice, payload, other))
    if len(payload) > MESSAGE_BYTES_MAX:
        payload = payload[: MESSAGE_BYTES_MAX - 100]
    return cose.seal(alg, payload, doors.macs[down]), down, payload


def run(path, seed, count, doors, sample=None):
    """(accepted, failures, how the first one looked) of `count` inputs.

    `sample(enter, data, down)` may stand in for a call, to weigh it.
    """
    corpus = read_corpus(path)
    dice = Dice(seed)
    accepted = 0
    failures = 0
    first = ""
    for number in range(count):
        data, down, payload = damaged(dice, corpus, doors)
        try:
            if sample and number % 1000 == 0:
                message = sample(doors.enter, data, down)
            else:
                message = doors.enter(data, down)
            accepted += 1
            wrong = payload is not None and not same(message, payload)
            why = "another payload than"
        except Malformed:
            continue
        except Exception as error:
            wrong = True
            why = repr(error)
        if wrong:
            failures += 1
            first = first or f"{why} {hexlify(data).decode()}"
    return accepted, failures, first


def same(message, payload):
    """An accepted message packs to its payload, but for fields that are ignored."""
    if messages.pack(message) == payload:
        return True
    return any(number >= 32 for number in cbor.decode(payload, 10))


def main(path, seed, count):
    print(run(path, seed, count, Doors(False)))
