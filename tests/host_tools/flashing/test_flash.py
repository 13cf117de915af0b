"""A bare chip becomes a module with one command, and a module in service keeps its money."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from esp_idf_defs.partitions import PartitionTable

from firmware import journal
from host_tools import cli
from host_tools.faults import DEVICE, WRONG, Fault
from host_tools.flashing import chip as engine
from host_tools.flashing import device_image, faults, journal_slots, plan
from host_tools.lab.mock_chip import MockChip, Trouble
from host_tools.simulator import image
from tests.bench import flash_proof

FLASH_BYTES = {"esp32_generic": 1 << 22, "esp32_s3": 1 << 23, "wt32_eth01": 1 << 22}


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """chip -> (file, SHA-256)."""
    folder = tmp_path_factory.mktemp("releases")
    return {name: flash_proof.image_file(folder, name) for name in ("esp32", "esp32s3")}


@pytest.fixture
def flash(releases, tmp_path, capsys):
    """Runs the command; -> (exit code, report, what was printed, the one line)."""

    def run(chip, *more, board="esp32_generic"):
        path, sha256 = releases[plan.board(board).chip]
        words = flash_proof.command(chip.port, path, sha256, board)[1:]
        report = tmp_path / "report.json"
        code = cli.main([*words, "--report", str(report), *more])
        out, err = capsys.readouterr()
        return code, json.loads(report.read_text(encoding="utf-8")), out, err

    return run


def results(report):
    return {step["step"]: step["result"] for step in report["steps"]}


def in_service(chip, tmp_path):
    """Gives a flashed chip a ledger and settings, as its firmware would; -> both partitions."""
    rows = plan.board("esp32_generic").rows

    class Flash:
        sector = 4096

        def read(self, at, buffer):
            start = rows["journal"].offset + at
            buffer[:] = chip.flash[start : start + len(buffer)]

        def program(self, at, data):
            start = rows["journal"].offset + at
            chip.flash[start : start + len(data)] = data

        def erase(self, at):
            self.program(at, b"\xff" * 4096)

    ring = journal.Ring(Flash(), 0, 48, journal.STATE_SLOT_BYTES)
    ring.append(1, b"123 yuan")
    files = {**device_image.module_files("esp32_generic"), "key.bin": b"k" * 32}
    start, size = rows["vfs"].offset, rows["vfs"].size
    chip.flash[start : start + size] = image.build_vfs(files, size)
    end = start + size
    return bytes(chip.flash[rows["journal"].offset : end])


def commands_running():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("board", device_image.boards())
def test_one_command_makes_a_bare_chip_a_module(board, flash, releases):
    one = plan.board(board)
    with MockChip(one.chip, flash_bytes=FLASH_BYTES[board]) as chip:
        chip.flash[one.rows["journal"].offset + 5] = 0  # somebody else's program was there
        code, report, out, _ = flash(chip, board=board)
    assert (code, report["result"], report["retries"]) == (0, "done", [])
    assert results(report)["verify"] == "verified" and "写入完成" in out
    assert results(report)["journal"] == "erased"
    assert all(isinstance(step["ms"], int) for step in report["steps"])
    table = PartitionTable.from_binary(bytes(chip.flash[0x8000:0x8C00]))
    rows = {row.name: row for row in table}
    assert {name: (row.offset, row.size) for name, row in rows.items()} == {
        name: (row.offset, row.size) for name, row in one.rows.items()
    }
    vfs, ledger = rows["vfs"], rows["journal"]
    files = image.read_vfs(bytes(chip.flash[vfs.offset : vfs.offset + vfs.size]))
    assert files == device_image.module_files(board)
    assert set(chip.flash[ledger.offset : ledger.offset + ledger.size]) == {0xFF}
    content = releases[one.chip][0].read_bytes()
    start = 0x1000 if one.chip == "esp32" else 0
    assert chip.flash[start:0x8000] == content[: 0x8000 - start]
    assert chip.flash[0x10000 : start + len(content)] == content[0x10000 - start :]


def test_what_is_right_already_is_not_written_again(flash):
    with MockChip(pty=True) as chip:
        assert flash(chip)[0] == 0
        before = bytes(chip.flash)
        code, report, out, _ = flash(chip)
    assert code == 0 and bytes(chip.flash) == before
    parts = [results(report)[name] for name in plan.NAMES]
    assert parts == ["already right"] * len(plan.NAMES) and "已正确，跳过" in out


@pytest.mark.parametrize("pty", (False, True))
def test_a_cable_that_came_loose_once_is_told_and_the_rest_goes_on(flash, pty):
    with MockChip(pty=pty, trouble=Trouble(drop_after=120_000)) as chip:
        code, report, out, _ = flash(chip)
    assert code == 0 and len(report["retries"]) == 1
    assert "went silent at MicroPython" in report["retries"][0] and "重试一次" in out
    second = [step for step in report["steps"] if step["step"] == "boot loader"][1]
    assert second["result"] == "already right"


def test_a_bit_that_was_lost_once_is_written_again(flash, releases):
    odd = 0x12000 + next(
        at for at, byte in enumerate(releases["esp32"][0].read_bytes()[0x11000:]) if byte & 1
    )
    with MockChip(trouble=Trouble(bad_at=odd, bad_writes=1)) as chip:
        code, report, _, _ = flash(chip)
    assert code == 0 and "reads back differently" in report["retries"][0]


def test_the_ledger_the_settings_and_the_key_of_a_module_in_service_stay(flash, tmp_path):
    with MockChip() as chip:
        flash(chip)
        own = in_service(chip, tmp_path)
        chip.flash[0x9000:0x9004] = b"wifi"
        chip.flash[0x12000] ^= 0xFF  # MicroPython is damaged
        code, report, out, _ = flash(chip)
        assert code == 0 and "its money stays" in out and "gridpurse command update" in out
        kept = [name for name, result in results(report).items() if result == "kept"]
        assert kept == list(plan.KEPT) and results(report)["MicroPython"] == "written"
        start = plan.board("esp32_generic").rows["journal"].offset
        assert bytes(chip.flash[start : start + len(own)]) == own
        assert chip.flash[0x9000:0x9004] == b"wifi"


def test_only_the_modules_own_address_erases_its_ledger(flash, tmp_path):
    with MockChip() as chip:
        mac = flash(chip)[1]["steps"][1]["mac"]
        in_service(chip, tmp_path)
        before = bytes(chip.flash)
        code, report, _, err = flash(chip, "--erase-journal", "24:0a:c4:00:00:00")
        assert (code, report["fault"]) == (WRONG, "other-module") and mac in err
        assert bytes(chip.flash) == before
        code, report, _, _ = flash(chip, "--erase-files", mac)
        assert results(report)["journal"] == "kept"
        assert results(report)["file system"] == "written"
        code, report, _, _ = flash(chip, "--erase-journal", mac.upper())
        assert code == 0 and results(report)["journal"] == "erased"


def test_a_ledger_at_another_place_is_not_overwritten(flash, tmp_path):
    with MockChip() as chip:
        flash(chip)
        in_service(chip, tmp_path)
        chip.flash[0x300000:0x304000] = chip.flash[0x200000:0x204000]
        chip.flash[0x200000:0x240000] = b"\xff" * 0x40000
        table = bytearray(chip.flash[0x8000:0x8C00])
        at = table.index(b"journal") - 12
        table[at + 4 : at + 12] = (0x300000).to_bytes(4, "little") + (0x4000).to_bytes(4, "little")
        chip.flash[0x8000:0x8C00] = table
        before = bytes(chip.flash)
        code, report, _, err = flash(chip)
    assert (code, report["fault"]) == (WRONG, "journal-elsewhere") and "0x300000" in err
    assert bytes(chip.flash) == before


def test_the_firmwares_slots_are_what_counts_as_a_ledger():
    assert journal_slots.SLOT_BYTES == (journal.STATE_SLOT_BYTES, journal.COUNTER_SLOT_BYTES)
    assert journal_slots.CRC_BYTES == journal.CRC_BYTES
    assert journal_slots.count(b"\xff" * 8192) == journal_slots.count(bytes(8192)) == 0


def test_every_fault_is_one_line_with_its_remedy_in_two_languages(capsys):
    seen = set()
    for fault in flash_proof.faults():
        code = cli.main(fault.command[1:])
        err = capsys.readouterr().err
        assert code == fault.exit_code, (fault.name, err)
        assert err.count("\n") == 1 and err.startswith("gridpurse flash: "), err
        for piece in fault.expected:
            assert piece in err, (fault.name, piece, err)
        seen.add(fault.name)
    unseen = {kind.name for kind in faults.KINDS} - seen
    assert unseen == {"port-denied", "chip-locked", "journal-elsewhere"}


def test_a_port_of_another_user_says_how_to_get_it():
    fault = engine.not_opened("/dev/ttyUSB0", PermissionError(13, "Permission denied"))
    assert fault.kind is faults.PORT_DENIED and "dialout" in str(fault)


@pytest.mark.parametrize(
    ("said", "code", "kind"),
    (
        ("Chip type:          ESP32-S3 in Secure Download Mode", 2, faults.LOCKED),
        ("ERROR: A fatal error occurred: words of a later esptool", 2, faults.NO_ANSWER),
        ("ESP32 it is, in words of a later esptool", 0, faults.NO_ANSWER),
    ),
)
def test_what_esptool_says_instead_of_a_chip_becomes_a_fault(said, code, kind):
    esptool = (sys.executable, "-c", f"print({said!r}); raise SystemExit({code})")
    with flash_proof.silent_port() as port, pytest.raises(Fault) as raised:
        engine.Chip(port, esptool=esptool).__enter__()
    assert (raised.value.kind, raised.value.detail) == (kind, said)


def test_what_is_read_of_a_flash_is_in_no_file_that_could_be_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    there = []

    def progress(done, of):
        there.extend(path for path in tmp_path.rglob("gridpurse-flash-*/*"))
        there.extend(path for path in tmp_path.iterdir() if path.is_file())

    with MockChip() as chip:
        chip.flash[0x9000:0x9004] = b"wifi"
        with engine.Chip(chip.port) as found:
            assert found.read(0x9000, 0x4000, "files", progress)[:5] == b"wifi\xff"
        assert not list(tmp_path.glob("gridpurse-flash-*"))
    assert there == []


def test_no_line_of_esptool_runs_in_this_program():
    """It is under the GPL: it is started, never imported."""
    taken = re.compile(r"^\s*(?:import|from) (?:esptool|esp_pylib)\b", re.M)
    files = Path(cli.__file__).parent.rglob("*.py")
    assert [path for path in files if taken.search(path.read_text(encoding="utf-8"))] == []


def test_a_speed_that_no_port_has_is_refused(releases, capsys):
    words = flash_proof.command("socket://127.0.0.1:9", *releases["esp32"])[1:]
    assert cli.main([*words, "--baud", "0"]) == WRONG
    assert "--baud 0: must be" in capsys.readouterr().err


@pytest.mark.parametrize("pty", (False, True))
def test_an_unplugged_cable_leaves_a_report_with_the_step(flash, pty):
    with MockChip(pty=pty, trouble=Trouble(drop_after=120_000, drops=-1)) as chip:
        code, report, _, err = flash(chip)
    assert (code, report["result"], report["fault"]) == (DEVICE, "failed", "connection-lost")
    assert "MicroPython" in err and results(report)["MicroPython"] == "failed"


def test_ctrl_c_ends_it_cleanly_and_the_same_command_goes_on(flash, releases, tmp_path):
    report = tmp_path / "interrupted.json"
    with MockChip() as chip:
        words = flash_proof.command(chip.port, *releases["esp32"])
        with subprocess.Popen(
            [*words, "--report", str(report)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            for line in child.stdout:
                if line.startswith("partition table"):
                    child.send_signal(signal.SIGINT)
                    break
            out, err = child.communicate()
        assert child.returncode == 130 and "the same command goes on" in out
        assert "Traceback" not in err
        assert not [each for each in commands_running() if chip.port.encode() in each]
        assert json.loads(report.read_text(encoding="utf-8"))["result"] == "interrupted"
        code, after, _, _ = flash(chip)
    assert code == 0 and results(after)["boot loader"] == "already right"


def test_killed_at_every_step_the_same_command_still_ends_with_the_same_flash(
    flash, releases, tmp_path
):
    environ = {**os.environ, "TMPDIR": str(tmp_path)}  # what a killed one leaves there
    with MockChip() as whole:
        flash(whole)
        wanted = bytes(whole.flash)
    with MockChip() as chip:
        words = flash_proof.command(chip.port, *releases["esp32"])
        for step in ("image", "chip", "ledger", *plan.NAMES, "verify"):
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environ) as child:
                said = (line.startswith(step) for line in child.stdout)
                assert any(said), step
                child.kill()
        code, report, _, _ = flash(chip)
        assert code == 0 and results(report)["verify"] == "verified"
        assert bytes(chip.flash) == wanted
