"""A store that is restored more than once, or by a clock that is behind: what was heard before the
restore is never taken for news."""

import json
from pathlib import Path

import pytest

from host_tools.backup import archive
from host_tools.config import StoreAddress
from host_tools.exchange import journal_csv
from host_tools.settlement import posting
from host_tools.store import bills
from protocol import codes
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.test_adoption import CUR, Lost
from tests.host_tools.test_older_backup import Restored, older, pay

HOUR_S = 3600
NEW = ("topup", "m1", 0, "5", "--reference", "cash-9")  # paid after the loss


def saved(lost: Lost, file: Path) -> Path:
    archive.take(StoreAddress(lost.desk.folder), file, lost.desk.clock.s)
    return file


def taken(lost: Lost, *words: object) -> dict[str, object]:
    code, out, err = lost.run(*words, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def booked_again(lost: Lost, amount_cur: int, reference: str) -> tuple[object, object]:
    told = taken(lost, *NEW[:3], amount_cur, "--reference", reference, "--again")
    return told["number"], told["state"]


def accounts_of(lost: Lost) -> dict[str, int]:
    return {name: ncur for (_, name), ncur in lost.desk.store.ledgers.accounts().items()}


def asked_about(lost: Lost) -> bool:
    """Whether a payment has to be told from those of before the loss."""
    code, _, err = lost.run(*NEW)
    return code == 2 and "add --again" in err


def test_a_statement_in_the_backup_is_none_of_after_the_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new host's clock is behind that of the module."""
    desk = Desk(tmp_path / "data")
    made = desk.opened(charges=4)
    desk.take(made.batch(1, 5), made.statement())
    file, said_s = tmp_path / "backup", made.statement().time_s
    archive.take(desk.place, file, NOW_S)
    assert pay(desk, "cash-1") == 2
    made.top_up(2, 7 * CUR)
    made.charge(250)
    desk.take(made.batch(6, 2))  # settled and trimmed
    restored = Restored(desk, file, tmp_path / "new", said_s - HOUR_S)
    lost = Lost.of(restored, made, capsys)
    lost.desk.clock.s = said_s - HOUR_S + 60
    assert asked_about(lost)
    code, _, err = lost.run(*NEW, "--new")
    assert code == 2 and "no statement since the restore" in err


def test_an_adoption_of_an_earlier_restore_tells_no_numbers_of_a_later_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, made, file = older(tmp_path)
    lost = Lost.of(Restored(old, file, tmp_path / "second"), made, capsys)
    lost.desk.take(made.statement())
    lost.charge()
    lost.adopt()
    lost.charge()
    file = saved(lost, tmp_path / "backup-2")
    assert taken(lost, *NEW[:3], "7", "--reference", "cash-1")["number"] == 2
    made.top_up(2, 7 * CUR)
    lost.charge()
    lost.desk.take(made.batch(len(made.entries) - 1, 2))
    lost = Lost.of(Restored(lost.desk, file, tmp_path / "third", NOW_S + 60), made, capsys)
    assert asked_about(lost)
    lost.desk.take(made.statement())
    lost.charge()
    assert taken(lost, *NEW, "--new")["number"] == 4
    lost.adopt()
    again = taken(lost, *NEW[:3], "7", "--reference", "cash-1", "--again")
    assert (again["number"], again["state"]) == (2, "credited")
    lost.charge()
    assert lost.point().state == made.state and lost.run("verify")[0] == 0


def test_a_statement_that_waited_in_the_backup_makes_room_for_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What went on from it has been acknowledged meanwhile: nothing would ever prove it."""
    old, made, file = older(tmp_path)
    lost = Lost.of(Restored(old, file, tmp_path / "second"), made, capsys)
    lost.desk.take(made.statement())
    file = saved(lost, tmp_path / "backup-2")
    lost.charge()
    lost.adopt()
    for _ in range(4):
        lost.charge()
    lost = Lost.of(Restored(lost.desk, file, tmp_path / "third"), made, capsys)
    lost.desk.take(made.statement())
    lost.charge()
    lost.adopt()
    lost.charge()
    assert lost.point().state == made.state and lost.sound()


def test_a_series_that_was_resumed_before_is_asked_for_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock stepped back an hour between the two restores."""
    old, made, file = older(tmp_path)
    lost = Lost.of(Restored(old, file, tmp_path / "second"), made, capsys)
    file = saved(lost, tmp_path / "backup-2")
    behind_s = NOW_S - HOUR_S
    desk = Restored(lost.desk, file, tmp_path / "third", behind_s)
    kept = bills.of(desk.store)
    with desk.store.transaction():
        assert kept._forgotten("R", 2026)
        assert kept.resume("R", 2026, 3, "Li Na", "our copies", behind_s + 60) == (1, 3)
        assert kept.next_number("R", 2026) == ("R-2026-000004", 4)


def test_a_payment_whose_entry_comes_before_it_is_booked_again_is_credited_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The module still has its records; its statement is on the way."""
    old, made, file = older(tmp_path)
    assert [pay(old, "cash-1"), pay(old, "cash-2")] == [2, 4]
    lost = Lost.of(Restored(old, file, tmp_path / "new"), made, capsys)
    made.top_up(2, 7 * CUR)
    made.top_up(4, 7 * CUR)
    lost.desk.take(made.batch(6, len(made.entries) - 5))
    assert lost.desk.differences() == ["tamper"] * 2
    assert accounts_of(lost)[posting.SUSPENSE] == 14 * CUR
    code, _, err = lost.run(*NEW, "--again")
    assert code == 2 and "has credited 7.00" in err and "which is more" in err
    assert booked_again(lost, 7, "cash-1") == (2, "credited")
    assert booked_again(lost, 7, "cash-2") == (4, "credited")
    assert lost.desk.differences() == []
    accounts = accounts_of(lost)
    assert accounts[posting.SUSPENSE] == accounts[posting.IN_FLIGHT] == 0
    assert [order for order in lost.sent() if order.action == codes.TOPUP] == []
    exported = lost.desk.folder / "journal.csv"
    assert lost.run("export", "ledger", "--out", exported)[0] == 0
    assert journal_csv.check(exported).findings == []
    assert lost.run("verify")[0] == 0
    lost.desk.damage("DELETE FROM postings WHERE number = -9")
    assert lost.run("verify")[0] == 1


def test_a_lost_payment_that_never_reached_its_module_keeps_its_own_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of two is on its way to the module still, and the second one is credited."""
    old, made, file = older(tmp_path)
    assert [pay(old, "cash-1", 3 * CUR), pay(old, "cash-2", 20 * CUR)] == [2, 4]
    made.top_up(4, 20 * CUR)
    lost = Lost.of(Restored(old, file, tmp_path / "new"), made, capsys)
    lost.desk.take(made.statement())
    lost.charge()
    lost.adopt()
    assert booked_again(lost, 3, "cash-1") == (2, "in flight")
    assert booked_again(lost, 20, "cash-2") == (4, "credited")
    made.top_up(2, 3 * CUR)  # by the order of before the loss, or that of now
    lost.desk.take(made.batch(len(made.entries) - 1, 2))
    assert lost.point().state == made.state and lost.sound()
    accounts = accounts_of(lost)
    assert accounts[posting.SUSPENSE] == accounts[posting.IN_FLIGHT] == 0
    assert accounts[posting.CASH] == 23 * CUR and lost.desk.differences() == []
