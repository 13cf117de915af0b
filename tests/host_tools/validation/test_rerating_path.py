"""A corrected reading is re-rated to the end of its tier period, ordered and booked once."""

import pytest

from host_tools.config import read_toml
from host_tools.settlement import commands, posting, reconcile
from host_tools.validation import journal, recount
from host_tools.validation.deciding import decide
from host_tools.validation.versions import Versions
from protocol import codes, ledger
from protocol.units import SYNCHRONISED
from tests.host_tools.desk import BOOK, TOU_BOOK
from tests.host_tools.genuine import ROOT, PointLedger
from tests.host_tools.validation.judged import BY, DAY, Judged, asked_ncur, iso


def thirty(place: int) -> int:
    """Crosses 240 kWh, the first tier, in a week."""
    return 300 + place % 89


def test_an_edit_rerates_to_the_end_of_the_tier_period_with_one_order(judged: Judged) -> None:
    judged.large()
    judged.meter(10 * DAY, thirty)
    assert judged.validate().days == 9
    before_ncur = judged.point().state.balance_ncur
    told = judged.edit(5, 40_000)
    owed_ncur = asked_ncur(judged.made, {}) - asked_ncur(judged.made, {5: 40_000})
    alone_ncur = (40_000 - judged.made.entries[4].energy_wh) * 488_300
    assert told["adjustment"]["amount_ncur"] == owed_ncur < -alone_ncur  # later ones rose a tier
    assert told["readings_version"] == told["adjustment"]["version"]
    (sent,) = judged.adjusted()
    assert sent.args == [8, owed_ncur]
    assert judged.balanced()
    assert judged.point().state.balance_ncur == before_ncur + owed_ncur
    assert reconcile.trial_balance(judged.store)
    assert judged.adjusted() == [] == judged.desk.differences()
    assert judged.store.ledgers.accounts()["CNY", posting.ADJUSTMENTS] == owed_ncur


def test_a_correction_before_a_transfer_keeps_the_place_in_the_tiers_that_came_with_it(
    judged: Judged,
) -> None:
    """The module took over 2,900 kWh of the tier period: what is metered later stays in tier 3."""
    judged.meter(3 * DAY)
    store, state = judged.store, judged.made.state
    used_wh = state.used_wh + 2_900_000
    given = [5 * 10**9, state.period, 2_900_000]
    with store.transaction():
        made = commands.issue(store, "m1", 0, codes.TRANSFER, given, judged.desk.clock.s, 10**7)
    moved = (state, BOOK, state.time_s + 5, SYNCHRONISED, made, given[0], used_wh)
    judged.made.enter(ledger.transferred(*moved))
    judged.send()
    judged.meter(2 * DAY)
    judged.validate()
    energy_wh = judged.made.entries[99].energy_wh
    told = judged.edit(100, energy_wh - 100)["adjustment"]
    assert told["amount_ncur"] == 100 * 488_300
    later = judged.made.entries[4 * DAY - 1].energy_wh
    told = judged.edit(4 * DAY, later - 100)["adjustment"]
    assert told["amount_ncur"] == 100 * 788_300
    assert len(judged.adjusted()) == 2 and judged.balanced()


def test_the_order_names_readings_tariff_rule_who_and_why(judged: Judged) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    judged.edit(5, 0)
    row = judged.orderly.listed()[-1]
    assert row["order"].endswith("re-rating") and "读数更正重计" in row["order_zh"]
    assert (row["who"], row["state"]) == ("Li Na", "queued")
    assert row["why"] == "photo of the display [S45, readings 1, tariff 1]"
    number = judged.shown("review", "list", "--all")[0]["id"]
    (order,) = judged.shown("review", "show", number)["adjustments"]
    assert (order["rule"], order["version"], order["tariffs"]) == ("S45", 1, "1")
    code, out, err = judged.orderly.run("review", "show", number)
    assert (code, err) == (0, "") and "adjust 调账" in out and "manual 人工修改" in out


def test_of_two_edits_the_second_orders_the_rest_only(judged: Judged) -> None:
    judged.large()
    judged.meter(10 * DAY, thirty)
    judged.validate()
    first = judged.edit(5, 9_000)["adjustment"]["amount_ncur"]
    second = judged.edit(700, 1_000)["adjustment"]["amount_ncur"]
    whole_ncur = asked_ncur(judged.made, {}) - asked_ncur(judged.made, {5: 9_000, 700: 1_000})
    assert first + second == whole_ncur
    judged.shown("review", "reopen", 1, *BY)
    metered = f"{iso(judged.start_s(5))}={judged.made.entries[4].energy_wh}"
    told = judged.shown("review", "edit", 1, "--set", metered, *BY)
    third = told["adjustment"]["amount_ncur"]
    only_ncur = asked_ncur(judged.made, {}) - asked_ncur(judged.made, {700: 1_000})
    assert first + second + third == only_ncur  # what was taken back is paid back
    assert len(judged.adjusted()) == 3 and judged.balanced()


def test_a_repeated_decision_orders_nothing_more(judged: Judged) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    number = judged.dispute(5, 5)
    words = ("review", "edit", number, "--set", f"{iso(judged.start_s(5))}=0", *BY)
    judged.shown(*words)
    assert f"review {number} is corrected by Li Na" in judged.refusal(*words)
    judged.validate()
    judged.shown("validate")
    orders = [row for row in judged.orderly.listed() if row["order"].startswith("adjust")]
    assert len(orders) == 1


def test_two_values_of_one_instant_are_refused(judged: Judged) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    number = judged.dispute(20, 24)
    same = iso(judged.start_s(20)).replace("Z", "+00:00")
    words = ("--set", f"{iso(judged.start_s(20))}=10", "--set", f"{same}=90", *BY)
    told = judged.refusal("review", "edit", number, *words)
    assert f"--set {same}=90: this instant is given twice; give it once 时刻重复" in told
    assert Versions(judged.store).number(1) == 0


def test_a_dispute_ends_where_settlement_does(judged: Judged) -> None:
    """Else a decision would take in what nobody had seen when it was disputed."""
    judged.meter(2 * DAY)
    judged.validate()
    end_s = judged.made.state.time_s
    words = ("review", "open", "m1", 0, "--from", iso(end_s - 1800), "--to")
    told = judged.refusal(*words, iso(end_s + 1), *BY)
    assert f"--to: m1/0 is settled to {iso(end_s)}" in told and "晚于已结算时刻" in told
    assert judged.shown("review", "list") == []
    judged.shown(*words, iso(end_s), *BY)


class Cut(Exception):
    """Ends a transaction before its commit."""


def test_a_crash_in_a_decision_leaves_nothing_of_it(judged: Judged) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    number = judged.dispute(5, 5)
    rows = judged.orderly.rows("commands")
    values = {judged.start_s(5): 0}
    with pytest.raises(Cut), judged.store.transaction():
        made = decide(judged.store, number, "edit", "Li Na", "photo", 1, values)
        assert made.ordered is not None
        raise Cut
    assert judged.orderly.rows("commands") == rows
    assert Versions(judged.store).number(1) == 0
    value = f"{iso(judged.start_s(5))}=0"
    told = judged.shown("review", "edit", number, "--set", value, *BY)
    assert told["adjustment"]["amount_ncur"] == judged.made.entries[4].energy_wh * 488_300
    assert len(judged.adjusted()) == 1 and judged.balanced()


def test_the_next_tier_period_is_untouched_and_the_rest_is_ordered_when_it_ends(
    judged: Judged,
) -> None:
    judged.large()
    judged.meter(3 * DAY, thirty)
    judged.validate()
    first_ncur = judged.edit(5, 60_000)["adjustment"]["amount_ncur"]
    judged.adjusted()
    judged.meter(37 * DAY, thirty)  # January ends on the way
    judged.validate()
    told = [command.args for command in judged.adjusted()]
    assert len(told) == 1
    whole_ncur = asked_ncur(judged.made, {}) - asked_ncur(judged.made, {5: 60_000})
    assert first_ncur + told[0][1] == whole_ncur
    judged.meter(30 * DAY, thirty)
    judged.validate()
    assert judged.adjusted() == [] and judged.balanced()


def test_a_refused_order_is_ordered_again_by_validate_and_no_other(judged: Judged) -> None:
    judged.meter(2 * DAY)
    judged.validate()
    made = judged.edit(5, 0)["adjustment"]
    (sent,) = [each for each in judged.orderly.sent() if each.action == codes.ADJUST]
    judged.orderly.answer(sent.id, codes.REFUSED_FIELD)
    assert judged.shown("validate")["adjustments"] == 1
    assert judged.shown("validate")["adjustments"] == 0
    (again,) = judged.adjusted()
    assert again.id != made["command_id"] and again.args == sent.args
    assert judged.balanced()


def test_the_second_path_comes_to_the_same_adjustment(judged: Judged) -> None:
    """Hours, annual tiers crossed by a correction: recount.py shares no code with the engine."""
    values = read_toml(ROOT / "host_tools/tariff_files/cn-zj-tou.toml")
    judged.made = PointLedger("m1", 0, TOU_BOOK)
    with judged.store.transaction():
        judged.store.fleet.store_book("tou", TOU_BOOK, 0)
        judged.store.fleet.assign(1, TOU_BOOK.version, 0)
    judged.large()
    judged.meter(7 * DAY, lambda place: 4_000 + place % 89)  # 2,760 kWh: the first tier of a year
    judged.validate()
    number = judged.dispute(100, 104)
    changed = dict.fromkeys(range(100, 105), 60000)
    words = [f"--set={iso(judged.start_s(seq))}={wh}" for seq, wh in changed.items()]
    told = judged.shown("review", "edit", number, *words, *BY)
    charges = [row for row in journal.rows_of(judged.store, 1, 1) if row.is_charge()]
    before, after = (
        recount.Tariff(values).recount(
            [(row.from_s, row.time_s, energies.get(row.seq, row.energy_wh)) for row in charges],
            0,
        )
        for energies in ({}, changed)
    )
    assert after.used_wh > 2_760_000 > before.used_wh
    assert told["adjustment"]["amount_ncur"] == before.total_ncur() - after.total_ncur()
    assert judged.adjusted()[0].args == [8, told["adjustment"]["amount_ncur"]]
    assert judged.balanced()
