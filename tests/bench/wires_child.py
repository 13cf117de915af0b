"""Damaged inputs through every parser that faces a wire, under MicroPython.

Only Malformed and Unavailable may come out, within a bound of heap and of time for each input, and
the state of a module does not move. Deterministic: a failure is found again by its seed.
"""

import asyncio
import gc
import json
import time
from binascii import hexlify

from firmware import mqtt_codec
from firmware.meters import modbus, modbus_tcp, registers
from protocol import cbor, cose, messages, openpaygo, settings, tariff_book, voucher
from protocol.quantities import TYPE_FORMATS
from protocol.units import Malformed, Unavailable
from tests.bench import mutations
from tests.firmware import desk as desks

INPUT_MS_MAX = 30_000  # beside other processes; a hang is far longer
COLLECT_BELOW = (
    320_000  # free bytes: more than any bound, so that none is measured over a collection
)
UNIT, FUNCTION, COUNT = 7, 4, 6
PACKET_BYTES_MAX = 4608
TOLD_MAX = 400
DIGITS = "0123456789"
ODD_TEXT = "0123456789 -+*#aé中\x00"


def sealed(corpus, root):
    """COSE, CBOR, field checks, and behind them reading facts, tariff books and settings."""
    doors = mutations.Doors(False)

    def made(dice):
        return mutations.damaged(dice, corpus, doors)

    def enter(item):
        return doors.enter(item[0], item[1])

    def right(item, message):
        return item[2] is None or mutations.same(message, item[2])

    return made, enter, right


def any_value(item, value):
    return True


def damaged(dice, rows, mutate=mutations.MUTATIONS):
    data = rows[dice.below(len(rows))]
    other = rows[dice.below(len(rows))]
    return bytes(mutate[dice.below(len(mutate))](dice, data, other))


# Short frames: what swells to a whole message is tried seldom.
SHORT = (
    mutations.flip, mutations.flip, mutations.flip, mutations.truncate, mutations.splice,
    mutations.lie, mutations.noise, mutations.noise, mutations.keep,
) * 3 + (mutations.fill,)  # fmt: skip


def mqtt(corpus, root):
    rows = [
        mqtt_codec.publish("gp/1/3/desk-1/down", bytes(range(60)), 1, 7),
        mqtt_codec.publish("t", b""), mqtt_codec.puback(9), b"\x20\x02\x00\x00",
        b"\x90\x04\x00\x01\x01\x80", b"\xd0\x00",
    ]  # fmt: skip
    rows.append(b"".join(rows))

    def made(dice):
        data = damaged(dice, rows, SHORT)
        return data, 1 + len(data) // 64 + dice.below(64)

    def enter(item):
        """A stream cut into equal pieces."""
        data, size = item
        decoder = mqtt_codec.Decoder(PACKET_BYTES_MAX)
        for at in range(0, len(data), size):
            decoder.feed(data[at : at + size])

    return made, enter, any_value


def with_crc(frame):
    crc = modbus.crc16(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))


def answers():
    """Right answers of a meter without their CRC: registers of every format, and a refusal."""
    head = bytes((UNIT, FUNCTION, 2 * COUNT))
    return [head + bytes(range(k, k + 2 * COUNT)) for k in (0, 60, 120, 200)] + [
        head + b"\x7f\x80\x00\x00" * 3,
        bytes((UNIT, FUNCTION | 0x80, 2)),
    ]


def decoded(data):
    """Every register format over the registers of an answer."""
    for kind in range(1, len(TYPE_FORMATS)):
        try:
            registers.decode(data, 0, kind, 1000)
        except Malformed:
            pass  # as the meter's reader does


def rtu(corpus, root):
    rows = answers()

    def made(dice):
        data = damaged(dice, rows, SHORT)[:260]
        return with_crc(data) if dice.below(4) else data

    def enter(data):
        frame = bytearray()
        missing = modbus.missing_bytes(frame, COUNT)
        while missing > 0 and len(frame) < len(data):
            frame.extend(data[len(frame) : len(frame) + missing])
            missing = modbus.missing_bytes(frame, COUNT)
        answer = modbus.parse(frame, UNIT, FUNCTION, COUNT)
        if not isinstance(answer, int):
            decoded(answer)

    return made, enter, any_value


class Peer:
    """A gateway's side of a TCP connection: what it says was written down before."""

    def __init__(self, data):
        self.data = data

    async def read(self, count):
        out, self.data = self.data[:count], self.data[count:]
        return out

    def write(self, frame):
        pass

    async def drain(self):
        pass

    def close(self):
        pass

    async def wait_closed(self):
        pass


class PeerLink:
    def __init__(self):
        self.peer = None

    async def connect(self, host, port):
        return self.peer, self.peer


def tcp(corpus, root):
    rows = [b"\x00\x01\x00\x00\x00" + bytes((len(each),)) + each for each in answers()]
    link = PeerLink()

    def made(dice):
        return damaged(dice, rows, SHORT)

    def enter(data):
        link.peer = Peer(data)
        bus = modbus_tcp.TcpBus(link, "gateway", 502, lambda: 1)
        answer = asyncio.run(bus.request(UNIT, FUNCTION, 0, COUNT))
        if not isinstance(answer, int):
            decoded(answer)

    return made, enter, any_value


def wire_rows(corpus, action):
    """Plain CBOR of what commands of an action carry in the corpus."""
    found = []
    for down, payload in corpus:
        if not down:
            continue
        message = messages.unpack(payload, True)
        if messages.kind_of(message) == messages.COMMAND and message.action == action:
            found.append(cbor.encode(message.args[0]))
    return found


def config(corpus, root):
    point = desks.point_settings()
    module = desks.provision(desks.Desk(root).root, [point], desks.flat_book())
    rows = [cbor.encode(settings.module_to_wire(module))]

    def enter(data):
        settings.module_from_wire(cbor.decode(data, 8))

    return (lambda dice: damaged(dice, rows)), enter, any_value


def tariff(corpus, root):
    rows = [cbor.encode(tariff_book.to_wire(desks.flat_book(3, 5, 7, (100, 200), (0, 1, 2))))]
    rows += wire_rows(corpus, mutations.codes.TARIFF)

    def enter(data):
        tariff_book.from_wire(cbor.decode(data, 10))

    return (lambda dice: damaged(dice, rows)), enter, any_value


def typed(dice):
    """What a customer or a guesser may type, or a console may pass on."""
    length = (9, 15, 20, dice.below(40))[dice.below(4)]
    if dice.below(8) == 0:
        return "".join([ODD_TEXT[dice.below(len(ODD_TEXT))] for _ in range(length)])
    low, high = ((0, 10), (1, 4))[length == 15 and dice.below(2)]
    text = "".join([DIGITS[low + dice.below(high)] for _ in range(length)])
    if length == voucher.DIGITS and dice.below(2):
        text = text[:-1] + str(voucher.luhn(text[:-1]))
    return text


def tokens(corpus, root):
    def enter(text):
        return openpaygo.parse(text), voucher.parse(text)

    def right(text, value):
        """No text is both, and only digits are either."""
        token, fields = value
        if token == -1 and fields is None:
            return True
        only = all(digit in DIGITS for digit in text)
        return only and token <= openpaygo.CODE_MAX and (token == -1) != (fields is None)

    return typed, enter, right


class Module:
    """A whole module on the desk: what a forger sends must leave its state alone."""

    def __init__(self, root):
        desk = desks.Desk(root)
        desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
        _, self.firmware = desk.power_on()
        asyncio.run(self.firmware.metering.poll())
        self.topic = self.firmware.uplink.topic

    def state(self):
        """Everything that decides about money and supply, as it is."""
        firmware = self.firmware
        point = firmware.points[0]
        return (
            point.slot, point.book.version, firmware.module.high, firmware.settings.version,
            firmware.clock.base_ms, dict(firmware.outbox.acked), len(firmware.commands.answered),
        )  # fmt: skip


def forged(corpus, root):
    """Messages sealed with another module's key, or damaged after sealing."""
    module = Module(root)
    other = cose.Mac(cose.derive(bytes(32), cose.DOWN))  # the corpus is sealed for another
    module.firmware.uplink.mac_down = other
    before = module.state()
    doors = mutations.Doors(False)

    def made(dice):
        data, _, _ = mutations.damaged(dice, corpus, doors)
        return data

    def enter(data):
        module.firmware.uplink.receive(module.topic, data)

    return made, enter, lambda data, value: module.state() == before


# Wire: (maker, thousandths of the inputs, heap bytes one input may take). A whole message of short
# texts is the dearest, and only who has the key gets that far: `forged` is what anybody can send.
WIRES = {
    "sealed": (sealed, 200, 160_000),
    "mqtt": (mqtt, 200, 24_000),
    "rtu": (rtu, 200, 4_000),
    "tcp": (tcp, 80, 20_000),
    "config": (config, 80, 60_000),
    "tariff": (tariff, 80, 60_000),
    "tokens": (tokens, 140, 4_000),
    "forged": (forged, 20, 12_000),
}


class Count:
    def __init__(self):
        self.inputs = 0
        self.accepted = 0
        self.failures = 0
        self.heap = 0  # most bytes one input took
        self.ms = 0  # longest
        self.first = ""

    def fail(self, why, item):
        self.failures += 1
        if not self.first:
            data = item[0] if isinstance(item, tuple) else item
            shown = hexlify(data).decode() if isinstance(data, bytes) else repr(data)
            self.first = f"{why} {shown[:TOLD_MAX]}"


def run(wire, corpus, root, seed, inputs):
    """-> Count of one wire; `root` is a folder for a module's files."""
    make, _, heap_max = WIRES[wire]
    return tried(*make(corpus, root), seed, inputs, heap_max)


def tried(made, enter, right, seed, inputs, heap_max):
    """`right(item, value)` tells whether what was accepted is what it must be."""
    count = Count()
    dice = mutations.Dice(seed)
    for _ in range(inputs):
        item = made(dice)
        used = gc.mem_alloc()
        if gc.mem_free() < COLLECT_BELOW:
            gc.collect()
            used = gc.mem_alloc()
        started_ms = time.ticks_ms()
        count.inputs += 1
        value = refused = None
        try:
            value = enter(item)
            count.accepted += 1
        except (Malformed, Unavailable):
            refused = True
        except Exception as error:  # whatever else comes out is the finding
            refused = True
            count.fail(repr(error), item)
        took = gc.mem_alloc() - used
        ms = time.ticks_diff(time.ticks_ms(), started_ms)
        count.heap, count.ms = max(count.heap, took), max(count.ms, ms)
        # A collection inside means that more was taken than was free: more than any bound.
        if not 0 <= took <= heap_max:
            count.fail(f"{took} heap bytes", item)
        if ms > INPUT_MS_MAX:
            count.fail(f"{ms} ms", item)
        if not refused and not right(item, value):
            count.fail("wrong value", item)
    return count


def main(path, share, seed, inputs):
    """A share of the inputs of every wire; one line of JSON."""
    corpus = mutations.read_corpus(path)
    root = "%s-%d" % (path, share)
    found = {}
    for number, wire in enumerate(sorted(WIRES)):
        part = inputs * WIRES[wire][1] // 1000
        found[wire] = run(wire, corpus, root, seed + 1000 * number + share, part).__dict__
        gc.collect()
    print(json.dumps(found))
