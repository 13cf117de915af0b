"""A tariff that a module took late: energy, days and terms are by the one that was assigned."""

from typing import Any

import pytest

from host_tools import tariffs
from host_tools.settlement import reconcile
from host_tools.tariffs import stored
from protocol import ledger
from protocol.units import DAY_S, SYNCHRONISED
from tests.host_tools.desk import Desk
from tests.host_tools.test_closing import CUR, JANUARY_S, MONTH, Home

CENT = CUR // 100
TEXT = """
version = {version}
name = "one"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
fixed_per_day = "{daily}"
prices = {{ flat = "{price}" }}
"""
DUTY = """
[[set.line]]
name = "duty"
percent = "10"
on = ["energy", "fixed"]
"""


def late(desk: Desk, capsys: pytest.CaptureFixture[str], duty: str) -> Home:
    """10 kWh a day; version 604 counts from 2 January, the module takes it on the 21st."""
    first = TEXT.format(version=603, daily="0.30", price="0.50") + duty
    home = Home(desk, capsys, 10_000, days=1, text=first, opened_s=JANUARY_S)
    path = desk.folder / "second.toml"
    path.write_text(TEXT.format(version=604, daily="0.20", price="0.60") + duty, encoding="utf-8")
    with desk.store.transaction():
        stored.add(desk.store, path, JANUARY_S)
        desk.store.fleet.assign(1, 604, JANUARY_S + DAY_S)
    for day in range(2, 60):
        if day == 21:
            home.ledger.book = tariffs.read_book(path)
        made, at_s = home.ledger, JANUARY_S + day * DAY_S
        register_wh = made.state.register_wh + 10_000
        made.enter(ledger.charge(made.state, made.book, at_s, SYNCHRONISED, register_wh))
        for begun in range(*ledger.fixed_days_due(made.state, made.book, at_s)):
            made.enter(ledger.fixed(made.state, made.book, SYNCHRONISED, begun))
        if day in (20, 59):
            home.send()
            assert home.orderly.run("validate", "m1")[0] == 0
    return home


def test_its_daily_charge_is_made_good_with_its_energy(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = late(desk, capsys, "")
    for command in home.adjustments():
        home.obey(command)
    # One day by the first version; the daily charges begin with 2 January, and reach 1 March.
    assert home.balance_ncur() == -(500 + 58 * 600 + 59 * 20) * CENT
    assert home.orderly.run("validate", "m1")[0] == 0
    assert home.adjustments() == []
    assert home.orderly.run("verify")[0] == 0
    assert reconcile.trial_balance(home.desk.store)


def test_its_terms_are_of_what_was_made_good(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    home = late(desk, capsys, DUTY)
    told: Any = home.bill("close", "m1", 0, "--month", "2026-02")
    assert {row["rule"]: row["amount_ncur"] for row in told["entered"]} == {
        "percent duty": -28 * 62 * CENT
    }
    code, _, err = home.orderly.run("bill", "close", "m1", 0, *MONTH)
    assert code == 2 and "several tariff versions that differ" in err  # its first day is another's
