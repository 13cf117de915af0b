"""A module ends: its money first, then its keys; nothing it sends or is sent counts any more."""

import pytest

from host_tools.settlement import posting, reconcile, settle
from protocol import codes
from protocol.units import UNKNOWN_MODULE
from tests.host_tools.care.street import CUR, NEW, OLD, OPENED_S, Street, begun, opened, used
from tests.postgres import POSTGRESQL, SQLITE

BY = ("--by", "Li Na", "--reason", "work order 7")
RETIRE = ("module", "retire", OLD, "--yes", *BY)
REPLACE = ("module", "replace", OLD, NEW, *BY)


def account(street: Street, name: str) -> int:
    return street.store.ledgers.accounts().get(("CNY", name), 0)


@pytest.mark.parametrize("street", [SQLITE, POSTGRESQL], indirect=True)
def test_a_replaced_module_is_retired_and_what_it_sends_is_refused_and_counted(
    street: Street,
) -> None:
    begun(street)
    street.done(*REPLACE)
    assert "has not arrived" in street.refused(*RETIRE)
    opened(street)
    street.settle()
    assert street.done(*RETIRE)["retired"]
    assert not (street.desk.folder / "keys" / f"{OLD}.key").exists()
    before = street.balance(OLD)
    used(street, OLD, 3)
    street.old.send()
    street.old.tell(codes.BOOT, 1, 2)
    rows = street.store.intake.rejects(OLD)
    assert rows and {row.reason for row in rows} == {UNKNOWN_MODULE}
    assert sum(row.count for row in rows) == 5
    assert street.balance(OLD) == before
    assert street.refused("command", "state", OLD, 0, *BY)
    assert "took over" in street.refused("topup", OLD, 0, "5", "--reference", "cash-9")
    assert street.done(*RETIRE)["points"] == []  # once more: nothing is left to do
    (row,) = reconcile.reconcile(street.store, street.desk.clock.s, NEW)
    assert row.reconciled
    street.sound()
    assert reconcile.reconcile(street.store, street.desk.clock.s, OLD) == []


def test_a_module_whose_balance_has_just_arrived_is_retired_before_settlement_looks_again(
    street: Street,
) -> None:
    begun(street)
    street.done(*REPLACE)
    opened(street)
    while codes.TRANSFER not in [order.action for order in street.look()]:
        street.new.send()
    assert street.transit() != 0
    assert "has not arrived" in street.refused(*RETIRE)
    street.new.send()
    assert street.transit() == 0
    assert street.done(*RETIRE)["retired"]
    street.sound()


def test_a_balance_that_nobody_took_over_is_paid_back_or_written_off(street: Street) -> None:
    begun(street)
    left_ncur = street.balance(OLD)
    assert "are left" in street.refused(*RETIRE)
    told = street.done(*RETIRE, "--balance", "refund")
    assert told["points"] == [{"point": f"{OLD}/0", "amount_ncur": left_ncur, "class": "refund"}]
    assert street.owned(OLD) == 0 and account(street, posting.CASH) == 40 * CUR - left_ncur
    street.sound()


def test_a_debt_is_written_off_with_a_class_and_never_refunded(street: Street) -> None:
    begun(street)
    used(street, OLD, 90, 1500)
    street.old.send()
    owed_ncur = -street.balance(OLD)
    assert owed_ncur > 0
    assert "no refund" in street.refused(*RETIRE, "--balance", "refund")
    street.done(*RETIRE, "--balance", "uncollectable")
    assert account(street, posting.WRITE_OFFS) == owed_ncur
    assert street.owned(OLD) == 0
    street.sound()


def test_payments_that_wait_and_records_that_are_missing_hold_a_retirement(
    street: Street,
) -> None:
    begun(street)
    street.pay(OLD, 5, "cash-2")
    lost = (*RETIRE, "--balance", "lost")
    assert "cash-2 is in flight" in street.refused(*lost, "--despite-missing")
    street.settle(NEW)
    used(street, OLD, 4)
    street.old.sent_seq += 2
    street.old.send()
    assert "4 records are missing" in street.refused(*lost)
    street.done(*lost, "--despite-missing")
    street.sound()


def test_a_lost_storage_is_no_open_difference_once_its_module_is_retired(street: Street) -> None:
    begun(street)
    street.done(*REPLACE)
    opened(street)
    street.settle()
    point = street.store.fleet.point_known(OLD, 0)
    street.store.ledgers.differ(point.id, settle.ROLLBACK, "epoch 2", 3, (2, 1), OPENED_S)
    street.done(*RETIRE)
    assert street.store.ledgers.differences(point.id) == []
    assert len(street.store.ledgers.differences(point.id, closed=True)) == 1


def test_nothing_happens_that_nobody_confirms(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(street)
    words = ("module", "retire", OLD, "--balance", "refund", *BY)
    assert "add --yes" in street.refused(*words)
    assert street.store.fleet.module_known(OLD).retired_s is None


ADJUST = ("command", "adjust", OLD, 0, "3.20", "--class", "refund", "--reference", "case-1", *BY)


def test_an_adjustment_that_was_not_made_is_never_lost_without_a_word(street: Street) -> None:
    begun(street)
    number = street.done(*ADJUST)["id"]
    named = f"{OLD}/0: adjustment {number} of 3.20 CNY is queued"
    for words in (REPLACE, RETIRE):
        told = street.refused(*words)
        assert named in told and "--despite-adjustments" in told and "调账" in told
    despite = "--despite-adjustments"
    (row,) = street.done(*REPLACE, despite)
    assert row["adjustments"] == [{"command": number, "amount_ncur": 320 * CUR // 100}]
    opened(street)
    street.settle(OLD)
    assert f"adjustments {number} (3.20) wait at the old one" in street.run(*REPLACE)[1]
    assert "took over" in street.refused(*ADJUST[: -len(BY) - 1], "case-2", *BY)
    assert named.replace("queued", "sent") in street.refused(*RETIRE)
    code, out, err = street.run(*RETIRE, despite)
    assert code == 0, err
    assert f"{OLD}/0: adjustment {number} of 3.20 CNY never made" in out
    again = street.done("command", "adjust", NEW, *ADJUST[3 : -len(BY) - 1], "case-2", *BY)
    assert street.store.payments.command(NEW, again["id"]).state == "queued"
    street.sound()


MONEY = {
    "adjust": ("3.20", "--class", "refund"),
    "debt": ("payment", "20", "--percent", 25),
    "debt by time": ("time-1", "20", "--rate", "1", "--period", "day"),
    "end of a debt": ("payment", "0", "--percent", 0),
}


@pytest.mark.parametrize("case", MONEY)
def test_no_money_is_ordered_where_the_customer_has_gone(street: Street, case: str) -> None:
    kind = "adjust" if case == "adjust" else "debt"
    words = ("command", kind, OLD, 0, *MONEY[case], "--reference", "case-1", *BY)
    begun(street)
    street.replace()
    before = street.rows("commands")
    told = street.refused(*words)
    assert f"{OLD}/0: {NEW}/0 took over from it; use that 已换模块" in told
    assert street.rows("commands") == before
    assert street.done("command", kind, NEW, *words[3:])["state"] == "queued"


def test_an_adjustment_that_the_old_module_still_makes_moves_with_its_balance(
    street: Street,
) -> None:
    begun(street)
    number = street.done(*ADJUST)["id"]
    street.done(*REPLACE, "--despite-adjustments")
    opened(street)
    street.settle(OLD)
    before_ncur = street.balance(NEW)
    street.settle()
    assert street.old.ledger.entries[-1].number == number
    assert street.balance(NEW) == before_ncur + 320 * CUR // 100
    assert street.done(*REPLACE)[0]["adjustments"] == []
    assert street.done(*RETIRE)["adjustments"] == []
    street.sound()
