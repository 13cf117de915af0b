"""Versions and the review queue: nothing is overwritten, everything has its who, when and why."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tools import Refused
from host_tools.store.sql.migrating import statements
from host_tools.validation import review
from host_tools.validation.findings import DROP, FLAG, HOLD, REVIEW, Finding
from host_tools.validation.limits import Limits
from host_tools.validation.processing import process
from host_tools.validation.review import (
    ACCEPT,
    CORRECT,
    OPEN,
    REJECT,
    REOPEN,
    Queue,
)
from host_tools.validation.series import Interval
from host_tools.validation.shapes import Past
from host_tools.validation.versions import SCHEMA, Raw, Versions
from tests.host_tools.validation import corpus

POINT, OBIS = "CN-330100-000123", "1-0:1.8.0*255"
T0, Q, NOW = 1_767_225_600, 900, 1_767_400_000
ROWS = tuple(Interval(T0 + p * Q, T0 + (p + 1) * Q, 100 + p) for p in range(4))


def connection() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("PRAGMA foreign_keys = ON")
    for name in ("tables.sql", "append_only_sqlite.sql"):
        for statement in statements((SCHEMA / name).read_text(encoding="utf-8")):
            made.execute(statement)
    return made


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = connection()
    yield made
    made.close()


@pytest.fixture
def versions(db: sqlite3.Connection) -> Versions:
    made = Versions(db)
    made.keep(POINT, OBIS, ROWS, NOW)
    return made


@pytest.fixture
def queue(db: sqlite3.Connection, versions: Versions) -> Queue:
    made = Queue(db, versions)
    found = (Finding("V10", T0, T0 + 2 * Q, HOLD, "201 Wh != 300 Wh"),)
    assert made.open(POINT, OBIS, found, NOW) == 1
    return made


def standing(versions: Versions) -> list[tuple[int, str, int]]:
    now = versions.current(POINT, OBIS, T0, T0 + 4 * Q)
    return [(each.energy_wh, each.quality, each.version) for each in now]


RAW = Raw(POINT, "gp-1", "M-1", OBIS, T0, 7, 1234, -1, T0 + 3, 0, "modbus")


def test_a_raw_row_is_kept_once_and_its_contradiction_beside_it(db: sqlite3.Connection) -> None:
    versions = Versions(db)
    assert versions.record([RAW, RAW, replace(RAW, value=1235)]) == 2
    assert versions.record([RAW]) == 0
    assert db.execute("SELECT COUNT(*) FROM vee_raw").fetchone() == (2,)


@pytest.mark.parametrize(
    "table",
    ["vee_raw", "vee_intervals", "vee_bill_intervals", "vee_reviews", "vee_review_steps"],
)
def test_no_table_lets_a_row_be_changed_or_deleted(
    db: sqlite3.Connection, versions: Versions, queue: Queue, table: str
) -> None:
    versions.record([RAW])
    versions.use("B-1", POINT, OBIS, versions.current(POINT, OBIS, T0, T0 + Q))
    column = "bill" if table == "vee_bill_intervals" else "at_s"
    column = {"vee_raw": "value", "vee_reviews": "detail"}.get(table, column)
    before = db.execute(f"SELECT * FROM {table}").fetchall()
    assert before
    for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
            db.execute(sql)
    assert db.execute(f"SELECT * FROM {table}").fetchall() == before


def test_an_edit_is_a_new_version_with_who_when_and_why(versions: Versions) -> None:
    seen = versions.current(POINT, OBIS, T0, T0 + Q)[0]
    change = versions.set_value(POINT, OBIS, seen, 90, "li.na", NOW + 5, "read from the display")
    assert change.interval.version == 2 and change.bills == ()
    first, second = versions.history(POINT, OBIS, T0)
    assert (first.interval.energy_wh, first.interval.quality, first.who) == (
        100,
        "A",
        "validation",
    )
    assert (second.interval.energy_wh, second.interval.quality) == (90, "M")
    assert (second.who, second.at_s, second.why) == ("li.na", NOW + 5, "read from the display")
    assert standing(versions)[0] == (90, "M", 2)


@pytest.mark.parametrize(
    ("change", "who", "why", "message"),
    [
        ({}, "", "reason", "who: name the person"),
        ({}, "validation", "reason", "who: name the person"),
        ({}, "li.na", "  ", "why: give the reason"),
        ({}, "li.na", "x" * 501, "why: give the reason, in 1 to 500"),
        ({"version": 2}, "li.na", "reason", "version 2 of .* is not the last one, 1 is; look"),
        ({"start_s": T0 - Q}, "li.na", "reason", "no interval at"),
        ({"end_s": T0 + 1}, "li.na", "reason", "ends at"),
        ({"energy_wh": -1}, "li.na", "reason", "is below zero"),
    ],
)
def test_a_bad_edit_is_refused_in_one_line_and_changes_nothing(
    versions: Versions, change: dict[str, int], who: str, why: str, message: str
) -> None:
    before = standing(versions)
    with pytest.raises(Refused, match=message):
        versions.edit(POINT, OBIS, replace(ROWS[0], **change), who, NOW, why)
    assert standing(versions) == before


def test_two_editors_of_one_version_the_second_is_told_to_look_again(versions: Versions) -> None:
    seen = versions.current(POINT, OBIS, T0, T0 + Q)[0]
    versions.set_value(POINT, OBIS, seen, 90, "li.na", NOW, "display")
    with pytest.raises(Refused, match="look again"):
        versions.set_value(POINT, OBIS, seen, 95, "wang", NOW, "display too")
    assert standing(versions)[0] == (90, "M", 2)


def test_validating_again_makes_no_new_version(versions: Versions) -> None:
    assert versions.keep(POINT, OBIS, ROWS, NOW + 9).changes == ()
    late = replace(ROWS[2], energy_wh=77)
    assert [c.interval.version for c in versions.keep(POINT, OBIS, [late], NOW).changes] == [2]


def test_what_a_person_decided_stands_and_news_that_contradicts_it_is_told(
    versions: Versions,
) -> None:
    versions.set_value(POINT, OBIS, ROWS[0], 90, "li.na", NOW, "display")
    again = versions.keep(POINT, OBIS, ROWS, NOW + 9)
    assert again.changes == () and again.contradicted == ()
    marked = versions.keep(POINT, OBIS, [replace(ROWS[0], failed=("V10",))], NOW + 9)
    assert marked.contradicted == ()  # the same value with another mark is no news
    news = versions.keep(POINT, OBIS, [replace(ROWS[0], energy_wh=55)], NOW + 9)
    assert [(old.energy_wh, new.energy_wh) for old, new in news.contradicted] == [(90, 55)]
    assert standing(versions)[0] == (90, "M", 2)


def test_a_bill_can_be_computed_again_from_the_versions_it_used(versions: Versions) -> None:
    billed = versions.current(POINT, OBIS, T0, T0 + 4 * Q)
    versions.use("B-1", POINT, OBIS, billed)
    change = versions.set_value(POINT, OBIS, billed[1], 500, "li.na", NOW, "meter photo")
    assert change.bills == ("B-1",) and change.interval.start_s == T0 + Q
    assert versions.used("B-1") == billed
    assert versions.current(POINT, OBIS, T0, T0 + 4 * Q) != billed


def test_a_missing_interval_is_never_billed(versions: Versions) -> None:
    with pytest.raises(Refused, match="is missing; estimate first"):
        versions.use("B-1", POINT, OBIS, [replace(ROWS[0], quality="N")])


# The queue


def test_every_pair_of_state_and_event_is_decided() -> None:
    assert set(review.TABLE) == {(s, e) for s in review.STATES for e in review.EVENTS}
    ignored = {pair for pair, found in review.TABLE.items() if found is None}
    closed = {"accepted", "corrected", "rejected"}
    assert ignored == {(OPEN, REOPEN)} | {
        (s, e) for s in closed for e in (ACCEPT, CORRECT, REJECT)
    }


def test_a_finding_is_queued_once_and_quiet_ones_are_not(queue: Queue) -> None:
    found = [
        Finding("V10", T0, T0 + 2 * Q, HOLD, "201 Wh != 300 Wh"),
        Finding("V12", T0, T0 + Q, FLAG, "9"),
        Finding("V02", T0, T0 + Q, DROP, "9"),
        Finding("V14", T0, T0 + Q, REVIEW, "96 x 0 Wh"),
    ]
    assert queue.open(POINT, OBIS, found, NOW) == 1
    assert queue.open(POINT, OBIS, found, NOW) == 0
    assert [each.code for each in queue.items(POINT, OPEN)] == ["V10", "V14"]
    assert queue.items("another") == ()


def test_accepting_verifies_what_was_measured(queue: Queue, versions: Versions) -> None:
    changes = queue.decide(1, ACCEPT, "li.na", NOW, "check meter agrees")
    assert len(changes) == 2
    assert standing(versions) == [(100, "V", 2), (101, "V", 2), (102, "A", 1), (103, "A", 1)]
    item = queue.item(1)
    assert (item.state, item.who, item.why) == ("accepted", "li.na", "check meter agrees")


def test_accepting_an_estimate_leaves_it_an_estimate(queue: Queue, versions: Versions) -> None:
    versions.keep(POINT, OBIS, [replace(ROWS[0], quality="E", origin="linear")], NOW)
    queue.decide(1, ACCEPT, "li.na", NOW, "plausible")
    assert [each[1] for each in standing(versions)] == ["E", "V", "A", "A"]


def test_correcting_sets_the_values_of_the_span_only(queue: Queue, versions: Versions) -> None:
    with pytest.raises(Refused, match="is no interval of it"):
        queue.decide(1, CORRECT, "li.na", NOW, "photo", {T0 + 3 * Q: 5})
    with pytest.raises(Refused, match="give the corrected values"):
        queue.decide(1, CORRECT, "li.na", NOW, "photo")
    queue.decide(1, CORRECT, "li.na", NOW, "photo", {T0 + Q: 200})
    assert standing(versions)[:2] == [(100, "A", 1), (200, "M", 2)]
    assert queue.item(1).state == "corrected"


def test_a_rejected_value_is_estimated_and_does_not_come_back(
    queue: Queue, versions: Versions
) -> None:
    queue.decide(1, REJECT, "li.na", NOW, "meter was on the bench")
    assert [each[1] for each in standing(versions)] == ["N", "N", "A", "A"]
    assert versions.keep(POINT, OBIS, ROWS, NOW).changes == ()  # the raw value once more
    guess = replace(ROWS[0], energy_wh=60, quality="E", origin="flat")
    assert len(versions.keep(POINT, OBIS, [guess], NOW).changes) == 1
    assert versions.keep(POINT, OBIS, ROWS, NOW).changes == ()  # and once more
    better = replace(guess, energy_wh=61, origin="register, flat")
    assert len(versions.keep(POINT, OBIS, [better], NOW).changes) == 1
    assert standing(versions)[0] == (61, "E", 4)


def test_a_decision_is_final_until_it_is_reopened(queue: Queue) -> None:
    queue.decide(1, ACCEPT, "li.na", NOW, "fine")
    with pytest.raises(Refused, match=r"review 1 is accepted by li\.na; reopen it first"):
        queue.decide(1, REJECT, "wang", NOW, "not fine")
    queue.decide(1, REOPEN, "wang", NOW, "new photo")
    assert queue.item(1).state == OPEN
    queue.decide(1, REJECT, "wang", NOW, "not fine")
    assert queue.item(1).step == 4


@pytest.mark.parametrize(
    ("number", "event", "who", "why", "values", "message"),
    [
        (9, ACCEPT, "li.na", "x", None, "review 9: there is none"),
        (1, "approve", "li.na", "x", None, "approve: must be one of accept, correct"),
        (1, ACCEPT, "", "x", None, "who: name the person"),
        (1, ACCEPT, "li.na", "", None, "why: give the reason"),
        (1, ACCEPT, "li.na", "x", {T0: 1}, "values go with correct only"),
        (1, CORRECT, "li.na", "x", {T0: -1}, "below zero"),
    ],
)
def test_a_bad_decision_is_refused_and_changes_nothing(
    queue: Queue,
    versions: Versions,
    number: int,
    event: str,
    who: str,
    why: str,
    values: dict[int, int] | None,
    message: str,
) -> None:
    with pytest.raises(Refused, match=message):
        queue.decide(number, event, who, NOW, why, values)
    assert queue.item(1).state == OPEN
    assert standing(versions)[0] == (100, "A", 1)


def test_what_has_no_value_cannot_be_accepted(queue: Queue, versions: Versions) -> None:
    versions.keep(POINT, OBIS, [replace(ROWS[0], quality="N", energy_wh=0)], NOW)
    with pytest.raises(Refused, match="an interval has no value"):
        queue.decide(1, ACCEPT, "li.na", NOW, "fine")


def test_a_dispute_marks_its_range_until_it_is_decided(queue: Queue) -> None:
    number = queue.dispute(POINT, OBIS, T0, T0 + 2 * Q, "customer 77", NOW, "was away")
    assert queue.disputed(POINT, T0 + Q, T0 + 9 * Q)
    assert not queue.disputed(POINT, T0 + 2 * Q, T0 + 9 * Q)
    with pytest.raises(Refused, match="in the queue already"):
        queue.dispute(POINT, OBIS, T0, T0 + 2 * Q, "customer 77", NOW, "was away")
    queue.decide(number, ACCEPT, "li.na", NOW, "meter tested, within its class")
    assert not queue.disputed(POINT, T0, T0 + 2 * Q)


def test_a_run_from_arrival_to_decision_is_idempotent(db: sqlite3.Connection) -> None:
    good = corpus.good_month()
    spike = replace(good.intervals[700], energy_wh=50_000)
    bad = replace(good, intervals=(*good.intervals[:700], spike, *good.intervals[701:]))
    versions = Versions(db)
    queue = Queue(db, versions)
    for run in range(2):
        outcome = process(bad, Past(), Limits())
        kept = versions.keep(POINT, OBIS, outcome.intervals, NOW + run)
        assert (len(kept.changes) == 0) == bool(run)
        opened = queue.open(POINT, OBIS, outcome.first.findings, NOW + run)
        assert bool(opened) == (not run)
    assert sum(e.energy_wh for e in versions.current(POINT, OBIS, 0, 2**40)) == sum(
        e.energy_wh for e in good.intervals
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from([*review.EVENTS, "keep", "estimate", "edit"]),
        st.integers(0, 3),
        st.integers(0, 300),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_history_of_decisions_ever_loses_or_changes_a_version(
    steps: list[tuple[str, int, int]],
) -> None:
    db = connection()
    versions = Versions(db)
    versions.keep(POINT, OBIS, ROWS, NOW)
    queue = Queue(db, versions)
    queue.open(POINT, OBIS, [Finding("V10", T0, T0 + 4 * Q, HOLD, "x")], NOW)
    seen: list[list[object]] = [[] for _ in ROWS]
    for what, place, value in steps:
        each = ROWS[place]
        try:
            if what == "keep":
                versions.keep(POINT, OBIS, [replace(each, energy_wh=value)], NOW)
            elif what == "estimate":
                guess = replace(each, energy_wh=value, quality="E", origin="flat")
                versions.keep(POINT, OBIS, [guess], NOW)
            elif what == "edit":
                last = versions.current(POINT, OBIS, each.start_s, each.end_s)[0]
                versions.set_value(POINT, OBIS, last, value, "li.na", NOW, "why")
            else:
                values = {each.start_s: value} if what == CORRECT else None
                queue.decide(1, what, "li.na", NOW, "why", values)
        except Refused:
            pass
        for number, row in enumerate(ROWS):
            history = list(versions.history(POINT, OBIS, row.start_s))
            assert history[: len(seen[number])] == seen[number]
            assert [v.interval.version for v in history] == list(range(1, len(history) + 1))
            seen[number] = list(history)
            by_person = [v for v in history if v.who != "validation"]
            if by_person and history[-1].who == "validation":
                assert history[-1].interval.quality == "E"  # only a guess for a rejected value
    db.close()
