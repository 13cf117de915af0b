"""Terms of the host around an exchange of modules: what neither has metered, and both have."""

from itertools import product
from pathlib import Path

import pytest

from host_tools.store import host_entries
from protocol.units import DAY_S
from tests.host_tools.care.street import NEW, OLD, Street
from tests.host_tools.care.test_corrected import settled
from tests.host_tools.test_closing import JANUARY_S
from tests.host_tools.test_corrected_terms import CENT, DUTY, exchanged

MONTHS = ("2026-01", "2026-02")
DAILY = """
version = 505
name = "a daily charge, a rent by the day and a duty"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "0.50" }
fixed_per_day = "0.30"
[[set.line]]
name = "rent"
per_day = "0.10"
[[set.line]]
name = "duty"
percent = "10"
on = ["energy", "fixed", "rent"]
"""


def reads_on(street: Street, upto_day: int) -> None:
    """The new module reads 10 kWh a day, to the end of so many days since New Year."""
    first = (street.new.state.time_s - JANUARY_S) // DAY_S + 1
    for day in range(first, upto_day + 1):
        street.new.charge(street.new.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    settled(street)


def terms_ncur(street: Street, *months: str) -> int:
    """What is entered for terms in months of both accounts, as often as they are closed."""
    for _ in range(2):
        for module, month in product((OLD, NEW), months):
            code, _, err = street.run("bill", "close", module, 0, "--month", month)
            assert code == 0 or "nothing is settled in it" in err, err
        settled(street)
    street.sound()
    every = host_entries.of(street.store)
    points = [street.store.fleet.point_known(module, 0) for module in (OLD, NEW)]
    return -sum(each.amount_ncur for point in points for each in every.all(point.id))


@pytest.mark.parametrize("days", [13, 30])
def test_energy_before_an_opening_at_midnight_bears_its_percentages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], days: int
) -> None:
    """A day between two modules, 3 kWh; in the middle of January, or its last one."""
    street = exchanged(tmp_path, capsys, DUTY, days, 3_000, DAY_S)
    street.replace()
    reads_on(street, 59)
    # 58 days of 10 kWh, and 3 kWh: 583 kWh, 291.50.
    assert terms_ncur(street, *MONTHS) == 2915 * CENT
    assert street.balance(NEW) == -(29150 + 2915) * CENT


@pytest.mark.parametrize("closed", [False, True])
def test_days_on_which_two_modules_metered_alike_are_owed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], closed: bool
) -> None:
    """The old module goes on to February, and January was closed before it was replaced."""
    street = exchanged(tmp_path, capsys, DAILY, 14, 0)
    for day in range(15, 36):
        street.old.charge(street.old.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    settled(street)
    if closed:
        street.done("bill", "close", OLD, 0, "--month", "2026-01")
    settled(street)
    street.replace()
    reads_on(street, 59)
    # 59 days of 5.00 for energy, 0.30 and 0.10; no module charges the day on which it opens.
    assert terms_ncur(street, *MONTHS) == (59 * (10 + 54) + 30) * CENT
    # And the daily charge of the day that has begun.
    assert street.balance(NEW) == -(59 * (540 + 54) + 30) * CENT


def test_a_daily_charge_of_days_without_a_module_bears_its_percentages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = exchanged(tmp_path, capsys, DAILY, 14, 40_000, 4 * DAY_S)
    street.replace()
    reads_on(street, 31)
    assert terms_ncur(street, "2026-01") == (31 * (10 + 54) + 30) * CENT


def test_a_bill_that_an_old_module_leaves_behind_by_what_it_tells_late_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new module's bill has the energy of four days that the old one had still to tell."""
    street = exchanged(tmp_path, capsys, DUTY, 10, 40_000, 4 * DAY_S + 3600)
    street.replace()
    reads_on(street, 59)
    number = street.done("bill", "issue", NEW, 0, "--month", "2026-01")["content"]["number"]
    for day in range(11, 15):
        street.old.charge(street.old.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    settled(street)
    told = street.refused("bill", "issue", NEW, 0, "--month", "2026-02")
    assert f"{number} lacks -2.00 by its terms" in told
    by = ("--by", "Li Na", "--reason", "the old module has told the rest")
    street.done("bill", "credit", number, *by)
    for month in MONTHS:
        street.done("bill", "issue", NEW, 0, "--month", month)
    assert terms_ncur(street, *MONTHS) == 2950 * CENT
