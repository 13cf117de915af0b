"""MQTT 3.1.1 client over the streams of a link: connects, stays connected, delivers at least once.

PUBACK only means that the broker has a message; that the host has it is proven by its own
acknowledgement, not here. Durations are milliseconds. It never queues to flash, resolves a name or
knows about TLS: the link does that. Everything it holds is bounded by the options.
"""

import asyncio
from collections import namedtuple

from firmware import mqtt_codec as codec
from firmware.mqtt_stream import DENIED, GARBLED, NO_LINK, REASONS, REFUSED, SILENT, Flight, Stream
from firmware.waits import sleep_ms, wait_for_ms
from protocol.units import MALFORMED, Malformed, Unavailable, const

_STABLE_MS = const(5000)  # a connection younger than this does not reset the back-off

Options = namedtuple(
    "Options",
    "brokers client_id subscriptions user password will keepalive_s connect_ms_max"
    " reply_ms_max backoff_ms_min backoff_ms_max packet_bytes_max inflight_max",
)


def options(
    brokers, client_id, *, subscriptions=(), user=None, password=None, will=None,
    keepalive_s=60, connect_ms_max=15000, reply_ms_max=5000, backoff_ms_min=1000,
    backoff_ms_max=300000, packet_bytes_max=4200, inflight_max=4
):  # fmt: skip
    """Options with defaults. `brokers` are (host, port) in the order they are tried in,
    `subscriptions` (filter, qos), `will` is (topic, payload, qos, retain), `password` is bytes;
    `packet_bytes_max` bounds what is received."""
    return Options(
        brokers, client_id, subscriptions, user, password, will, keepalive_s, connect_ms_max,
        reply_ms_max, backoff_ms_min, backoff_ms_max, packet_bytes_max, inflight_max
    )  # fmt: skip


class Client:
    """One connection at a time, for as long as run() runs.

    `on_message(topic, payload)`, plain or async, takes each message; its PUBACK follows when it
    returned. It may raise Malformed (counted in `rejects`, still acknowledged) or Unavailable (not
    acknowledged), and must not await publish(): acknowledgements are read by the same task.
    """

    def __init__(self, link, options, on_message, ticks_ms, entropy):
        self._link = link
        self._options = options
        self._on_message = on_message
        self._ticks_ms = ticks_ms
        self._entropy = entropy
        self.connected = False  # subscribed, ready to publish
        self.session_present = False  # as the last CONNACK said; both values are fine
        self.failures = [0] * REASONS  # ended connections by reason, see mqtt_stream
        self.on_end = None  # told (reason, place in the list of brokers) when one ended
        self.traffic = [0, 0]  # bytes in, bytes out
        self.connects = self.publishes = self.resends = self.rejects = 0
        self._place = 0  # in the list of brokers, from the first again after the last
        self._stream = None
        self._expected = 0  # kind of the answer awaited, 0 none
        self._answer = None
        self._packet_id = 0
        self._flights = {}
        self._room = asyncio.Event()
        self._up_ms = 0
        self._ping_ms = -1  # when the unanswered ping left, -1 none
        self._quarter_ms = options.keepalive_s * 250
        # Slices of reading, so that pings, resends and a broken writer are noticed in time.
        self._slice_ms = min(self._quarter_ms, options.reply_ms_max) // 4 + 1

    async def run(self) -> None:
        """Connect, serve, back off, for ever. Cancelling it says goodbye to the broker first."""
        tries = 0
        try:
            while True:
                reason = await self._session()
                self.failures[reason] += 1
                if self.on_end:
                    self.on_end(reason, self._place % len(self._options.brokers))
                self._place += 1
                if self.connected and self._ticks_ms() - self._up_ms >= _STABLE_MS:
                    tries = self._place = 0
                await self._drop()
                await sleep_ms(self._pause_ms(tries))
                tries += 1
        except asyncio.CancelledError:
            if self.connected:
                await self._stream.leave()
            raise
        finally:
            await self._drop()

    async def publish(self, topic, payload, qos=1, timeout_ms=30000) -> bool:
        """True when the broker has it (QoS 0: when it left), False when no PUBACK came in time.

        Unavailable without a connection, or when it is lost meanwhile. Waits while the window of
        `inflight_max` messages is full.
        """
        end_ms = self._ticks_ms() + timeout_ms
        while qos and self.connected and len(self._flights) >= self._options.inflight_max:
            self._room.clear()
            if not await self._happens(self._room, end_ms):
                return False
        if not self.connected:
            raise Unavailable(NO_LINK)
        stream, flights = self._stream, self._flights
        if not qos:
            await stream.send(codec.publish(topic, payload))
            self.publishes += 1
            return True
        flight = Flight(topic, payload, self._ticks_ms())
        self._packet_id = packet_id = self._packet_id % 0xFFFF + 1
        flights[packet_id] = flight
        try:
            await stream.send(codec.publish(topic, payload, 1, packet_id))
            self.publishes += 1
            if not await self._happens(flight.done, end_ms):
                return False
        finally:
            flights.pop(packet_id, None)
            self._room.set()
        if not flight.acked:
            raise Unavailable(NO_LINK)
        return True

    async def _session(self) -> int:
        """One connection from beginning to end; returns why it ended."""
        try:
            await self._open()
            while True:
                await self._tend()
        except Unavailable as error:
            return error.args[0]
        except Malformed:
            return GARBLED

    async def _open(self) -> None:
        o = self._options
        try:
            connecting = self._link.connect(*o.brokers[self._place % len(o.brokers)])
            reader, writer = await wait_for_ms(connecting, o.connect_ms_max)
        except (OSError, asyncio.TimeoutError):
            raise Unavailable(NO_LINK)
        self._stream = Stream(reader, writer, o, self._ticks_ms, self.traffic)
        self._ping_ms = -1
        hello = codec.connect(o.client_id, o.keepalive_s, o.user, o.password, o.will)
        _, self.session_present, code = await self._ask(hello, codec.CONNACK)
        if code:
            raise Unavailable(REFUSED)
        if o.subscriptions:
            # Always: with the clean flag no broker remembers them, whatever it says.
            _, _, codes = await self._ask(codec.subscribe(1, o.subscriptions), codec.SUBACK)
            if codec.SUBACK_DENIED in codes or len(codes) != len(o.subscriptions):
                raise Unavailable(DENIED)
        self.connects += 1
        self._up_ms = self._ticks_ms()
        self.connected = True

    async def _ask(self, packet, kind):
        self._expected, self._answer = kind, None
        await self._stream.send(packet)
        end_ms = self._ticks_ms() + self._options.reply_ms_max
        while self._answer is None:
            left_ms = end_ms - self._ticks_ms()
            if left_ms <= 0:
                raise Unavailable(SILENT)
            await self._read(left_ms)
        return self._answer

    async def _tend(self) -> None:
        """One slice of a running connection: ping, resend what is overdue, read."""
        stream, reply_ms_max, now_ms = self._stream, self._options.reply_ms_max, self._ticks_ms()
        if stream.broken:
            raise Unavailable(NO_LINK)
        if self._ping_ms >= 0:
            if now_ms - self._ping_ms >= reply_ms_max:
                raise Unavailable(SILENT)
        elif now_ms - min(stream.heard_ms, stream.spoken_ms) >= self._quarter_ms:
            self._ping_ms = now_ms
            await stream.send(codec.PINGREQ)
        for packet_id, flight in list(self._flights.items()):
            if flight.acked or now_ms - flight.sent_ms < reply_ms_max:
                continue
            if flight.resent:
                raise Unavailable(SILENT)
            flight.resent = True
            flight.sent_ms = now_ms
            self.resends += 1
            again = codec.publish(flight.topic, flight.payload, 1, packet_id, dup=True)
            await stream.send(again)
        await self._read(self._slice_ms << (0 if self._flights or self._ping_ms >= 0 else 2))

    async def _read(self, timeout_ms) -> None:
        for packet in await self._stream.receive(timeout_ms):
            self._ping_ms = -1  # anything shows that the peer is there
            kind = packet[0]
            if kind == codec.PUBLISH:
                await self._receive(packet)
            elif kind == codec.PUBACK:
                flight = self._flights.get(packet[1])  # None: its publish() has given up
                if flight is not None:
                    flight.acked = True
                    flight.done.set()
            elif kind != codec.PINGRESP:
                if kind != self._expected:
                    raise Malformed(MALFORMED, "unasked")
                self._expected, self._answer = 0, packet

    async def _receive(self, packet) -> None:
        _, topic, payload, qos, _, _, packet_id = packet
        try:
            result = self._on_message(topic, payload)
            if hasattr(result, "send"):
                await result
        except Malformed:
            self.rejects += 1
        except Unavailable:
            return
        if qos:
            await self._stream.send(codec.puback(packet_id))

    async def _happens(self, event, end_ms) -> bool:
        try:
            await wait_for_ms(event.wait(), max(0, end_ms - self._ticks_ms()))
        except asyncio.TimeoutError:
            return False
        return True

    async def _drop(self) -> None:
        self.connected = False
        stream, self._stream = self._stream, None
        for flight in self._flights.values():
            flight.done.set()
        self._flights = {}
        self._room.set()
        if stream is not None:
            await stream.close()

    def _pause_ms(self, tries) -> int:
        """Half to all of an exponential back-off, so that a fleet does not return in step."""
        o = self._options
        span_ms = min(o.backoff_ms_max, o.backoff_ms_min << min(tries, 16))
        noise = self._entropy(2)
        return (span_ms + (span_ms * (noise[0] << 8 | noise[1]) >> 16)) // 2
