"""No bill over a doubtful reading, a missing one, or a ledger that the second path contradicts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host_tools import Refused, tariffs
from host_tools.config import read_toml
from host_tools.settlement import commands
from host_tools.validation import audit, gate
from host_tools.validation.command import caught_up
from host_tools.validation.following import Follower
from host_tools.validation.journal import Row
from host_tools.validation.limits import Limits
from protocol import codes, ledger
from protocol.units import DAY_S, SYNCHRONISED
from tests.host_tools.genuine import ROOT, PointLedger
from tests.host_tools.test_adoption import Lost
from tests.host_tools.validation.judged import BY, DAY, MIDNIGHT_S, Judged, wave
from tests.host_tools.validation.test_following import leaping

BEIJING = ROOT / "host_tools/tariff_files/cn-bj-2012.toml"
JANUARY = (1767196800, 1769875200)  # in Beijing
FEBRUARY = (1769875200, 1772294400)
MARCH = (1772294400, 1774972800)
MONTH = ("m1", 0, "--month", "2026-02")


def months(judged: Judged) -> None:
    """From 2 January on, so that February is whole."""
    judged.meter(62 * DAY)
    judged.validate()


def doubts(
    judged: Judged, file: bool = True, span: tuple[int, int] = FEBRUARY
) -> list[gate.Doubt]:
    values = read_toml(BEIJING) if file else None
    return gate.doubts(judged.store, judged.point(), *span, values)


def rows_of(judged: Judged) -> list[Row]:
    return gate.journal.rows_of(judged.store, judged.point().id, 1)


def billed(
    judged: Judged,
    span: tuple[int, int],
    rows: Sequence[Row],
    values: dict[str, Any] | None = None,
) -> audit.Bill:
    """The audit's bill of a month, out of a journal that may have been changed."""
    point, book = judged.point(), judged.made.book
    month = [row for row in rows if gate._in(row, book, *span)]
    meter = gate.meter_at(judged.store, point, book)
    return gate._bill(point, *span, values or read_toml(BEIJING), rows, month, {}, meter)


def blocking(bill: audit.Bill) -> set[str]:
    return {each.rule for each in audit.audit(bill, Limits()) if each.result == audit.BLOCK}


def holds(rule: str, bill: audit.Bill) -> bool:
    """One rule alone: the second rating takes its time."""
    return audit.RULES[rule].run(bill, Limits())[0] == audit.PASS


def transfer(judged: Judged, more_wh: int) -> None:
    """Money and tier position of a module before, as its order brings them."""
    made, state = judged.made, judged.made.state
    with judged.store.transaction():
        args: list[object] = [5 * 10**9, state.period, more_wh]
        what = ("m1", 0, codes.TRANSFER, args, judged.desk.clock.s, 10**7)
        command = commands.issue(judged.store, *what)
    brought = (SYNCHRONISED, command, 5 * 10**9, state.used_wh + more_wh)
    made.enter(ledger.transferred(state, made.book, state.time_s + 5, *brought))
    judged.send()


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
    good = billed(judged, FEBRUARY, rows_of(judged))
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
            gate.refuse(judged.point(), found, released=True)


def test_a_share_that_is_estimated_is_told_as_one_and_not_as_a_mistake(judged: Judged) -> None:
    months(judged)
    number = judged.dispute(40 * DAY, 44 * DAY - 1)  # 4 of 28 days
    judged.shown("review", "estimate", number, *BY)
    (mark,) = doubts(judged)
    assert str(mark) == "14.3 % of this bill is estimated 本账单估算占比 14.3 %"
    gate.refuse(judged.point(), [mark])


# Months that readings do not begin and end at midnight


def power_cut(judged: Judged) -> None:
    """From 23:30 to 00:40, over the end of February: one charge."""
    judged.meter(58 * DAY - 2)
    judged.enter(120, 4200)
    judged.meter(32 * DAY)
    judged.validate()


def late_poll(judged: Judged) -> None:
    """The last reading of February is of 1 March 00:00:06."""
    judged.meter(58 * DAY - 1)
    judged.enter(250, 906)
    judged.meter(32 * DAY)
    judged.validate()


def transferred(judged: Judged) -> None:
    """A transfer on 11 February, after which the point is sooner in its third tier."""
    judged.meter(40 * DAY)
    transfer(judged, 50_000)
    judged.meter(50 * DAY)
    judged.validate()


@pytest.mark.parametrize("late_s", [0, 9 * DAY_S + 1234, 29 * DAY_S + DAY_S // 2])
def test_the_month_in_which_a_point_was_opened_is_billed(judged: Judged, late_s: int) -> None:
    judged.made.open(MIDNIGHT_S + late_s)
    judged.meter(40 * DAY)
    judged.validate()
    assert doubts(judged, span=JANUARY) == []
    judged.shown("tariff", "add", BEIJING)
    told = judged.shown("bill", "issue", "m1", 0, "--month", "2026-01")["content"]
    assert told["doubts"] == [] and told["registers_s"][0] == MIDNIGHT_S + late_s


def test_a_month_with_charges_by_the_day_is_billed_from_its_opening(judged: Judged) -> None:
    values = read_toml(BEIJING)
    values |= {"version": 7, "set": [{**values["set"][0], "fixed_per_day": "0.333"}]}
    book = tariffs.book_of(values, "daily")
    judged.store.fleet.store_book("daily", book, 0)
    with judged.store.transaction():
        judged.store.fleet.assign(1, book.version, 0)
    made = judged.made = PointLedger("m1", 0, book)
    made.open(MIDNIGHT_S + 19 * DAY_S + 1234)
    for place in range(20 * DAY):
        made.charge(wave(place))
        for _ in range(*ledger.fixed_days_due(made.state, book, made.state.time_s)):
            made.fixed()
    judged.send()
    judged.validate()
    assert gate.doubts(judged.store, judged.point(), *JANUARY, values) == []
    bill = billed(judged, JANUARY, rows_of(judged), values)
    assert sum(each.exact_ncur for each in bill.lines if each.kind == audit.FIXED) == 3_330_000_000
    assert blocking(replace(bill, opened=False)) == {"second rating", "data scope"}


@pytest.mark.parametrize("reading", [power_cut, late_poll])
def test_a_reading_over_midnight_belongs_to_the_month_in_which_it_ends(
    judged: Judged, reading: Callable[[Judged], None]
) -> None:
    reading(judged)
    assert doubts(judged) == [] and doubts(judged, span=MARCH) == []
    rows = rows_of(judged)
    bills = [billed(judged, span, rows) for span in (FEBRUARY, MARCH)]
    assert bills[0].metered_s[1] == bills[1].metered_s[0] < MARCH[0]
    judged.shown("tariff", "add", BEIJING)
    judged.shown("bill", "issue", "m1", 0, "--month", "2026-03")


def test_a_month_inside_one_reading_has_no_energy_and_is_not_blocked(judged: Judged) -> None:
    judged.meter(20 * DAY)  # to 22 January
    judged.made.adjust(1, 0)
    judged.enter(900, 45 * DAY_S)
    judged.send()
    rows = rows_of(judged)
    (moved,) = [row for row in rows if row.kind == ledger.ADJUSTMENT]
    rows = [row._replace(time_s=FEBRUARY[0] + 5) if row == moved else row for row in rows]
    bill = billed(judged, FEBRUARY, rows)
    assert (bill.intervals, bill.metered_s[0]) == ((), bill.metered_s[1])
    assert blocking(bill) == set()


def test_an_estimate_over_midnight_counts_for_each_month_by_its_own_share(judged: Judged) -> None:
    judged.meter(57 * DAY)
    judged.enter(5000, 10 * DAY_S)
    judged.meter(32 * DAY)
    rows = rows_of(judged)
    bill = billed(judged, MARCH, rows)
    held = replace(bill, intervals=(replace(bill.intervals[0], quality="E"), *bill.intervals[1:]))
    told = {each.rule: each.detail for each in audit.audit(held, Limits())}
    assert told["estimation"] == "29.1 %"  # 9 of 31 days


# The ladder that a transfer sets


def test_a_month_with_a_transfer_is_priced_again_from_the_place_that_it_set(
    judged: Judged,
) -> None:
    transferred(judged)
    assert doubts(judged) == [] and doubts(judged, span=MARCH) == []
    bill = billed(judged, FEBRUARY, rows_of(judged))
    assert {line.tier for line in bill.lines if line.kind == audit.ENERGY} == {0, 1, 2}
    ((at_s, place_wh),) = bill.anew
    assert blocking(replace(bill, anew=())) == {"second rating"}
    assert blocking(replace(bill, anew=((at_s, place_wh - 10_000),))) == {"second rating"}
    assert blocking(replace(bill, anew=((at_s + 1, place_wh),))) == {"second rating"}


def test_the_first_month_of_a_module_that_takes_over_is_billed(judged: Judged) -> None:
    judged.made.open(MIDNIGHT_S + 10 * DAY_S + 1234)
    judged.meter(4)
    transfer(judged, 2_900_000)
    judged.meter(40 * DAY)
    judged.validate()
    assert doubts(judged, span=JANUARY) == []


# What is wrong in such a month blocks it all the same


def dearer(values: dict[str, Any]) -> dict[str, Any]:
    first, *more = values["set"]
    prices = dict.fromkeys(first["prices"], "0.4884")
    return {**values, "set": [{**first, "prices": prices}, *more]}


@pytest.mark.parametrize("made", [months, power_cut, late_poll, transferred])
def test_a_month_with_a_changed_journal_is_blocked(
    judged: Judged, made: Callable[[Judged], None]
) -> None:
    made(judged)
    span = FEBRUARY if made in (months, transferred) else MARCH
    rows = rows_of(judged)
    month = [row for row in rows if row.is_charge() and gate._in(row, judged.made.book, *span)]
    assert blocking(billed(judged, span, rows)) == set()
    assert not holds("footing", billed(judged, span, rows, dearer(read_toml(BEIJING))))
    for row in (month[0], month[len(month) // 2], month[-1]):
        at = rows.index(row)
        for more_wh, rule in ((1, "footing"), (30_000, "energy")):
            more = row._replace(energy_wh=row.energy_wh + more_wh)
            changed = billed(judged, span, [*rows[:at], more, *rows[at + 1 :]])
            assert not holds(rule, changed)
        assert not holds("data scope", billed(judged, span, [*rows[:at], *rows[at + 1 :]]))
        assert not holds("data scope", billed(judged, span, [*rows[:at], row, *rows[at:]]))


def test_a_month_with_an_opening_behind_lost_time_is_blocked(judged: Judged) -> None:
    judged.meter(35 * DAY)
    judged.made.open(judged.made.state.time_s + 3600, 5000)
    judged.meter(60 * DAY)
    rows = rows_of(judged)
    assert blocking(billed(judged, FEBRUARY, rows)) == {"data scope"}
    assert blocking(billed(judged, MARCH, rows)) == set()


def test_a_month_with_records_that_were_lost_is_marked_as_not_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Lost(tmp_path, capsys)
    lost.desk.take(lost.made.statement())
    lost.charge()
    lost.adopt()
    lost.charge()
    first = len(lost.made.entries) + 1
    for place in range(62 * DAY):
        lost.made.charge(wave(place))
    for seq in range(first, len(lost.made.entries) + 1, 90):
        lost.desk.take(lost.made.batch(seq, min(90, len(lost.made.entries) - seq + 1)))
    caught_up(Follower(lost.desk.store, lost.desk.clock.now_s))
    for review in gate.Queue(lost.desk.store).items(lost.point().id, "open"):
        assert lost.run("review", "accept", review.id, *BY)[0] == 0
    (mark,) = gate.doubts(lost.desk.store, lost.point(), *JANUARY, read_toml(BEIJING))
    assert mark.text.startswith("not audited: records of it were lost") and not mark.blocks
    gate.refuse(lost.point(), [mark])
    assert gate.doubts(lost.desk.store, lost.point(), *FEBRUARY, read_toml(BEIJING)) == []
