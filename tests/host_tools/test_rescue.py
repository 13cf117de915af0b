"""A dead module's flash tells what the host lacks, as the module itself would have."""

import json
import random
import struct
from binascii import crc32
from pathlib import Path

import pytest

from firmware import journal
from host_tools import cli
from host_tools.keys import KeyFiles
from host_tools.settlement.transport import Delivery
from host_tools.simulator import image
from host_tools.store import care
from protocol import cbor, topics
from protocol.messages import EVENT_STREAM
from tests.firmware import desk as desks
from tests.host_tools.dead_module import MODULE, ROWS, Scene
from tests.host_tools.desk import Desk

ON_BOTH = True


@pytest.fixture
def scene(desk: Desk) -> Scene:
    made = Scene(desk)
    yield made
    made.store.close()


@pytest.mark.parametrize("quarters", (1, 39, 100, 700))
def test_what_the_host_lacks_is_settled_as_if_the_module_had_sent_it(scene, quarters):
    scene.quarters(quarters)
    before = scene.settled()
    told = scene.rescue()
    assert told.whole and scene.state() == scene.firmware.points[0].state
    point, other = told.points
    assert other.settled == scene.firmware.points[1].state.seq > other.before
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
    assert scene.state().topups_ncur == 20 * desks.CUR
    assert scene.state() == scene.firmware.points[0].state


def test_an_older_dump_changes_nothing_once_the_host_has_heard_more(scene):
    scene.quarters(3)
    older = {"journal": bytes(scene.desk.cells.cells)}
    scene.quarters(3)
    scene.send()
    state = scene.state()
    told = scene.rescue(**older)
    assert told.whole and told.points[0].journaled < told.points[0].settled
    assert scene.state() == state and scene.differences() == []


def test_a_balance_that_somebody_wrote_into_the_flash_is_a_difference_and_not_money(scene):
    scene.quarters(2)
    wanted = scene.firmware.points[0].state
    cells, at = bytearray(scene.desk.cells.cells), newest_slot(scene)
    slot = cells[at : at + journal.STATE_SLOT_BYTES]
    number, kind, length = struct.unpack_from(journal.HEADER, slot)
    values = cbor.decode(bytes(slot[journal.HEADER_BYTES : journal.HEADER_BYTES + length]))
    values[1][3] += 100 * desks.CUR
    payload = cbor.encode(values)
    struct.pack_into(journal.HEADER, slot, 0, number, kind, len(payload))
    whole = (slot[: journal.HEADER_BYTES] + payload).ljust(len(slot) - 4, b"\xff")
    cells[at : at + len(slot)] = whole + struct.pack("<I", crc32(whole))
    told = scene.rescue(journal=bytes(cells))
    assert not told.whole and scene.state() == wanted
    assert told.points[0].journaled_ncur == wanted.balance_ncur + 100 * desks.CUR
    assert scene.differences()


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
    code = cli.main(scene.words(*words))
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


def test_whatever_is_damaged_is_told_in_one_line_or_passed_over(scene, capsys):
    """Flash that went bad at random: never a traceback, never a wrong sum, never a secret."""
    scene.quarters(60)
    whole, draw = scene.flash(), random.Random(7)
    used = [at for at in range(0, len(whole), 4096) if whole[at : at + 4096].strip(b"\xff")]
    path = scene.host.folder / "dump.bin"
    codes = set()
    for _ in range(30):
        flash = bytearray(whole)
        for _ in range(draw.choice((1, 3, 40))):
            at = draw.choice(used) + draw.randrange(4096)
            length = draw.choice((1, 1, 32, 4096))
            flash[at : at + length] = draw.choice((bytes, draw.randbytes))(length)
        path.write_bytes(flash)
        codes.add(cli.main(scene.words(MODULE, "--image", path)))
        err = capsys.readouterr().err
        assert "Traceback" not in err and err.count("\n") <= 1
        settled = scene.settled()
        assert scene.state() == scene.states[settled]
    assert 2 in codes and codes & {0, 1}


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


def test_the_answer_as_json(scene, capsys):
    scene.quarters(2)
    assert cli.main([*scene.words(MODULE, "--image", scene.image()), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"] and told["points"][0]["balance_ncur"] == scene.state().balance_ncur


def test_a_key_that_the_module_had_come_to_unheard_is_its_key(scene):
    """It was given its next key, and its first message under it never arrived."""
    words = ["module", "rotate", MODULE, "--by", "Li Na", "--reason", "old", *scene.words()[2:]]
    assert cli.main(words) == 0
    scene.hear()
    scene.quarters(2)
    key = Path(scene.desk.root, "key.bin").read_bytes()
    assert key != scene.key.reveal()
    assert scene.rescue().whole
    assert scene.state() == scene.firmware.points[0].state
    assert KeyFiles(scene.host.folder / "keys").load(MODULE).reveal() == key
