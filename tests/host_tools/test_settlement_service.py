"""The same promises with a real broker, a real settle process, and both of them dying."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.broker import free_port
from host_tools.store.database import FILE
from protocol import codes, messages, topics
from tests.host_tools.desk import NOW_S, Yard
from tests.host_tools.genuine import HANG_S, ROOT, Radio, Settle, by_deadline, is_a


def settled(yard: Yard, seq: int) -> None:
    by_deadline(lambda: yard.radio.settled(0) >= seq, f"acknowledgement of {seq}")


def test_a_batch_a_top_up_and_a_statement_reconcile_over_a_real_broker(yard: Yard) -> None:
    made = yard.ledger
    made.open()
    for _ in range(20):
        made.charge(250)
    yard.radio.send(yard.sender.hello({0: 21, 8: 0}))
    by_deadline(lambda: any(is_a(item, messages.Time) for item in yard.radio.heard), "time")
    yard.radio.send(made.batch(1, 21))
    settled(yard, 21)
    paid = yard.settle.command("topup", "m1", "0", "12.50", "--reference", "p1")
    told = "top-up 2 of m1/0: 12.50 CNY, receipt 收据 R-2026-000001, in flight\n"
    assert paid.stdout == told

    def topped_up() -> bool:
        heard = [item for item in yard.radio.heard if is_a(item, messages.Command)]
        return any(item.action == codes.TOPUP for item in heard)

    by_deadline(topped_up, "top-up command")
    made.top_up(2, 12_500_000_000)
    yard.radio.send(made.statement())
    yard.radio.send(made.batch(22, 1))
    settled(yard, 22)
    shown = yard.settle.reconcile()
    row, idle = shown["points"]
    assert row["reconciled"] and not idle["reconciled"] and shown["trial_balance_zero"]
    assert row["charged_module_ncur"] == row["charged_host_ncur"] == 20 * 250 * 488300
    assert row["balance_module_ncur"] == row["balance_host_ncur"] == made.state.balance_ncur
    assert (row["readings_sent"], row["readings_settled"]) == (22, 22)
    assert yard.settle.end() == 0


def test_duplicate_delivery_bills_once_over_a_real_broker(yard: Yard) -> None:
    made = yard.ledger
    made.open()
    made.charge(250)
    for _ in range(5):
        yard.radio.send(made.batch(1, 2))
    # A broker that had to wait long for an acknowledgement adds some of its own.
    by_deadline(lambda: yard.store.fleet.point_known("m1", 0).duplicates >= 8, "duplicates")
    assert yard.store.fleet.point_known("m1", 0).state == made.state


def test_bad_messages_are_rows_and_the_good_one_behind_them_settles(yard: Yard) -> None:
    made = yard.ledger
    made.open()
    good = yard.sender.seal(made.batch(1, 1))
    yard.radio.send_bytes(b"")
    yard.radio.send_bytes(bytes(5000))
    yard.radio.send_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    yard.radio.send_bytes(good)
    settled(yard, 1)
    shown = yard.settle.command("rejects")
    assert [line.split()[2] for line in shown.stdout.splitlines()[1:]] == [
        "malformed",
        "oversized",
        "forged",
    ]


def test_a_broker_restart_loses_nothing(yard: Yard) -> None:
    made = yard.ledger
    made.open()
    for seq in range(1, 21):
        made.charge(100 + seq)
        yard.radio.send(made.batch(seq, 1))
        if seq == 10:
            settled(yard, 5)
            yard.broker.restart()
    again(yard, len(made.entries))
    assert yard.head() == made.state.head


def again(yard: Yard, upto_seq: int) -> None:
    """Waits until a sequence is settled; like a module, sends again what is not acknowledged."""
    sent_s = time.monotonic()

    def done() -> bool:
        nonlocal sent_s
        if yard.seq() < upto_seq and time.monotonic() > sent_s + 1:
            sent_s = time.monotonic()
            for first_seq in range(yard.seq() + 1, upto_seq + 1, 32):
                yard.radio.send(yard.ledger.batch(first_seq, 32))
        return yard.seq() >= upto_seq

    by_deadline(done, f"{upto_seq} settled")


def test_settle_killed_in_mid_batch_leaves_the_identical_ledger(yard: Yard) -> None:
    made = yard.ledger
    made.open()
    for _ in range(9):
        made.charge(250)
    yard.radio.send(made.batch(1, 5))
    settled(yard, 5)
    lock = sqlite3.connect(yard.store.where, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")  # settle takes the deliveries and waits for the store
    yard.radio.send(made.batch(6, 5))
    wal = Path(f"{yard.store.where}-wal")
    size = wal.stat().st_size
    yard.settle.end(signal.SIGKILL)
    assert wal.stat().st_size == size and yard.seq() == 5
    lock.execute("ROLLBACK")
    lock.close()
    yard.settle.start()
    settled(yard, 10)  # the broker kept the delivery: nothing was sent again
    assert yard.store.fleet.point_known("m1", 0).state == made.state


def test_settle_killed_again_and_again_leaves_the_identical_ledger(yard: Yard) -> None:
    chance = random.Random(5)
    made = yard.ledger
    made.open()
    yard.radio.send(made.batch(1, 1))
    for _ in range(4):
        start = len(made.entries)
        for seq in range(start, start + 60):
            made.charge(chance.randrange(5000))
            yard.radio.send(made.batch(seq + 1, 1))
        at_seq = chance.randrange(start, start + 60)
        again(yard, at_seq)
        yard.settle.end(signal.SIGKILL)
        yard.settle.start()
    again(yard, len(made.entries))
    entries = list(yard.store.ledgers.entries(1))
    assert [entry.seq for entry in entries] == list(range(1, len(made.entries) + 1))
    assert yard.store.fleet.point_known("m1", 0).state == made.state


def test_settle_waits_for_a_broker_and_goes_on_when_it_comes(yard: Yard) -> None:
    yard.settle.end()
    yard.broker.kill()
    yard.settle.start(wait=False)
    log = yard.settle.log
    by_deadline(lambda: b"no broker for shard 0" in log.read_bytes(), "the waiting line")
    yard.broker.start(yard.broker.users)
    yard.ledger.open()
    again(yard, 1)
    assert yard.settle.end(signal.SIGINT) == 0


def test_a_second_settle_on_the_same_folder_waits_and_takes_over(yard: Yard) -> None:
    second = Settle(yard.data, yard.broker.address, NOW_S)
    second.log = yard.data / "second.log"
    yard.ending.callback(second.end)
    second.start(wait=False)
    by_deadline(lambda: b"settle ready: shards none" in second.log.read_bytes(), "the standby")
    made = yard.ledger
    made.open()
    yard.radio.send(made.batch(1, 1))
    settled(yard, 1)
    yard.settle.end(signal.SIGKILL)
    made.charge(250)
    yard.radio.send(made.batch(2, 1))
    settled(yard, 2)
    by_deadline(lambda: b"settle ready: shards 0" in second.log.read_bytes(), "the successor")
    assert second.end() == 0


def test_a_module_can_neither_write_nor_read_for_another(yard: Yard) -> None:
    yard.ledger.open()
    good = yard.sender.seal(yard.ledger.batch(1, 1))
    yard.radio.send_bytes(b"intruder", topic=topics.up(0, "m2"))
    yard.radio.send_bytes(b"intruder", topic=topics.down(0, "m1"))
    yard.radio.send_bytes(good)
    settled(yard, 1)
    assert yard.store.intake.rejects() == []  # the broker dropped both
    for topic in (topics.down(0, "m2"), topics.up(0, "m1"), "d/0/+", "$MQTT/#", "#"):
        with pytest.raises(AssertionError):
            Radio(yard.sender, yard.user(), topic, within_s=1)
        assert yard.radio.client.is_connected()


def test_a_broker_user_without_permission_is_refused_in_one_line(yard: Yard) -> None:
    yard.settle.end()
    yard.settle.broker = yard.user()
    refused = yard.settle.command("settle")
    assert refused.returncode == 2
    assert "the broker refuses the subscription to u/0/+ and w/0/+" in refused.stderr
    assert "Traceback" not in refused.stderr


NO_STORE = "no such store; name the folder with --data"


@pytest.mark.parametrize(
    ("made", "line"),
    [
        ((), "typo: no such data folder; name it with --data"),
        (("keys/m1.key",), NO_STORE),
        (("gridpurse.toml", "broker/nats.conf"), NO_STORE),
        (("notes.txt",), NO_STORE),
    ],
)
def test_settle_makes_no_store_where_none_belongs(
    tmp_path: Path, made: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "typo"
    for name in made:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert cli.main(["settle", "--data", str(folder)]) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1
    assert not (folder / FILE).exists() and folder.exists() == bool(made)


@pytest.mark.parametrize("made", [(), ("gridpurse.toml", "broker.secret", "lost+found")])
def test_a_service_begins_in_its_own_empty_folder_and_says_so(
    tmp_path: Path, made: tuple[str, ...]
) -> None:
    for name in made:
        (tmp_path / name).touch()
    more = {"GRIDPURSE_DATA_DIR": str(tmp_path), "GRIDPURSE_BROKER_PORT": str(free_port())}
    for told in (True, False):
        running = subprocess.Popen(
            [sys.executable, "-m", "host_tools.cli", "settle"],
            cwd=ROOT,
            env=os.environ | more,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stderr is not None
        lines: list[str] = []
        while not any("no broker for shard 0" in line for line in lines):
            lines.append(running.stderr.readline())
            assert lines[-1], lines
        running.terminate()
        running.communicate(timeout=HANG_S)
        assert running.returncode == 0
        assert any(f"{FILE}: a new, empty store" in line for line in lines) == told
