"""Terms that were entered after the backup are not charged again in the store made of it."""

import json
from pathlib import Path

import pytest

from host_tools import Refused
from host_tools.backup import archive
from host_tools.settlement import posting
from host_tools.store import bills
from tests.host_tools.desk import Desk
from tests.host_tools.test_closing import CUR, MONTH, Home
from tests.host_tools.test_older_backup import Restored

OWED_NCUR = -6076 * CUR // 100
WHO = ("--from-statement", "--who", "Li Na", "--why", "disk failed")


def closed_and_lost(desk: Desk, capsys: pytest.CaptureFixture[str], folder: Path) -> Home:
    """A month that was closed and whose order was obeyed, in a store that knows of neither."""
    home = Home(desk, capsys, 310_000)
    folder.mkdir()
    archive.take(desk.place, folder / "backup", desk.clock.s)
    home.bill("close", "m1", 0, *MONTH)
    home.obey(home.adjustments()[0])
    assert home.balance_ncur() == -21576 * CUR // 100
    restored = Restored(desk, folder / "backup", folder / "new")
    restored.clock.s = desk.clock.s
    home.desk = home.orderly.desk = restored
    home.orderly.clock = restored.folder / "clock"
    return home


def accounts_of(home: Home) -> dict[str, int]:
    found = home.desk.store.ledgers.accounts()
    return {name: amount_ncur for (_, name), amount_ncur in found.items() if amount_ncur}


def agreed(home: Home) -> None:
    """Nothing was ordered again; the books are as if nothing had been lost."""
    assert home.adjustments() == []
    assert home.balance_ncur() == home.ledger.state.balance_ncur
    assert accounts_of(home) == {
        posting.CUSTOMER: -home.balance_ncur(),
        posting.ENERGY: -home.ledger.state.charged_ncur,
        posting.TERMS: OWED_NCUR,
    }
    code, _, err = home.orderly.run("bill", "issue", "m1", 0, *MONTH)
    assert code == 2 and "gridpurse bill resume GP-2026-" in err and err.count("\n") == 1
    who = ("--by", "Li Na", "--reason", "our copies end there")
    assert home.bill("resume", "GP-2026-000017", *who)["lost"] == 17
    january = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert january["number"] == "GP-2026-000018"
    code, _, err = home.orderly.run("bill", "resume", "GP-2026-000017", *who)
    assert code == 2 and "000018 is here already" in err
    assert january["bill"]["printed_ncur"] == 21576 * CUR // 100
    assert january["closing_ncur"] == -21576 * CUR // 100
    assert home.orderly.run("verify")[0] == 0 and home.desk.differences() == []


def test_an_order_that_was_forgotten_is_known_by_its_sum(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = closed_and_lost(desk, capsys, tmp_path / "x")
    home.desk.take(home.ledger.batch(33, 1), home.ledger.statement())  # the module still has it
    assert home.desk.differences() == ["tamper"]
    told = home.bill("close", "m1", 0, *MONTH)["entered"]
    assert sum(row["amount_ncur"] for row in told) == OWED_NCUR
    agreed(home)


def test_terms_among_lost_records_are_known_by_their_sum(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = closed_and_lost(desk, capsys, tmp_path / "x")
    home.desk.take(home.ledger.statement())
    home.read(1, 10_000)
    code, out, err = home.orderly.run("adopt", "m1", 0, *WHO, "--json")
    assert code == 0, err
    assert json.loads(out)["parts"] == [{"rule": "others", "amount_ncur": OWED_NCUR}]
    home.read(1, 10_000)
    told = home.bill("close", "m1", 0, *MONTH)["entered"]
    assert sum(row["amount_ncur"] for row in told) == OWED_NCUR
    agreed(home)
    february = home.bill("draft", "m1", 0, "--month", "2026-02")
    assert [line["kind"] for line in february["bill"]["lines"]] == ["energy"]


def test_another_sum_is_asked_about(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = closed_and_lost(desk, capsys, tmp_path / "x")
    state = home.ledger.state
    home.ledger.adjust(2000, 5 * CUR)
    assert state.seq + 1 == home.ledger.state.seq
    home.desk.take(home.ledger.statement())
    home._sent = len(home.ledger.entries)
    home.read(1, 10_000)
    assert home.orderly.run("adopt", "m1", 0, *WHO)[0] == 0
    home.read(1, 10_000)
    code, _, err = home.orderly.run("bill", "close", "m1", 0, *MONTH)
    assert code == 2 and "has forgotten what adjusted -55.76" in err and err.count("\n") == 1
    told = home.bill("close", "m1", 0, *MONTH, "--despite-loss")["entered"]
    assert sum(row["amount_ncur"] for row in told) == OWED_NCUR
    assert len(home.adjustments()) == 1


def test_a_restored_series_is_told_once_and_a_later_number_only_on_purpose(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = closed_and_lost(desk, capsys, tmp_path / "x")
    who = ("--by", "Li Na", "--reason", "our copies end there")
    assert home.bill("resume", "GP-2026-000017", *who)["lost"] == 17
    assert home.bill("resume", "GP-2026-000017", *who)["lost"] == 0  # the same again
    code, _, err = home.orderly.run("bill", "resume", "GP-2026-900000", *who)
    assert code == 2 and err.count("\n") == 1
    assert "goes on behind 000017 since the restore" in err and "--again" in err
    found = ("--by", "Li Na", "--reason", "a customer has 19")
    assert home.bill("resume", "GP-2026-000019", *found, "--again")["lost"] == 2
    assert home.bill("resume", "R-2026-000000", *who)["lost"] == 0  # each series by itself
    code, _, err = home.orderly.run("bill", "resume", "R-2026-000004", *who)
    assert code == 2 and "goes on behind 000000 since the restore" in err
    code, _, err = home.orderly.run("bill", "resume", "GP-2028-000004", *who)
    assert code == 2 and "no backup was restored in 2028 or later" in err
    assert home.orderly.run("verify")[0] == 0


def test_a_year_that_had_begun_somewhere_may_be_forgotten_too(desk: Desk) -> None:
    """Restored on 31 December 20:00 UTC: in China numbers of the next year were given out."""
    restored_s = 1_798_747_200
    kept = bills.of(desk.store)
    with desk.store.transaction():
        sql = "INSERT INTO changes (what, number) VALUES ('restored', ?)"
        desk.store._connection.execute(sql, (restored_s,))
        with pytest.raises(Refused, match="may have forgotten numbers"):
            kept.next_number("GP", 2027)
        assert kept.resume("GP", 2027, 3, "Li Na", "our copies", restored_s + 60) == (1, 3)
        assert kept.next_number("GP", 2027) == ("GP-2027-000004", 4)
        assert kept.next_number("GP", 2028) == ("GP-2028-000001", 1)
