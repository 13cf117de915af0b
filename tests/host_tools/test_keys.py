"""Root keys at rest: sealed under a master key that lies elsewhere, and useless without it."""

import os
import stat
from pathlib import Path

import pytest

from host_tools import Refused, master_key
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.master_key import MasterKey


def files(tmp_path: Path, name: str = "master.key") -> KeyFiles:
    return KeyFiles(tmp_path / "data" / KEYS_FOLDER, MasterKey(tmp_path / "away" / name))


def test_no_key_lies_in_clear_and_each_opens_again(tmp_path: Path) -> None:
    made = files(tmp_path).create("m1").reveal()
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(stored) == 2 and not any(made in data for data in stored)
    again = files(tmp_path).load("m1")
    assert again is not None and again.reveal() == made
    master = tmp_path / "away" / "master.key"
    assert stat.S_IMODE(master.stat().st_mode) == 0o600
    assert stat.S_IMODE(master.parent.stat().st_mode) == 0o700


def test_a_sealed_key_opens_for_no_other_module_and_after_no_change(tmp_path: Path) -> None:
    keys = files(tmp_path)
    keys.create("m1")
    folder = tmp_path / "data" / KEYS_FOLDER
    (folder / "m2.key").write_bytes((folder / "m1.key").read_bytes())
    (folder / "m2.key").chmod(0o600)
    damaged = bytearray((folder / "m1.key").read_bytes())
    damaged[-1] ^= 1
    (folder / "m1.key").write_bytes(damaged)
    for module in ("m1", "m2"):
        with pytest.raises(Refused, match="was changed; restore it"):
            keys.load(module)


def test_without_the_right_master_key_one_line_says_what_to_restore(tmp_path: Path) -> None:
    files(tmp_path).create("m1")
    master = tmp_path / "away" / "master.key"
    other = tmp_path / "away" / "other.key"
    other.touch(0o600)
    other.write_bytes(os.urandom(32))
    with pytest.raises(Refused, match="another master key"):
        files(tmp_path, "other.key").load("m1")
    master.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        files(tmp_path).load("m1")
    master.unlink()
    for work in (KeyFiles.load, KeyFiles.create):
        with pytest.raises(Refused, match="no master key, and keys are sealed under one"):
            work(files(tmp_path), "m1" if work is KeyFiles.load else "m2")
    assert not master.exists()  # a new one would open nothing


def test_a_master_key_beside_what_it_protects_is_refused(tmp_path: Path) -> None:
    inside = KeyFiles(tmp_path / KEYS_FOLDER, MasterKey(tmp_path / "master.key"))
    with pytest.raises(Refused, match="lies in the data folder"):
        inside.create("m1")


def test_keys_of_before_are_read_and_sealed_once_asked(tmp_path: Path) -> None:
    keys, old = files(tmp_path), os.urandom(32)
    folder = tmp_path / "data" / KEYS_FOLDER
    keys.create("m2")
    (folder / "m1.key").touch(0o600)
    (folder / "m1.key").write_bytes(old)
    for _ in range(2):
        loaded = files(tmp_path).load("m1")
        assert loaded is not None and loaded.reveal() == old
        expected = ["m1"] if keys.clear() else []
        assert keys.seal_clear() == expected
    assert old not in (folder / "m1.key").read_bytes()
    assert keys.clear() == [] and sorted(path.name for path in folder.iterdir()) == [
        "m1.key",
        "m2.key",
    ]


def test_the_master_key_is_found_where_the_environment_says(tmp_path: Path) -> None:
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path), "HOME": "/home/u"}
    assert master_key.place(credentials) == Path("/home/u/.config/gridpurse/master.key")
    (tmp_path / master_key.CREDENTIAL).touch()
    assert master_key.place(credentials) == tmp_path / master_key.CREDENTIAL
    named = {**credentials, master_key.VARIABLE: "/k"}
    assert master_key.place(named) == Path("/k")
    assert master_key.place({"XDG_CONFIG_HOME": "/c"}) == Path("/c/gridpurse/master.key")


def test_what_a_killed_enrolment_left_is_taken_up_whole(tmp_path: Path) -> None:
    keys = files(tmp_path)
    made = keys.create("m1").reveal()
    folder = tmp_path / "data" / KEYS_FOLDER
    (folder / "m1.key.new").hardlink_to(folder / "m1.key")  # killed between link and unlink
    assert files(tmp_path).adopt("m1").reveal() == made
    (folder / "m2.key.new").write_bytes(b"half")  # killed while it was written
    other = files(tmp_path).adopt("m2").reveal()
    assert other != made and files(tmp_path).adopt("m2").reveal() == other
    assert sorted(path.name for path in folder.iterdir()) == ["m1.key", "m2.key"]


def test_files_that_are_read_ahead_are_those_of_modules_and_open_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = files(tmp_path)
    made = {name: keys.create(name).reveal() for name in ("m1", "m2")}
    (tmp_path / "data" / "secret.key").write_bytes(b"nobody's")
    opened = []
    real = os.open
    with monkeypatch.context() as watched:
        watched.setattr(os, "open", lambda path, *more: opened.append(path) or real(path, *more))
        files(tmp_path).ahead(["m1", "../secret", "", "gone", "m2"])
    assert [Path(path).stem for path in opened] == ["m1", "gone", "m2"]
    assert {name: keys.load(name).reveal() for name in made} == made
