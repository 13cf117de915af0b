"""Closing a month: what a module cannot charge is entered by the host and reaches it, once."""

import json
import threading
from dataclasses import replace

import pytest

from host_tools import Refused, tariffs
from host_tools.billing import closing, issuing, receipts
from host_tools.billing.documents import Documents
from host_tools.exchange import journal_csv
from host_tools.settlement import posting, reconcile
from host_tools.store import bills, host_entries
from host_tools.store.database import open_store
from host_tools.tariffs import stored
from protocol import codes, ledger
from protocol.messages import Command
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import Desk
from tests.host_tools.genuine import ROOT, PointLedger
from tests.host_tools.ordering.orderly import Orderly
from tests.host_tools.test_rating import MIXED
from tests.postgres import POSTGRESQL, SQLITE

CUR = 10**9
ZONE_S = 8 * 3600
JANUARY_S = 1_767_225_600 - ZONE_S  # 2026-01-01 00:00 in Beijing
TERMS = """
version = 502
name = "duty and a minimum"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "0.50" }
minimum_per_month = "20"
[[set.line]]
name = "wheeling"
per_kwh = "0.10"
[[set.line]]
name = "duty"
percent = "16"
on = ["energy", "wheeling"]
"""


class Home:
    """Point 0 of m1 by a tariff with terms of the host; January is over, and read hourly."""

    def __init__(
        self,
        desk: Desk,
        capsys: pytest.CaptureFixture[str],
        month_wh: int,
        days: int = 31,
        text: str = TERMS,
        opened_s: int = JANUARY_S,
    ) -> None:
        self.orderly = Orderly(desk, capsys)
        self.desk = desk
        path = desk.folder / "terms.toml"
        path.write_text(text, encoding="utf-8")
        with desk.store.transaction():
            version = stored.add(desk.store, path, JANUARY_S).version
            point = desk.store.fleet.point_known("m1", 0)
            desk.store.fleet.assign(point.id, version, 1)
        self.ledger = PointLedger("m1", 0, tariffs.read_book(path))
        self._sent = 0
        self.ledger.open(opened_s)
        self.read(days, month_wh)

    def read(self, days: int, total_wh: int) -> None:
        """Reads at the end of each day, and sends it."""
        for day in range(days):
            state = self.ledger.state
            register_wh = state.register_wh + total_wh // days
            at_s = (state.time_s // 86400 + 1) * 86400 - ZONE_S
            while at_s <= state.time_s:
                at_s += 86400
            self.ledger.enter(
                ledger.charge(state, self.ledger.book, at_s, SYNCHRONISED, register_wh)
            )
            assert day < 62
        self.send()

    def send(self) -> None:
        count = len(self.ledger.entries) - self._sent
        self.desk.take(self.ledger.batch(self._sent + 1, count), self.ledger.statement())
        self._sent += count

    def obey(self, command: Command) -> None:
        """Applies an adjustment as a module does."""
        state = self.ledger.state
        reason, amount_ncur = command.args
        made = (state, state.time_s + 60, SYNCHRONISED, command.id, reason, amount_ncur)
        self.ledger.enter(ledger.adjusted(*made))
        self.send()

    def adjustments(self) -> list[Command]:
        return [each for each in self.orderly.sent(10**7) if each.action == codes.ADJUST]

    def balance_ncur(self) -> int:
        return self.desk.store.fleet.point_known("m1", 0).state.balance_ncur

    def bill(self, *words: object) -> dict[str, object]:
        code, out, err = self.orderly.run("bill", *words, "--json")
        assert code == 0, err
        return dict(json.loads(out))


@pytest.fixture
def home(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Home:
    return Home(desk, capsys, 310_000)


MONTH = ("--month", "2026-01")
# 310 kWh: energy 155, wheeling 31, duty 16 % of 186 = 29.76
OWED = {"per_kwh wheeling": -31 * CUR, "percent duty": -2976 * CUR // 100}


def test_terms_are_entered_with_their_reasons_and_reach_the_module_once(home: Home) -> None:
    told = home.bill("close", "m1", 0, *MONTH)
    rows = {row["rule"]: row for row in told["entered"]}
    assert {rule: row["amount_ncur"] for rule, row in rows.items()} == OWED
    assert {row["version"] for row in rows.values()} == {502}
    (order,) = home.adjustments()
    assert order.args == [posting.REASON_TERMS, sum(OWED.values())]
    home.obey(order)
    assert (
        home.ledger.state.balance_ncur
        == home.balance_ncur()
        == -(155 + 31) * CUR - 2976 * CUR // 100
    )
    accounts = home.desk.store.ledgers.accounts()
    assert accounts["CNY", posting.TERMS] == sum(OWED.values())
    assert accounts["CNY", posting.ADJUSTMENTS] == 0
    assert home.desk.differences() == []
    rows = reconcile.reconcile(home.desk.store, home.desk.clock.s)
    assert rows[0].reconciled, rows[0].why
    assert home.orderly.run("verify")[0] == 0
    path = home.desk.folder / "journal.csv"
    assert home.orderly.run("export", "ledger", "--out", path)[0] == 0
    assert journal_csv.check(path).findings == []
    assert '"terms: percent duty, version 502"' in path.read_text(encoding="utf-8")


def test_closing_again_enters_nothing(home: Home) -> None:
    first = home.bill("close", "m1", 0, *MONTH)
    assert len(first["entered"]) == 2
    for _ in range(3):
        assert home.bill("close", "m1", 0, *MONTH)["entered"] == []
    assert len(home.adjustments()) == 1
    assert home.orderly.rows("host_entries") == 2


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_a_kill_before_the_commit_leaves_nothing_and_the_next_run_enters_all(home: Home) -> None:
    store = home.desk.store
    point = store.fleet.point_known("m1", 0)
    before = home.desk.journal()
    prepared = closing.prepare(store, point, Documents(store), 2026, 1)
    with pytest.raises(InterruptedError), store.transaction():
        assert len(closing.enter_terms(store, prepared, home.desk.clock.s)) == 2
        raise InterruptedError
    assert home.desk.journal() == before and home.orderly.rows("host_entries") == 0
    assert home.adjustments() == []
    assert len(home.bill("close", "m1", 0, *MONTH)["entered"]) == 2


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_a_month_that_changes_while_it_is_worked_out_is_worked_out_again(home: Home) -> None:
    store = home.desk.store
    point = store.fleet.point_known("m1", 0)
    prepared = closing.prepare(store, point, Documents(store), 2026, 1)
    home.read(1, 5_000)
    assert closing.basis_of(store, store.fleet.point_known("m1", 0)) != prepared.basis
    again, entered = closing.close(store, point, Documents(store), 2026, 1, home.desk.clock.s)
    assert len(entered) == 2 and again.lacking() == {} and again.basis != prepared.basis


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_closings_at_the_same_time_enter_once(home: Home) -> None:
    found: list[int] = []

    def close() -> None:
        store = open_store(home.desk.place)
        point = store.fleet.point_known("m1", 0)
        what = (store, point, Documents(store), 2026, 1, home.desk.clock.s)
        found.append(len(closing.close(*what)[1]))
        store.close()

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 2]


def test_a_bill_after_closing_has_all_lines_whenever_the_module_applies_it(home: Home) -> None:
    home.bill("close", "m1", 0, *MONTH)
    before = home.bill("draft", "m1", 0, *MONTH)
    home.obey(home.adjustments()[0])
    home.read(28, 280_000)
    after = home.bill("draft", "m1", 0, *MONTH)
    lines = {line["name"]: line["printed_ncur"] for line in after["bill"]["lines"]}
    assert lines == {"flat": 155 * CUR, "wheeling": 31 * CUR, "duty": 2976 * CUR // 100}
    assert before == after
    assert after["closing_ncur"] == -sum(lines.values())
    february = home.bill("draft", "m1", 0, "--month", "2026-02")
    assert february["opening_ncur"] == after["closing_ncur"]
    assert [line["name"] for line in february["bill"]["lines"]] == ["flat"]
    assert february["by_all_terms"]["not_in_ledger_ncur"] == (28 + 0) * CUR + 2688 * CUR // 100


def test_a_minimum_is_due_when_the_month_is_closed(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 31_000)  # 15.50, wheeling 3.10
    told = home.bill("close", "m1", 0, *MONTH)
    rows = {row["rule"]: row["amount_ncur"] for row in told["entered"]}
    assert rows["minimum"] == -45 * CUR // 10
    assert -sum(rows.values()) == (310 + 450) * CUR // 100 + 1860 * 16 * CUR // 10000


def test_a_correction_after_the_closing_is_entered_by_the_next_one(home: Home) -> None:
    home.bill("close", "m1", 0, *MONTH)
    point = home.desk.store.fleet.point_known("m1", 0)
    kept = host_entries.of(home.desk.store)
    with home.desk.store.transaction():  # as if the first closing had entered less
        one = kept.all(point.id)[0]
        pair = (posting.ADJUSTMENTS, posting.TERMS)
        closing.enter(home.desk.store, point, [host_entries.HostEntry(
            point.id, "terms", one.from_s, one.to_s, 502, "percent duty", 5 * CUR, 0, 0
        )], pair)  # fmt: skip
    told = home.bill("close", "m1", 0, *MONTH)
    assert [(r["rule"], r["amount_ncur"]) for r in told["entered"]] == [("percent duty", -5 * CUR)]


@pytest.mark.parametrize("number", ["GP-2026-900000", "GP-2026-000000", "R-2026-000017"])
def test_a_store_that_was_never_restored_loses_no_number(home: Home, number: str) -> None:
    who = ("--by", "Li Na", "--reason", "typing error")
    code, _, err = home.orderly.run("bill", "resume", number, *who)
    assert code == 2 and f"{number}: no backup was restored" in err and err.count("\n") == 1
    assert home.orderly.rows("series") == home.orderly.rows("lost_numbers") == 0
    assert home.bill("issue", "m1", 0, *MONTH)["content"]["number"] == "GP-2026-000001"
    code, _, err = home.orderly.run("bill", "resume", number, *who)
    assert code == 2 and "no backup was restored" in err
    assert home.orderly.run("verify")[0] == 0


def test_a_month_that_is_not_settled_or_in_doubt_is_not_closed(home: Home) -> None:
    code, _, err = home.orderly.run("bill", "close", "m1", 0, "--month", "2026-02")
    assert code == 2 and "nothing is settled in it" in err
    home.read(5, 5_000)
    code, _, err = home.orderly.run("bill", "close", "m1", 0, "--month", "2026-02")
    assert code == 2 and "is not settled to its end" in err and err.count("\n") == 1
    store = home.desk.store
    with store.transaction():
        point = store.fleet.point_known("m1", 0)
        store.ledgers.differ(point.id, "records missing", "readings", 40, ("a", "b"), 0)
    code, _, err = home.orderly.run("bill", "close", "m1", 0, *MONTH)
    assert code == 2 and "records missing (readings) is open" in err
    code, out, _ = home.orderly.run("bill", "close", *MONTH, "--json")
    assert code == 1 and len(json.loads(out)["refused"]) == 2  # m1/1 has no entry


LATER = """
version = 503
name = "duty and a minimum, dearer from 16 January"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "0.50" }
minimum_per_month = "20"
[[set.line]]
name = "wheeling"
per_kwh = "0.10"
[[set.line]]
name = "duty"
percent = "16"
on = ["energy", "wheeling"]
[[set]]
from = 2026-01-16
prices = { flat = "0.60" }
[[set.line]]
name = "duty"
percent = "20"
on = ["energy"]
"""


@pytest.mark.parametrize("told", [LATER, LATER.replace('"0.10"', '"0.11"')])
def test_a_month_of_two_versions_is_closed_where_the_newer_has_the_older_in_it(
    desk: Desk, capsys: pytest.CaptureFixture[str], told: str
) -> None:
    home = Home(desk, capsys, 310_000, days=10)
    path = desk.folder / "later.toml"
    path.write_text(told, encoding="utf-8")
    with desk.store.transaction():
        stored.add(desk.store, path, JANUARY_S)
        point = desk.store.fleet.point_known("m1", 0)
        desk.store.fleet.assign(point.id, 503, JANUARY_S + 10 * 86400)
    home.ledger.book = tariffs.read_book(path)
    home.read(21, 210_000)
    code, out, err = home.orderly.run("bill", "close", "m1", 0, *MONTH, "--json")
    if told != LATER:
        assert code == 2 and "several tariff versions that differ" in err
        return
    assert code == 0, err
    # 310 kWh in 10 days, then 10 a day: 360 at 0.50 until 15 January, 160 at 0.60 from then on.
    rules = {row["rule"]: row["amount_ncur"] for row in json.loads(out)["entered"]}
    duty_ncur = (360 * 60 * 16 + 160 * 60 * 20) * CUR // 10_000
    assert rules == {"per_kwh wheeling": -36 * CUR, "percent duty": -duty_ncur}
    bill = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert bill["tariff_versions"] == [502, 503]
    assert bill["charged_ncur"] == (180 + 96 + 36) * CUR + duty_ncur


POWER = """
version = 504
name = "power and energy"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "0.50" }
[[set.line]]
name = "power"
per_kw_month = "3"
"""


def test_contracted_power_is_asked_for_and_then_charged(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=POWER)
    code, _, err = home.orderly.run("bill", "close", "m1", 0, *MONTH)
    assert code == 2 and "its contracted power is not on file" in err and err.count("\n") == 1
    words = ("--by", "Li Na", "--reason", "contract 12")
    noted = ("tariff", "contract", "m1/0")
    assert home.orderly.run(*noted, "4.6", "--from", "2025-12-01", *words)[0] == 0
    assert home.orderly.run(*noted, "4.6", "--from", "2025-12-01", *words)[0] == 0
    code, _, err = home.orderly.run(*noted, "5", "--from", "2025-12-01", *words)
    assert code == 2 and "is noted with another power" in err
    assert home.orderly.run(*noted, "9", "--from", "2026-02-01", *words)[0] == 0
    told = home.bill("close", "m1", 0, *MONTH)["entered"]
    assert [(r["rule"], r["amount_ncur"]) for r in told] == [
        ("per_kw_month power", -138 * CUR // 10)
    ]


SLAB = """
version = 505
name = "two tables by the total of two months"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
tier_period = "months"
tier_length = 2
tiers_kwh = [100]
adders = ["0", "0.10"]
prices = { flat = "0.50" }
[[set.schedule]]
above_kwh = 400
prices = { flat = "0.80" }
"""


def test_prices_by_the_total_are_made_up_for_in_the_month_that_crosses_the_limit(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=SLAB)
    assert home.bill("close", "m1", 0, *MONTH)["entered"] == []
    january = home.bill("issue", "m1", 0, *MONTH)
    home.read(28, 280_000)
    (row,) = home.bill("close", "m1", 0, "--month", "2026-02")["entered"]
    # 590 kWh at 0.80 are 472; modules charged 100 * 0.50 + 490 * 0.60 = 344.
    assert (row["rule"], row["amount_ncur"]) == ("energy", -128 * CUR)
    home.obey(home.adjustments()[0])
    assert home.balance_ncur() == -472 * CUR
    february = home.bill("issue", "m1", 0, "--month", "2026-02")["content"]
    assert [(line["kind"], line["printed_ncur"]) for line in february["bill"]["lines"]] == [
        ("energy", 168 * CUR), ("terms", 128 * CUR),
    ]  # fmt: skip
    assert february["opening_ncur"] == january["content"]["closing_ncur"] == -176 * CUR
    assert february["closing_ncur"] == -472 * CUR


def test_a_schedule_of_prices_a_tier_is_entered_and_billed_by_both(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=MIXED)
    assert home.orderly.run("validate")[0] == 0
    bill = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert bill["doubts"] == []
    # 58.33 kWh at 0.60 and 41.67 at 0.40, then 122.493 at 1.00 and 87.507 at 0.80.
    assert bill["bill"]["printed_ncur"] == 24417 * CUR // 100
    assert bill["charged_ncur"] == 244_164_600_000
    home.obey(home.adjustments()[0])
    assert home.balance_ncur() == -244_164_600_000


def test_a_first_month_has_the_days_since_its_opening(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 21_000, days=21, opened_s=JANUARY_S + 10 * 86400)
    rules = {
        row["rule"]: row["amount_ncur"] for row in home.bill("close", "m1", 0, *MONTH)["entered"]
    }
    # 20 a month for 21 of 31 days, less 10.50 of energy
    assert rules["minimum"] == -(20 * CUR * 21 // 31 - 105 * CUR // 10)
    assert rules["per_kwh wheeling"] == -21 * CUR // 10


def test_a_total_in_whole_rupees_is_what_the_ledger_takes_and_two_months_add_up(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "host_tools/tariff_files/in-kseb.toml").read_text(encoding="utf-8")
    text = text.replace("Asia/Kolkata", "Asia/Shanghai").replace("INR", "CNY")
    home = Home(desk, capsys, 286_967, text=text)
    rules = {row["rule"] for row in home.bill("close", "m1", 0, *MONTH)["entered"]}
    assert rules == {"percent duty", "rounding"}
    home.obey(home.adjustments()[0])
    january = home.bill("issue", "m1", 0, *MONTH)["content"]
    home.read(28, 397_852)
    february = home.bill("issue", "m1", 0, "--month", "2026-02")["content"]
    home.obey(home.adjustments()[-1])
    printed = [told["bill"]["printed_ncur"] for told in (january, february)]
    assert printed == [told["charged_ncur"] for told in (january, february)]
    assert [ncur % CUR for ncur in printed] == [0, 0]
    assert sum(printed) == 4972 * CUR  # 684.819 kWh at 6.60 and a tenth are 4971.79
    assert home.balance_ncur() == -sum(printed) == february["closing_ncur"]


PER_DAY = """
version = 506
name = "tiers by the day"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
method = "per_tier"
tiers_per_day = true
tiers_kwh = ["5"]
prices = { flat = ["0.50", "0.80"] }
minimum_per_day = "0.10"
"""


def test_tiers_by_the_day_are_audited_as_a_module_charges_and_billed_as_days_are(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=PER_DAY)
    assert home.orderly.run("validate")[0] == 0
    bill = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert bill["doubts"] == []
    # 31 days of 5 kWh at 0.50, the rest at 0.80; the module counted 30 of them.
    assert bill["bill"]["printed_ncur"] == bill["charged_ncur"] == 20150 * CUR // 100
    (order,) = home.adjustments()
    assert order.args == [posting.REASON_TERMS, 15 * CUR // 10]


# Issuing


def test_a_bill_that_is_refused_has_entered_and_ordered_nothing(home: Home) -> None:
    by = ("--by", "Li Na", "--reason", "was away")
    span = ("--from", "2026-01-10T00:00:00Z", "--to", "2026-01-11T00:00:00Z")
    assert home.orderly.run("review", "open", "m1", 0, *span, *by)[0] == 0
    before = home.desk.journal()
    code, _, err = home.orderly.run("bill", "issue", "m1", 0, *MONTH)
    assert code == 2 and "wait for a decision" in err
    assert home.orderly.rows("host_entries") == 0 and home.adjustments() == []
    assert home.desk.journal() == before
    assert home.orderly.run("review", "accept", 1, *by)[0] == 0
    home.bill("issue", "m1", 0, *MONTH)
    assert len(home.adjustments()) == 1


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_a_bill_has_a_number_without_a_gap_and_never_changes(home: Home) -> None:
    first = home.bill("issue", "m1", 0, *MONTH)
    assert first["content"]["number"] == "GP-2026-000001"
    home.obey(home.adjustments()[0])
    home.read(28, 280_000)
    assert home.bill("issue", "m1", 0, *MONTH) == first
    assert home.orderly.run("bill", "issue", "m1", 0, "--month", "2026-03")[0] == 2
    second = home.bill("issue", "m1", 0, "--month", "2026-02")
    assert second["content"]["number"] == "GP-2026-000002"  # the refused one took none
    other = home.bill("issue", "m1", 0, *MONTH, "--series", "EAST")
    assert other == first
    for language, word in (("en", "Electricity statement 2026-01"), ("zh", "电费账单 2026-01")):
        code, out, _ = home.orderly.run("bill", "show", "GP-2026-000001", "--lang", language)
        assert code == 0 and word in out and first["sha256"] in out and "215.76" in out
    for sql in ("UPDATE bills SET content = ''", "DELETE FROM bills"):
        with pytest.raises(Exception, match="final"):
            home.desk.store._connection.execute(sql)


def test_no_bill_takes_the_numbers_of_receipts(home: Home) -> None:
    code, _, err = home.orderly.run("bill", "issue", "m1", 0, *MONTH, "--series", "R")
    assert code == 2 and err.count("\n") == 1
    assert "--series R: is that of receipts; name another 该系列用于收据，请另选" in err
    assert home.orderly.rows("series") == home.orderly.rows("host_entries") == 0
    assert home.bill("issue", "m1", 0, *MONTH, "--series", "RR")["content"]["number"][:3] == "RR-"


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_a_bill_is_taken_back_by_a_credit_bill_that_names_it(home: Home) -> None:
    home.bill("issue", "m1", 0, *MONTH)
    words = ("credit", "GP-2026-000001", "--by", "Li Na", "--reason", "wrong name")
    back = home.bill(*words)
    assert back["content"]["corrects"] == "GP-2026-000001"
    assert back["content"]["number"] == "GP-2026-000002"
    assert back["content"]["bill"]["printed_ncur"] == -21576 * CUR // 100
    assert home.bill(*words) == back
    again = home.bill("issue", "m1", 0, *MONTH)
    assert again["content"]["number"] == "GP-2026-000003"
    code, out, _ = home.orderly.run("bill", "list", "--json")
    rows = json.loads(out)
    assert [(row["number"][-1], row["corrects"], row["credited_by"]) for row in rows] == [
        ("1", None, "GP-2026-000002"), ("2", "GP-2026-000001", None), ("3", None, None),
    ]  # fmt: skip
    assert sum(row["printed_ncur"] for row in rows) == 21576 * CUR // 100
    head, *listed = home.orderly.run("bill", "list")[1].splitlines()
    assert head.split("takes back 冲销")[1].strip() == "taken back by 已被冲销"
    assert [line.split()[-2:] for line in listed] == [
        ["-", "GP-2026-000002"], ["GP-2026-000001", "-"], ["-", "-"],
    ]  # fmt: skip
    code, _, err = home.orderly.run("bill", "credit", "GP-2026-000002", *words[2:])
    assert code == 2 and "is a credit bill itself" in err
    code, out, _ = home.orderly.run("bill", "show", "GP-2026-000002", "--lang", "en")
    assert "credit bill, takes back" in out and "-215.76" in out
    assert "balance" not in out and "charges of this statement" not in out  # those of the bill
    assert not {"opening_ncur", "movements", "charged_ncur", "closing_ncur"} & {*back["content"]}
    code, out, _ = home.orderly.run("bill", "show", "GP-2026-000001", "--lang", "en")
    assert "charges of this statement -215.76" in " ".join(out.split())


def test_a_list_of_bills_has_their_beginnings_by_the_clock_of_the_tariff(home: Home) -> None:
    home.bill("issue", "m1", 0, *MONTH)
    code, out, _ = home.orderly.run("bill", "list")
    assert code == 0 and "from 起" in out and "2026-01-01 00:00+0800" in out
    assert "2025-12-31" not in out


def test_a_month_that_is_not_there_is_told_for_each_point_by_name(home: Home) -> None:
    code, out, _ = home.orderly.run("bill", "close", "--month", "2026-04")
    assert code == 1
    told = [line for line in out.splitlines() if "name another" in line]
    assert told == [
        "m1/0: --month 2026-04: nothing is settled in it; name another 该月无已结算账目"
    ]
    assert "m1/1: it has no entry yet" in out
    code, _, err = home.orderly.run("bill", "issue", "m1", 0, "--month", "2026-04")
    assert code == 2 and err.count("m1/0") == 1 and err.count("\n") == 1


@pytest.mark.parametrize("words", [("close", "m9", *MONTH), ("list", "--module", "m9")])
def test_a_module_that_is_not_there_has_no_bills_to_close_or_list(
    home: Home, words: tuple[str, ...]
) -> None:
    code, out, err = home.orderly.run("bill", *words)
    assert (code, out) == (2, "")
    assert err == "gridpurse bill: m9: no such module; see `gridpurse modules` 无此模块\n"


YEARLY = """
version = 507
name = "tiers of a year"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
tier_period = "year"
tiers_kwh = [400]
adders = ["0", "0.10"]
prices = { flat = "0.50" }
"""


def test_the_ladder_begins_where_the_last_bill_left_it(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=YEARLY)
    assert home.orderly.run("validate")[0] == 0
    assert home.bill("issue", "m1", 0, *MONTH)["content"]["used_in_tier_period_wh"] == 310_000
    home.read(28, 280_000)
    assert home.orderly.run("validate")[0] == 0
    february = ("m1", 0, "--month", "2026-02")
    assert home.bill("draft", *february)["doubts"] == []
    connection = home.desk.store._connection
    connection.execute("DROP TRIGGER bills_stay")
    told = '"used_in_tier_period_wh":310000', '"used_in_tier_period_wh":309000'
    change = "UPDATE bills SET content = replace(content, ?, ?)"
    connection.execute(change, told)
    by = ("--by", "Li Na", "--reason", "looks fine to me")
    code, _, err = home.orderly.run("bill", "issue", *february, *by)
    assert code == 2 and "audit: tier continuity: 310000 != 309000 Wh; correct it" in err
    connection.execute(change, told[::-1])
    home.bill("credit", "GP-2026-000001", *by)
    connection.execute(change, told)  # a bill that was taken back tells nothing
    assert home.bill("issue", *february)["content"]["doubts"] == []


def last_year(home: Home, charged_ncur: int) -> None:
    """As if January 2025 had been billed."""
    told = home.bill("draft", "m1", 0, *MONTH)
    span = JANUARY_S - 365 * 86400, JANUARY_S - 334 * 86400
    told |= {"kind": "bill", "registers_s": span, "charged_ncur": charged_ncur}
    point = home.desk.store.fleet.point_known("m1", 0)
    with home.desk.store.transaction():
        bills.of(home.desk.store).add("OLD", 2025, point.id, span, span[1], told)


def test_a_bill_far_from_last_years_is_released_by_a_person_with_a_reason(home: Home) -> None:
    last_year(home, 100 * CUR)  # 215.76 now, duty and wheeling with it
    assert home.orderly.run("validate")[0] == 0
    code, _, err = home.orderly.run("bill", "issue", "m1", 0, *MONTH)
    assert code == 2 and "audit: change: 100.00 -> 215.76; look at it, then release it" in err
    assert home.orderly.rows("host_entries") == 0
    (mark,) = home.bill("draft", "m1", 0, *MONTH)["doubts"]
    by = ("--by", "Li Na", "--reason", "a heat pump since May")
    for half in (by[:2], by[2:], (*by[:3], " ")):
        assert home.orderly.run("bill", "issue", "m1", 0, *MONTH, *half)[0] == 2
    made = home.bill("issue", "m1", 0, *MONTH, *by)
    assert made["content"]["released"] == {"who": by[1], "why": by[3], "what": [mark]}
    assert home.bill("issue", "m1", 0, *MONTH) == made


def test_a_bill_like_last_years_needs_no_release_and_keeps_none(home: Home) -> None:
    last_year(home, 200 * CUR)
    assert home.orderly.run("validate")[0] == 0
    by = ("--by", "Li Na", "--reason", "a heat pump since May")
    content = home.bill("issue", "m1", 0, *MONTH, *by)["content"]
    assert content["doubts"] == [] and "released" not in content


def test_what_does_not_foot_is_not_issued(home: Home) -> None:
    store = home.desk.store
    point = store.fleet.point_known("m1", 0)
    what = (store, point, Documents(store), 2026, 1, home.desk.clock.s)
    found = closing.close(*what)[0].found
    issuing.foot(point, found)
    for wrong in (
        replace(found, closing_ncur=found.closing_ncur + 1),
        replace(found, charged_ncur=found.charged_ncur + 1, closing_ncur=found.closing_ncur - 1),
    ):
        with pytest.raises(Refused, match="does not foot"):
            issuing.foot(point, wrong)


@pytest.mark.parametrize(
    ("trigger", "sql", "told"),
    [
        ("bills_stay", "UPDATE bills SET content = replace(content, 'Flat', 'Flut')", "bill"),
        ("bills_remain", "DELETE FROM bills", "a number is missing"),
        ("receipts_stay", "UPDATE receipts SET content = '{}'", "receipt"),
        ("tariff_documents_stay", "UPDATE tariff_documents SET text = text || ' '", "tariff"),
        ("host_entries_stay", "UPDATE host_entries SET amount_ncur = -1", "no posting of its"),
        ("host_entries_remain", "DELETE FROM host_entries", "its entry is not there"),
    ],
)  # fmt: skip
def test_what_was_changed_behind_our_back_is_found(
    home: Home, trigger: str, sql: str, told: str
) -> None:
    home.orderly.run("topup", "m1", 0, "50", "--reference", "cash-1")
    home.bill("issue", "m1", 0, *MONTH)
    assert home.orderly.run("verify")[0] == 0
    connection = home.desk.store._connection
    connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(sql)
    code, out, _ = home.orderly.run("verify")
    assert code == 1 and told in out, out


def test_a_receipt_has_a_number_without_a_gap(home: Home) -> None:
    for number, reference in ((1, "cash-1"), (2, "cash-2"), (1, "cash-1")):
        code, out, _ = home.orderly.run("topup", "m1", 0, "50", "--reference", reference, "--json")
        assert json.loads(out)["receipt"] == f"R-2026-{number:06d}"
    code, _, _ = home.orderly.run("topup", "m1", 9, "50", "--reference", "cash-3")
    assert code == 2
    code, out, _ = home.orderly.run("topup", "m1", 1, "50", "--reference", "cash-4", "--json")
    assert json.loads(out)["receipt"] == "R-2026-000003"
    code, out, _ = home.orderly.run("bill", "receipt", "cash-2", "--lang", "zh")
    assert "收据 R-2026-000002" in out and "50.00 CNY" in out and "cash-2" in out
    assert home.orderly.run("bill", "receipt", " cash-2 ", "--lang", "zh") == (0, out, "")


def test_a_receipt_of_a_reference_with_blanks_of_before_is_found_as_it_is(home: Home) -> None:
    store = home.desk.store
    with store.transaction():
        point = store.fleet.point_known("m1", 0)
        paid = store.payments.add_topup(point.id, point.state.mark, "cash-1 ", CUR, 1)
        receipts.give(store, point, paid)
    assert home.orderly.run("bill", "receipt", "cash-1 ")[0] == 0
    code, _, err = home.orderly.run("bill", "receipt", "cash-1")
    assert code == 2 and "cash-1: no receipt" in err and err.count("\n") == 1


def test_a_receipt_counts_what_is_on_its_way_and_tells_what_the_money_buys(home: Home) -> None:
    """Of 155 CNY that are owed the first payments leave some; the third has 5 CNY beyond it."""
    told = []
    for amount in (50, 50, 60):
        reference = f"cash-{len(told)}"
        assert home.orderly.run("topup", "m1", 0, amount, "--reference", reference)[0] == 0
        told.append(json.loads(home.orderly.run("bill", "receipt", reference, "--json")[1]))
    balances = [(each["balance_before_ncur"], each["balance_after_ncur"]) for each in told]
    assert balances == [(-155 * CUR, -105 * CUR), (-105 * CUR, -55 * CUR), (-55 * CUR, 5 * CUR)]
    assert [each["buys_wh"] for each in told] == [0, 0, 10_000]
    _, out, _ = home.orderly.run("bill", "receipt", "cash-2", "--lang", "both")
    assert " 10 kWh " in out and "other lines apart 按缴费时电量电价，不含其他费用" in out
    assert home.orderly.run("verify")[0] == 0


def test_money_buys_no_amount_of_energy_that_is_free(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=TERMS.replace('"0.50"', '"0"'))
    assert home.orderly.run("topup", "m1", 0, 50, "--reference", "cash-1")[0] == 0
    assert "kWh" not in home.orderly.run("bill", "receipt", "cash-1")[1]


@pytest.mark.parametrize(
    ("point", "damage", "year", "paid"),
    [
        (0, "", 2027, "2027-01-01 00:30+0800"),
        (1, "", 2027, "2027-01-01 00:30+0800"),  # assigned, nothing settled
        (1, "DELETE FROM assignments", 2026, "2026-12-31 16:30Z"),
        (0, "UPDATE tariffs SET book = x'80'", 2026, "2026-12-31 16:30Z"),
    ],
)
def test_a_receipt_has_the_year_and_the_time_of_the_points_clock(
    home: Home, point: int, damage: str, year: int, paid: str
) -> None:
    home.desk.clock.s = JANUARY_S + 365 * 86400 + 1800
    if damage:
        home.desk.damage(damage)
    code, out, _ = home.orderly.run("topup", "m1", point, "50", "--reference", "cash-1", "--json")
    assert code == 0 and json.loads(out)["receipt"] == f"R-{year}-000001"
    assert paid in home.orderly.run("bill", "receipt", "cash-1")[1]
    assert damage or home.orderly.run("verify")[0] == 0


def test_a_receipt_is_for_ever_what_was_shown(home: Home) -> None:
    home.orderly.run("topup", "m1", 0, "50", "--reference", "cash-1")
    shown = home.orderly.run("bill", "receipt", "cash-1")
    home.desk.damage("DELETE FROM assignments", "UPDATE tariffs SET book = x'80'")
    assert home.orderly.run("bill", "receipt", "cash-1") == shown
