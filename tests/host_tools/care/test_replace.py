"""A module takes over: no watt-hour and no unit is lost or counted twice, however late and cut."""

import random
from datetime import UTC, datetime

import pytest

from host_tools import Refused
from host_tools.billing import closing, issuing
from host_tools.billing.documents import Documents
from host_tools.care import following, replace
from host_tools.care.people import changing
from host_tools.settlement import commands
from host_tools.store import care
from protocol import codes, ledger, reading
from protocol.units import DAY_S
from tests.host_tools.care.street import (
    CUR,
    NEW,
    OLD,
    OPENED_S,
    PERSON,
    Street,
    alike,
    begun,
    opened,
    paid,
    used,
)  # fmt: skip
from tests.postgres import POSTGRESQL, SQLITE

REPLACE = ("module", "replace", OLD, NEW, "--by", "Li Na", "--reason", "work order 7")


def test_balance_tier_and_the_energy_in_between_move_in(street: Street) -> None:
    begun(street)
    street.replace()
    opened(street)
    street.settle()
    street.agreed()
    used(street, NEW, 40)
    street.settle()
    street.agreed()
    (entry,) = [each for each in street.new.ledger.entries if each.kind == ledger.TRANSFER]
    point = street.store.fleet.point_known(NEW, 0)
    day = datetime.fromtimestamp(point.state.time_s - 1, UTC)
    bill = closing.of_month(street.store, point, Documents(street.store), day.year, day.month)
    issuing.foot(point, bill)
    assert bill.closing_ncur == point.state.balance_ncur
    (moved,) = [each for each in bill.movements if each.kind == ledger.TRANSFER]
    assert moved.amount_ncur == entry.amount_ncur


def test_a_new_module_may_run_for_hours_before_anybody_says_so(street: Street) -> None:
    begun(street)
    opened(street)
    used(street, NEW, 20)
    street.new.send()
    street.replace()
    street.settle()
    street.agreed()


@pytest.mark.parametrize("late", (1, 5, 30))
def test_what_the_old_module_tells_late_is_charged_once(street: Street, late: int) -> None:
    begun(street)
    used(street, OLD, late)
    street.replace()
    opened(street)
    street.settle(OLD)
    used(street, NEW, 12)
    street.settle(OLD)
    street.old.send()
    street.settle()
    street.agreed()
    street.old.send()
    street.settle()
    street.agreed()


def test_days_without_a_module_cost_what_they_cost(street: Street) -> None:
    begun(street)
    street.replace()
    opened(street, gap_s=3 * 86400 + 77, gap_wh=9_000)
    street.settle()
    street.agreed()


@pytest.mark.parametrize("street", [SQLITE, POSTGRESQL], indirect=True)
def test_a_payment_on_its_way_goes_on_to_the_new_module_and_counts_once(street: Street) -> None:
    begun(street)
    paid(street, OLD, 25, "cash-2")
    street.look(NEW)  # the old module credits it; nobody hears of that for long
    street.replace()
    opened(street)
    street.settle(OLD)
    assert street.balance(NEW) - street.truth.state.balance_ncur == 0
    street.settle()
    street.agreed()
    with pytest.raises(Refused, match="new-1/0 took over"):
        street.pay(OLD, 25, "cash-3")
    street.pay(NEW, 25, "cash-2")  # said again where it has gone: as before
    street.settle()
    street.agreed()


def test_while_both_hang_on_one_meter_only_the_new_one_counts(street: Street) -> None:
    begun(street, 34)  # a midnight comes, and both charge its day
    street.replace()
    opened(street, gap_s=10, gap_wh=3)
    start_wh = street.new.state.register_wh
    for quarter in range(1, 5):
        at_s = reading.next_boundary_s(street.new.state.time_s)
        street.new.charge(start_wh + 400 * quarter)
        alike(street, at_s, 400)
        street.old.charge(start_wh + 400 * quarter, at_s)
    street.settle()
    street.agreed()


def test_the_tariff_that_was_decided_last_moves_though_the_clock_was_ahead(
    street: Street,
) -> None:
    begun(street)
    dearer = street.book._replace(version=street.book.version + 1)
    store, point = street.store, street.store.fleet.point_known(OLD, 0)
    with store.transaction():
        store.fleet.store_book("dearer", dearer, 0)
        commands.set_tariff(store, point, dearer, street.desk.clock.s + 3600)
    street.replace()
    new = store.fleet.point_known(NEW, 0)
    assert store.fleet.assigned_last(new.id) == dearer.version


def test_an_old_module_read_in_the_next_tier_period_leaves_the_customers_place(
    street: Street,
) -> None:
    begun(street, 12)
    opened(street)
    for day in (40, 41):
        street.old.charge(street.old.state.register_wh + 900, OPENED_S + day * DAY_S)
    street.replace()
    used(street, NEW, 10)
    street.settle()
    street.agreed()


def test_debts_move_with_what_is_left_of_them(street: Street) -> None:
    begun(street)
    with street.store.transaction():
        point = street.store.fleet.point_known(OLD, 0)
        args: list[object] = [1, 9 * CUR, CUR, 86400]
        commands.issue(street.store, OLD, 0, codes.DEBT, args, street.desk.clock.s, 86400)
    street.settle(NEW)
    street.old.tell(codes.DEBT_LEFT, 1, 9 * CUR)
    state = street.old.state
    street.old.ledger.enter(ledger.recovered(state, state.time_s + 9, 0, 1, 2 * CUR))
    street.truth.enter(ledger.recovered(street.truth.state, state.time_s + 9, 0, 1, 2 * CUR))
    street.old.send()
    street.replace()
    opened(street)
    street.settle()
    street.agreed()
    (order,) = street.ordered(NEW, 0, codes.DEBT)
    assert commands.args_of(order.args) == [1, 7 * CUR, CUR, 86400]
    assert point.module == OLD


def test_another_meter_is_never_guessed_and_a_person_settles_it(street: Street) -> None:
    begun(street)
    street.replace()
    at_s = street.old.state.time_s + 900
    street.new.open(at_s, 12)  # a new meter, at 12 Wh already
    street.settle()
    assert street.balance(NEW) == street.balance(OLD)  # supply first
    assert [row.kind for row in street.store.ledgers.differences()] == ["meter swap or rollover"]
    alike(street, at_s, 500 + 12)
    end_wh = street.old.state.register_wh + 500
    street.replace({0: replace.Meters(end_wh, 0)})
    street.settle()
    street.agreed()
    assert street.store.ledgers.differences() == []


def test_registers_that_leave_less_than_nothing_are_held(street: Street) -> None:
    begun(street)
    opened(street)
    street.new.send()
    end_wh = street.old.state.register_wh
    street.replace({0: replace.Meters(end_wh, end_wh + 9_000)})
    street.settle()
    known = care.of(street.store)
    row = known.of_old(street.store.fleet.point_known(OLD, 0).id)
    assert row is not None and "leave" in row.held
    street.replace({0: replace.Meters(end_wh, end_wh)})
    street.settle()
    street.agreed()


class Killed(Exception):
    """The process is gone before its commit."""


@pytest.mark.parametrize("street", [SQLITE, POSTGRESQL], indirect=True)
def test_killed_at_every_step_and_run_again_moves_once(street: Street) -> None:
    begun(street)
    paid(street, OLD, 5, "cash-2")
    with pytest.raises(Killed), street.store.transaction():
        replace.take_over(street.store, OLD, NEW, {}, PERSON, street.desk.clock.s)
        raise Killed
    assert street.balance(OLD) == street.owned(OLD)
    street.replace()
    street.replace()
    opened(street)
    street.new.send()
    street.replace()
    street.replace()
    street.look(NEW)
    street.replace()
    street.settle()
    street.replace()
    street.settle()
    street.agreed()
    assert sum(each.kind == ledger.TRANSFER for each in street.new.ledger.entries) == 1


def test_what_cannot_be_replaced_is_refused_in_one_line(street: Street) -> None:
    with pytest.raises(Refused, match="from itself"), street.store.transaction():
        replace.take_over(street.store, OLD, OLD, {}, PERSON, 0)
    with pytest.raises(Refused, match="no such module"), street.store.transaction():
        replace.take_over(street.store, OLD, "nobody", {}, PERSON, 0)
    with pytest.raises(Refused, match="no point 1"), street.store.transaction():
        replace.take_over(street.store, "m1", NEW, {}, PERSON, 0)
    street.replace()
    with pytest.raises(Refused, match="new-1/0 took over"), street.store.transaction():
        replace.take_over(street.store, OLD, "m1", {}, PERSON, 0)
    with pytest.raises(Refused, match="retire old-1 first"), street.store.transaction():
        replace.take_over(street.store, NEW, "m1", {}, PERSON, 0)


@pytest.mark.parametrize("seed", range(25))
def test_in_any_order_of_what_comes_late_the_ledgers_agree(street: Street, seed: int) -> None:
    chance = random.Random(seed)
    begun(street, chance.randrange(1, 30))
    used(street, OLD, chance.randrange(0, 40), chance.randrange(0, 900))
    if chance.random() < 0.5:
        paid(street, OLD, chance.randrange(1, 20), "cash-2")
        if chance.random() < 0.5:
            street.look(NEW)
    gap_s = chance.choice((3, 400, 20_000, 200_000))
    opened(street, gap_s, chance.randrange(0, gap_s // 2 + 1))
    begin = chance.randrange(8)
    for step in range(14):
        if step == begin:
            street.replace()
        used(street, NEW, chance.randrange(4), chance.randrange(2000))
        if chance.random() < 0.4:
            behind = street.old.state.seq - street.old.sent_seq
            street.old.send(street.old.sent_seq + chance.randrange(behind + 1))
        if chance.random() < 0.5:
            street.new.send()
        if chance.random() < 0.5:
            street.look(*chance.choice(((), (NEW,), (OLD,))))
        if chance.random() < 0.5:
            street.new.answer()
        if chance.random() < 0.2 and step > begin:
            street.replace()
    street.settle()
    street.agreed()


@pytest.mark.parametrize("street", [SQLITE, POSTGRESQL], indirect=True)
def test_two_that_look_at_once_order_once(street: Street) -> None:
    begun(street)
    street.replace()
    row = care.of(street.store).of_old(street.store.fleet.point_known(OLD, 0).id)
    assert row is not None
    street.replace()  # another one was quicker, as several may be on PostgreSQL
    with pytest.raises(Refused, match="say it again"), changing(street.store):
        following.follow(street.store, row, street.desk.clock.s, anew=True)
    opened(street)
    street.settle()
    street.agreed()


def forgotten(street: Street) -> None:
    """All evidence that may be forgotten is, long after its time."""
    with street.store.transaction():
        for order in street.store.payments.open_commands():
            street.store.payments.command_ended(order, "done", codes.DONE, 0, 0)
    street.old.tell(codes.BOOT, 1, 2)
    street.desk.clock.s += DAY_S
    street.done("close", "2026-04-12")
    street.desk.clock.s += 500 * DAY_S
    street.done("retain", "--months", "13")


def test_a_debt_is_taken_over_though_old_events_are_forgotten(street: Street) -> None:
    begun(street)
    args = [1, 90 * CUR, CUR // 10, 7 * DAY_S]
    with street.store.transaction():
        now_s = street.desk.clock.s
        commands.issue(street.store, OLD, 0, codes.DEBT, args, now_s, following.LIFE_S)
    street.old.tell(codes.DEBT_LEFT, 1, 90 * CUR)
    forgotten(street)
    street.replace()
    opened(street)
    street.settle(OLD)
    (order,) = street.ordered(NEW, 0, codes.DEBT)
    assert commands.args_of(order.args) == args


def test_an_exchanged_meter_is_taken_over_though_old_events_are_forgotten(street: Street) -> None:
    begun(street)
    street.old.tell(codes.METER_REBASED, 0, 55600, 15600, 40000)
    forgotten(street)
    street.replace()
    street.new.open(street.old.state.time_s + 700, street.old.state.register_wh - 40000 + 210)
    alike(street, street.new.state.time_s, 210)
    street.settle(OLD)
    (row,) = street.done(*REPLACE)
    assert (row["state"], row["held"]) == ("moved", "")
    street.agreed()
