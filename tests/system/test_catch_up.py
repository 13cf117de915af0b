"""After an outage: what is new goes first, a backlog is bounded by what the host acknowledges.

The real firmware and its MQTT client over a socket, the real settlement behind it, in one process.
"""

import asyncio
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from firmware import mqtt_codec
from host_tools.keys import KeyFiles
from host_tools.settlement.transport import Delivery
from protocol import codes, messages
from tests.bench.hostile_proxy import Packets
from tests.firmware import desk as desks
from tests.host_tools.desk import BOOK, Desk, enrolled
from tests.host_tools.genuine import HANG_S

MODULE = "desk-1"
SHARD = 0
WINDOW = 128
FILED = 40  # records of one message out of a file


class Broker:
    """One client, and the settlement behind it. `answers` False keeps the host quiet."""

    def __init__(self, host: Desk) -> None:
        self.host = host
        self.got: list[tuple[object, ...]] = []
        self.answers = True
        self.takes = True  # False: a broker too busy even for a PUBACK
        self.kept: list[Delivery] = []
        self.port = 0
        self.on_message: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = Packets()
        self.writer = writer
        while data := await reader.read(65536):
            for packet in packets.feed(data):
                self.take(packet)
        writer.close()

    def take(self, packet: bytes) -> None:
        kind = packet[0] >> 4
        if kind == 1:
            self.writer.write(b"\x20\x02\x00\x00")
        elif kind == 8:
            self.writer.write(b"\x90\x03" + packet[2:4] + b"\x01")
        elif kind == 12:
            self.writer.write(b"\xd0\x00")
        elif kind == 3 and self.takes:
            self.publish(packet)

    def publish(self, packet: bytes) -> None:
        at = 2 + (len(packet) > 129)
        (length,) = struct.unpack_from(">H", packet, at)
        topic = packet[at + 2 : at + 2 + length].decode()
        at += 2 + length
        number, payload = packet[at : at + 2], packet[at + 2 :]
        mac = KeyFiles(self.host.folder / "keys").up(MODULE)
        assert mac
        self.got.append(messages.unseal(payload, mac, False))  # type: ignore[arg-type]
        self.kept.append(Delivery(topic, payload, (0, 0, 1)))
        self.writer.write(b"\x40\x02" + number)
        if self.answers:
            self.settle()
        self.on_message()

    def settle(self) -> None:
        kept, self.kept = self.kept, []
        self.host.consumer.consume(kept)
        for topic, payload, _ in self.host.transport.published:
            self.writer.write(mqtt_codec.publish(topic, payload))
        self.host.transport.published.clear()


class Link:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def connect(self, _host: str, _port: int):  # type: ignore[no-untyped-def]
        return await asyncio.open_connection("127.0.0.1", self.broker.port)


class Scene:
    """A module that was alone for some quarters of an hour, and a host that waits for it."""

    def __init__(self, folder: Path, name: str, **others: object) -> None:
        self.host = Desk(folder)
        enrolled(self.host.store, folder, MODULE, SHARD)
        self.desk = desks.Desk(desks.folder("catch-up-" + name), sectors=32)
        item = desks.point_settings(tamper_notify=0)  # energy goes through an open relay here
        desks.provision(self.desk.root, [item], BOOK, shard=SHARD, **others)
        key = KeyFiles(folder / "keys").load(MODULE)
        assert key
        Path(self.desk.root, "key.bin").write_bytes(key.reveal())
        self.broker = Broker(self.host)
        self.desk.link = Link(self.broker)
        self.host.clock.s = self.desk.now_ms // 1000
        _, self.firmware = self.desk.power_on()

    async def quarters(self, count: int) -> None:
        for _ in range(count):
            self.desk.now_ms += 900_000
            self.host.clock.s = self.desk.now_ms // 1000
            self.desk.meter.register_wh += 250
            await self.firmware.metering.poll()

    def seq(self) -> int:
        return int(self.host.store.fleet.point_known(MODULE, 0).state.seq)

    def done(self) -> bool:
        """The host has everything, and the module has heard so."""
        known = self.host.store.fleet.module_known(MODULE)
        state = self.firmware.points[0].state
        settled = self.seq() == state.seq and known.events_seq == self.firmware.events.seq
        return settled and self.firmware.outbox.waiting() == 0

    async def connected(self, story: Callable[[], Awaitable[None]]) -> None:
        server = await asyncio.start_server(self.broker.serve, "127.0.0.1", 0)
        self.broker.port = server.sockets[0].getsockname()[1]
        tasks = [
            asyncio.create_task(self.firmware.uplink.client.run()),
            asyncio.create_task(self.firmware.uplink.run()),
        ]
        try:
            async with asyncio.timeout(HANG_S):
                await story()
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            server.close()

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            await asyncio.sleep(0.005)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def is_event(message: object, code: int) -> bool:
    return isinstance(message, messages.Events) and any(item[2] == code for item in message.items)


def test_a_new_event_overtakes_a_backlog_of_readings(folder: Path) -> None:
    async def play() -> None:
        scene = Scene(folder, "event")
        await scene.quarters(1000)
        at = []

        def meanwhile() -> None:
            readings = [item for item in scene.broker.got if isinstance(item, messages.Readings)]
            if len(readings) == 4 and not at:
                at.append(len(scene.broker.got))
                scene.firmware.events.add(codes.RELAY_MISMATCH, 0, 0, 1)

        scene.broker.on_message = meanwhile
        await scene.connected(lambda: scene.until(scene.done))
        told = [is_event(item, codes.RELAY_MISMATCH) for item in scene.broker.got]
        assert told.index(True) - at[0] <= 1
        kinds = [type(item).__name__ for item in scene.broker.got]
        assert kinds.index("Events") < kinds.index("Readings")
        assert scene.host.store.fleet.point_known(MODULE, 0).duplicates == 0
        assert (
            scene.host.store.fleet.point_known(MODULE, 0).state == scene.firmware.points[0].state
        )
        assert scene.firmware.outbox.waiting() == 0

    asyncio.run(play())


def test_a_host_that_is_silent_gets_a_window_and_then_the_rest(folder: Path) -> None:
    async def play() -> None:
        scene = Scene(folder, "window")
        await scene.quarters(1000)
        scene.broker.answers = False

        async def story() -> None:
            def sent() -> int:
                batches = [
                    item for item in scene.broker.got if isinstance(item, messages.Readings)
                ]
                return sum(len(item.items) for item in batches)

            await scene.until(lambda: sent() > WINDOW)
            await asyncio.sleep(0.3)
            assert WINDOW < sent() <= WINDOW + FILED and scene.seq() == 0
            scene.broker.answers = True
            scene.broker.settle()
            await scene.until(scene.done)

        await scene.connected(story)
        assert scene.host.store.fleet.point_known(MODULE, 0).duplicates == 0

    asyncio.run(play())


def test_a_broker_that_takes_nothing_gets_one_message_and_waits(folder: Path) -> None:
    async def play() -> None:
        scene = Scene(folder, "busy")
        await scene.quarters(100)
        scene.broker.takes = False

        async def story() -> None:
            client = scene.firmware.uplink.client
            await scene.until(lambda: client.publishes > 0)
            await asyncio.sleep(0.3)
            assert client.publishes == 1 and not scene.broker.got

        await scene.connected(story)

    asyncio.run(play())


def test_plain_charges_wait_for_company_and_an_event_takes_them_along(folder: Path) -> None:
    async def play() -> None:
        scene = Scene(folder, "hold", hold_records=8)

        def sizes() -> list[int]:
            batches = [item for item in scene.broker.got if isinstance(item, messages.Readings)]
            return [len(item.items) for item in batches]

        async def settle_down() -> None:
            await scene.until(lambda: not scene.firmware.uplink.outstanding())
            await asyncio.sleep(0.05)

        async def story() -> None:
            await scene.quarters(1)
            await scene.until(scene.done)
            await settle_down()
            begun = len(sizes())
            for _ in range(7):
                await scene.quarters(1)
                await settle_down()
            assert len(sizes()) == begun
            await scene.quarters(1)
            await scene.until(scene.done)
            assert sizes()[begun:] == [8]
            await settle_down()
            await scene.quarters(3)
            scene.firmware.events.add(codes.AGGREGATE, 0, 1)  # as plain as a charge
            await settle_down()
            assert sizes()[begun:] == [8]
            scene.firmware.events.add(codes.METER_SILENT, 0, 3)
            await scene.until(scene.done)
            assert sizes()[begun:] == [8, 3]

        await scene.connected(story)

    asyncio.run(play())
