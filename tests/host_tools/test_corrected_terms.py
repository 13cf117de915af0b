"""Terms of the host are of the readings as they stand: corrected, exchanged, taken over."""

from pathlib import Path
from typing import Any

import pytest

from protocol import codes
from protocol.units import DAY_S
from tests.host_tools.care.street import NEW, OLD, Street
from tests.host_tools.care.test_corrected import charges, corrected, settled
from tests.host_tools.desk import Desk
from tests.host_tools.test_closing import CUR, JANUARY_S, MONTH, Home
from tests.host_tools.validation.judged import iso

BY = ("--by", "Li Na", "--reason", "photo of the display")
CENT = CUR // 100
DUTY = """
version = 503
name = "a duty"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "0.50" }
[[set.line]]
name = "duty"
percent = "10"
on = ["energy"]
"""
SLAB = """
version = 504
name = "another price for all of a month above 200 kWh"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "0.50" }
tier_period = "month"
[[set.schedule]]
above_kwh = 200
prices = { flat = "0.60" }
"""


PER_KW = 'name = "power"\nper_kw_month = "31"'


def correct(home: Home, seq: int, wh: int) -> Any:
    assert home.orderly.run("validate", "m1")[0] == 0
    start, end = (home.ledger.states[n].time_s for n in (seq - 1, seq))
    span = ("--from", iso(start), "--to", iso(end))
    told = home.orderly.run("review", "open", "m1", 0, *span, *BY, "--json")
    number = str(told[1]).split('"review": ')[1].split(",")[0].rstrip("}\n")
    return home.orderly.run("review", "edit", number, "--set", f"{iso(start)}={wh}", *BY)


def entered(told: dict[str, Any]) -> dict[str, int]:
    return {row["rule"]: row["amount_ncur"] for row in told["entered"]}


def test_a_percentage_is_of_the_energy_as_it_was_corrected(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=DUTY)
    correct(home, 11, 4_000)  # of 10 kWh
    # 304 kWh: 152.00, and 10 % of it.
    told: Any = home.bill("close", "m1", 0, *MONTH)
    assert entered(told) == {"percent duty": -1520 * CENT}
    for command in home.adjustments():
        home.obey(command)
    assert home.balance_ncur() == -(15200 + 1520) * CENT
    bill: Any = home.bill("issue", "m1", 0, *MONTH)["content"]
    # As the module charged it; the six kWh come back in the month in which it was adjusted.
    printed = {line["name"]: line["printed_ncur"] for line in bill["bill"]["lines"]}
    assert printed == {"flat": 15500 * CENT, "percent duty": 1520 * CENT}


def test_a_correction_after_the_closing_is_entered_when_it_is_closed_again(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=DUTY)
    assert entered(home.bill("close", "m1", 0, *MONTH)) == {"percent duty": -1550 * CENT}
    correct(home, 11, 4_000)
    assert entered(home.bill("close", "m1", 0, *MONTH)) == {"percent duty": 30 * CENT}
    assert home.bill("close", "m1", 0, *MONTH)["entered"] == []
    for command in home.adjustments():
        home.obey(command)
    assert home.balance_ncur() == -(15200 + 1520) * CENT


def test_a_bill_that_a_correction_has_changed_is_credited_and_issued_again(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 310_000, text=DUTY)
    issued: Any = home.bill("issue", "m1", 0, *MONTH)["content"]
    number = issued["number"]
    code, out, err = correct(home, 11, 4_000)
    assert code == 0, err
    assert number in out
    code, _, err = home.orderly.run("bill", "close", "m1", 0, *MONTH)
    assert code == 2 and f"bill credit {number}" in err
    home.read(28, 280_000)
    code, _, err = home.orderly.run("bill", "issue", "m1", 0, "--month", "2026-02")
    assert code == 2 and f"{number} lacks -0.30" in err
    home.bill("credit", number, *BY)
    told: Any = home.bill("issue", "m1", 0, *MONTH)["content"]
    assert {line["name"]: line["printed_ncur"] for line in told["bill"]["lines"]} == {
        "flat": 15500 * CENT, "percent duty": 1520 * CENT,
    }  # fmt: skip


def test_prices_by_the_total_are_of_the_total_as_it_was_corrected(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 217_000, text=SLAB)  # 7 kWh a day
    for seq in range(2, 7):
        correct(home, seq, 0)  # 35 kWh less: 182, below the limit
    assert entered(home.bill("close", "m1", 0, *MONTH)) == {}
    for command in home.adjustments():
        home.obey(command)
    assert home.balance_ncur() == -9100 * CENT


def exchanged(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    days: int,
    gap_wh: int,
    gap_s: int = 3600,
) -> Street:
    """The old module for so many days of January, 10 kWh each, then the new one."""
    street = Street.under(folder, capsys, text)
    street.old.open(JANUARY_S, 50_000)
    for day in range(1, days + 1):
        street.old.charge(street.old.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    street.old.send()
    street.new.open(street.old.state.time_s + gap_s, street.old.state.register_wh + gap_wh)
    street.new.send()
    return street


def goes_on(street: Street, days: int) -> None:
    for day in range(days + 1, 33):
        street.new.charge(street.new.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    settled(street)


def duties(street: Street) -> int:
    """What is entered and billed for the duty of January, of both accounts."""
    for module in (OLD, NEW):
        street.done("bill", "close", module, 0, "--month", "2026-01")
    settled(street)
    total = 0
    for module in (OLD, NEW):
        lines = street.done("bill", "draft", module, 0, "--month", "2026-01")["bill"]["lines"]
        total += sum(line["printed_ncur"] for line in lines if "duty" in line["name"])
    return total


def test_energy_between_two_modules_bears_its_percentages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, DUTY, 14, 3_000)
    street.replace()
    goes_on(street, 14)
    # 140 kWh, 3 in between and 17 days: 313 kWh, 156.50.
    assert duties(street) == 1565 * CENT
    assert street.balance(NEW) == street.new.state.balance_ncur
    # And a day of February, which is not closed.
    assert street.balance(NEW) == -(15650 + 1565 + 500) * CENT
    street.sound()


def test_what_two_modules_metered_alike_bears_its_percentages_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The old module goes on for two days behind the opening of the new one."""
    street = exchanged(tmp_path, capsys, DUTY, 14, 0)
    for day in (15, 16):
        street.old.charge(street.old.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    street.old.send()
    street.replace()
    goes_on(street, 14)
    assert duties(street) == 1550 * CENT
    assert street.balance(NEW) == -(15500 + 1550 + 500) * CENT
    street.sound()


def test_a_percentage_of_the_old_account_follows_its_corrections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, DUTY, 14, 0)
    street.replace()
    goes_on(street, 14)
    corrected(street, OLD, charges(street, OLD)[3], 4_000)
    settled(street, OLD)
    assert duties(street) == 1520 * CENT
    assert street.balance(NEW) == -(15200 + 1520 + 500) * CENT
    assert street.ordered(OLD, 0, codes.ADJUST) == []
    street.sound()


def closed(street: Street, *months: tuple[str, str]) -> list[dict[str, int]]:
    """What closing (module, month) enters, one after the other."""
    out = []
    for module, month in months:
        out.append(entered(street.done("bill", "close", module, 0, "--month", month)))
        settled(street)
    return out


def test_prices_by_the_total_are_of_all_that_the_customer_used_whichever_module_he_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, SLAB, 14, 3_000)
    street.replace()
    goes_on(street, 14)
    # 140 + 3 + 170 = 313 kWh: all of it at 0.60, which is 31.30 more.
    assert closed(street, (OLD, "2026-01"), (NEW, "2026-01")) == [{}, {"energy": -3130 * CENT}]
    assert street.balance(NEW) == -(313 * 60 + 500) * CENT
    assert closed(street, (OLD, "2026-01"), (NEW, "2026-01")) == [{}, {}]
    for module in (OLD, NEW):
        assert street.done("bill", "issue", module, 0, "--month", "2026-01")
    street.sound()


def test_an_old_account_that_passed_the_limit_alone_is_closed_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, SLAB, 24, 3_000)
    street.replace()
    goes_on(street, 24)
    refused = street.refused("bill", "close", NEW, 0, "--month", "2026-01")
    assert "2026-01 of old-1/0" in refused and "bill close old-1 0 --month 2026-01" in refused
    # 240 kWh in the old account, 3 + 70 in the new one.
    assert closed(street, (OLD, "2026-01"), (NEW, "2026-01")) == [
        {"energy": -2400 * CENT}, {"energy": -730 * CENT},
    ]  # fmt: skip
    assert street.balance(NEW) == -(313 * 60 + 500) * CENT
    street.sound()


YEARLY = (
    SLAB.replace("200", "400").replace('tier_period = "month"', 'tier_period = "year"')
    + """
[[set.line]]
name = "service"
per_day = "1"
"""
).replace('prices = { flat = "0.50" }', 'prices = { flat = "0.50" }\nfixed_per_day = "2"')


@pytest.mark.parametrize("gap_days", [0, 3])
def test_a_year_with_an_exchange_counts_its_days_and_its_energy_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gap_days: int
) -> None:
    street = exchanged(tmp_path, capsys, YEARLY, 14, 0, gap_days * DAY_S + 3600)
    street.replace()
    for day in range(15 + gap_days, 60):
        street.new.charge(street.new.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    settled(street)
    months = (OLD, "2026-01"), (NEW, "2026-01"), (NEW, "2026-02")
    told = closed(street, *months)
    days, kwh = 59, 590 - 10 * gap_days  # above the 400 kWh in February
    assert sum(row.get("energy", 0) for row in told) == -kwh * 10 * CENT
    assert sum(row.get("per_day service", 0) for row in told) == -days * CUR
    # Each day's charge, and that of 1 March, which midnight began.
    assert street.balance(NEW) == -(kwh * 60 + days * 300 + 200) * CENT
    assert closed(street, *months) == [{}, {}, {}]
    street.sound()


def test_the_contracted_power_is_the_customers_and_stays_with_him(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = DUTY.replace('name = "duty"\npercent = "10"\non = ["energy"]', PER_KW)
    street = exchanged(tmp_path, capsys, text, 15, 0)
    by = ("--from", "2026-01-01", "--by", "Li Na", "--reason", "contract 12")
    street.done("tariff", "contract", "old-1/0", "4", *by)
    street.replace()
    goes_on(street, 15)
    told = closed(street, (OLD, "2026-01"), (NEW, "2026-01"))
    # The day of the exchange is the old account's: 16 and 15 days of 31, 4 kW at 31.
    assert [row["per_kw_month power"] for row in told] == [-64 * CUR, -60 * CUR]


def test_a_correction_within_a_year_is_entered_by_its_last_closing(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both months are billed; the later one has the tier period from its beginning."""
    text = SLAB.replace("200", "400").replace('tier_period = "month"', 'tier_period = "year"')
    home = Home(desk, capsys, 310_000, text=text)
    home.bill("issue", "m1", 0, *MONTH)
    home.read(28, 280_000)
    february: Any = home.bill("issue", "m1", 0, "--month", "2026-02")["content"]
    code, out, err = correct(home, 11, 4_000)  # 6 of 590 kWh less
    assert code == 0, err
    assert february["number"] in out and "GP-2026-000001" not in out
    home.bill("credit", february["number"], *BY)
    told: Any = home.bill("close", "m1", 0, "--month", "2026-02")
    assert entered(told) == {"energy": 60 * CENT}
    for command in home.adjustments():
        home.obey(command)
    assert home.balance_ncur() == -584 * 60 * CENT
    home.bill("issue", "m1", 0, "--month", "2026-02")
    home.read(31, 310_000)
    assert home.bill("issue", "m1", 0, "--month", "2026-03")
