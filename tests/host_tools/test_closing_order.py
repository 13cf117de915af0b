"""Months are closed in order, each by the tariff that charged it, and never behind a bill."""

import json

import pytest

from host_tools import tariffs
from host_tools.billing import closing
from host_tools.billing.documents import Documents
from host_tools.settlement import posting
from host_tools.store import bills
from host_tools.tariffs import stored
from protocol import ledger
from protocol.units import DAY_S, SYNCHRONISED
from tests.host_tools.desk import Desk
from tests.host_tools.genuine import ROOT
from tests.host_tools.test_closing import CUR, JANUARY_S, MONTH, POWER, SLAB, TERMS, Home
from tests.postgres import POSTGRESQL, SQLITE

FEBRUARY = ("--month", "2026-02")
MARCH = ("--month", "2026-03")
BY = ("--by", "Li Na", "--reason", "wrong name")
DUTY = '\n[[set.line]]\nname = "duty"\npercent = "10"\non = ["energy"]\n'


@pytest.fixture
def home(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Home:
    return Home(desk, capsys, 310_000)


def shipped(name: str) -> str:
    """A tariff file of the house, by the clock and in the currency of the test's home."""
    text = (ROOT / f"host_tools/tariff_files/{name}.toml").read_text(encoding="utf-8")
    return text.replace("Asia/Kolkata", "Asia/Shanghai").replace("INR", "CNY")


def refused(home: Home, *words: object) -> str:
    before = home.desk.journal(), home.orderly.rows("host_entries")
    code, out, err = home.orderly.run("bill", *words)
    assert code == 2 and err.count("\n") == 1, (out, err)
    assert (home.desk.journal(), home.orderly.rows("host_entries")) == before
    return str(err)


def obeyed(home: Home) -> Home:
    for order in home.adjustments():
        home.obey(order)
    return home


def owed_ncur(home: Home) -> int:
    """What the terms of a home took of its customer."""
    accounts = home.desk.store.ledgers.accounts()
    return -accounts.get(("CNY", posting.TERMS), 0)


# Two months whose total chooses the prices

TWO_MONTHS = [
    (shipped("in-kseb"), (286_967, 397_852)),
    (shipped("in-tangedco"), (10_000, 10_000)),
    (SLAB + DUTY, (310_000, 280_000)),
    # January lacks to its minimum what both together do not: February alone would enter nothing.
    (SLAB.replace("= 2\n", '= 2\nminimum_per_month = "20"\n'), (3_100, 89_600)),
]


@pytest.mark.parametrize("what", ["close", "issue"])
@pytest.mark.parametrize(("text", "months_wh"), TWO_MONTHS)
def test_the_later_month_of_a_tier_period_waits_for_the_earlier_one(
    desk: Desk,
    capsys: pytest.CaptureFixture[str],
    text: str,
    months_wh: tuple[int, int],
    what: str,
) -> None:
    home = Home(desk, capsys, months_wh[0], text=text)
    home.read(28, months_wh[1])
    told = refused(home, what, "m1", 0, *FEBRUARY)
    assert "m1/0 2026-02: 2026-01 is of the same tier period" in told and "请先结清" in told
    assert "`gridpurse bill close m1 0 --month 2026-01`" in told
    for month in (MONTH, FEBRUARY):
        home.bill(what, "m1", 0, *month)
    rows = home.orderly.rows("host_entries")
    for month in (FEBRUARY, MONTH, FEBRUARY):
        home.bill(what, "m1", 0, *month)
        assert home.bill("close", "m1", 0, *month)["entered"] == []
    assert home.orderly.rows("host_entries") == rows
    both = home.bill("draft", "m1", 0, *FEBRUARY)["by_all_terms"]
    assert both["not_in_ledger_ncur"] == 0
    obeyed(home)
    assert abs(-home.balance_ncur() - both["printed_ncur"]) < CUR // 10
    assert home.orderly.run("verify")[0] == 0


def test_a_month_without_anything_to_enter_does_not_hold_the_next_one_up(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=SLAB)
    home.read(28, 280_000)
    assert len(home.bill("close", "m1", 0, *FEBRUARY)["entered"]) == 1
    assert home.bill("close", "m1", 0, *MONTH)["entered"] == []
    assert owed_ncur(home) == 128 * CUR


def test_a_new_tier_period_does_not_wait_for_the_one_before(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=SLAB + DUTY)
    home.read(28, 280_000)
    home.read(31, 310_000)
    assert home.bill("close", "m1", 0, *MARCH)["entered"]
    for month in (MONTH, FEBRUARY, MARCH):
        home.bill("close", "m1", 0, *month)
    assert owed_ncur(home) == (12800 + 4720 + 1760) * CUR // 100


def closed_as_once(home: Home, month: int) -> None:
    """Without asking for the order of months, as an older program did."""
    store = home.desk.store
    point = store.fleet.point_known("m1", 0)
    found = closing.of_month(store, point, Documents(store), 2026, month)
    forgotten = closing.forgotten_of(store, point)
    as_once = closing.Prepared(point, closing.basis_of(store, point), found, forgotten)
    with store.transaction():
        assert closing.enter_terms(store, as_once, home.desk.clock.s)


def test_a_month_that_an_older_program_closed_with_the_later_one_is_not_charged_again(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=SLAB + DUTY)
    home.read(28, 280_000)
    closed_as_once(home, 2)
    for what in ("close", "issue"):
        told = refused(home, what, "m1", 0, *MONTH)
        assert "its terms are in the closing of 2026-02" in told and "并入 2026-02" in told
    assert home.bill("close", "m1", 0, *FEBRUARY)["entered"] == []
    home.bill("issue", "m1", 0, *FEBRUARY)
    assert owed_ncur(home) == 128 * CUR + 4720 * CUR // 100
    obeyed(home)
    assert -home.balance_ncur() == 472 * CUR * 11 // 10


def test_a_month_that_is_contained_in_a_later_closing_holds_no_third_one_up(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=SLAB.replace("length = 2", "length = 3") + DUTY)
    home.read(28, 280_000)
    home.read(31, 310_000)
    closed_as_once(home, 2)
    assert "closing of 2026-02" in refused(home, "close", "m1", 0, *MONTH)
    assert home.bill("issue", "m1", 0, *MARCH)["content"]["complete"]
    obeyed(home)
    assert -home.balance_ncur() == 900 * CUR * 80 // 100 * 11 // 10


# The tariff of a month

PLAIN = """
version = 502
name = "OLD NAME"
names_zh = { flat = "旧名" }
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
tiers_kwh = [400]
adders = ["0", "0.1"]
prices = { flat = "0.50" }
"""
DEARER = TERMS.replace("502", "503").replace('"0.50"', '"0.60"')
DUTIFUL = TERMS.replace("502", "503").replace('"16"', '"20"')
RENAMED = """
version = 503
name = "NEW NAME"
origin = "made up"
currency = "CNY"
zone = "Asia/Tokyo"
[[set]]
prices = { day = "0.60" }
"""


def moved_on(home: Home, text: str, days: int = 28) -> None:
    """Version 503 from 1 February, and days of February read."""
    path = home.desk.folder / "new.toml"
    path.write_text(text, encoding="utf-8")
    with home.desk.store.transaction():
        stored.add(home.desk.store, path, JANUARY_S)
        point = home.desk.store.fleet.point_known("m1", 0)
        home.desk.store.fleet.assign(point.id, 503, JANUARY_S + 31 * DAY_S)
    home.ledger.book = tariffs.read_book(path)
    home.read(days, days * 10_000)


@pytest.mark.parametrize("text", [DEARER, DUTIFUL])
def test_a_month_is_closed_by_the_version_that_charged_it_whatever_came_later(
    home: Home, text: str
) -> None:
    before = home.bill("draft", "m1", 0, *MONTH)
    moved_on(home, text)
    assert home.bill("draft", "m1", 0, *MONTH) == before
    told = home.bill("close", "m1", 0, *MONTH)["entered"]
    assert {row["version"] for row in told} == {502}
    assert sum(row["amount_ncur"] for row in told) == -6076 * CUR // 100
    assert home.bill("close", "m1", 0, *MONTH)["entered"] == []
    january = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert january["tariff_version"] == 502 and january["doubts"] == before["doubts"]
    assert january["bill"]["printed_ncur"] == 21576 * CUR // 100
    february = home.bill("issue", "m1", 0, *FEBRUARY)["content"]
    assert february["tariff_version"] == 503
    assert february["opening_ncur"] == january["closing_ncur"]
    # 280 kWh: energy 168 or 140, wheeling 28, duty of both
    owed = {DEARER: (196, 116), DUTIFUL: (168, 120)}[text]
    assert february["bill"]["printed_ncur"] == owed[0] * owed[1] * CUR // 100
    assert home.orderly.run("verify")[0] == 0


@pytest.mark.parametrize("desk", [SQLITE, POSTGRESQL], indirect=True)
def test_a_month_is_credited_and_issued_again_under_its_own_version(home: Home) -> None:
    first = home.bill("issue", "m1", 0, *MONTH)
    moved_on(home, DEARER)
    assert home.bill("issue", "m1", 0, *MONTH) == first
    home.bill("credit", "GP-2026-000001", *BY)
    again = home.bill("issue", "m1", 0, *MONTH)
    assert again["content"]["number"] == "GP-2026-000003"
    for key in ("bill", "tariff_version", "charged_ncur", "from_s", "to_s", "left_in_tier_wh"):
        assert again["content"][key] == first["content"][key]


def test_an_old_month_keeps_its_name_its_tier_and_its_clock(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=PLAIN)
    words = ("bill", "draft", "m1", 0, *MONTH, "--lang", "zh")
    before = home.orderly.run(*words)
    assert "OLD NAME" in before[1] and "旧名" in before[1] and "90 kWh" in before[1]
    moved_on(home, RENAMED)
    assert home.orderly.run(*words) == before
    january = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert january["left_in_tier_wh"] == 90_000
    assert home.bill("draft", "m1", 0, *FEBRUARY)["tariff_version"] == 503


def test_no_charge_is_in_two_months_where_the_clock_changes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=PLAIN)
    first = home.bill("issue", "m1", 0, *MONTH)
    moved_on(home, PLAIN.replace("502", "503").replace("Asia/Shanghai", "Asia/Tokyo"), days=27)
    assert home.bill("issue", "m1", 0, *MONTH) == first
    state, tokyo_s = home.ledger.state, JANUARY_S + 59 * DAY_S - 3600
    register_wh = state.register_wh + 9_000
    home.ledger.enter(ledger.charge(state, home.ledger.book, tokyo_s, SYNCHRONISED, register_wh))
    home.read(1, 1_000)
    february = home.bill("issue", "m1", 0, *FEBRUARY)["content"]
    assert february["from_s"] == first["content"]["to_s"] == JANUARY_S + 31 * DAY_S
    assert february["opening_ncur"] == first["content"]["closing_ncur"]
    march = home.bill("draft", "m1", 0, *MARCH)
    assert march["from_s"] == february["to_s"] == tokyo_s
    used = [each["energy_wh"] for each in (first["content"], february, march)]
    assert used == [310_000, 279_000, 1_000]
    assert len(json.loads(home.orderly.run("bill", "list", "--json")[1])) == 2


def test_a_bill_that_stands_is_given_back_before_anything_refuses(home: Home) -> None:
    first = home.bill("issue", "m1", 0, *MONTH)
    store = home.desk.store
    with store.transaction():
        point = store.fleet.point_known("m1", 0)
        store.ledgers.differ(point.id, "records missing", "readings", 40, ("a", "b"), 0)
    assert home.bill("issue", "m1", 0, *MONTH) == first
    home.desk.damage("UPDATE tariffs SET book = x'80'")
    assert home.bill("issue", "m1", 0, *MONTH) == first


def test_a_month_without_a_charge_has_the_newest_tariff(home: Home) -> None:
    moved_on(home, DEARER)
    home.ledger.adjust(77, 5 * CUR, reason=1)  # in the first minute of March
    home.send()
    march = home.bill("draft", "m1", 0, *MARCH)
    assert march["tariff_version"] == 503 and march["charged_ncur"] == -5 * CUR


# A bill that stands


def contracted(home: Home, power: str, day: str) -> None:
    words = ("tariff", "contract", "m1/0", power, "--from", day, *BY)
    assert home.orderly.run(*words)[0] == 0


def test_nothing_is_entered_behind_a_bill_that_stands(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=POWER)
    contracted(home, "4.6", "2025-12-01")
    first = home.bill("issue", "m1", 0, *MONTH)
    assert home.bill("close", "m1", 0, *MONTH)["entered"] == []
    contracted(home, "9", "2025-12-15")
    told = refused(home, "close", "m1", 0, *MONTH)
    assert "13.20 is lacking that GP-2026-000001 does not have" in told and "请先冲销" in told
    assert "`gridpurse bill credit GP-2026-000001`" in told
    code, out, _ = home.orderly.run("bill", "close", "--month", "2026-01", "--json")
    assert code == 1 and any("GP-2026-000001" in line for line in json.loads(out)["refused"])
    assert home.bill("issue", "m1", 0, *MONTH) == first
    home.bill("credit", "GP-2026-000001", *BY)
    again = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert again["bill"]["printed_ncur"] == again["charged_ncur"] == (155 + 27) * CUR
    assert home.orderly.run("verify")[0] == 0


def test_a_bill_is_found_by_its_month_however_its_edges_were_drawn(home: Home) -> None:
    """Issued by another clock, as an older program did when the newest tariff had one."""
    told = home.bill("draft", "m1", 0, *MONTH)
    span = JANUARY_S - 3600, JANUARY_S + 31 * DAY_S - 3600
    point = home.desk.store.fleet.point_known("m1", 0)
    told |= {"kind": "bill", "issued_s": span[1]}
    with home.desk.store.transaction():
        made = bills.of(home.desk.store).add("OLD", 2026, point.id, span, span[1], told)
    assert home.bill("issue", "m1", 0, *MONTH)["content"]["number"] == made.number
    assert made.number in refused(home, "close", "m1", 0, *MONTH)


def test_a_credit_bill_has_nothing_of_the_bill_that_is_not_turned_round(home: Home) -> None:
    bill = home.bill("issue", "m1", 0, *MONTH)["content"]
    back = home.bill("credit", "GP-2026-000001", *BY)["content"]
    assert "by_all_terms" in bill and "by_all_terms" not in back
    assert back["bill"]["printed_ncur"] == -bill["bill"]["printed_ncur"]
