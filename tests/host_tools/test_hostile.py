"""Hostile messages: each class is counted, none moves a ledger or keeps the good ones waiting."""

import gc
import hashlib
import logging
import random
import sys

import pytest

from host_tools.keys import KeyFiles
from host_tools.settlement import refusals, settle
from host_tools.settlement.transport import Delivery
from host_tools.store import database, intake
from host_tools.store.database import Store
from protocol import topics, units
from tests.bench.hostile_load import MAKERS, Hostile, Victim
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.genuine import PointLedger

TOPIC = topics.up(0, "m1")
STRANGERS = 500  # numbers of modules that no desk has


@pytest.fixture(scope="module")
def hostile() -> Hostile:
    return Hostile(random.Random(5), STRANGERS)


def victim(desk: Desk, made: PointLedger, seq: int) -> Victim:
    batch = made.batch(seq, 1)
    return Victim(TOPIC, desk.sender.seal(batch), batch, 40, desk.sender.up)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "wrong shard"])
def test_each_class_is_counted_and_moves_no_ledger(
    desk: Desk, hostile: Hostile, name: str
) -> None:
    make, reason = MAKERS[name]
    made = desk.opened(charges=40)
    for seq in range(1, 40):
        desk.take(made.batch(seq, 1))
    before = desk.journal()
    pairs = [make(hostile, victim(desk, made, seq)) for seq in range(2, 39)]
    desk.consumer.consume([Delivery(*pair, None) for pair in pairs])
    counted = sum(row.count for row in desk.store.intake.rejects() if row.reason == reason)
    duplicates = desk.store.fleet.point_known("m1", 0).duplicates
    assert (counted, duplicates) == ((0, 37) if reason is None else (37, 0))
    assert desk.journal() == before and desk.differences() == []
    assert sum(desk.counters.rejects.values()) == counted
    desk.take(made.batch(40, 2))
    assert desk.store.fleet.point_known("m1", 0).state == made.state


@pytest.mark.parametrize("together", [True, False])
def test_entries_are_found_again_however_far_back_they_lie(desk: Desk, together: bool) -> None:
    """In one transaction, where rows wait in memory, and from the store."""
    made = desk.opened(charges=90)
    chance = random.Random(3)
    repeated = [(seq, chance.choice((1, 2, 8))) for seq in range(1, 80)]
    batches = [made.batch(1, 60), made.batch(61, 31), *(made.batch(*each) for each in repeated)]
    if together:
        desk.take(*batches)
    else:
        for batch in batches:
            desk.take(batch)
    assert desk.reasons() == []
    point = desk.store.fleet.point_known("m1", 0)
    assert point.duplicates == sum(count for _, count in repeated)
    with desk.store.transaction():
        for seq, count in repeated:
            found = desk.store.ledgers.since(point, seq, count)
            assert [entry.seq for entry in found] == list(range(seq, seq + count))
            for entry in found:
                assert entry.from_s == made.states[entry.seq - 1].time_s
                assert entry.amount_ncur == made.entries[entry.seq - 1].amount_ncur


def test_looking_for_old_entries_is_bounded_and_what_came_too_much_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "LOOKED_BACK_MAX", 100)
    made = desk.opened(charges=60)
    desk.take(made.batch(1, 60))
    oldest = [desk.sender.seal(made.batch(seq, 1)) for seq in (1, 2, 3)]
    desk.take(*oldest, made.batch(61, 1))
    assert desk.reasons() == [units.REPLAYED]
    assert desk.store.fleet.point_known("m1", 0).duplicates == 2
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    desk.take(oldest[2])  # another transaction: it is looked at
    assert desk.store.fleet.point_known("m1", 0).duplicates == 3


def test_the_same_bytes_again_are_counted_without_a_look_into_the_journal(desk: Desk) -> None:
    made = desk.opened(charges=30)
    sent = [desk.sender.seal(made.batch(seq, 1)) for seq in range(1, 31)]
    desk.take(*sent)
    desk.said()
    desk.take(*sent[:0:-1])
    assert desk.store.ledgers.looked_back == 0
    assert desk.store.fleet.point_known("m1", 0).duplicates == 29
    (ack,) = desk.said()
    assert ack.streams == {0: 30}
    desk.take(desk.sender.seal(made.batch(3, 2)))  # the same records in other bytes
    assert desk.store.ledgers.looked_back > 0
    assert desk.store.fleet.point_known("m1", 0).duplicates == 31


def test_what_a_failed_transaction_settled_is_not_remembered(
    desk: Desk, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk.opened(charges=30)
    desk.take(made.batch(1, 20))
    before = desk.journal()
    _, other = hostile.contradictory(victim(desk, made, 21))
    ticks = iter([0])
    with monkeypatch.context() as failing:
        failing.setattr(desk.clock, "ticks_ms", lambda: next(ticks))
        with pytest.raises(StopIteration):
            desk.take(other)
    assert desk.journal() == before
    desk.take(made.batch(21, 1), other)
    assert desk.reasons() == [units.CONTRADICTORY]
    assert desk.store.fleet.point_known("m1", 0).state == made.states[21]


def test_a_refused_message_undoes_itself_and_no_row_of_another(desk: Desk) -> None:
    made = desk.opened(charges=2)
    boot = desk.sender.hello({0: 0}, boot_id=7)
    older = desk.sender.hello({0: 0}, boot_id=6)
    bad = b"no message"
    desk.take(boot, bad, older, made.batch(1, 3), older)
    assert desk.reasons() == [units.MALFORMED, units.REPLAYED]
    assert [row.count for row in desk.store.intake.rejects()] == [1, 2]
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    assert desk.store.fleet.module_known("m1").boot_id == 7


def refuse(store: Store, payload: bytes) -> None:
    digest = hashlib.sha256(payload).digest()[:16]
    store.intake.reject("host", TOPIC, "m1", units.MALFORMED, "", digest, payload, NOW_S)


def counts(desk: Desk) -> list[int]:
    return [row.count for row in desk.store.intake.rejects()]


def test_a_message_refused_again_is_counted_in_its_row_by_whichever_worker(desk: Desk) -> None:
    desk.take(b"one", b"two", b"one")
    with database.opened(desk.place) as other, other.transaction():
        refuse(other, b"two")
        refuse(other, b"three")
    desk.take(b"three", b"two", b"four")
    assert counts(desk) == [2, 3, 2, 1]


def test_a_refused_message_whose_row_was_forgotten_has_one_again(desk: Desk) -> None:
    """By `gridpurse retain`, one row or all: nothing is counted at a row that is another's."""
    desk.take(b"one")
    desk.take(b"two", b"two")
    desk.damage("DELETE FROM rejects WHERE count = 1")
    desk.take(b"one", b"two")
    assert counts(desk) == [1, 3]
    desk.damage("DELETE FROM rejects")
    desk.take(b"three")
    desk.take(b"two", b"three")
    assert sorted(counts(desk)) == [1, 2]


def test_beyond_the_bound_of_what_is_remembered_every_refusal_is_still_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "KNOWN_MAX", 8)
    payloads = [bytes((number,)) for number in range(20)]
    for _ in range(3):
        desk.take(*payloads)
    assert sum(counts(desk)) == 60
    desk.take(payloads[-1])
    assert counts(desk)[-1] == 2  # the newest are remembered


def test_a_refusal_of_a_transaction_that_failed_is_of_no_row(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.take(b"one")
    ticks = iter([0])
    with monkeypatch.context() as failing:
        failing.setattr(desk.clock, "ticks_ms", lambda: next(ticks))
        with pytest.raises(StopIteration):
            desk.take(b"one", b"two")
    desk.take(b"two", b"one")
    assert counts(desk) == [2, 1]


def test_a_flood_fills_neither_the_log_nor_hides_the_count(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (desk.folder / "keys" / "m1.key").chmod(0o644)
    desk.take(*(bytes((number,)) for number in range(200)))
    assert [row.reason for row in desk.store.intake.rejects()] == [units.UNKNOWN_MODULE] * 200
    assert len(caplog.records) == 1 and "chmod 600" in caplog.text
    caplog.clear()
    (desk.folder / "keys" / "m1.key").chmod(0o600)
    for number in range(refusals.KINDS_MAX + 50):
        desk.take(b"x", topic=topics.up(0, f"x{number}"))
    assert len(caplog.records) <= refusals.KINDS_MAX + 1
    caplog.clear()
    will = topics.of(topics.WILL, 0, "m1")
    desk.consumer.consume([Delivery(will, b"", None)] * 200)
    assert len(caplog.records) == 1


def test_refused_messages_are_not_kept_in_memory(desk: Desk) -> None:
    """Whoever settles looks for cycles rarely: what was refused must go without it."""

    payloads = [bytes((number, number)) for number in range(4)]
    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(payloads[0])
        desk.consumer.consume([Delivery(TOPIC, payload, None) for payload in payloads])
        after = sys.getrefcount(payloads[0])
    finally:
        gc.enable()
    assert after == before


def test_of_a_huge_message_a_piece_is_kept(desk: Desk) -> None:
    desk.take(bytes(1_000_000))
    (row,) = desk.store.intake.rejects()
    assert (row.reason, row.size) == (units.OVERSIZED, 1_000_000)
    kept = desk.store._connection.execute("SELECT LENGTH(bytes) FROM rejects").fetchone()
    assert kept == (256,)


def test_keys_of_modules_heard_for_the_first_time_are_wanted_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a worker that begins, or has taken over: thousands of modules in its first batch."""
    wanted: list[list[str]] = []
    monkeypatch.setattr(KeyFiles, "ahead", lambda _, modules: wanted.append(sorted(modules)))
    made = desk.opened(charges=1)
    batch = desk.sender.seal(made.batch(1, 2))
    strangers = [topics.up(0, name) for name in ("x1", "x2")]
    for _ in range(2):
        desk.consumer.consume([Delivery(topic, batch, None) for topic in (TOPIC, *strangers)])
    assert wanted == [["m1", "x1", "x2"], ["x1", "x2"]]
    assert desk.store.fleet.point_known("m1", 0).state == made.state
