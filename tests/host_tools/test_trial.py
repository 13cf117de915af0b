"""The trial balance: both sides of every account, in each currency and group."""

import json

import pytest

from host_tools import cli
from host_tools.settlement import commands, posting, reconcile
from host_tools.store import database
from protocol.units import NCUR_MAX
from tests.host_tools.desk import NOW_S, Desk

ON_BOTH = True


def paid(desk: Desk, point: int, reference: str, amount_ncur: int) -> int:
    with desk.store.transaction():
        known = desk.store.fleet.point_known("m1", point)
        return commands.pay(desk.store, known, reference, amount_ncur, NOW_S).number


def charged(desk: Desk) -> None:
    """Point 0 paid 50 and used 1 kWh; point 1 has paid 20, which is on its way."""
    made = desk.opened()
    made.top_up(paid(desk, 0, "cash-1", 50_000_000_000), 50_000_000_000)
    for _ in range(4):
        made.charge(250)
    desk.take(made.batch(1, 6))
    paid(desk, 1, "cash-2", 20_000_000_000)
    assert desk.differences() == []


def told(capsys: pytest.CaptureFixture[str], desk: Desk, *words: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = cli.main(["trial", "--data", str(desk.folder), "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_both_sides_of_every_account_are_told_and_equal(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    charged(desk)
    code, found = told(capsys, desk)
    used_ncur = desk.ledger.state.charged_ncur
    sides = {row["account"]: (row["debit_ncur"], row["credit_ncur"]) for row in found["accounts"]}
    assert code == 0 and found["trial_balance_zero"]
    assert sides == {
        posting.CASH: (70_000_000_000, 0),
        posting.IN_FLIGHT: (50_000_000_000, 70_000_000_000),
        posting.CUSTOMER: (used_ncur, 50_000_000_000),
        posting.ENERGY: (0, used_ncur),
    }
    assert cli.main(["trial", "--data", str(desk.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "balanced 借贷相等" and "total 合计" in lines[-2]


@pytest.mark.parametrize(("by", "groups"), [("point", {"m1/0", "m1/1"}), ("shard", {"0"})])
def test_every_group_foots_by_itself(
    desk: Desk, capsys: pytest.CaptureFixture[str], by: str, groups: set[str]
) -> None:
    charged(desk)
    code, found = told(capsys, desk, "--by", by)
    rows = found["accounts"]
    assert code == 0 and {row["group"] for row in rows} == groups
    for group in groups:
        own = [row for row in rows if row["group"] == group]
        assert sum(row["debit_ncur"] for row in own) == sum(row["credit_ncur"] for row in own)


def test_sums_beyond_64_bits_are_exact(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for point in (0, 1):
        paid(desk, point, f"cash-{point}", NCUR_MAX)
    code, found = told(capsys, desk)
    assert code == 0
    assert [row["debit_ncur"] for row in found["accounts"]] == [2 * NCUR_MAX, 0]
    assert desk.store.ledgers.accounts()["CNY", posting.CASH] == 2 * NCUR_MAX


def test_a_trial_balance_that_is_off_is_told_and_exits_with_1(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    charged(desk)
    desk.damage("UPDATE entries SET contra = 77 WHERE seq = 3")
    assert cli.main(["trial", "--data", str(desk.folder)]) == 1
    said = capsys.readouterr().out
    assert "CNY: debits less credits are 借贷差" in said
    assert said.splitlines()[-1] == "not balanced 借贷不等"


def test_what_is_read_together_is_of_one_instant_while_others_write(desk: Desk) -> None:
    charged(desk)
    with database.opened(desk.place) as reader, reader.instant():
        before = reader.ledgers.accounts()
        desk.ledger.charge(250)
        desk.take(desk.ledger.batch(7, 1))  # is not kept out
        assert reader.ledgers.accounts() == before and reconcile.trial_balance(reader)
        assert reader.fleet.point_known("m1", 0).state.seq == 6
    assert desk.seq() == 7


def test_an_empty_store_balances(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, desk) == (0, {"trial_balance_zero": True, "accounts": []})
