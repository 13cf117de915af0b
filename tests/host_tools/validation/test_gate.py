"""No bill over a doubtful reading, a missing one, or a ledger that the second path contradicts."""

from dataclasses import replace

import pytest

from host_tools.config import read_toml
from host_tools.validation import audit, gate
from host_tools.validation.limits import Limits
from tests.host_tools.genuine import ROOT
from tests.host_tools.validation.judged import BY, DAY, Judged, wave
from tests.host_tools.validation.test_following import leaping

BEIJING = ROOT / "host_tools/tariff_files/cn-bj-2012.toml"
BILL = ("bill", "m1", 0, "--month", "2026-02", "--tariff", BEIJING)


def months(judged: Judged, days: int = 62) -> None:
    """From 2 January on, so that February is whole."""
    judged.meter(days * DAY)
    judged.validate()


def test_a_month_that_is_validated_and_audited_is_billed_without_a_mark(judged: Judged) -> None:
    months(judged)
    assert judged.shown(*BILL)["doubts"] == []
    judged.edit(40 * DAY, 999)  # an adjustment in March is a line of March
    judged.adjusted()
    assert judged.shown(*BILL)["doubts"] == []


def test_an_open_review_stops_the_bill_until_it_is_decided(judged: Judged) -> None:
    months(judged)
    number = judged.dispute(40 * DAY, 40 * DAY)
    line = judged.refusal(*BILL)
    assert f"review {number}" in line and "gridpurse review show" in line and "待审" in line
    (mark,) = judged.shown(*BILL, "--draft")["doubts"]
    assert mark in line
    judged.shown("review", "accept", number, *BY)
    assert judged.shown(*BILL)["doubts"] == []


def test_a_missing_reading_stops_the_bill_until_it_has_a_value(judged: Judged) -> None:
    judged.meter(31 * DAY)
    judged.meter(DAY, leaping)
    judged.meter(30 * DAY)
    judged.validate()
    assert "1 readings have no value" in judged.refusal(*BILL)
    for item in judged.shown("review", "list"):
        judged.shown("review", "estimate", item["id"], *BY)
    assert judged.shown(*BILL)["doubts"] == []


def test_what_is_not_looked_at_yet_only_marks_a_bill(judged: Judged) -> None:
    judged.meter(62 * DAY)
    told = judged.shown(*BILL)["doubts"]
    assert [each.split(";")[0] for each in told] == ["readings are not validated to the end"]
    judged.validate()
    (mark,) = judged.shown(*BILL[:5])["doubts"]
    assert mark.startswith("not audited: give the one tariff file")
    code, out, err = judged.orderly.run(*BILL[:5])
    assert (code, err) == (0, "") and "draft 草稿: not audited" in out


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"ledger_ncur": 1}, "footing"),
        ({"lines": ()}, "second rating"),
        ({"intervals": ()}, "energy"),
        ({"used_before_wh": 5}, "tier continuity"),
    ],
)
def test_an_audit_that_finds_a_difference_blocks(
    judged: Judged, change: dict[str, object], rule: str
) -> None:
    months(judged)
    point, values = judged.point(), read_toml(BEIJING)
    rows = gate.journal.rows_of(judged.store, point.id, 1)
    from_s, to_s = 1769875200, 1772294400  # February in Beijing
    book = judged.made.book
    month = [row for row in rows if gate._in(row, book, from_s, to_s)]
    start = gate._position(rows, month[0].seq)
    meter = gate.meter_at(judged.store, point, book)
    good = gate._bill(point, from_s, to_s, values, start, month, {}, meter)
    assert all(each.result == audit.PASS for each in audit.audit(good, Limits()))
    assert sum(each.energy_wh for each in good.intervals) > 27 * sum(wave(p) for p in range(DAY))
    found = gate._audited(replace(good, **change), Limits())  # type: ignore[arg-type]
    assert any(each.blocks and rule in each.text for each in found), found
