# runs on: cpython micropython
"""When the MQTT client pings, sends again, gives up and comes back: on a clock that tests turn."""

import asyncio

from firmware import mqtt_codec as codec
from firmware.mqtt import Client, options
from firmware.mqtt_stream import SILENT
from firmware.waits import sleep_ms
from protocol.units import Unavailable

QUARTER_MS = 500  # of a keepalive of 2 s


class Clock:
    now_ms = 0

    def ticks_ms(self):
        return self.now_ms


class Wire:
    """Stands for a Stream: `answer(packet)` gives packets; a read without any takes all its time.

    Nothing here waits, so the pace of the machine is in none of the times.
    """

    broken = False

    def __init__(self, clock, answer):
        self.clock = clock
        self.answer = answer
        self.sent = []  # (when, packet)
        self.coming = []
        self.heard_ms = self.spoken_ms = 0

    async def send(self, packet):
        self.sent.append((self.clock.now_ms, bytes(packet)))
        self.spoken_ms = self.clock.now_ms
        self.coming.extend(self.answer(packet))

    async def receive(self, timeout_ms):
        if not self.coming:
            self.clock.now_ms += timeout_ms
            return []
        self.heard_ms = self.clock.now_ms
        coming, self.coming = self.coming, []
        return coming

    async def close(self):
        self.broken = True


def client_on(clock, entropy=None, **more):
    return Client(None, options((("broker", 1883),), "c", **more), None, clock.ticks_ms, entropy)


def connected(answer, reply_ms_max):
    """(client, wire) with a connection that stands since 0."""
    clock = Clock()
    client = client_on(clock, keepalive_s=2, reply_ms_max=reply_ms_max)
    client._stream = wire = Wire(clock, answer)
    client.connected = True
    return client, wire


async def tended_until(client, done):
    """True when so far, False when the connection was given up as silent before."""
    try:
        while not done():
            await client._tend()
            await sleep_ms(0)
    except Unavailable as error:
        assert error.args == (SILENT,)
        return False
    return True


def test_a_pause_is_half_to_all_of_a_time_that_doubles_up_to_its_bound():
    for noise, expected in (
        (b"\x00\x00", [50, 100, 200, 350, 350]),
        (b"\x80\x00", [75, 150, 300, 525, 525]),
        (b"\xff\xff", [99, 199, 399, 699, 699]),
    ):
        bounds = {"backoff_ms_min": 100, "backoff_ms_max": 700}
        client = client_on(Clock(), lambda _: noise, **bounds)  # noqa: B023
        assert [client._pause_ms(tries) for tries in (0, 1, 2, 3, 1000000)] == expected


def test_each_pause_asks_for_noise_of_its_own():
    asked = []

    def entropy(count):
        asked.append(count)
        return bytes((16 * len(asked), 0))

    client = client_on(Clock(), entropy, backoff_ms_min=1000)
    assert [client._pause_ms(0) for _ in range(3)] == [531, 562, 593]
    assert asked == [2, 2, 2]


def test_pings_leave_at_a_quarter_of_the_keepalive():
    for reply_ms_max in (100, 300, 5000):
        client, wire = connected(lambda _: [(codec.PINGRESP,)], reply_ms_max)
        assert asyncio.run(tended_until(client, lambda: len(wire.sent) == 4))  # noqa: B023
        assert {packet for _, packet in wire.sent} == {codec.PINGREQ}
        times = [0] + [at for at, _ in wire.sent]
        for before, after in zip(times, times[1:]):  # noqa: B905 MicroPython has no strict
            assert QUARTER_MS <= after - before < 2 * QUARTER_MS


def test_a_ping_without_a_reply_in_time_ends_the_connection():
    for reply_ms_max in (100, 300, 5000):
        client, wire = connected(lambda _: [], reply_ms_max)
        assert not asyncio.run(tended_until(client, lambda: False))
        ((at, packet),) = wire.sent
        assert packet == codec.PINGREQ
        assert reply_ms_max <= wire.clock.now_ms - at <= reply_ms_max * 3 // 2


def published(answer, reply_ms_max):
    """(whether publish() succeeded or the connection was given up, client, wire, times of
    PUBLISH)"""
    client, wire = connected(answer, reply_ms_max)

    async def story():
        publishing = asyncio.create_task(client.publish("up", b"x"))
        while not wire.sent:
            await sleep_ms(0)
        given_up = not await tended_until(client, publishing.done)
        if given_up:
            await client._drop()
        try:
            return await publishing
        except Unavailable:
            assert given_up
            return None

    done = asyncio.run(story())
    first = codec.publish("up", b"x", 1, 1)
    again = codec.publish("up", b"x", 1, 1, dup=True)
    sent = [(at, packet) for at, packet in wire.sent if packet != codec.PINGREQ]
    assert [packet for _, packet in sent] == [first, again]
    return done, client, wire, [at for at, _ in sent]


def test_a_missing_puback_is_asked_for_once_more_and_then_the_connection_is_given_up():
    for reply_ms_max in (100, 300, 2000):
        done, client, wire, (first, again) = published(
            lambda packet: [(codec.PINGRESP,)] if packet == codec.PINGREQ else [], reply_ms_max
        )
        assert done is None and client.resends == 1
        assert reply_ms_max <= again - first <= reply_ms_max * 3 // 2
        assert reply_ms_max <= wire.clock.now_ms - again <= reply_ms_max * 3 // 2


def test_a_puback_of_the_second_copy_keeps_the_connection():
    again = codec.publish("up", b"x", 1, 1, dup=True)

    def answer(packet):
        if packet == codec.PINGREQ:
            return [(codec.PINGRESP,)]
        return [(codec.PUBACK, 1)] if packet == again else []

    done, client, wire, _ = published(answer, 300)
    assert done is True and client.resends == 1
    assert client.connected and not wire.broken
