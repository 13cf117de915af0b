"""After a restore a point goes on from its module's own statement; each watt-hour counts once."""

import json
from pathlib import Path

import pytest

from host_tools.backup import archive
from host_tools.config import StoreAddress
from host_tools.exchange import journal_csv
from host_tools.settlement import adoption, inbox, posting, reconcile
from host_tools.store import adoptions
from protocol import codes, ledger
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.genuine import PointLedger
from tests.host_tools.ordering.orderly import Orderly
from tests.host_tools.test_older_backup import Restored, older

CUR = 10**9
WHO = ("--from-statement", "--who", "Li Na", "--why", "disk failed, ticket 7")


class Lost(Orderly):
    """A restored desk that lacks records 6 to 8 of point 0, and the command line on it."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        old, made, file = older(tmp_path)
        self._begin(Restored(old, file, tmp_path / "new"), made, capsys)

    def _begin(self, desk: Desk, made: PointLedger, capsys: pytest.CaptureFixture[str]) -> None:
        self.desk, self.made, self._capsys, self._seq = desk, made, capsys, 0
        desk.clock.s = NOW_S
        self.clock = desk.folder / "clock"
        words = ("--by", "Li Na", "--reason", "no receipt was given out")
        assert self.run("bill", "resume", "R-2026-000000", *words)[0] == 0

    @classmethod
    def of(cls, desk: Desk, made: PointLedger, capsys: pytest.CaptureFixture[str]) -> "Lost":
        """The same for another restored desk."""
        one = cls.__new__(cls)
        one._begin(desk, made, capsys)
        return one

    def charge(self, energy_wh: int = 100) -> None:
        """One more record of the module, which it sends."""
        self.made.charge(energy_wh)
        self.desk.take(self.made.batch(len(self.made.entries), 1))

    def adopt(self, *words: object) -> dict[str, object]:
        code, out, err = self.run("adopt", "m1", 0, *WHO, "--json", *words)
        assert code == 0, err
        return dict(json.loads(out))

    def point(self):  # type: ignore[no-untyped-def]
        return self.desk.store.fleet.point_known("m1", 0)

    def sound(self) -> bool:
        """The store, and the journal that an auditor is given of it."""
        path = self.desk.folder / "journal.csv"
        assert self.run("export", "ledger", "--out", path)[0] == 0
        exported = journal_csv.check(path)
        assert exported.findings == [] and exported.adopted == 1
        balanced = reconcile.trial_balance(self.desk.store)
        return balanced and self.run("verify")[0] == 0


@pytest.fixture
def lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lost:
    return Lost(tmp_path, capsys)


def test_a_point_goes_on_and_every_watt_hour_is_charged_once(lost: Lost) -> None:
    lost.desk.take(lost.made.statement())
    lost.charge()
    assert lost.desk.differences() == [inbox.MISSING] and lost.desk.seq() == 5
    before = lost.point().state
    told = lost.adopt()
    assert (told["first_seq"], told["seq"], told["energy_wh"]) == (6, 8, 750)
    assert told["parts"] == [{"rule": "charges", "amount_ncur": told["balance_ncur"]}]
    lost.charge()  # the service takes what waited behind the gap
    assert lost.point().state == lost.made.state
    assert (
        lost.desk.store.ledgers.energy_wh(lost.point().id) == 750 + before.register_wh - 1000 + 200
    )
    accounts = lost.desk.store.ledgers.accounts()
    assert accounts["CNY", posting.ENERGY] == -lost.made.state.charged_ncur
    assert accounts["CNY", posting.ROLLBACK] == 0
    assert lost.desk.differences() == [] and lost.sound()
    lost.desk.take(lost.made.statement())
    assert reconcile.reconcile(lost.desk.store, NOW_S)[0].reconciled
    (kept,) = [
        d for d in lost.desk.store.ledgers.differences(None, True) if d.kind == "storage rollback"
    ]
    assert (kept.detail, kept.closed_s) == ("records 6 to 8", NOW_S)


def test_a_bill_names_what_was_charged_of_lost_records_and_foots(lost: Lost) -> None:
    lost.made.top_up(2, 7 * CUR)
    lost.desk.take(lost.made.statement())
    lost.charge()
    lost.adopt()
    lost.charge()
    code, out, err = lost.run("bill", "draft", "m1", 0, "--month", "2026-01", "--json")
    assert code == 0, err
    bill = json.loads(out)
    assert (bill["energy_wh"], bill["energy_of_lost_records_wh"]) == (1950, 750)
    assert bill["closing_ncur"] == lost.made.state.balance_ncur
    (line,) = [each for each in bill["bill"]["lines"] if each["kind"] == "lost"]
    assert line["exact_ncur"] == 750 * 488_300
    paid_ncur = sum(each["amount_ncur"] for each in bill["movements"])
    assert bill["opening_ncur"] + paid_ncur - bill["charged_ncur"] == bill["closing_ncur"]
    code, out, _ = lost.run("bill", "draft", "m1", 0, "--month", "2026-01", "--lang", "zh")
    assert "缺失记录（按模块申报）：电费" in out and "0.75 kWh" in out


def test_a_point_that_lost_everything_goes_on_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Desk(tmp_path / "data")
    archive.take(StoreAddress(old.folder), tmp_path / "backup", NOW_S)
    made = old.opened(charges=4)
    old.take(made.batch(1, 5))
    lost = Lost.of(Restored(old, tmp_path / "backup", tmp_path / "new"), made, capsys)
    lost.desk.take(made.statement())
    lost.charge()
    told = lost.adopt()
    assert (told["first_seq"], told["seq"], told["energy_wh"]) == (1, 5, 0)
    assert told["balance_ncur"] == -1000 * 488_300
    lost.charge()
    assert lost.point().state == made.state and lost.sound()
    code, out, err = lost.run("bill", "draft", "m1", 0, "--month", "2026-01", "--json")
    assert code == 0, err
    assert json.loads(out)["closing_ncur"] == made.state.balance_ncur


def test_adopting_twice_changes_nothing(lost: Lost) -> None:
    lost.desk.take(lost.made.statement())
    lost.charge()
    first = lost.adopt()
    books = lost.desk.journal()
    again = lost.adopt()
    assert {key: again[key] for key in ("first_seq", "seq", "who")} == {
        key: first[key] for key in ("first_seq", "seq", "who")
    }
    assert lost.desk.journal() == books and lost.rows("adoptions") == 1


def test_the_statement_is_believed_only_with_the_batch_that_continues_it(lost: Lost) -> None:
    code, _, err = lost.run("adopt", "m1", 0, *WHO)
    assert code == 2 and "no records are missing" in err
    lost.desk.take(lost.made.statement())
    lost.made.charge(100)
    lost.made.charge(100)
    lost.desk.take(lost.made.batch(10, 1))  # record 9 is on its way
    code, _, err = lost.run("adopt", "m1", 0, *WHO)
    assert code == 2 and "wait for the module's next reading" in err.replace("\n", " ")
    assert lost.desk.seq() == 5 and lost.rows("adoptions") == 0
    lost.desk.take(lost.made.batch(9, 1))
    assert lost.adopt()["seq"] == 8
    lost.charge()
    assert lost.point().state == lost.made.state


def test_a_statement_of_another_ledger_is_not_adopted(lost: Lost) -> None:
    said = lost.made.statement()
    state = [said.balance_ncur + CUR, *said.state[1:]]
    lost.desk.take(said._replace(balance_ncur=said.balance_ncur + CUR, state=state))
    lost.charge()
    code, _, err = lost.run("adopt", "m1", 0, *WHO)
    assert code == 2 and "no batch here goes on from" in err
    assert lost.desk.seq() == 5


def test_a_batch_that_reaches_over_the_statement_is_taken_from_there(lost: Lost) -> None:
    lost.made.charge(100)
    lost.desk.take(lost.made.statement())  # of record 9, which is sent with the next two
    lost.made.charge(120)
    lost.made.charge(130)
    lost.desk.take(lost.made.batch(9, 3))
    assert lost.adopt()["seq"] == 9
    lost.charge()
    assert lost.point().state == lost.made.state and lost.desk.differences() == []
    lost.desk.take(lost.made.batch(9, 3), lost.made.batch(10, 2))  # again, as modules do
    assert lost.point().state == lost.made.state and lost.desk.reasons() == []


def test_an_interval_that_began_at_no_boundary_is_found(lost: Lost) -> None:
    state = lost.made.state
    odd_s = state.time_s + 437
    made = (state, lost.made.book, odd_s, SYNCHRONISED, state.register_wh + 33)
    lost.made.enter(ledger.charge(*made))
    lost.desk.take(lost.made.statement())
    lost.charge()
    lost.adopt()
    lost.charge()
    assert lost.point().state == lost.made.state and lost.sound()


def test_payments_among_the_lost_records_are_counted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Lost(tmp_path, capsys)
    lost.made.top_up(2, 7 * CUR)
    lost.made.top_up(4, 20 * CUR)
    lost.desk.take(lost.made.statement())
    lost.charge()
    assert lost.run("topup", "m1", 0, "7", "--reference", "cash-1", "--again")[0] == 0
    told = lost.adopt()
    parts = [(each["rule"], each["amount_ncur"]) for each in told["parts"]]
    assert parts[1:] == [("top-ups", 7 * CUR), ("top-ups", 20 * CUR)]
    accounts = lost.desk.store.ledgers.accounts()
    assert accounts["CNY", posting.SUSPENSE] == 20 * CUR  # nobody has booked it again yet
    code, _, err = lost.run("topup", "m1", 0, "5", "--reference", "cash-9")
    assert code == 2 and "add --again" in err and err.count("\n") == 1
    code, _, err = lost.run("topup", "m1", 0, "21", "--reference", "cash-2", "--again")
    assert code == 2 and "which is less" in err
    code, out, _ = lost.run("topup", "m1", 0, "20", "--reference", "cash-2", "--again", "--json")
    given = json.loads(out)
    assert (given["number"], given["state"]) == (4, "credited")
    accounts = lost.desk.store.ledgers.accounts()
    assert accounts["CNY", posting.SUSPENSE] == 0 and accounts["CNY", posting.IN_FLIGHT] == 0
    assert accounts["CNY", posting.CASH] == 27 * CUR
    code, out, _ = lost.run("topup", "m1", 0, "5", "--reference", "cash-9", "--json")
    assert code == 0 and json.loads(out)["number"] == 6
    lost.charge()
    lost.made.top_up(6, 5 * CUR)
    lost.desk.take(lost.made.batch(len(lost.made.entries), 1))
    assert lost.point().state == lost.made.state and lost.sound()
    assert lost.desk.store.ledgers.accounts()["CNY", posting.IN_FLIGHT] == 0


def test_a_new_payment_before_the_adoption_gets_a_number_that_no_module_used(lost: Lost) -> None:
    lost.made.top_up(2, 7 * CUR)
    new = ("topup", "m1", 0, "5", "--reference", "cash-9")
    code, _, err = lost.run(*new)
    assert code == 2 and "add --again" in err
    code, _, err = lost.run(*new, "--new")
    assert code == 2 and "gridpurse command state" in err
    lost.desk.take(lost.made.statement())
    lost.charge()
    code, out, _ = lost.run(*new, "--new", "--json")
    assert json.loads(out)["number"] == 4
    code, out, _ = lost.run("topup", "m1", 0, "7", "--reference", "cash-1", "--again", "--json")
    assert json.loads(out)["number"] == 2
    lost.adopt()
    assert ("CNY", posting.SUSPENSE) not in lost.desk.store.ledgers.accounts()
    point = lost.point()
    (open_one,) = lost.desk.store.payments.topups(point.id, "in flight")
    assert open_one.number == 4
    lost.desk.take(lost.desk.sender.result(1, 1), lost.desk.sender.result(2, 2))
    sent = [each for each in lost.sent(10**7) if each.action == codes.TOPUP]
    assert [each.args[0] for each in sent] == [4]


def test_lost_events_are_counted_and_those_behind_them_are_taken(lost: Lost) -> None:
    desk = lost.desk
    with desk.store.transaction():
        desk.store.fleet.set_events_seq("m1", 3)
    desk.take(desk.sender.result(7, 99))
    assert desk.differences() == [inbox.MISSING]
    code, out, _ = lost.run("adopt", "m1", "events", "--who", "Li", "--why", "x", "--json")
    assert json.loads(out) == {"module": "m1", "lost": 3, "seq": 6}
    desk.take(desk.sender.result(8, 99))
    assert desk.store.fleet.module_known("m1").events_seq == 8 and desk.differences() == []
    code, _, err = lost.run("adopt", "m1", "events", "--who", "Li", "--why", "x")
    assert code == 2 and "no events are missing" in err


def test_a_statement_that_was_changed_in_the_store_is_found(lost: Lost) -> None:
    lost.desk.take(lost.made.statement())
    lost.charge()
    lost.adopt()
    assert lost.sound()
    connection = lost.desk.store._connection
    with pytest.raises(Exception, match="append-only"):
        connection.execute("UPDATE adoptions SET who = 'x'")
    connection.execute("DROP TRIGGER adoptions_stay")
    said = adoption.statement_of(adoptions.of(lost.desk.store).last(lost.point().id).payload)
    from protocol import messages

    connection.execute(
        "UPDATE adoptions SET payload = ?",
        (messages.pack(said._replace(register_wh=said.register_wh + 1)),),
    )
    code, out, _ = lost.run("verify")
    assert code == 1 and "not the statement that was adopted" in out


def test_a_store_that_was_never_restored_knows_no_flags(orderly: Orderly) -> None:
    code, _, err = orderly.run("topup", "m1", 0, "5", "--reference", "c", "--again")
    assert code == 2 and "was never restored" in err
    assert orderly.run("topup", "m1", 0, "5", "--reference", "c", "--new")[0] == 0


@pytest.fixture
def orderly(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Orderly:
    return Orderly(desk, capsys)
