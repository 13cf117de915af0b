"""A tariff file for a home of its own: its book is that of rating/thresholds, and a module's."""

import json
import tomllib
from datetime import date

import pytest

from host_tools import Refused, tariffs
from host_tools.rating import thresholds
from host_tools.rating.calendar import day_number
from host_tools.tariffs import stored
from host_tools.tariffs.deriving import derived
from protocol import tariff
from tests.host_tools.bills import FILES, instant, shipped
from tests.host_tools.desk import Desk
from tests.host_tools.ordering.orderly import Orderly

SHANGHAI = (FILES / "cn-sh-2012.toml").read_text(encoding="utf-8")


def made(text: str, *what: object):  # type: ignore[no-untyped-def]
    out = derived(text, 900, *what)
    return tariffs.document_of(tomllib.loads(out), "derived"), out


@pytest.mark.parametrize("name", sorted(path.stem for path in FILES.glob("*.toml")))
def test_a_derived_file_says_all_that_its_base_says(name: str) -> None:
    text = (FILES / f"{name}.toml").read_text(encoding="utf-8")
    base = shipped(name)
    try:
        found, _ = made(text, date(2026, 7, 15), [(date(2026, 9, 1), 100)], (), 0)
    except Refused:
        return  # no tiers of months or years
    assert (found.zone, found.names_zh, found.book.currency) == (
        base.zone, base.names_zh, base.book.currency,
    )  # fmt: skip
    for at_s in (instant(base, 2026, 8, 1), instant(base, 2026, 10, 1), instant(base, 2028, 1, 1)):
        for wanted, book in ((base.book.rates, found.book.rates), (base.terms, found.terms)):
            assert tariff.in_force(wanted, at_s) == tariff.in_force(book, at_s)


def test_a_year_begun_late_has_its_months_and_the_next_year_all() -> None:
    base = shipped("cn-sh-2012")
    found, text = made(SHANGHAI, date(2026, 7, 15), [], (), 0)
    wanted = thresholds.first_year(base.book, day_number(2026, 7, 15))
    for month in range(1, 25):
        at_s = instant(base, 2026 + (month - 1) // 12, (month - 1) % 12 + 1, 15)
        assert tariff.in_force(found.book.ladders, at_s) == tariff.in_force(wanted.ladders, at_s)
    assert 'tiers_kwh = ["1560", "2400"]' in text and "from = 2027-01-01" in text
    assert len(found.book.rates) == 2, "a module can have it"


def test_a_household_raises_its_tiers_from_the_first_of_a_month() -> None:
    base = shipped("cn-bj-2012")
    text = (FILES / "cn-bj-2012.toml").read_text(encoding="utf-8")
    shifts = [(date(2026, 3, 1), 100), (date(2026, 9, 1), 0)]
    found, _ = made(text, None, shifts, (1,), instant(base, 2026, 4, 1))
    at = [instant(base, 2026, month, 2) for month in (5, 10)]
    got = [tariff.in_force(found.book.ladders, at_s).thresholds_wh for at_s in at]
    assert got == [(340_000, 400_000), (240_000, 400_000)]
    assert len(found.book.rates) == 2, "what was before 1 March is over"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((1, 900), "--moved-in or --household: name"),
        ((1, 900, "--moved-in", "2026-07-15"), "nothing of this tariff changes"),
        ((1, 900, "--household", "2026-03-02=100"), "first of a month"),
        ((1, 900, "--household", "March"), "--household March: write it as"),
        ((7, 900, "--moved-in", "2026-07-15"), "version 7: is not in the store"),
        ((1, 0, "--household", "2026-03-01=100"), "0: a version is 1 to"),
        ((1, 900, "--household", "2026-06-01=100", "--tier", 3), "--tier 3: tiers 1 to 2 have"),
        ((1, 900, "--household", "2026-06-01=100", "--tier", 0), "--tier 0: tiers 1 to 2 have"),
        ((1, 900, "--moved-in", "2026-07-15", "--tier", 1), "--tier: is of a --household"),
        ((1, 900, "--household", "2026-06-01=0"), "--household: nothing of this tariff changes"),
        ((1, 900, "--household", "2024-06-01=9", "--household", "2025-01-01=0"), "from now on"),
        ((1, 900, "--household", "2026-06-01=9", "--household", "2026-06-01=8"), "told twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_derived_is_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], line: str
) -> None:
    orderly = Orderly(desk, capsys)
    orderly.run("tariff", "add", FILES / "cn-bj-2012.toml")
    code, _, err = orderly.run("tariff", "derive", *words)
    assert code == 2 and line in err and err.count("\n") == 1
    assert stored.document(desk.store, 900) is None


def test_the_command_keeps_what_it_makes(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    orderly = Orderly(desk, capsys)
    orderly.run("tariff", "add", FILES / "cn-bj-2012.toml")
    words = ("tariff", "derive", 1, 900, "--household", "2026-03-01=100", "--json")
    code, out, err = orderly.run(*words)
    assert code == 0, err
    assert "100 kWh a month from 2026-03-01" in json.loads(out)["name"]
    document = stored.document(desk.store, 900)
    assert document is not None
    assert document.book.ladders[0][1].thresholds_wh == (340_000, 500_000)
    code, _, err = orderly.run("tariff", "assign", 900, "m1/0", "--by", "x", "--reason", "five")
    assert code == 0, err
