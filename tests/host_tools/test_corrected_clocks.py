"""Terms of the host where the clock of a module was mended: no month becomes unbillable."""

import pytest

from protocol import codes, ledger
from protocol.units import DAY_S, INVALID, SYNCHRONISED
from tests.host_tools.desk import Desk
from tests.host_tools.test_closing import JANUARY_S, MONTH, Home
from tests.host_tools.test_corrected_terms import BY, CENT, DUTY

FEBRUARY = ("--month", "2026-02")
FEBRUARY_S = JANUARY_S + 31 * DAY_S


def read(home: Home, at_s: int, wh: int, clock: int) -> None:
    state = home.ledger.state
    register_wh = state.register_wh + wh
    home.ledger.enter(ledger.charge(state, home.ledger.book, at_s, clock, register_wh))


def set_clock(home: Home, by_s: int) -> None:
    """The clock of a module is set, half a minute after its last reading by the false one."""
    home.send()
    home.orderly.run("validate", "m1")
    old_s = home.ledger.state.time_s + 30
    read(home, old_s + by_s, 0, SYNCHRONISED)
    home.send()
    home.orderly.tell(codes.CLOCK_SET, old_s, old_s + by_s)
    assert home.orderly.run("validate", "m1")[0] == 0


def duties(home: Home) -> list[object]:
    """What is printed for the duty of January and of February."""
    out = []
    for month in (MONTH, FEBRUARY):
        bill = home.bill("issue", "m1", 0, *month, *BY)["content"]["bill"]
        out += [line["printed_ncur"] for line in bill["lines"] if "duty" in line["name"]]
    return out


def test_a_reading_that_was_of_the_next_month_bears_its_percentages_there(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 290_000, days=29, text=DUTY)
    read(home, FEBRUARY_S - 600, 20_000, INVALID)
    set_clock(home, 1200)
    home.read(28, 280_000)
    # 290 kWh, and 20 of its last reading with the 280 of February.
    assert duties(home) == [1450 * CENT, 1500 * CENT]


def test_a_clock_that_was_fast_moves_no_reading_into_the_one_before(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(desk, capsys, 290_000, days=29, text=DUTY)
    for hour in range(1, 4):
        read(home, FEBRUARY_S - 2 * DAY_S + hour * 3600, 5_000, INVALID)
    set_clock(home, -5)
    home.read(30, 300_000)
    # 290, 15 and 20 kWh; 280 in February.
    assert duties(home) == [1625 * CENT, 1400 * CENT]
