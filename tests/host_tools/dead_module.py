"""A module on its real program that the host has heard for a while; then it dies, unheard."""

import asyncio
import tempfile
from pathlib import Path

from host_tools.flashing import partition_table, plan
from host_tools.keys import KeyFiles
from host_tools.rescue import dump, speaking, taking
from host_tools.settlement import commands, enrol
from host_tools.settlement.transport import Delivery
from host_tools.simulator import image
from host_tools.store.database import open_store
from protocol import messages, topics
from protocol.messages import EVENT_STREAM
from tests.firmware import desk as desks
from tests.host_tools.desk import BOOK, Desk

MODULE = "desk-1"
PASSWORD = "s3cret-pass"
ROWS = plan.board("esp32_generic").rows


class Scene:
    """`host` is a worker that owns the module's shard."""

    def __init__(self, host: Desk) -> None:
        self.host = host  # a worker that owns the module's shard
        self.store = open_store(host.place)  # what everybody else has
        self.keys = KeyFiles(host.folder / "keys")
        points = [enrol.NewPoint(number, f"Flat {number}", "test", BOOK) for number in (0, 1)]
        self.key = enrol.enrol(host.store, self.keys, MODULE, 0, points, desks.START_S)
        self.states: dict[int, object] = {}  # by sequence, as the module had them
        self.desk = desks.Desk(desks.folder(f"rescue-{host.folder.name}"), sectors=64)
        # Energy goes through an open relay here, and one meter is both's.
        items = [desks.point_settings(n, tamper_notify=0, relay=255 * n) for n in (0, 1)]
        desks.provision(self.desk.root, items, BOOK, shard=0, broker_password=PASSWORD)
        Path(self.desk.root, "key.bin").write_bytes(self.key.reveal())
        _, self.firmware = self.desk.power_on()
        self.quarters(3)
        self.send()

    def quarters(self, count: int) -> None:
        async def all_of_them() -> None:
            for _ in range(count):
                self.desk.now_ms += 900_000
                self.desk.meter.register_wh += 250
                await self.firmware.metering.poll()
                self.states[self.firmware.points[0].state.seq] = self.firmware.points[0].state

        asyncio.run(all_of_them())
        self.host.clock.s = self.desk.now_ms // 1000

    def pay(self, amount_cur: int, reference: str) -> None:
        """Booked, and heard by the module, whose answer does not get away any more."""
        with self.store.transaction():
            point = self.store.fleet.point_known(MODULE, 0)
            commands.pay(self.store, point, reference, amount_cur * desks.CUR, self.host.clock.s)
        self.hear()

    def hear(self) -> None:
        """The module gets what is ordered of it."""
        self.host.clock.ms += 4_000_000
        self.host.consumer.send_due()
        for topic, data, _ in self.host.transport.published:
            if topic == topics.down(0, MODULE):
                self.firmware.uplink.receive(topic, data)
        self.host.transport.published.clear()

    def waiting(self) -> list[bytes]:
        outbox, mac = self.firmware.outbox, self.firmware.uplink.mac_up
        found = []
        for stream in (EVENT_STREAM, 0, 1):
            after = self.settled(stream)
            while batch := outbox.batch(stream, after, 8):
                body, after = batch
                found.append(messages.seal(messages.unpack(body), mac))
            outbox.cursor = {}
        return found

    def send(self) -> None:
        topic = topics.up(0, MODULE)
        self.host.consumer.consume([Delivery(topic, data, (0, 1, 1)) for data in self.waiting()])
        self.host.transport.published.clear()

    def settled(self, stream: int = 0) -> int:
        fleet = self.store.fleet
        if stream == EVENT_STREAM:
            return fleet.module_known(MODULE).events_seq
        return int(fleet.point_known(MODULE, stream).state.seq)

    def state(self) -> object:
        return self.store.fleet.point_known(MODULE, 0).state

    def in_flight(self) -> list[object]:
        point = self.store.fleet.point_known(MODULE, 0)
        return list(self.store.payments.topups(point.id, "in flight"))

    def files(self) -> dict[str, bytes]:
        root = Path(self.desk.root)
        found = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}

    def flash(self, **others: bytes) -> bytes:
        """The whole flash of the chip, as it lies there when the module has died."""
        parts = {
            "journal": bytes(self.desk.cells.cells),
            "vfs": image.build_vfs(self.files(), ROWS["vfs"].size),
            **others,
        }
        flash = bytearray(b"\xff" * (1 << 22))
        table = partition_table.to_binary(ROWS)
        flash[partition_table.AT : partition_table.AT + len(table)] = table
        for name, content in parts.items():
            at = ROWS[name].offset
            flash[at : at + len(content)] = content
        return bytes(flash)

    def image(self, **others: bytes) -> Path:
        path = self.host.folder / "dump.bin"
        path.write_bytes(self.flash(**others))
        return path

    def rescue(self, **others: bytes) -> taking.Rescue:
        found = dump.of_file(self.image(**others))
        with tempfile.TemporaryDirectory() as folder:
            remains = speaking.Remains(found, Path(folder))
            keys, clock = KeyFiles(self.host.folder / "keys"), self.host.clock
            return taking.take(self.store, keys, clock, MODULE, remains, found.where)

    def differences(self) -> list[str]:
        store = self.store
        point = store.fleet.point_known(MODULE, 0)
        return [each.kind for each in store.ledgers.differences(point.id)]

    def words(self, *words: object) -> list[str]:
        """Of a rescue, at the desk's time."""
        clock = self.host.folder / "clock"
        clock.write_bytes((self.host.clock.s * 1000).to_bytes(8, "little"))
        where = ("--data", self.host.folder, "--clock", clock)
        return [str(word) for word in ("module", "rescue", *words, *where)]
