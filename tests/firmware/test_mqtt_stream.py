# runs on: cpython micropython
"""One MQTT connection over streams that stall, break or end."""

import asyncio

from firmware.mqtt import options
from firmware.mqtt_codec import CONNACK
from firmware.mqtt_stream import CLOSED, NO_LINK, Stream
from firmware.waits import sleep_ms
from protocol.units import OVERSIZED, Malformed, Unavailable


class Peer:
    """Reader and writer in one; `stalled` never drains, `error` is raised by every call."""

    def __init__(self, chunks=(), stalled=False, error=None):
        self.chunks = list(chunks)
        self.stalled = stalled
        self.error = error
        self.written = []
        self.closed = 0
        self.draining = 0
        self.overlaps = 0

    async def read(self, n):
        if self.error:
            raise self.error
        while not self.chunks:
            await sleep_ms(5)
        chunk = self.chunks.pop(0)
        assert len(chunk) <= n
        return chunk

    def write(self, data):
        if self.error:
            raise self.error
        self.written.append(data)
        self.overlaps += self.draining

    async def drain(self):
        self.draining += 1
        await sleep_ms(10)
        while self.stalled:
            await sleep_ms(5)
        self.draining -= 1

    def close(self):
        self.closed += 1

    async def wait_closed(self):
        if self.error:
            raise self.error
        while self.stalled:
            await sleep_ms(5)


def stream_on(peer, write_ms_max=60000):
    o = options((("h", 1),), "c", reply_ms_max=write_ms_max, packet_bytes_max=50)
    return Stream(peer, peer, o, lambda: 7, [0, 0])


def failure(coroutine):
    try:
        asyncio.run(coroutine)
    except Unavailable as error:
        return error.args[0]
    return None


def test_a_peer_that_stops_reading_breaks_the_stream_in_time():
    peer = Peer(stalled=True)
    stream = stream_on(peer, 60)
    assert failure(stream.send(b"abc")) == NO_LINK
    assert stream.broken
    assert failure(stream.send(b"def")) == NO_LINK
    assert peer.written == [b"abc"]


def test_a_cancelled_send_breaks_the_stream_because_half_a_packet_may_be_out():
    peer = Peer(stalled=True)
    stream = stream_on(peer)

    async def story():
        sending = asyncio.create_task(stream.send(b"abc"))
        while not peer.draining:
            await sleep_ms(1)
        sending.cancel()
        try:
            await sending
        except asyncio.CancelledError:
            return
        raise AssertionError("not cancelled")

    asyncio.run(story())
    assert stream.broken
    assert failure(stream.send(b"def")) == NO_LINK


def test_packets_of_several_tasks_never_mix():
    peer = Peer()
    stream = stream_on(peer)

    async def story():
        await asyncio.gather(*[stream.send(bytes((i,))) for i in range(5)])

    asyncio.run(story())
    assert sorted(peer.written) == [bytes((i,)) for i in range(5)]
    assert peer.overlaps == 0
    assert not stream.broken


def test_the_end_of_the_stream_an_error_and_nothing_are_told_apart():
    assert failure(stream_on(Peer([b""])).receive(50)) == CLOSED
    assert failure(stream_on(Peer(error=OSError(104))).receive(50)) == NO_LINK
    assert failure(stream_on(Peer(error=OSError(104))).send(b"a")) == NO_LINK
    assert asyncio.run(stream_on(Peer()).receive(20)) == []


def test_packets_come_whole_and_oversized_ones_are_refused():
    stream = stream_on(Peer([b"\x20\x02", b"\x00\x00\x30\x33"]))
    assert asyncio.run(stream.receive(50)) == []
    try:
        asyncio.run(stream.receive(50))
    except Malformed as error:
        assert error.reason == OVERSIZED
    else:
        raise AssertionError("accepted")
    stream = stream_on(Peer([b"\x20\x02\x01\x00"]))
    assert asyncio.run(stream.receive(50)) == [(CONNACK, True, 0)]


def test_closing_never_fails_nor_hangs():
    for peer in (Peer(), Peer(error=OSError(9)), Peer(stalled=True)):
        stream = stream_on(peer)
        asyncio.run(stream.close())
        assert peer.closed == 1
        assert failure(stream.send(b"a")) == NO_LINK
