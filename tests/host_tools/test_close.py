"""Closed days: what was booked is sealed, and what comes later is booked later."""

import json
import re
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.settlement import commands, posting
from host_tools.store import database
from host_tools.store.sql import BROKEN
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.test_backup import refusal

ON_BOTH = True

DATES = ("2026-04-10", "2026-04-11")


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    file = tmp_path / "clock"
    file.write_bytes((NOW_S * 1000).to_bytes(8, "little"))
    return file


def closed(capsys: pytest.CaptureFixture[str], desk: Desk, clock: Path, *words: str) -> list[dict]:
    capsys.readouterr()
    folder = str(desk.folder)
    assert cli.main(["close", *words, "--data", folder, "--clock", str(clock), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def rows(desk: Desk) -> list[int]:
    """The numbers of the journal's rows."""
    found = desk.store._connection.execute("SELECT id FROM entries ORDER BY id").fetchall()
    return [row_id for (row_id,) in found]


def two_days(capsys: pytest.CaptureFixture[str], desk: Desk, clock: Path) -> list[dict]:
    """Three entries and a payment in the first day, two entries in the second."""
    made = desk.opened(charges=4)
    with desk.store.transaction():
        point = desk.store.fleet.point_known("m1", 0)
        commands.pay(desk.store, point, "cash-1", 9_000_000_000, NOW_S)
    desk.take(made.batch(1, 3))
    out = closed(capsys, desk, clock, DATES[0])
    desk.take(made.batch(4, 2))  # of the same hours, and came later
    return out + closed(capsys, desk, clock, DATES[1])


def test_a_day_has_what_was_booked_since_the_last_one_and_foots(
    desk: Desk, clock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = two_days(capsys, desk, clock)
    used_ncur = [-state.balance_ncur for state in (desk.ledger.states[3], desk.ledger.state)]
    assert [day["last_entry"] for day in days] == [rows(desk)[2], rows(desk)[4]]
    sides = [
        {row["account"]: (row["debit_ncur"], row["credit_ncur"]) for row in day["accounts"]}
        for day in days
    ]
    assert sides[0][posting.CASH] == (9_000_000_000, 0)
    assert sides[0][posting.CUSTOMER] == (used_ncur[0], 0)
    assert posting.CASH not in sides[1]
    assert sides[1][posting.ENERGY] == (0, used_ncur[1] - used_ncur[0])
    for day in sides:
        assert sum(debit - credit for debit, credit in day.values()) == 0
    assert closed(capsys, desk, clock) == days
    assert cli.main(["verify", "--data", str(desk.folder)]) == 0


def test_a_closed_day_is_closed_once_and_in_order(
    desk: Desk, clock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_days(capsys, desk, clock)
    where = ("--data", desk.folder, "--clock", clock)
    for date in (*DATES, "2026-01-01"):
        assert "is closed already" in refusal(capsys, "close", date, *where)
    assert "has not come yet" in refusal(capsys, "close", "2026-04-13", *where)
    for date in ("yesterday", "2026-02-30", ""):
        assert "must be a date such as" in refusal(capsys, "close", date, *where)
    assert len(closed(capsys, desk, clock)) == 2
    closed(capsys, desk, clock, "2026-04-12")  # nothing was booked: an empty day closes, too


def test_a_closed_day_cannot_be_changed_or_opened(
    desk: Desk, clock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_days(capsys, desk, clock)
    for statement in ("DELETE FROM days", "UPDATE days SET entry_id = 4"):
        with pytest.raises(BROKEN, match="stay closed"):
            desk.store._connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("UPDATE entries SET arrived_s = arrived_s + 1 WHERE id = 2", 0),
        ("UPDATE entries SET contra = 6 WHERE id = 5", 1),
        ("UPDATE postings SET time_s = time_s - 1", 0),
        ("UPDATE days SET entry_id = 4 WHERE entry_id = 3", 0),
        ("DELETE FROM days WHERE entry_id = 3", 1),
    ],
)
def test_verify_names_the_closed_day_that_was_changed(
    desk: Desk,
    clock: Path,
    capsys: pytest.CaptureFixture[str],
    statement: str,
    first: int,
) -> None:
    days = two_days(capsys, desk, clock)
    numbers = [0, *rows(desk)]
    number = re.compile(r"(?<=id = )\d")  # of a row, counted from 1
    desk.damage(number.sub(lambda found: str(numbers[int(found[0])]), statement))
    assert cli.main(["verify", "--data", str(desk.folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    named = [item["where"].split()[1] for item in found if item["kind"] == "day"]
    assert len(days) == 2 and named[0] == str(20553 + first)


def test_a_day_is_closed_while_settlement_goes_on(
    desk: Desk, clock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = desk.opened(charges=2)
    desk.take(made.batch(1, 2))
    with database.opened(desk.place) as other:
        with other.transaction():
            bound = other.days.bound()
        with other.instant():
            day = other.days.sealed(None, 20553, bound, NOW_S)
            desk.take(made.batch(3, 1))
        with other.transaction():
            other.days.add(None, day)
    assert [row_id <= day.entry_id for row_id in rows(desk)] == [True, True, False]
    assert cli.main(["verify", "--data", str(desk.folder)]) == 0
