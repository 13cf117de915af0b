"""Store, keys, configuration, broker and command line: what they promise when things are wrong."""

import json
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools import Refused, cli
from host_tools.broker import HOST, Broker, free_port
from host_tools.clock import FileClock, SystemClock
from host_tools.config import read_settings
from host_tools.keys import KeyFiles
from host_tools.settlement import common, topup
from host_tools.store import database
from host_tools.store.sql import migrating, sqlite
from tests.host_tools.desk import BOOK, Desk, enrolled
from tests.host_tools.genuine import ROOT

TARIFF = str(ROOT / "host_tools/tariff_files/cn-bj-2012.toml")


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    database.open_store(tmp_path).close()
    store = database.open_store(tmp_path)
    store.close()
    with sqlite3.connect(tmp_path / database.FILE) as connection:
        rows = connection.execute("SELECT version, name FROM schema_version").fetchall()
        scripts = sorted(path.stem for path in migrating.MIGRATIONS.glob("*.sql"))
        assert rows == [(int(name[:4]), name) for name in scripts]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_newer_store_is_refused_in_one_line(tmp_path: Path) -> None:
    database.open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / database.FILE) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'later')")
    connection.close()
    newest = max(int(path.name[:4]) for path in migrating.MIGRATIONS.glob("*.sql"))
    line = f"schema 99 is newer than this program's {newest}; update it"
    with pytest.raises(Refused, match=line):
        database.open_store(tmp_path)


def test_a_failed_migration_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "migrations"
    scripts.mkdir()
    (scripts / "0001_half.sql").write_text("CREATE TABLE a (b INTEGER);\nCREATE TABLE a (b);\n")
    monkeypatch.setattr(migrating, "MIGRATIONS", scripts)
    with pytest.raises(Refused):
        database.open_store(tmp_path / "data")
    with sqlite3.connect(tmp_path / "data" / database.FILE) as connection:
        assert sqlite.version_of(connection) == 0
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'a'").fetchall()
        assert tables == []
    connection.close()


def test_a_transaction_that_fails_leaves_nothing_behind(desk: Desk) -> None:
    with pytest.raises(KeyError), desk.store.transaction():
        desk.store.fleet.add_module("m7", 0)
        raise KeyError
    assert desk.store.fleet.module("m7") is None


def test_a_tariff_version_never_changes_its_meaning(desk: Desk) -> None:
    with desk.store.transaction():
        desk.store.fleet.store_book("again", BOOK, 0)
        with pytest.raises(Refused, match="raise `version`"):
            desk.store.fleet.store_book("other", BOOK._replace(currency="EUR"), 0)


def test_a_module_is_enrolled_whole_or_not_at_all(desk: Desk) -> None:
    with pytest.raises(Refused, match="enrolled already"):
        enrolled(desk.store, desk.folder)
    KeyFiles(desk.folder / "keys").create("m5")
    with pytest.raises(Refused, match="already has a key"):
        enrolled(desk.store, desk.folder, "m5")
    assert desk.store.fleet.module("m5") is None


def test_a_key_is_private_random_and_never_shown(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path / "keys")
    first, second = keys.create("m1"), keys.create("m2")
    assert first.reveal() != second.reveal()
    assert len(first.reveal()) == 32
    path = tmp_path / "keys" / "m1.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for shown in (repr(first), str(first), repr(keys)):
        assert (first.reveal().hex() not in shown and "hidden" in shown) or "KeyFiles" in shown
    loaded = KeyFiles(tmp_path / "keys").load("m1")
    assert loaded is not None and loaded.reveal() == first.reveal()
    assert keys.up("../m1") is None
    path.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        KeyFiles(tmp_path / "keys").load("m1")


def test_settings_come_from_file_and_environment_and_hide_the_password(tmp_path: Path) -> None:
    path = tmp_path / "gridpurse.toml"
    path.write_text(
        'data_dir = "d"\nshards = [1, 2]\n[broker]\nport = 1884\nuser = "host"\n'
        'password_file = "secret"\n'
    )
    (tmp_path / "secret").write_text("pw-1\n")
    made = read_settings(path, {"GRIDPURSE_BROKER_PORT": "1999"})
    assert made.broker.port == 1999
    assert made.shards == (1, 2)
    assert made.data_dir == tmp_path / "d"
    assert made.broker.password == "pw-1"
    assert "pw-1" not in repr(made)
    assert read_settings(path, {"GRIDPURSE_BROKER_PASSWORD": "pw-2"}).broker.password == "pw-2"


WRONG = [
    ("shards = []", {}, "shards: must be a list"),
    ("shards = [5000]", {}, "shards: must be a whole number from 0 to 4095"),
    ("shards = [1, 1]", {}, "shards: names one shard twice"),
    ("broker = 3", {}, "broker: must be a table"),
    ("[broker]\nport = 'x'", {}, "broker.port: must be a whole number"),
    ("[broker]\nhots = 'x'", {}, "broker.hots: is unknown; remove it"),
    ("[broker]\npassword_file = 'none'", {}, "password cannot be read"),
    ("", {"GRIDPURSE_SHARDS": "a"}, "GRIDPURSE_SHARDS: must be a whole number"),
    ("a = ", {}, "not TOML"),
]


@pytest.mark.parametrize(("text", "environ", "line"), WRONG)
def test_a_wrong_setting_is_one_line_and_exit_2(
    tmp_path: Path,
    text: str,
    environ: dict[str, str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "g.toml"
    path.write_text(text)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["settle", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1


def test_the_command_line_enrols_pays_lists_and_reconciles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path / "d")]
    add = ["modules", "--add", "m1", "--point", "0=Flat 1", "--tariff", TARIFF, "--json"]
    assert cli.main([*add, *data]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] == "Flat 1"
    pay = ["topup", "m1", "0", "50", "--reference", "pay-1"]
    for _ in range(2):
        assert cli.main([*pay, *data]) == 0
        told = r"top-up 2 of m1/0: 50.00 CNY, receipt 收据 R-20\d\d-000001, in flight\n"
        assert re.fullmatch(told, capsys.readouterr().out)
    assert cli.main(["reconcile", *data]) == 1
    out = capsys.readouterr().out
    assert "m1/0: no statement yet" in out and out.endswith("not reconciled 对账不符\n")
    assert cli.main(["rejects", "--json", *data]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["topup", "m1", "0", "1.5", "--reference", "r"], "no such store"),
        (["topup", "m1", "0", "1,5", "--reference", "r"], "amount '1,5'"),
        (["topup", "m1", "0", "-5", "--reference", "r"], "amount"),
        (["reconcile"], "no such store"),
        (["modules", "--add", "M!", "--point", "0", "--tariff", TARIFF], "use 1 to 16 of a-z"),
        (["modules", "--add", "m1", "--tariff", TARIFF], "--point: name at least one"),
        (["modules", "--add", "m1", "--point", "9", "--tariff", TARIFF], "--point 9"),
        (["modules", "--add", "m1", "--point", "0", "--tariff", "nil.toml"], "no such file"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2(
    tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = cli.main([*words, "--data", str(tmp_path)])
    except SystemExit as error:  # argparse's own: an unusable word
        status = int(error.code or 0)
    err = capsys.readouterr().err
    assert status == 2 and line in err and "Traceback" not in err


def test_a_broken_store_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / database.FILE).write_bytes(b"not a database at all" * 100)
    assert cli.main(["reconcile", "--data", str(tmp_path)]) == 2
    assert "not a Gridpurse store" in capsys.readouterr().err
    (tmp_path / database.FILE).unlink()
    database.open_store(tmp_path).close()
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 0)
    lock = sqlite3.connect(tmp_path / database.FILE, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    words = ["modules", "--add", "m1", "--point", "0", "--tariff", TARIFF]
    assert cli.main([*words, "--data", str(tmp_path)]) == 2
    assert "keeps it locked" in capsys.readouterr().err
    lock.close()


def test_a_full_disk_is_one_line_and_loses_nothing(desk: Desk) -> None:
    made = desk.opened(charges=400)
    desk.take(made.batch(1, 1))
    connection = desk.store._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError) as caught:
        desk.take(*(made.batch(seq, 50) for seq in range(2, 400, 50)))
    assert "the disk is full" in str(sqlite.explained(caught.value, desk.store.where))
    assert desk.seq() == 1
    assert desk.transport.acknowledged == 1  # the broker still has the rest
    connection.execute("PRAGMA max_page_count = 1000000")
    desk.take(*(made.batch(seq, 50) for seq in range(2, 400, 50)))
    assert desk.store.fleet.point_known("m1", 0).state == made.state


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Refused, match="Permission denied"):
        database.open_store(tmp_path / "d")


def test_a_busy_broker_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"broker port {port}: Address already in use; stop"):
            Broker(tmp_path, port).start([])


def test_a_free_port_is_told_once_and_whoever_is_told_may_listen(tmp_path: Path) -> None:
    port = free_port()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((HOST, port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))
    broker = Broker(tmp_path, port)
    for _ in range(2):
        broker.start([])
        with socket.create_connection((HOST, port)):
            broker.kill()


def test_a_broker_that_will_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("in the way")
    with pytest.raises(Refused, match="nats-server ended at once"):
        Broker(tmp_path, free_port()).start([])


def test_simulated_time_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    with pytest.raises(Refused, match="start the simulator"):
        FileClock(path).now_ms()
    path.write_bytes((1_767_225_600_123).to_bytes(8, "little"))
    assert FileClock(path).now_ms() == 1_767_225_600_123
    assert FileClock(path).now_s() == 1_767_225_600
    path.write_bytes(b"abc")
    with pytest.raises(Refused, match="3 bytes"):
        FileClock(path).now_s()
    assert abs(SystemClock().now_ms() - SystemClock().now_s() * 1000) < 2000


@pytest.mark.parametrize(
    ("text", "amount_ncur"), [("50", 50 * 10**9), ("0.000000001", 1), ("12.50", 12_500_000_000)]
)
def test_amounts_are_exact_decimals(text: str, amount_ncur: int) -> None:
    assert topup.ncur(text) == amount_ncur
    assert topup.ncur(common.decimal(amount_ncur)) == amount_ncur


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_sub_command_has_help_and_runs_from_its_table(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = cli.COMMANDS[name]
    module = cli.loaded(command)
    assert command.help and callable(getattr(module, command.run))
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: gridpurse {name} ")


def test_a_command_loads_what_it_needs_and_nothing_of_the_others() -> None:
    """Some need libraries that take a second to load."""
    program = (
        "import sys; from host_tools import cli\n"
        "try: cli.main(['topup', '--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = said.split("\n")[-2].split()
    assert "host_tools.settlement.topup" in loaded
    assert not {"pymodbus", "mpremote", "segno", "paho", "host_tools.demo.run"} & set(loaded)


@pytest.mark.parametrize("code", ["gbk", "utf-16"])
def test_a_file_in_another_encoding_names_the_remedy(tmp_path: Path, code: str) -> None:
    path = tmp_path / "g.toml"
    path.write_text("# 数据目录\nshards = [1]\n", encoding=code)
    with pytest.raises(Refused, match=r"g\.toml: is not UTF-8; save it as UTF-8 请另存为 UTF-8$"):
        read_settings(path, {})


def test_the_mark_that_notepad_puts_before_a_file_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "g.toml"
    path.write_text("shards = [1]\n", encoding="utf-8-sig")
    assert read_settings(path, {}).shards == (1,)
    tariff = tmp_path / "t.toml"
    tariff.write_text(Path(TARIFF).read_text(encoding="utf-8"), encoding="utf-8-sig")
    data = ["--data", str(tmp_path / "d")]
    database.open_store(tmp_path / "d").close()
    for words in (["tariff", "add", str(tariff)], ["tariff", "add", TARIFF], ["tariff", "list"]):
        assert cli.main([*words, *data]) == 0  # the very same text
