"""Terms of the host around an exchange of modules: what neither has metered, and both have."""

from pathlib import Path

import pytest

from protocol.units import DAY_S
from tests.host_tools.care.street import NEW, OLD, Street
from tests.host_tools.care.test_corrected import settled
from tests.host_tools.test_closing import CUR, JANUARY_S
from tests.host_tools.test_corrected_terms import CENT, DUTY, exchanged

MONTHS = ("2026-01", "2026-02")


def reads_on(street: Street, upto_day: int) -> None:
    """The new module reads 10 kWh a day, to the end of so many days since New Year."""
    first = (street.new.state.time_s - JANUARY_S) // DAY_S + 1
    for day in range(first, upto_day + 1):
        street.new.charge(street.new.state.register_wh + 10_000, JANUARY_S + day * DAY_S)
    settled(street)


def terms_ncur(street: Street, *months: str) -> int:
    """What is entered for terms in months of both accounts, as often as they are closed."""
    total_ncur = 0
    for _ in range(2):
        for month in months:
            for module in (OLD, NEW):
                code, out, _ = street.run("bill", "close", module, 0, "--month", month, "--json")
                assert code == 0 or (module, month) in (("old-1", "2026-02"), ("new-1", "2026-01"))
        settled(street)
    rows = street.store._connection.execute("SELECT amount_ncur FROM host_entries").fetchall()
    total_ncur -= sum(row[0] for row in rows)
    street.sound()
    return total_ncur


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
