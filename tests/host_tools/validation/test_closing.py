"""Differences: told once, listed, worked off or closed by a person; money on its way is listed."""

import logging

import pytest

from host_tools.settlement.counters import Counters
from host_tools.store import care
from host_tools.validation import mending
from host_tools.validation.between import (
    ALARMS_MAX,
    BUSY_MESSAGES,
    LOOK_MS,
    QUIET_MS,
    STARVED_MS,
    Between,
)
from protocol.units import INVALID
from tests.host_tools.validation.judged import BY, DAY, Judged


def differ(judged: Judged, kind: str, detail: str = "statement: balance_ncur") -> None:
    with judged.store.transaction():
        judged.store.ledgers.differ(1, kind, detail, 3, (10, 9), judged.desk.clock.s)


def test_a_person_closes_a_difference_once_with_name_and_reason(judged: Judged) -> None:
    differ(judged, "unexplained")
    (row,) = judged.shown("differences", "list")
    assert (row["module"], row["point"], row["kind"]) == ("m1", 0, "unexplained")
    assert "--reason: write 1 to 500" in judged.refusal(
        "differences", "close", row["id"], "--by", "Li Na", "--reason", " "
    )
    (closed,) = judged.shown("differences", "close", row["id"], *BY)
    assert (closed["who"], closed["why"]) == ("Li Na", "photo of the display")
    assert judged.shown("differences", "list") == [] == judged.desk.differences()
    assert "is closed already" in judged.refusal("differences", "close", row["id"], *BY)
    assert "there is none" in judged.refusal("differences", "close", 99, *BY)
    differ(judged, "unexplained")  # it is there again
    assert len(judged.shown("differences", "list")) == 1
    assert len(judged.shown("differences", "list", "--all")) == 2
    code, out, err = judged.orderly.run("differences", "list", "--all")
    assert (code, err) == (0, "") and "Li Na" in out and "主站值" in out


def test_an_invalid_clock_is_worked_off_by_itself_and_not_closed_by_hand(judged: Judged) -> None:
    """Closed by hand, its charges would never be priced by their true time."""
    judged.meter(DAY // 2)
    judged.enter(400, 900, INVALID)
    judged.send()
    judged.validate()
    (row,) = judged.shown("differences", "list")
    assert row["kind"] == mending.NO_CLOCK
    told = judged.refusal("differences", "close", row["id"], *BY)
    assert "worked off by itself when the clock is set" in told and "自动处理" in told
    assert judged.desk.differences() == [mending.NO_CLOCK]
    with judged.store.transaction():
        care.of(judged.store).retire(judged.store.fleet.module_known("m1"), judged.desk.clock.s)
    (closed,) = judged.shown("differences", "close", row["id"], *BY)
    assert closed["who"] == "Li Na"


def test_what_nobody_can_explain_alarms_once(
    judged: Judged, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    between = Between(judged.store, judged.desk.clock, Counters(), judged.desk.tenancy)
    differ(judged, "unexplained")
    differ(judged, "tariff version behind")
    for _ in range(2):
        between.alarm({0})
    assert [record.getMessage() for record in caplog.records] == [
        "alarm: unexplained at m1/0: statement: balance_ncur at entry 3, module 10, host 9; see"
        " `gridpurse differences list`"
    ]
    between.alarm({1})  # another worker's shard
    for number in range(ALARMS_MAX + 5):
        differ(judged, "tamper", f"top-up {number}")
    between.alarm({0})
    assert len(caplog.records) == ALARMS_MAX + 2
    assert "5 more differences" in caplog.records[-1].getMessage()


def test_a_burst_goes_before_validation(judged: Judged) -> None:
    counters = Counters()
    judged.meter(DAY)
    clock = judged.desk.clock
    between = Between(judged.store, clock, counters, judged.desk.tenancy)
    between.turn(0, {0})
    clock.ms += QUIET_MS
    between.turn(BUSY_MESSAGES + 1, {0})
    clock.ms += QUIET_MS - 1
    between.turn(0, {0})
    assert counters.validated == 0
    clock.ms += 1
    between.turn(BUSY_MESSAGES, {0})
    assert (counters.validated, counters.validation_waiting) == (DAY + 1, 0)
    judged.meter(1)
    clock.ms += STARVED_MS - 1
    between.turn(BUSY_MESSAGES + 1, {0})
    assert counters.validated == DAY + 1
    clock.ms += QUIET_MS
    between.turn(BUSY_MESSAGES + 1, {0})  # no pause for too long
    assert counters.validated == DAY + 2
    judged.meter(1)
    between.turn(0, {0})
    assert counters.validated == DAY + 2
    clock.ms += LOOK_MS
    between.turn(0, {0})
    assert counters.validated == DAY + 3


def test_an_adjustment_on_its_way_is_listed_with_its_age(judged: Judged) -> None:
    judged.meter(DAY)
    judged.validate()
    made = judged.edit(5, 0)["adjustment"]
    judged.desk.clock.s += 60
    _, out, _ = judged.orderly.run("reconcile")
    assert f"adjustment {made['command_id']} of" in out and "queued, 60 s old" in out
    judged.adjusted()
    _, out, _ = judged.orderly.run("reconcile")
    assert "old" not in out
