"""Months at their edges: a reading across midnight, and an exchange or an end of the module."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from protocol import ledger, tariff
from protocol.units import SYNCHRONISED
from tests.host_tools.care.street import NEW, OLD, Street
from tests.host_tools.desk import Desk
from tests.host_tools.test_closing import CUR, JANUARY_S, TERMS, YEARLY, Home

DAY_S = 86400
NOW_S = JANUARY_S + 100 * DAY_S
MONTHS = ("2026-01", "2026-02")
JANUARY = ("--month", "2026-01")
DAILY = TERMS.replace(
    'prices = { flat = "0.50" }', 'fixed_per_day = "1"\nprices = { flat = "0.50" }'
)
TWO_SETS = DAILY + DAILY.split("zone = ")[1].split("\n", 1)[1].replace(
    "[[set]]", "[[set]]\nfrom = 2026-02-01"
).replace('"0.50"', '"0.70"').replace('"16"', '"20"')


def crossing(
    desk: Desk, capsys: pytest.CaptureFixture[str], text: str, *reads: tuple[int, int]
) -> Home:
    """300 kWh in 30 days of January, then readings of (seconds since, Wh), February's days."""
    home = Home(desk, capsys, 300_000, days=30, text=text)
    for more_s, energy_wh in reads:
        at_s = home.ledger.state.time_s + more_s
        enter(home, at_s, energy_wh)
    home.send()
    for day in range(32, 60):
        enter(home, JANUARY_S + day * DAY_S, 10_000)
    home.send()
    return home


def enter(home: Home, at_s: int, energy_wh: int) -> None:
    """A reading and, as a module does, the days that have begun."""
    state, book = home.ledger.state, home.ledger.book
    register_wh = state.register_wh + energy_wh
    home.ledger.enter(ledger.charge(state, book, at_s, SYNCHRONISED, register_wh))
    for day in range(*ledger.fixed_days_due(home.ledger.state, book, at_s)):
        home.ledger.enter(ledger.fixed(home.ledger.state, book, SYNCHRONISED, day))


LATE = (DAY_S - 900, 9_900), (906, 100)  # 23:45, then six seconds past midnight
OUTAGE = ((2 * DAY_S, 10_000),)  # from 31 January 00:00 to 2 February 00:00
EXACT = (DAY_S, 10_000), (DAY_S, 0)


def billed(home: Home) -> tuple[list[dict[str, Any]], int]:
    """The bills of both months, and the balance once the module has applied all of it."""
    found: list[Any] = [
        home.bill("issue", "m1", 0, "--month", month)["content"] for month in MONTHS
    ]
    seen: set[int] = set()
    for order in home.adjustments():
        if order.id not in seen:
            home.obey(order)
        seen.add(order.id)
    for month in MONTHS:
        assert home.bill("close", "m1", 0, "--month", month)["entered"] == []
    assert home.orderly.run("verify")[0] == 0
    for content in found:
        assert content["complete"]
    assert found[0]["closing_ncur"] == found[1]["opening_ncur"]
    march_ncur = tariff.fixed_ncur(home.ledger.book, 20_513)  # the day that midnight began
    assert found[1]["closing_ncur"] == home.balance_ncur() + march_ncur
    return found, home.balance_ncur()


@pytest.mark.parametrize("reads", [LATE, OUTAGE], ids=["late", "outage"])
@pytest.mark.parametrize("text", [YEARLY, TERMS, DAILY], ids=["plain", "terms", "daily"])
def test_a_reading_across_the_end_of_a_month_is_the_next_months_and_both_are_billed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    reads: tuple[tuple[int, int], ...],
) -> None:
    ends = []
    for name, given in (("late", reads), ("exact", EXACT)):
        (tmp_path / name).mkdir()
        found, balance_ncur = billed(crossing(Desk(tmp_path / name), capsys, text, *given))
        ends.append((found, balance_ncur, sum(each["energy_wh"] for each in found)))
    (late, *one), (exact, *other) = ends
    assert one == other  # the same load read at midnight
    moved_wh = sum(energy_wh for more_s, energy_wh in reads if energy_wh != 9_900)
    assert late[0]["energy_wh"] == exact[0]["energy_wh"] - moved_wh
    rules = [line["kind"] for each in late for line in each["bill"]["lines"]]
    assert "terms" not in rules
    for content in late:
        assert content["registers_s"][1] <= content["to_s"]
        used_wh = content["registers_wh"][1] - content["registers_wh"][0]
        assert used_wh == content["energy_wh"]
    if text == YEARLY:
        assert late[0]["used_in_tier_period_wh"] == late[0]["energy_wh"]


def test_a_reading_across_a_change_of_prices_keeps_what_the_module_charged(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of 10 kWh is of January's set, and all of it is of February's bill."""
    home = crossing(desk, capsys, TWO_SETS, (DAY_S // 2, 5_000), (DAY_S, 10_000), (DAY_S // 2, 0))
    (january, february), balance_ncur = billed(home)
    first = {line["name"]: line["printed_ncur"] for line in january["bill"]["lines"]}
    assert first == {
        "flat": 15250 * CUR // 100, "fixed": 31 * CUR,
        "wheeling": 3050 * CUR // 100, "duty": 2928 * CUR // 100,
    }  # fmt: skip
    lines = [(line["name"], line["printed_ncur"]) for line in february["bill"]["lines"]]
    assert lines == [
        ("flat", 250 * CUR // 100), ("wheeling", 50 * CUR // 100), ("duty", 48 * CUR // 100),
        ("flat", 19950 * CUR // 100), ("fixed", 28 * CUR), ("wheeling", 2850 * CUR // 100),
        ("duty", 4560 * CUR // 100),
    ]  # fmt: skip
    assert balance_ncur == february["closing_ncur"] - CUR


# An exchange, and an end

EXCHANGED_S = JANUARY_S + 14 * DAY_S + 12 * 3600  # 15 January at noon
LIVED = """
version = 5
name = "by the day, with a minimum"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
fixed_per_day = "2.00"
prices = { flat = "0.50" }
minimum_per_month = "310"
minimum_on = ["energy"]
[[set.line]]
name = "service"
per_day = "1"
[[set.line]]
name = "duty"
percent = "10"
on = ["energy"]
"""
PLAIN = LIVED.split("minimum_per", maxsplit=1)[0]


def exchanged(folder: Path, capsys: pytest.CaptureFixture[str], text: str,
              opened_s: int = EXCHANGED_S + 3600) -> Street:  # fmt: skip
    """The old module until 15 January at noon, the new one from an instant to the month's end."""
    street = Street.under(folder, capsys, text, NOW_S)
    street.old.open(JANUARY_S + 3600, 50_000)
    for day in range(1, 15):
        street.old.charge(street.old.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    street.old.charge(street.old.state.register_wh + 5_000, EXCHANGED_S)
    street.old.send()
    street.new.open(opened_s, street.old.state.register_wh)
    street.new.send()
    street.replace()
    street.settle()
    first = tariff.local_day(street.new.ledger.book, opened_s) - 20_453
    for day in range(first, 60):
        street.new.charge(street.new.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    street.new.send()
    street.settle()
    return street


def lines_of(
    street: Street, module: str, month: str = "2026-01"
) -> dict[str, tuple[Fraction, int]]:
    """{name: (quantity, printed amount)} of the bill of a module."""
    bill = street.done("bill", "issue", module, 0, "--month", month)["content"]["bill"]
    return {
        line["name"]: (Fraction(line["quantity"]), line["printed_ncur"]) for line in bill["lines"]
    }


def exact_sum(street: Street, *months: tuple[str, str]) -> int:
    """What the bills of modules charge altogether."""
    drafts = [
        street.done("bill", "draft", module, 0, "--month", month) for module, month in months
    ]
    return sum(int(each["charged_ncur"]) for each in drafts)


def test_the_two_accounts_of_an_exchange_share_the_month_by_the_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, LIVED)
    assert lines_of(street, OLD) == {
        "flat": (Fraction(145000), 7250 * CUR // 100), "fixed": (Fraction(15), 30 * CUR),
        "service": (Fraction(15), 15 * CUR), "duty": (Fraction(0), 725 * CUR // 100),
        "minimum": (Fraction(15, 31), 7750 * CUR // 100),
    }  # fmt: skip
    assert lines_of(street, NEW) == {
        "flat": (Fraction(170000), 85 * CUR), "fixed": (Fraction(16), 32 * CUR),
        "service": (Fraction(16), 16 * CUR), "duty": (Fraction(0), 850 * CUR // 100),
        "minimum": (Fraction(16, 31), 75 * CUR),
    }  # fmt: skip
    street.settle()
    # The old account's part reaches the new balance, and is a charge of the old bill alone.
    drafts = [
        street.done("bill", "draft", NEW, 0, "--month", month) for month in (*MONTHS, "2026-03")
    ]
    moved = [each["amount_ncur"] for draft in drafts for each in draft["movements"]]
    old = street.done("bill", "draft", OLD, 0, *JANUARY)
    assert moved == [-10050 * CUR // 100, -10175 * CUR // 100]
    assert sum(moved) == old["closing_ncur"] == -20225 * CUR // 100
    assert "adjustment" not in [line["kind"] for each in drafts for line in each["bill"]["lines"]]
    both_ncur = exact_sum(street, (OLD, "2026-01"), (NEW, "2026-01"), (NEW, "2026-02"))
    march_ncur = 2 * CUR  # 1 March's, which midnight began
    assert street.new.state.balance_ncur == -both_ncur - march_ncur
    for module in (OLD, NEW):
        assert street.done("bill", "close", module, 0, "--month", "2026-01")["entered"] == []
    street.sound()
    accounts = street.store.ledgers.accounts()
    assert accounts["CNY", "adjustments"] == street.transit() == 0


def test_a_retired_module_is_billed_to_its_last_reading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, LIVED)
    street.done("module", "retire", OLD, "--yes", "--by", "Li Na", "--reason", "work order 7")
    assert lines_of(street, OLD)["service"] == (Fraction(15), 15 * CUR)
    assert street.done("bill", "close", OLD, 0, "--month", "2026-01")["entered"] == []
    street.settle(OLD)
    assert street.store.ledgers.accounts()["CNY", "adjustments"] == 0
    street.sound()


def test_a_retired_module_without_a_successor_is_billed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = Street.under(tmp_path, capsys, LIVED, NOW_S)
    street.old.open(JANUARY_S + 3600, 50_000)
    for day in range(1, 11):
        street.old.charge(street.old.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    street.old.send()
    assert "not settled to its end" in street.refused("bill", "close", OLD, 0, *JANUARY)
    by = ("--by", "Li Na", "--reason", "flat given up")
    street.done("module", "retire", OLD, "--yes", "--balance", "uncollectable", *by)
    # Ten days are read, and midnight began the eleventh, which the module has charged.
    assert lines_of(street, OLD)["service"] == (Fraction(11), 11 * CUR)
    assert street.done("bill", "close", OLD, 0, *JANUARY)["entered"] == []
    street.look()
    street.sound()


@pytest.mark.parametrize("gap_days", [0, 3, 18])
@pytest.mark.parametrize("text", [LIVED, PLAIN], ids=["terms", "plain"])
def test_days_without_any_module_are_counted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, gap_days: int
) -> None:
    street = exchanged(tmp_path, capsys, text, EXCHANGED_S + 3600 + gap_days * DAY_S)
    found = [lines_of(street, OLD)]
    months = MONTHS if gap_days < 17 else MONTHS[1:]
    found += [lines_of(street, NEW, month) for month in months]
    if text == LIVED:
        assert sum(each["service"][0] for each in found) == 31 + 28
    fixed = sum(each["fixed"][0] for each in found)
    opening = 0 if text == LIVED else 1  # no book charges it, and no term of the host
    assert fixed == 31 + 28 - opening - gap_days  # those between are in the transfer
    street.settle()
    street.sound()


def test_a_transfer_moves_money_and_not_the_time_of_the_register(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taken over ten minutes before the prices change, read half an hour behind the change."""
    street = Street(tmp_path, capsys)
    street.desk.clock.s = NOW_S
    evening_s = JANUARY_S + 14 * DAY_S + 21 * 3600
    street.old.open(JANUARY_S + 3600, 50_000)
    street.old.charge(60_000, evening_s)
    street.old.send()
    street.new.open(evening_s + 3000, 60_000)
    street.new.send()
    street.replace()
    street.settle()
    assert [entry.kind for entry in street.new.ledger.entries] == [ledger.OPENING, ledger.TRANSFER]
    street.new.charge(62_000, evening_s + 5400)
    for day in range(15, 32):
        street.new.charge(street.new.state.register_wh + 1000, JANUARY_S + day * DAY_S)
    street.new.send()
    street.settle()
    bill = street.done("bill", "issue", NEW, 0, *JANUARY)["content"]
    assert bill["registers_wh"] == [60_000, 79_000]
    assert bill["registers_s"] == [evening_s + 3000, JANUARY_S + 31 * DAY_S]
    street.sound()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE host_entries SET rule = 'percent service' WHERE rule = 'percent duty'",
        "UPDATE command_notes SET asked = replace(asked, 'old-1/0', 'old-2/0')",
        "DELETE FROM command_notes WHERE asked LIKE '%of_point%'",
    ],
)
def test_what_a_new_module_pays_for_the_old_one_is_held_against_its_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    street = exchanged(tmp_path, capsys, LIVED)
    lines_of(street, OLD)
    street.settle()
    street.sound()
    street.desk.damage(damage)
    assert street.run("verify")[0] == 1


def test_the_bill_of_a_module_that_ended_says_that_nobody_has_audited_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, LIVED)
    assert street.run("validate")[0] == 0
    (doubt,) = street.done("bill", "issue", OLD, 0, *JANUARY)["content"]["doubts"]
    assert "not audited: its module ends within it" in doubt
