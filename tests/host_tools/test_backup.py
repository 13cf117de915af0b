"""Backup, restore, verify: the same books elsewhere, and every damage told in one line."""

import json
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.backup import archive
from host_tools.config import StoreAddress
from host_tools.settlement import commands
from host_tools.store import database
from tests.host_tools.desk import BOOK, NOW_S, Desk
from tests.host_tools.genuine import ROOT, PointLedger, by_deadline
from tests.host_tools.test_migrations import first_store


def desk_with_books(folder: Path, charges: int = 5) -> Desk:
    """A top-up credited, another in flight, and some charges."""
    desk = Desk(folder)
    made = desk.opened(charges)
    with desk.store.transaction():
        for reference in ("cash-1", "cash-2"):
            point = desk.store.fleet.point_known("m1", 0)
            given = commands.pay(desk.store, point, reference, 50_000_000_000, NOW_S)
            if reference == "cash-1":
                made.top_up(given.number, given.amount_ncur)
    for first_seq in range(1, len(made.entries) + 1, 100):
        desk.take(made.batch(first_seq, 100))
    assert desk.seq() == len(made.entries) and desk.differences() == []
    return desk


def backed_up(desk: Desk, name: str = "one.backup") -> Path:
    file = desk.folder.parent / name
    archive.take(desk.place, file, NOW_S)
    return file


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line of a command that is refused."""
    assert cli.main([str(word) for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def journal(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / database.FILE) as store:
        rows = store.execute("SELECT * FROM entries ORDER BY id").fetchall()
        rows += store.execute("SELECT * FROM postings ORDER BY id").fetchall()
        rows += store.execute("SELECT * FROM topups ORDER BY reference").fetchall()
    store.close()
    return rows


def damage(path: Path, *statements: str) -> None:
    """Changes a store behind the back of its triggers."""
    with sqlite3.connect(path) as store:
        names = store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            store.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert store.execute(statement).rowcount, statement
    store.close()


def test_a_restored_store_has_the_same_books_and_goes_on(tmp_path: Path) -> None:
    desk = desk_with_books(tmp_path / "data")
    assert cli.main(["backup", str(tmp_path / "b"), "--data", str(desk.folder)]) == 0
    assert cli.main(["restore", str(tmp_path / "b"), "--into", str(tmp_path / "new")]) == 0
    assert journal(tmp_path / "new") == journal(desk.folder)
    assert cli.main(["verify", str(tmp_path / "new")]) == 0
    assert cli.main(["verify", str(tmp_path / "b")]) == 0
    with database.opened(tmp_path / "new") as store:
        assert store.fleet.points() == desk.store.fleet.points()


def test_a_backup_and_what_is_restored_are_for_their_owner_only(tmp_path: Path) -> None:
    desk = desk_with_books(tmp_path / "data")
    file = backed_up(desk)
    archive.restore(file, StoreAddress(tmp_path / "new"), NOW_S)
    for path in (file, tmp_path / "new" / database.FILE):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "new", "one.backup"]


def test_a_backup_holds_no_key_and_tells_which_key_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_with_books(tmp_path / "data")
    file = backed_up(desk)
    key = desk.folder / "keys" / "m1.key"
    assert key.read_bytes() not in file.read_bytes()
    assert cli.main(["restore", str(file), "--into", str(tmp_path / "bare"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["keys_lacking"] == ["m1"]
    for name, value, lacking in (("right", key.read_bytes(), []), ("wrong", bytes(32), ["m1"])):
        folder = tmp_path / name / "keys"
        folder.mkdir(parents=True)
        (folder / "m1.key").touch(0o600)
        (folder / "m1.key").write_bytes(value)
        assert cli.main(["restore", str(file), "--into", str(folder.parent), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["keys_lacking"] == lacking


def test_a_backup_under_load_is_one_instant_of_the_books(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "data")
    made = desk.opened()
    desk.take(made.batch(1, 1))
    failed: list[str] = []
    done = threading.Event()

    def keep_copying() -> None:
        taken = 0
        while not done.is_set() or not taken:
            file = backed_up(desk, f"{taken}.backup")
            if cli.main(["verify", str(file)]):
                failed.append(file.name)
            taken += 1

    copying = threading.Thread(target=keep_copying)
    copying.start()
    try:
        for _ in range(150):
            made.charge(10)
            desk.take(made.batch(len(made.entries), 1))
    finally:
        done.set()
        copying.join()
    assert failed == [] and desk.seq() == 151


def test_restore_refuses_a_folder_with_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_with_books(tmp_path / "data")
    file, before = backed_up(desk), journal(desk.folder)
    assert "has a store already" in refusal(capsys, "restore", file, "--into", desk.folder)
    assert journal(desk.folder) == before


def test_the_store_of_a_host_that_died_is_verified_and_backed_up_as_it_lies(
    tmp_path: Path,
) -> None:
    desk = desk_with_books(tmp_path / "data")
    left = tmp_path / "left"
    left.mkdir()
    for ending in ("", "-wal"):  # nothing was written back, and the shared memory is gone
        name = f"{database.FILE}{ending}"
        (left / name).write_bytes((desk.folder / name).read_bytes())
    assert (left / f"{database.FILE}-wal").stat().st_size > 0
    assert cli.main(["verify", str(left)]) == 0
    assert cli.main(["backup", str(tmp_path / "b"), "--data", str(left)]) == 0
    assert cli.main(["restore", str(tmp_path / "b"), "--into", str(tmp_path / "new")]) == 0
    assert journal(tmp_path / "new") == journal(desk.folder)


def test_backup_never_writes_over_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_with_books(tmp_path / "data")
    (tmp_path / "b").write_text("mine")
    assert "exists already" in refusal(capsys, "backup", tmp_path / "b", "--data", desk.folder)
    assert (tmp_path / "b").read_text() == "mine"


def test_a_failed_backup_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_with_books(tmp_path / "data")
    nowhere = tmp_path / "nowhere" / "b"
    assert str(nowhere) in refusal(capsys, "backup", nowhere, "--data", desk.folder)
    assert "no such store" in refusal(capsys, "backup", tmp_path / "b", "--data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    desk = desk_with_books(tmp_path / "data", 300)
    size = (desk.folder / database.FILE).stat().st_size
    program = f"ulimit -f {size // 2048}; exec {sys.executable} -m host_tools.cli"
    words = f"backup {tmp_path / 'b'} --data {desk.folder}"
    done = subprocess.run(
        ["bash", "-c", f"{program} {words}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_killed_backup_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    desk = desk_with_books(tmp_path / "data", 3000)
    file, new = tmp_path / "b", tmp_path / "b.new"
    words = [sys.executable, "-m", "host_tools.cli", "backup", str(file)]
    process = subprocess.Popen([*words, "--data", str(desk.folder)], cwd=ROOT)
    by_deadline(lambda: new.exists() or process.poll() is not None, "a backup has begun")
    process.kill()
    process.wait()
    if file.exists():
        assert cli.main(["verify", str(file)]) == 0  # it was quicker
        file.unlink()
    archive.take(desk.place, file, NOW_S)  # what lies half made is in nobody's way
    assert not new.exists() and cli.main(["verify", str(file)]) == 0


@pytest.mark.parametrize("cut", [1, 100, 4096, 20000])
def test_half_a_backup_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    file = backed_up(desk_with_books(tmp_path / "data"))
    half = tmp_path / "half"
    half.write_bytes(file.read_bytes()[:-cut])
    assert "not a whole backup" in refusal(capsys, "restore", half, "--into", tmp_path / "new")
    assert "not a whole backup" in refusal(capsys, "verify", half)
    assert not (tmp_path / "new" / database.FILE).exists()


def test_any_changed_byte_of_a_backup_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = backed_up(desk_with_books(tmp_path / "data"))
    whole = file.read_bytes()
    for place in range(7, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[place] ^= 1
        bad = tmp_path / "bad"
        bad.write_bytes(changed)
        line = refusal(capsys, "restore", bad, "--into", tmp_path / "new")
        assert "whole backup" in line or "not those that were backed up" in line
        assert list((tmp_path / "new").glob("*")) == []


def test_what_is_no_backup_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (b"", b"text", archive.MAGIC, b"\xff" * 40 + archive.MAGIC):
        (tmp_path / "b").write_bytes(content)
        assert "not a whole backup" in refusal(capsys, "verify", tmp_path / "b")
    assert "no such folder or backup" in refusal(capsys, "verify", tmp_path / "c")
    (tmp_path / database.FILE).write_bytes(b"")
    assert "not a Gridpurse store" in refusal(capsys, "verify", tmp_path)
    (tmp_path / database.FILE).write_bytes(b"text" * 2000)
    assert "not a Gridpurse store" in refusal(capsys, "verify", tmp_path)


def test_a_backup_of_a_newer_program_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_with_books(tmp_path / "data")
    file = backed_up(desk)
    damage(desk.folder / database.FILE, "INSERT INTO schema_version VALUES (99, 'later')")
    assert "schema 99 is newer" in refusal(capsys, "verify", desk.folder)
    manifest = archive.manifest_of(file)
    later = {name: getattr(manifest, name) for name in manifest.__slots__} | {"schema": 99}
    tail = archive._tail(archive.Manifest(**later))
    newer = tmp_path / "newer"
    newer.write_bytes(file.read_bytes()[: manifest.bytes] + tail)
    assert "schema 99 is newer" in refusal(capsys, "restore", newer, "--into", tmp_path / "new")


DAMAGE = {
    "an amount": ("chain", "UPDATE entries SET amount_ncur = amount_ncur - 1 WHERE seq = 3"),
    "an amount and its balance": (
        "chain",
        "UPDATE entries SET amount_ncur = amount_ncur + 5, balance_ncur = balance_ncur + 5"
        " WHERE seq = 7",
    ),
    "energy": ("chain", "UPDATE entries SET energy_wh = energy_wh + 1 WHERE seq = 2"),
    "an entry lost": ("chain", "DELETE FROM entries WHERE seq = 4"),
    "the last entry lost": ("state", "DELETE FROM entries WHERE seq = 7"),
    "an entry twice": (
        "chain",
        "INSERT INTO entries SELECT 999, before_id, point_id, epoch, from_s, arrived_s, contra,"
        " charged_ncur, topups_ncur, head, said_head, seq, kind, time_s, quality, register_wh,"
        " energy_wh, version, period, used_wh, amount_ncur, number, channel, balance_ncur"
        " FROM entries WHERE seq = 5",
    ),
    "a running sum": ("chain", "UPDATE entries SET charged_ncur = 0 WHERE seq = 5"),
    "the state": ("state", "UPDATE points SET last_id = last_id - 1 WHERE id = 1"),
    "the top-up mark": ("state", "UPDATE points SET mark_highest = 8 WHERE id = 1"),
    "an account": ("account", "UPDATE entries SET contra = 77 WHERE seq = 3"),
    "a payment lost": ("top-up", "DELETE FROM topups WHERE reference = 'cash-1'"),
    "a payment not posted": ("sums", "DELETE FROM postings WHERE number = 4"),
    "another module": ("reference", "UPDATE points SET module = 'm9' WHERE id = 1"),
    "a lease": ("lease", "UPDATE leases SET reader = generation + 1"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_verify_finds_every_damage_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    kind, statement = DAMAGE[what]
    desk = desk_with_books(tmp_path / "data")
    assert cli.main(["verify", "--data", str(desk.folder)]) == 0
    desk.store.close()
    damage(desk.folder / database.FILE, statement)
    capsys.readouterr()
    assert cli.main(["verify", str(desk.folder)]) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("not sound 校验不符")
    assert cli.main(["verify", str(desk.folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert kind in [item["kind"] for item in found["findings"]] and not found["sound"]


def test_a_damaged_page_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desk_with_books(tmp_path / "data")
    desk.store.close()
    path = desk.folder / database.FILE
    data = bytearray(path.read_bytes())
    for place in range(3 * 4096, len(data), 4096):
        data[place : place + 200] = bytes(200)
    path.write_bytes(data)
    assert "it is damaged; restore the last backup" in refusal(capsys, "verify", desk.folder)


def test_a_backup_of_the_first_schema_is_restored_to_the_newest(tmp_path: Path) -> None:
    made = PointLedger("m1", 0, BOOK)
    made.open()
    for _ in range(9):
        made.charge(250)
    first_store(StoreAddress(tmp_path / "data"), [made], made.state.head)
    archive.take(StoreAddress(tmp_path / "data"), tmp_path / "b", NOW_S)
    assert cli.main(["restore", str(tmp_path / "b"), "--into", str(tmp_path / "new")]) == 0
    with database.opened(tmp_path / "new") as store:
        assert store.fleet.point_known("m1", 0).state == made.state
