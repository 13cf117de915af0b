"""Versions and the review queue: nothing is overwritten, everything has its who, when and why."""

import random

import pytest

from host_tools import Refused
from host_tools.validation import adjusting, review
from host_tools.validation.deciding import decide
from host_tools.validation.findings import DROP, FLAG, HOLD, REVIEW, Finding
from host_tools.validation.review import ACCEPT, CORRECT, ESTIMATE, OPEN, REOPEN, Queue
from host_tools.validation.versions import Versions, connection_of
from protocol import codes
from tests.host_tools.validation.judged import BY, DAY, MIDNIGHT_S, Judged, asked_ncur, iso, wave
from tests.host_tools.validation.test_following import leaping

Q = 900


def test_every_pair_of_state_and_event_is_decided() -> None:
    assert set(review.TABLE) == {(s, e) for s in review.STATES for e in review.EVENTS}
    ignored = {pair for pair, found in review.TABLE.items() if found is None}
    closed = set(review.STATES) - {OPEN}
    assert ignored == {(OPEN, REOPEN)} | {
        (s, e) for s in closed for e in (ACCEPT, CORRECT, ESTIMATE)
    }


def test_a_finding_is_queued_once_and_quiet_ones_are_not(judged: Judged) -> None:
    queue = Queue(judged.store)
    found = [
        Finding("V10", MIDNIGHT_S, MIDNIGHT_S + 2 * Q, HOLD, "201 Wh != 300 Wh"),
        Finding("V12", MIDNIGHT_S, MIDNIGHT_S + Q, FLAG, "9"),
        Finding("V02", MIDNIGHT_S, MIDNIGHT_S + Q, DROP, "9"),
        Finding("V14", MIDNIGHT_S, MIDNIGHT_S + Q, REVIEW, "96 x 0 Wh"),
    ]
    assert [queue.open(1, found, 1) for _ in range(2)] == [2, 0]
    assert [(each.code, each.blocks) for each in queue.items(1, OPEN)] == [
        ("V10", True),
        ("V14", False),
    ]
    assert queue.items(2) == []


COLUMNS = {
    "vee_versions": "rule",
    "vee_readings": "energy_wh",
    "vee_reviews": "detail",
    "vee_review_steps": "why",
    "vee_adjustments": "amount_ncur",
    "vee_days": "energy_wh",
    "difference_closings": "why",
}


@pytest.mark.parametrize("table", COLUMNS)
def test_no_table_lets_a_row_be_changed_or_deleted(judged: Judged, table: str) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    judged.edit(5, 0)
    with judged.store.transaction():
        judged.store.ledgers.differ(1, "unexplained", "x", 3, (1, 2), 1)
    judged.shown("differences", "close", 1, *BY)
    db = connection_of(judged.store)
    before = db.execute(f"SELECT * FROM {table}").fetchall()
    assert before
    column = COLUMNS[table]
    for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(Exception, match="are append-only"):  # each database has its own
            db.execute(sql)
    assert db.execute(f"SELECT * FROM {table}").fetchall() == before


def test_what_stood_at_a_version_is_found_for_ever(judged: Judged) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    versions = Versions(judged.store)
    seen = [versions.standing(1)]
    for wh in (10, 20, 30):
        number = judged.dispute(5, 5) if wh == 10 else 1
        if wh > 10:
            judged.shown("review", "reopen", number, *BY)
        value = f"{iso(judged.start_s(5))}={wh}"
        judged.shown("review", "edit", number, "--set", value, *BY)
        seen.append(versions.standing(1))
    assert [versions.standing(1, at=number) for number in range(4)] == seen
    assert [each.reading.energy_wh for each in versions.history(1, 5, 5)] == [10, 20, 30]
    assert {each.who for each in versions.history(1, 5, 5)} == {"Li Na"}


def test_an_estimate_that_is_accepted_stays_one(judged: Judged) -> None:
    judged.meter(DAY, leaping)
    judged.validate()
    told = judged.shown("review", "estimate", 1, *BY)
    number = judged.dispute(32, 32)
    again = judged.shown("review", "accept", number, *BY)
    assert again["readings"] == [] and again["adjustment"] is None
    (stands,) = Versions(judged.store).standing(1, 32, 32).values()
    assert (stands.quality, stands.energy_wh) == ("E", told["readings"][0]["energy_wh"])


def test_a_longer_gap_is_estimated_from_past_days(judged: Judged) -> None:
    judged.meter(29 * DAY)
    judged.validate()
    seqs = range(28 * DAY + 2, 28 * DAY + 2 + 40)
    number = judged.dispute(seqs[0], seqs[-1])
    told = judged.shown("review", "estimate", number, *BY)["readings"]
    assert {each["origin"] for each in told} == {"past days"}
    guessed_wh = sum(each["energy_wh"] for each in told)
    metered_wh = sum(judged.made.entries[seq - 1].energy_wh for seq in seqs)
    assert abs(guessed_wh - metered_wh) * 100 < metered_wh * 10


BAD = {
    "no such entry": (("accept", 99, *BY), "review 99: there is none"),
    "no person": (("accept", 1, "--by", " ", "--reason", "x"), "--by: name the person"),
    "the program itself": (("accept", 1, "--by", "validation", "--reason", "x"), "--by: name the"),
    "no reason": (("accept", 1, "--by", "Li Na", "--reason", " "), "--reason: write 1 to 500"),
    "two lines": (("accept", 1, "--by", "Li Na", "--reason", "a\nb"), "--reason: write 1 to 500"),
    "no value": (("edit", 1, *BY), "give the corrected values with --set"),
    "no instant": (("edit", 1, "--set", "noon=5", *BY), "write an instant such as"),
    "no zone": (("edit", 1, "--set", "2026-01-01T10:00:00=5", *BY), "add the zone, such as"),
    "a float": (("edit", 1, "--set", "2026-01-01T10:00:00Z=5.5", *BY), "whole watt-hours"),
    "negative": (("edit", 1, "--set", "2026-01-01T10:00:00Z=-5", *BY), "whole watt-hours"),
    "huge": (("edit", 1, "--set", f"{iso(MIDNIGHT_S + 30 * Q)}={2**60}", *BY), "carries 4140 Wh"),
    "elsewhere": (("edit", 1, "--set", "2026-01-01T10:00:00Z=5", *BY), "no interval of it begins"),
    "reopened before it is decided": (("reopen", 1, *BY), "review 1 is open"),
    "empty span": (
        ("open", "m1", 0, "--from", iso(5), "--to", iso(5), *BY),
        "--to: must lie after --from",
    ),
    "nothing there": (
        ("open", "m1", 0, "--from", iso(5), "--to", iso(900), *BY),
        "nothing is settled",
    ),
    "no such point": (
        ("open", "m1", 7, "--from", iso(5), "--to", iso(900), *BY),
        "no such service point",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_decision_is_one_line_and_changes_nothing(judged: Judged, case: str) -> None:
    words, line = BAD[case]
    judged.meter(DAY, leaping)
    judged.validate()
    before = judged.shown("review", "show", 1)
    assert line in judged.refusal("review", *words)
    assert judged.shown("review", "show", 1) == before
    assert judged.orderly.rows("vee_adjustments") == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_history_of_decisions_ends_with_the_module_at_what_is_owed(
    judged: Judged, seed: int
) -> None:
    rng = random.Random(seed)
    store = judged.store
    judged.large()
    judged.meter(2 * DAY, lambda place: 10 * wave(place))
    judged.validate()
    versions = Versions(store)
    numbers = [judged.dispute(seq, seq + 3) for seq in range(5, 150, 20)]
    told: list[object] = []
    for _ in range(40):
        number, event = rng.choice(numbers), rng.choice(review.EVENTS)
        item = Queue(store).item(number)
        values = {item.start_s: rng.randrange(9000)} if event == CORRECT else {}
        try:
            with store.transaction():
                decide(store, number, event, "Li Na", "test", 1, values)
        except Refused:
            assert review.TABLE[item.state, event] is None
        if rng.random() < 0.3:
            judged.meter(rng.randrange(1, 90), lambda place: 10 * wave(place))
            judged.validate()
        if rng.random() < 0.2:
            for sent in judged.orderly.sent():
                if sent.action == codes.ADJUST:
                    judged.orderly.answer(sent.id, codes.REFUSED_FIELD)
        elif rng.random() < 0.5:
            judged.adjusted()
        now = versions.history(1, 1, 1 << 40)
        assert now[: len(told)] == told  # nothing that was there has changed
        told = list(now)
    judged.shown("validate")
    while judged.adjusted():
        pass
    standing = {each.seq: each.energy_wh for each in versions.standing(1).values()}
    owed_ncur = asked_ncur(judged.made, {}) - asked_ncur(judged.made, standing)
    moved = [each for each in adjusting.ordered(store, judged.point()) if each.state == "done"]
    assert sum(each.amount_ncur for each in moved) == owed_ncur
    assert judged.balanced() and judged.desk.differences() == []
