"""No bill over a doubtful reading, a missing one, or a ledger that the second path contradicts."""

from dataclasses import replace

import pytest

from host_tools import Refused
from host_tools.config import read_toml
from host_tools.validation import audit, gate
from host_tools.validation.limits import Limits
from tests.host_tools.genuine import ROOT
from tests.host_tools.validation.judged import BY, DAY, Judged, wave
from tests.host_tools.validation.test_following import leaping

BEIJING = ROOT / "host_tools/tariff_files/cn-bj-2012.toml"
FEBRUARY = (1769875200, 1772294400)  # in Beijing
MONTH = ("m1", 0, "--month", "2026-02")


def months(judged: Judged) -> None:
    """From 2 January on, so that February is whole."""
    judged.meter(62 * DAY)
    judged.validate()


def doubts(judged: Judged, file: bool = True) -> list[gate.Doubt]:
    values = read_toml(BEIJING) if file else None
    return gate.doubts(judged.store, judged.point(), *FEBRUARY, values)


def test_a_month_that_is_validated_and_audited_is_billed_without_a_mark(judged: Judged) -> None:
    months(judged)
    assert doubts(judged) == []
    judged.edit(40 * DAY, 999)  # an adjustment in March is a line of March
    judged.adjusted()
    assert doubts(judged) == []


def test_an_open_review_stops_the_bill_until_it_is_decided(judged: Judged) -> None:
    months(judged)
    number = judged.dispute(40 * DAY, 40 * DAY)
    judged.shown("tariff", "add", BEIJING)
    line = judged.refusal("bill", "issue", *MONTH)
    assert f"review {number}" in line and "gridpurse review show" in line and "待审" in line
    (mark, *_) = judged.shown("bill", "draft", *MONTH)["doubts"]
    assert mark in line
    judged.shown("review", "accept", number, *BY)
    told = judged.shown("bill", "issue", *MONTH)["content"]
    assert (told["doubts"], told["readings_version"]) == ([], 1)


def test_a_missing_reading_stops_the_bill_until_it_has_a_value(judged: Judged) -> None:
    judged.meter(31 * DAY)
    judged.meter(DAY, leaping)
    judged.meter(30 * DAY)
    judged.validate()
    assert any("1 readings have no value" in each.text for each in doubts(judged) if each.blocks)
    with pytest.raises(Refused, match=r"m1/0: .* doubtful readings wait"):
        gate.refuse(judged.point(), doubts(judged))
    for item in judged.shown("review", "list"):
        judged.shown("review", "estimate", item["id"], *BY)
    assert doubts(judged) == []


def test_what_is_not_looked_at_yet_only_marks_a_bill(judged: Judged) -> None:
    judged.meter(62 * DAY)
    (mark,) = doubts(judged)
    assert mark.text.startswith("readings are not validated to the end") and not mark.blocks
    judged.validate()
    (mark,) = doubts(judged, file=False)
    assert mark.text.startswith("not audited: no one tariff file") and not mark.blocks
    gate.refuse(judged.point(), [mark])


def test_an_audit_that_finds_a_difference_blocks(judged: Judged) -> None:
    months(judged)
    point, values, book = judged.point(), read_toml(BEIJING), judged.made.book
    rows = gate.journal.rows_of(judged.store, point.id, 1)
    month = [row for row in rows if gate._in(row, book, *FEBRUARY)]
    start = gate._position(rows, month[0].seq)
    meter = gate.meter_at(judged.store, point, book)
    good = gate._bill(point, *FEBRUARY, values, start, month, {}, meter)
    assert all(each.result == audit.PASS for each in audit.audit(good, Limits()))
    assert sum(each.energy_wh for each in good.intervals) > 27 * sum(wave(p) for p in range(DAY))
    for bad, rule in (
        (replace(good, ledger_ncur=1), "footing"),
        (replace(good, lines=()), "second rating"),
        (replace(good, intervals=()), "energy"),
        (replace(good, used_before_wh=5, previous_end_wh=0), "tier continuity"),
    ):
        found = gate._audited(bad, Limits())
        assert any(each.blocks and rule in each.text for each in found), found
        with pytest.raises(Refused):  # whoever asks
            gate.refuse(point, found, released=True)


def test_a_share_that_is_estimated_is_told_as_one_and_not_as_a_mistake(judged: Judged) -> None:
    months(judged)
    number = judged.dispute(40 * DAY, 44 * DAY - 1)  # 4 of 28 days
    judged.shown("review", "estimate", number, *BY)
    (mark,) = doubts(judged)
    assert str(mark) == "14.3 % of this bill is estimated 本账单估算占比 14.3 %"
    gate.refuse(judged.point(), [mark])
