"""Retention: what may be forgotten, and what never is."""

import json
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.settlement import commands
from host_tools.store.sql import BROKEN
from protocol import codes
from protocol.units import DAY_S
from tests.host_tools.desk import NOW_S, Desk

ON_BOTH = True
LATER_S = NOW_S + 500 * DAY_S


def told(capsys: pytest.CaptureFixture[str], desk: Desk, at_s: int, *words: str) -> dict:
    clock = desk.folder / "clock"
    clock.write_bytes((at_s * 1000).to_bytes(8, "little"))
    capsys.readouterr()
    where = ["--data", str(desk.folder), "--clock", str(clock), "--json"]
    assert cli.main([*words, *where]) == 0
    return json.loads(capsys.readouterr().out)


def happened() -> list[list[object]]:
    """Four events, of which the third tells of an update."""
    out: list[list[object]] = [[NOW_S, 0, 1, 255, [seq]] for seq in (1, 2, 3)]
    out.insert(2, [NOW_S, 0, codes.UPDATED, 255, [0, 1, 0]])
    return out


def with_evidence(desk: Desk) -> list[object]:
    """Four events, one refused message, two entries; nothing open. What the books are."""
    with desk.store.transaction():
        for order in desk.store.payments.open_commands("m1"):
            desk.store.payments.command_ended(order, "done", codes.DONE, 0, NOW_S)
    made = desk.opened(charges=1)
    desk.take(made.batch(1, 2), desk.sender.events(1, *happened()), b"noise")
    return desk.journal()


def kept(desk: Desk) -> tuple[list[int], int]:
    """Sequences of events, and how many refused messages."""
    events = desk.store.intake.events("m1")
    return [event.seq for event in events], len(desk.store.intake.rejects())


def test_old_evidence_of_closed_days_is_forgotten_and_no_entry(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    books = with_evidence(desk)
    told(capsys, desk, NOW_S + DAY_S, "close", "2026-04-12")
    retain = ("retain", "--months", "13")
    assert told(capsys, desk, NOW_S + 400 * DAY_S, *retain)["events"] == 0  # too young
    rehearsed = told(capsys, desk, LATER_S, *retain, "--dry-run")
    assert kept(desk) == ([1, 2, 3, 4], 1)
    done = told(capsys, desk, LATER_S, *retain)
    assert (done["events"], done["rejects"]) == (rehearsed["events"], rehearsed["rejects"])
    assert (done["events"], done["rejects"]) == (2, 1)
    assert kept(desk) == ([3, 4], 0)
    assert desk.journal() == books
    assert cli.main(["verify", "--data", str(desk.folder)]) == 0
    with pytest.raises(BROKEN, match="append-only"):
        desk.store._connection.execute("DELETE FROM events")


def test_what_is_told_again_is_known_where_it_can_still_be_compared(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    with_evidence(desk)
    told(capsys, desk, NOW_S + DAY_S, "close", "2026-04-12")
    told(capsys, desk, LATER_S, "retain", "--months", "13")
    desk.take(desk.sender.events(1, *happened()))
    assert desk.reasons() == []
    others = happened()
    others[3][4] = [99]
    desk.take(desk.sender.events(1, *others))
    assert len(desk.reasons()) == 1


@pytest.mark.parametrize("what", ["difference", "command"])
def test_a_module_with_something_open_keeps_all_it_has_told(
    desk: Desk, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    with_evidence(desk)
    with desk.store.transaction():
        if what == "command":
            commands.issue(desk.store, "m1", 0, codes.STATE, [], NOW_S, DAY_S)
        else:
            desk.store.ledgers.differ(1, "tamper", "cover", 2, (1, 0), NOW_S)
    told(capsys, desk, NOW_S + DAY_S, "close", "2026-04-12")
    told(capsys, desk, LATER_S, "retain", "--months", "13")
    assert kept(desk) == ([1, 2, 3, 4], 0)


def test_nothing_is_forgotten_before_its_day_is_closed(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with_evidence(desk)
    words = ["--data", str(desk.folder)]
    assert cli.main(["retain", "--months", "13", *words]) == 2
    assert "no day is closed yet" in capsys.readouterr().err
    assert cli.main(["retain", "--months", "12", *words]) == 2
    assert "must be 13 or more" in capsys.readouterr().err
    told(capsys, desk, NOW_S - DAY_S, "close", "2026-04-10")  # before any of it came
    assert told(capsys, desk, LATER_S, "retain", "--months", "13")["events"] == 0
    assert kept(desk) == ([1, 2, 3, 4], 1)


OF_A_SUCCESSOR = ((codes.DEBT_LEFT, (1, 90)), (codes.METER_REBASED, (55600, 15600, 40000, 0)))


def test_what_a_module_that_takes_over_goes_on_from_is_never_forgotten(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    with_evidence(desk)
    items = [[NOW_S, 0, code, 0, list(args)] for code, args in OF_A_SUCCESSOR]
    desk.take(desk.sender.events(5, *items, [NOW_S, 0, codes.BOOT, 255, [1, 2]]))
    told(capsys, desk, NOW_S + DAY_S, "close", "2026-04-12")
    assert told(capsys, desk, LATER_S, "retain", "--months", "13")["events"] == 3
    assert kept(desk)[0] == [3, 5, 6, 7]
