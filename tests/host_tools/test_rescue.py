"""A dead module's flash tells what the host lacks, as the module itself would have."""

import asyncio
import json
import logging
import tempfile
from pathlib import Path

import pytest

from firmware import journal
from host_tools import cli
from host_tools.flashing import partition_table, plan
from host_tools.keys import KeyFiles
from host_tools.lab.mock_chip import MockChip
from host_tools.rescue import dump, speaking, taking
from host_tools.settlement import commands, enrol
from host_tools.settlement.transport import Delivery
from host_tools.simulator import image
from host_tools.store import care
from host_tools.store.database import open_store
from protocol import cbor, messages, topics
from protocol.messages import EVENT_STREAM
from tests.bench import key_watch
from tests.firmware import desk as desks
from tests.host_tools.desk import BOOK, Desk

ON_BOTH = True
MODULE = "desk-1"
ROWS = plan.board("esp32_generic").rows
CUR = desks.CUR


class Scene:
    """A module on its real program that the host has heard for a while, and then no more."""

    def __init__(self, host: Desk) -> None:
        self.host = host  # a worker that owns the module's shard
        self.store = open_store(host.place)  # what everybody else has
        self.keys = KeyFiles(host.folder / "keys")
        points = [enrol.NewPoint(0, "Flat", "test", BOOK)]
        self.key = enrol.enrol(host.store, self.keys, MODULE, 0, points, desks.START_S)
        self.desk = desks.Desk(desks.folder(f"rescue-{host.folder.name}"), sectors=64)
        item = desks.point_settings(tamper_notify=0)  # energy goes through an open relay here
        desks.provision(self.desk.root, [item], BOOK, shard=0, broker_password="s3cret-pass")
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

        asyncio.run(all_of_them())
        self.host.clock.s = self.desk.now_ms // 1000

    def pay(self, amount_cur: int, reference: str) -> None:
        """Booked, and heard by the module, whose answer does not get away any more."""
        with self.store.transaction():
            point = self.store.fleet.point_known(MODULE, 0)
            commands.pay(self.store, point, reference, amount_cur * CUR, self.host.clock.s)
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
        for stream in (EVENT_STREAM, 0):
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


@pytest.fixture
def scene(desk: Desk) -> Scene:
    made = Scene(desk)
    yield made
    made.store.close()


@pytest.mark.parametrize("quarters", (1, 39, 100))
def test_what_the_host_lacks_is_settled_as_if_the_module_had_sent_it(scene, quarters):
    scene.quarters(quarters)
    before = scene.settled()
    told = scene.rescue()
    assert told.whole and scene.state() == scene.firmware.points[0].state
    (point,) = told.points
    assert point.settled - point.before == scene.settled() - before >= quarters
    assert scene.settled(EVENT_STREAM) == scene.firmware.events.seq
    assert scene.differences() == [] and scene.store.intake.rejects(MODULE) == []
    statement = scene.store.fleet.point_known(MODULE, 0).statement
    assert statement.seq == point.settled


def test_a_second_rescue_and_a_module_that_comes_back_change_nothing(scene):
    scene.quarters(50)
    late = scene.waiting()
    scene.rescue()
    state = scene.state()
    again = scene.rescue()
    assert again.whole and again.points[0].before == again.points[0].settled
    topic = topics.up(0, MODULE)
    scene.host.consumer.consume([Delivery(topic, data, (0, 1, 1)) for data in late])
    assert scene.state() == state and scene.differences() == []
    scene.quarters(2)  # it was not so dead
    scene.send()
    assert scene.state() == scene.firmware.points[0].state


def test_a_worker_that_owns_the_shard_goes_on_from_what_was_rescued(scene):
    scene.quarters(5)
    scene.rescue()
    scene.quarters(1)
    scene.send()
    assert scene.state() == scene.firmware.points[0].state
    assert scene.store.intake.rejects(MODULE) == []


def test_a_payment_that_the_module_credited_before_it_died_is_credited(scene):
    scene.pay(20, "cash-1")
    scene.quarters(2)
    assert len(scene.in_flight()) == 1
    scene.rescue()
    assert scene.in_flight() == []
    assert scene.state().topups_ncur == 20 * CUR
    assert scene.state() == scene.firmware.points[0].state


def test_a_module_that_is_gone_stays_gone(scene):
    scene.host.consumer.consume([Delivery(topics.of(topics.WILL, 0, MODULE), b"", (0, 1, 1))])
    scene.quarters(1)
    gone_s = scene.store.fleet.module_known(MODULE).gone_s
    assert gone_s and scene.rescue().whole
    assert scene.store.fleet.module_known(MODULE).gone_s == gone_s


def newest_slot(scene: Scene) -> int:
    """Where the newest record of the ledger lies in the journal."""
    ring = scene.firmware.journal.states
    return ring._at(scene.firmware.journal.newest[0][0])


@pytest.mark.parametrize("kept", (0, 7, 150, journal.STATE_SLOT_BYTES - 1))
def test_a_torn_last_record_is_dropped_and_the_one_before_it_stands(scene, kept):
    scene.quarters(4)
    torn = bytearray(scene.desk.cells.cells)
    at = newest_slot(scene)
    torn[at + kept : at + journal.STATE_SLOT_BYTES] = b"\xff" * (journal.STATE_SLOT_BYTES - kept)
    wanted = scene.firmware.points[0].state.seq - 1
    told = scene.rescue(journal=bytes(torn))
    assert told.whole and told.points[0].settled == wanted == scene.settled()
    assert scene.differences() == []


def test_a_record_in_the_middle_that_is_damaged_is_a_gap_and_told(scene):
    scene.quarters(6)
    damaged = bytearray(scene.desk.cells.cells)
    number = next(
        slot for stream, seq, slot in scene.firmware.outbox.waiting_slots()
        if (stream, seq) == (0, scene.settled() + 2)
    )  # fmt: skip
    damaged[scene.firmware.journal.states._at(number) + 20] ^= 1
    before = scene.settled()
    told = scene.rescue(journal=bytes(damaged))
    assert not told.whole and told.points[0].settled == before + 1
    assert told.points[0].journaled == scene.firmware.points[0].state.seq


def unchanged(scene, capsys, *words: object) -> str:
    """The one line of a rescue that is refused and changes nothing."""
    state = scene.state(), scene.settled(EVENT_STREAM)
    clock = scene.host.folder / "clock"
    clock.write_bytes((scene.host.clock.s * 1000).to_bytes(8, "little"))
    where = ["--data", scene.host.folder, "--clock", clock]
    code = cli.main([str(word) for word in ("module", "rescue", *words, *where)])
    err = capsys.readouterr().err
    assert code == 2 and err.count("\n") == 1 and err.startswith("gridpurse module: "), err
    assert (scene.state(), scene.settled(EVENT_STREAM)) == state
    assert scene.store.intake.rejects(MODULE) == []
    return err


def test_a_dump_of_another_module_is_refused_with_one_line(scene, capsys):
    scene.quarters(2)
    path = scene.image()
    assert f"is the flash of {MODULE}, not of m1" in unchanged(
        scene, capsys, "m1", "--image", path
    )
    files = scene.files()
    other = {**files, "key.bin": bytes(32)}
    path = scene.image(vfs=image.build_vfs(other, ROWS["vfs"].size))
    err = unchanged(scene, capsys, MODULE, "--image", path)
    assert "its key is not the one that this host has" in err


@pytest.mark.parametrize(
    ("change", "line"),
    (
        (lambda flash: b"", "holds no journal partition"),
        (lambda flash: b"\xff" * (1 << 22), "holds no journal partition"),
        (lambda flash: flash[: ROWS["vfs"].offset + 4096], "holds no vfs partition"),
        (
            lambda flash: flash[: ROWS["vfs"].offset].ljust(1 << 22, b"\0"),
            "file system is damaged",
        ),
        (
            lambda flash: (
                flash[: ROWS["journal"].offset]
                + b"\xff" * ROWS["journal"].size
                + flash[ROWS["vfs"].offset :]
            ),
            "its journal is empty",
        ),
    ),
)
def test_what_is_no_flash_of_a_module_is_refused_with_one_line(scene, capsys, change, line):
    path = scene.image()
    path.write_bytes(change(path.read_bytes()))
    assert line in unchanged(scene, capsys, MODULE, "--image", path)


def test_files_of_another_program_are_refused_with_one_line(scene, capsys):
    for name, content in (("config.cbor", cbor.encode([1])), ("config.cbor", b""), ("x", b"")):
        files = {**scene.files(), name: content}
        if name == "x":
            del files["config.cbor"]
        path = scene.image(vfs=image.build_vfs(files, ROWS["vfs"].size))
        assert "is not of a module of this program" in unchanged(
            scene, capsys, MODULE, "--image", path
        )


def test_a_retired_module_an_absent_file_and_no_speed_are_refused(scene, capsys):
    words = (MODULE, "--port", "socket://127.0.0.1:9", "--baud", 0)
    assert "--baud 0: must be" in unchanged(scene, capsys, *words)
    assert "No such file" in unchanged(scene, capsys, MODULE, "--image", "/nowhere.bin")
    path = scene.image()
    with scene.store.transaction():
        known = scene.store.fleet.module_known(MODULE)
        care.of(scene.store).retire(known, scene.host.clock.s)
    assert "is retired" in unchanged(scene, capsys, MODULE, "--image", path)


def words_of(scene, *words: object) -> list[str]:
    clock = scene.host.folder / "clock"
    clock.write_bytes((scene.host.clock.s * 1000).to_bytes(8, "little"))
    where = ("--data", scene.host.folder, "--clock", clock)
    return [str(word) for word in ("module", "rescue", MODULE, *words, *where)]


def test_no_secret_of_the_flash_is_shown_logged_or_left(
    scene, capsys, caplog, tmp_path, monkeypatch
):
    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    caplog.set_level(logging.DEBUG)
    logging.getLogger("littlefs").setLevel(logging.INFO)  # it says what the test itself writes
    scene.quarters(45)
    with MockChip() as chip:
        chip.flash[:] = scene.flash()
        assert cli.main(words_of(scene, "--port", chip.port)) == 0
        assert not list(left.glob("gridpurse-flash-*")) and not list(left.glob("*rescue*"))
    out = capsys.readouterr()
    assert "as in its journal 与模块日志一致" in out.out
    found = dump.of_file(scene.image())
    remains = speaking.Remains(found, left)
    said = "".join([out.out, out.err, caplog.text, repr(found), repr(remains)]).encode()
    files = b"".join(path.read_bytes() for path in left.rglob("*") if path.is_file())
    for secret in (*key_watch.forms(scene.key.reveal()), b"s3cret-pass"):
        assert secret not in said and secret not in files
    assert scene.state() == scene.firmware.points[0].state


def test_the_answer_as_json(scene, capsys):
    scene.quarters(2)
    assert cli.main([*words_of(scene, "--image", scene.image()), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"] and told["points"][0]["balance_ncur"] == scene.state().balance_ncur


def test_a_key_that_the_module_had_come_to_unheard_is_its_key(scene):
    """It was given its next key, and its first message under it never arrived."""
    words = ["module", "rotate", MODULE, "--by", "Li Na", "--reason", "old", *words_of(scene)[3:]]
    assert cli.main(words) == 0
    scene.hear()
    scene.quarters(2)
    key = Path(scene.desk.root, "key.bin").read_bytes()
    assert key != scene.key.reveal()
    assert scene.rescue().whole
    assert scene.state() == scene.firmware.points[0].state
    assert KeyFiles(scene.host.folder / "keys").load(MODULE).reveal() == key
