"""The doctor against things that are really broken: folder, keys, store, broker, clock, leases."""

import json
import os
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host_tools import cli
from host_tools.broker import HOST, Broker, free_port
from host_tools.clock import SystemClock
from host_tools.config import MQTT, NATS, BrokerAddress, read_settings
from host_tools.operations import checks_machine, checks_store, doctor, figures
from host_tools.operations.finding import FAIL, OK, WARN, Finding, ok
from host_tools.settlement.tenancy import LEASE_MS
from host_tools.store.database import FILE
from protocol import topics
from tests.host_tools.desk import NOW_S, Desk, Yard
from tests.host_tools.genuine import ROOT, by_deadline


def examined(data: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, str]:
    """{check: level} of a run whose exit code fits what it says."""
    status = cli.main(["doctor", "--json", "--data", str(data), *more])
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] == (status == 0)
    levels = {}
    for item in shown["checks"]:
        assert bool(item["remedy"]) == bool(item["remedy_zh"]) == (item["level"] != OK), item
        assert item["what"] and item["what_zh"] and item["check"] in doctor.CHECKS
        if levels.get(item["check"]) != FAIL:
            levels[item["check"]] = item["level"]
    return levels


def test_a_healthy_place_is_all_ok_and_says_so_in_both_languages(yard: Yard) -> None:
    made = yard.ledger
    made.open()
    made.charge(250)
    yard.radio.send(made.batch(1, 2))
    by_deadline(lambda: yard.radio.settled(0) >= 2, "acknowledgement")
    yard.settle.set_clock(made.state.time_s + 60)
    asked = yard.settle.command("doctor", "--quick")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert asked.stdout.splitlines()[-1] == "ready 可以运行"
    checks = {
        line.split()[1]: line.split()[0] for line in asked.stdout.splitlines() if line[0] in "oWF"
    }
    assert set(checks) == set(doctor.CHECKS)
    warned = {name for name, mark in checks.items() if mark != "ok"}
    assert warned <= {"clock", "disk", "folder"}, asked.stdout  # simulated time, this machine
    yard.settle.end()
    assert "WARN  leases" in yard.settle.command("doctor").stdout


def test_a_new_folder_from_setup_is_ready_but_for_its_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "d"
    assert cli.main(["setup", "--data", str(data), "--port", str(free_port())]) == 0
    capsys.readouterr()
    found = examined(data, capsys)
    assert (found["config"], found["folder"], found["store"], found["keys"]) == (OK,) * 4
    assert found["broker"] == FAIL
    assert (found["leases"], found["lag"]) == (WARN, WARN)


def test_nothing_there_and_a_wrong_file_are_failures_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = examined(tmp_path / "none", capsys)
    assert found["folder"] == FAIL and "store" not in found
    assert not (tmp_path / "none").exists()
    (tmp_path / "g.toml").write_text("[broker]\nprot = 1\n")
    assert examined(tmp_path, capsys, "--config", str(tmp_path / "g.toml")) == {"config": FAIL}
    (tmp_path / FILE).write_bytes(b"no database at all" * 99)
    assert examined(tmp_path, capsys)["store"] == FAIL
    (tmp_path / FILE).write_bytes(b"")
    assert examined(tmp_path, capsys)["store"] == FAIL


def test_a_damaged_page_is_found(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    made = desk.opened(charges=200)
    for first_seq in range(1, 200, 20):
        desk.take(made.batch(first_seq, 20))
    path = desk.folder / FILE
    with closing(sqlite3.connect(path)) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = link.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'entries'"
        ).fetchone()
        (size,) = link.execute("PRAGMA page_size").fetchone()
    desk.store.close()
    assert examined(desk.folder, capsys)["store"] == OK
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x05\x00\x01\xff\xff")
    assert examined(desk.folder, capsys)["store"] == FAIL


def test_a_store_of_a_newer_or_older_program_is_told_apart(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    link = desk.store._connection
    link.execute("INSERT INTO schema_version VALUES (99, 'later')")
    assert examined(desk.folder, capsys)["store"] == FAIL
    link.execute("DELETE FROM schema_version WHERE version > 1")
    found = examined(desk.folder, capsys)
    assert found["store"] == WARN and "keys" not in found
    assert link.execute("SELECT MAX(version) FROM schema_version").fetchone() == (1,)


def test_a_missing_key_and_one_that_others_may_read_fail(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    key = desk.folder / "keys" / "m1.key"
    key.chmod(0o644)
    assert examined(desk.folder, capsys)["keys"] == FAIL
    key.unlink()
    assert examined(desk.folder, capsys)["keys"] == FAIL


def test_a_folder_that_others_may_read_is_a_warning_with_the_command(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert checks_machine.folder(tmp_path).level == OK
    (tmp_path / "broker.secret").write_text("x")
    (tmp_path / "broker.secret").chmod(0o644)
    found = checks_machine.folder(tmp_path)
    assert (found.level, found.remedy.english) == (WARN, f"chmod go= {tmp_path}/broker.secret")
    if os.geteuid() == 0:
        os.chown(tmp_path / "broker.secret", 12345, -1)
        assert "belongs to user 12345" in checks_machine.folder(tmp_path).what.english


def test_a_lease_renewed_while_the_doctor_looks_is_held(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, clock = checks_store.keys, SystemClock()

    def renewed_meanwhile(*asked: Any) -> Finding:
        begun_ms = clock.ticks_ms()
        while clock.ticks_ms() == begun_ms:
            pass
        desk.store._connection.execute(
            "UPDATE leases SET until_ms = ?", (clock.ticks_ms() + LEASE_MS,)
        )
        return keys(*asked)

    monkeypatch.setattr(checks_store, "keys", renewed_meanwhile)
    assert examined(desk.folder, capsys)["leases"] == OK


def test_a_reading_that_arrives_while_the_doctor_looks_is_not_of_the_future(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, made = desk.folder / "clock", desk.opened(charges=4)
    path.write_bytes((made.states[0].time_s * 1000).to_bytes(8, "little"))
    monkeypatch.setenv("GRIDPURSE_CLOCK_FILE", str(path))

    def hours_later(*_: object) -> Finding:
        path.write_bytes((made.states[3].time_s * 1000).to_bytes(8, "little"))
        desk.take(made.batch(1, 3))
        return ok("broker", "there", "正常")

    monkeypatch.setattr(checks_machine, "broker", hours_later)
    assert examined(desk.folder, capsys)["clock"] == WARN  # simulated


def test_leases_lag_commands_and_differences_are_those_of_the_store(desk: Desk) -> None:
    settings = read_settings(None, {"GRIDPURSE_DATA_DIR": str(desk.folder)})
    with closing(figures.read_only(desk.place)) as link:

        def leases(ticks_ms: int, *shards: int) -> str:
            chosen = replace(settings, shards=shards)
            return checks_store.leases(link, chosen, lambda: ticks_ms).level

        assert leases(0, 0) == OK
        assert leases(0, 0, 1) == WARN
        assert leases(LEASE_MS, 0) == WARN
        assert leases(LEASE_MS, 7) == FAIL  # m1 is in shard 0, which nobody settles
        assert checks_store.lag(link, NOW_S).level == WARN
        made = desk.opened(charges=4)
        desk.take(made.batch(1, 3))
        newest_s = made.states[3].time_s
        assert checks_store.lag(link, newest_s + 60).level == OK
        assert checks_store.lag(link, newest_s + 7201).level == WARN
        assert checks_store.clock_and_readings(link, lambda: newest_s) is None
        behind = checks_store.clock_and_readings(link, lambda: newest_s - 121)
        assert behind is not None and behind.level == FAIL
        desk.take(made.batch(5, 1))
        assert checks_store.lag(link, newest_s + 60).level == WARN  # parked behind a gap
        (issued_s,) = link.execute("SELECT MAX(issued_s) FROM commands").fetchone()
        assert checks_store.commands(link, issued_s + 60).level == OK
        assert checks_store.commands(link, issued_s + 86402).level == WARN
        assert checks_store.differences(link).level == OK
        point = desk.store.fleet.point_known("m1", 0)
        for kind, level in (("tamper", WARN), ("unexplained", FAIL)):
            with desk.store.transaction():
                desk.store.ledgers.differ(point.id, kind, "x", 3, (1, 2), NOW_S)
            assert checks_store.differences(link).level == level


def test_a_broker_that_is_away_silent_foreign_or_refuses_is_told_apart(tmp_path: Path) -> None:
    broker = Broker(tmp_path, free_port(), nats_port=free_port())
    broker.start(())
    try:
        for good in (broker.address, broker.nats_address):
            assert checks_machine.broker(good, (0,)).level == OK
            wrong = checks_machine.broker(replace(good, password="wrong"), (0,))
            assert wrong.level == FAIL and "wrong" not in str(wrong)
        crossed = replace(broker.address, port=broker.nats_address.port)
        assert checks_machine.broker(crossed, (0,)).level == FAIL
    finally:
        broker.stop()
    for kind in (MQTT, NATS):
        away = checks_machine.broker(BrokerAddress(HOST, broker.address.port, kind=kind), (0,))
        assert away.level == FAIL and "start the broker" in away.remedy.english
        nowhere = checks_machine.broker(BrokerAddress("no.such.host.invalid", 1, kind=kind), (0,))
        assert nowhere.level == FAIL
    with socket.create_server((HOST, 0)) as silent:
        address = BrokerAddress(HOST, silent.getsockname()[1])
        assert "says nothing" in checks_machine.broker(address, (0,)).what.english


def test_looking_at_the_broker_takes_nothing_from_the_worker(yard: Yard) -> None:
    yard.ledger.open()
    found = checks_machine.broker(yard.broker.address, (0,))
    yard.radio.send(yard.ledger.batch(1, 1))
    assert found.level == OK
    by_deadline(lambda: yard.radio.settled(0) >= 1, "acknowledgement")
    module = checks_machine.broker(yard.user(), (0,))
    assert module.level == FAIL and "shard 0" in module.what.english
    assert "lost" not in yard.settle.log.read_text()
    assert topics.up(0, "m1") not in yard.settle.log.read_text()


def test_every_check_is_in_the_operators_page() -> None:
    page = (ROOT / "docs/operator.md").read_text(encoding="utf-8").split("## doctor")[1]
    assert all(f"| `{name}` |" in page.split("\n## ")[0] for name in doctor.CHECKS)
