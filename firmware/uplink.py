"""Between outbox and broker: greets, sends what waits, trims what the host has committed, and
hands authenticated messages from the host to clock and commands.

What was sent and is not acknowledged in time is sent again from the oldest on. Never trusts
PUBACK with a record, and never lets a message through whose seal is not right.
"""

import asyncio

from firmware import config, log
from firmware.waits import sleep_ms, wait_for_ms
from protocol import codes, cose, messages, topics
from protocol.units import (
    INTERVAL_S,
    MODULE_TARGET,
    OVERSIZED,
    SYNCHRONISED,
    Malformed,
    Unavailable,
    const,
)

FIRMWARE = "0.1.0"
# Without an acknowledgement for this long, send again; twice as long each time.
_RETRY_MS = const(60000)
_RETRY_MS_MAX = const(900000)
_IDLE_MS = const(10000)
_OFFLINE_MS = const(5000)
_WINDOW_RECORDS = const(128)  # sent and not acknowledged, per stream: then the host has to speak
# No plain record waits longer for others, unless more than an hour's are wanted.
_HELD_MS = const(3600000)
TIME_ROUND_TRIP_MS = 10000
REJECT_EVERY_MS = 60000
WANTED = const(-1)  # in place of a tick: a hello is to be said at once


class Uplink:
    def __init__(
        self, board, device_log, settings, key, module, clock, outbox, events, points, commands
    ):
        self.board = board
        self.log = device_log
        self.settings = settings
        self.module = module
        self.clock = clock
        self.outbox = outbox
        self.events = events
        self.points = points
        self.commands = commands
        self.mac_up = cose.Mac(cose.derive(key, cose.UP))
        self.mac_down = cose.Mac(cose.derive(key, cose.DOWN))
        self.mac_before = None  # of the key before, while this connection lasts
        self.topic = topics.up(settings.shard, settings.module)
        from firmware import brokers  # given back with what only it needs

        self.client = brokers.client(board, clock, settings, events, device_log, self.receive)
        config.forget("brokers", "firmware")
        self.client.on_end = self.unconnected
        self.told = 0  # bits of the reasons for having no connection, as far as told
        self.sent = {}  # stream: highest sequence sent in this connection
        self.progress_ms = 0  # last time an acknowledgement moved something
        self.retry_ms = _RETRY_MS
        self.heard = False  # the host has spoken since power-on
        self.greeted = 0  # connection number that has had its hello
        self.asked_ms = None  # tick of the hello whose time answer is still expected
        self.statements = []  # points that owe a statement
        self.urgent = True  # something waits that is not plain
        self.held_ms = 0  # last tick at which nothing waited
        self.rejected_ms = {}
        self.wake = asyncio.Event()

    async def run(self):
        """Send whatever waits, whenever there is a connection."""
        while True:
            if not self.client.connected:
                await sleep_ms(_OFFLINE_MS)
                continue
            self.wake.clear()
            try:
                await self.send_all()
            except Unavailable:
                await sleep_ms(_OFFLINE_MS)
                continue
            try:
                await wait_for_ms(self.wake.wait(), _IDLE_MS)
            except asyncio.TimeoutError:
                pass  # time to look whether something needs a repetition

    def noted(self, plain=False):
        """A record waits; a plain one may wait for others, see due()."""
        if not plain:
            self.urgent = True
        self.wake.set()

    def due(self):
        """False while all that waits are plain records, too few and too young to be sent."""
        now_ms = self.board.ticks_ms()
        hold = self.settings.hold_records
        waits = max([seq - self.upto(stream) for stream, seq in self.outbox.newest.items()])
        if not waits:
            self.held_ms = now_ms
        held_ms = max(_HELD_MS, hold * INTERVAL_S * 1000)
        return self.urgent or waits >= hold or now_ms - self.held_ms >= held_ms

    def outstanding(self):
        """True while something that was sent in this connection is not acknowledged."""
        return any([seq > self.outbox.acked.get(n, 0) for n, seq in self.sent.items()])

    def upto(self, stream):
        """What needs not be sent in this connection."""
        return max(self.outbox.acked.get(stream, 0), self.sent.get(stream, 0))

    async def send_all(self):
        if self.greeted != self.client.connects:
            self.greeted = self.client.connects
            self.told, self.mac_before = 0, None
            self.log.add(log.CONNECTED, self.greeted)
            self.again()
            self.retry_ms = _RETRY_MS
            self.progress_ms = self.board.ticks_ms()
            self.statements = list(self.points.values())
            await self.greet()
        elif self.board.ticks_ms() - self.progress_ms > self.retry_ms:
            self.progress_ms = self.board.ticks_ms()
            self.retry_ms = min(_RETRY_MS_MAX, self.retry_ms * 2)
            if self.outstanding():
                self.again()
            if self.clock.now()[1] != SYNCHRONISED:
                await self.greet()  # its answer brings the time
        if not self.due():
            return
        self.urgent = False
        while self.statements:
            if not await self.send(self.statements[0].statement()):
                self.urgent = True
                return
            self.statements.pop(0)
        more = True
        while more:
            if self.asked_ms == WANTED:
                await self.greet()
            more = await self.send_stream(messages.EVENT_STREAM)
            for number in self.points:
                more = await self.send_stream(number) or more
                # What has happened meanwhile goes before the rest of a backlog.
                while await self.send_stream(messages.EVENT_STREAM):
                    more = True

    def again(self):
        """Everything that is not acknowledged is sent again, from the oldest on."""
        self.sent = {}
        self.outbox.cursor = {}
        self.urgent = True

    async def greet(self):
        self.asked_ms = self.board.ticks_ms()
        now_s, quality = self.clock.now()
        streams = {number: point.state.seq for number, point in self.points.items()}
        streams[messages.EVENT_STREAM] = self.events.seq
        versions = {number: point.book.version for number, point in self.points.items()}
        await self.send(
            messages.Hello(
                self.module.boot_id,
                self.module.epoch,
                self.asked_ms,
                now_s,
                quality,
                self.board.reset_cause(),
                FIRMWARE,
                self.settings.version,
                streams,
                versions,
            )
        )

    async def send_stream(self, stream):
        """One batch of one stream. -> True when there may be more."""
        after = self.upto(stream)
        if after - self.outbox.acked.get(stream, 0) > _WINDOW_RECORDS:
            return False
        found = self.outbox.batch(stream, after, self.settings.batch_records)
        if found is None:
            return False
        body, last = found
        sealed = cose.seal(messages.alg_of(body[2]), body, self.mac_up)
        body = found = None  # not needed while the broker answers
        if not await self.client.publish(self.topic, sealed):
            self.urgent = True
            return False
        if not self.outstanding():
            self.progress_ms = self.board.ticks_ms()
            self.retry_ms = _RETRY_MS
        self.sent[stream] = last
        return True

    async def send(self, message):
        sealed = messages.seal(message, self.mac_up)
        return await self.client.publish(self.topic, sealed)

    def receive(self, topic, payload):
        """A message from the broker: authenticated and dispatched, or refused and told."""
        try:
            message = messages.unseal(payload, self.mac_down, True, self.mac_before)
            self.heard = True
            kind = messages.kind_of(message)
            if kind == messages.ACK:
                self.trim(message)
            elif kind == messages.TIME:
                self.set_clock(message)
            else:
                self.commands.take(message)
        except (Malformed, MemoryError) as error:  # the host sends again what had no room
            self.refuse(getattr(error, "reason", OVERSIZED))

    def trim(self, ack):
        if ack.epoch != self.module.epoch:
            return
        for stream, seq in ack.streams.items():
            if stream in self.points and seq > self.points[stream].state.seq:
                self.points[stream].behind = True  # an older flash was put back
            before = self.outbox.acked.get(stream, 0)
            self.outbox.trim(stream, seq)
            if self.outbox.acked.get(stream, 0) > before:
                self.progress_ms = self.board.ticks_ms()
                self.retry_ms = _RETRY_MS
                self.wake.set()  # there is room for more of a backlog

    def set_clock(self, answer):
        """Only the prompt answer to the last hello of this boot sets the clock, and only once."""
        trip_ms = self.board.ticks_ms() - answer.ticks_ms
        if answer.boot_id != self.module.boot_id or answer.ticks_ms != self.asked_ms:
            return
        self.asked_ms = None
        if trip_ms <= TIME_ROUND_TRIP_MS:
            self.commands.set_clock(answer.time_ms + trip_ms // 2)

    def refuse(self, reason):
        """Forged, replayed or malformed: an event, but not a flood of them."""
        self.log.add(log.REJECTED, reason)
        now_ms = self.board.ticks_ms()
        last_ms = self.rejected_ms.get(reason)
        if last_ms is None or now_ms - last_ms > REJECT_EVERY_MS:
            self.rejected_ms[reason] = now_ms
            self.events.add(codes.REJECTED, MODULE_TARGET, reason)

    def unconnected(self, reason, place):
        """A connection has ended; told once a reason, until there is one again."""
        if not self.told >> reason & 1:
            self.told |= 1 << reason
            self.log.add(log.UNCONNECTED, reason, place)
