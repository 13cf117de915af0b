"""Remote fee control: every pair of its two tables, and what they keep from happening."""

import random
from itertools import product

import pytest

from host_tools.ordering import fee_control as fee
from host_tools.ordering import relay
from host_tools.store.orders import Record
from protocol import cbor, codes

NOW_S = 1_800_000_000
RECONNECTS = (fee.PERMIT, fee.CLOSE)


def record(number: int, args: list[object], state: str, **more: object) -> Record:
    base = {"sent": 1, "status": None, "answered_s": NOW_S - 100, "issued_s": NOW_S - 200}
    base.update(more)
    return Record(
        "m1", number, 0, codes.RELAY, cbor.encode(args), base["issued_s"], NOW_S + 1000, state,
        base["sent"], base["status"], 0, base["answered_s"], "Li", "because", None, None,
    )  # fmt: skip


def stands(*records: Record) -> str:
    return fee.standing(records, NOW_S).state


# The tables


@pytest.mark.parametrize(("state", "event"), [*product(fee.STATES, fee.EVENTS)])
def test_every_pair_of_state_and_event_has_a_row(state, event):
    after, action = fee.TABLE[state, event]
    assert after in (*fee.STATES, fee.BEFORE)
    assert action in fee.ACTIONS
    ordered = event in (fee.TRIP, fee.TIMED_TRIP, fee.PERMIT, fee.CLOSE)
    assert (action in (fee.SEND, fee.REPLACE, fee.SAME, fee.NO)) == ordered
    if action in (fee.KEEP, fee.SAME, fee.NO):
        assert after == state
    if after == fee.BEFORE:
        assert event == fee.NOT_DONE


def test_the_table_has_no_other_rows():
    assert set(fee.TABLE) == set(product(fee.STATES, fee.EVENTS))
    ignored = [pair for pair, (_, action) in fee.TABLE.items() if action == fee.KEEP]
    resting = (fee.FREE, fee.TRIPPED, fee.TIMED, fee.UNSURE)
    answers = (fee.DONE, fee.NOT_DONE, fee.LOST)
    wanted = [*product(resting, answers), *product(fee.STATES, [fee.OVER])]
    wanted.remove((fee.TIMED, fee.OVER))
    assert sorted(ignored) == sorted(wanted)


@pytest.mark.parametrize("state", fee.STATES)
def test_supply_can_be_given_back_from_everywhere(state):
    for event, under_way in zip(RECONNECTS, (fee.PERMITTING, fee.CLOSING), strict=True):
        after, action = fee.TABLE[state, event]
        assert after == under_way
        assert action == fee.SAME if state == under_way else action in (fee.SEND, fee.REPLACE)


def test_a_timed_trip_never_ends_one_that_was_to_last():
    for state in (fee.TRIPPING, fee.TRIPPED):
        assert fee.TABLE[state, fee.TIMED_TRIP] == (state, fee.NO)


FORBIDDEN = {
    fee.NO_EXPIRY: {*fee.TRIPS, fee.DIRECT_CLOSE, fee.HOLD},
    fee.LATE: {*fee.TRIPS, fee.DIRECT_CLOSE},
    fee.ENDLESS: {fee.TO_CLOSE, fee.TO_PERMIT, fee.HOLD},
    fee.UNCONFIRMED: {fee.TO_CLOSE, fee.DIRECT_CLOSE},
    fee.LOCAL: {fee.BY_CREDIT},
    fee.HELD: {*fee.TRIPS},
    fee.LISTED: {*fee.TRIPS} - {fee.BY_SAFETY},
    fee.PROTECTED: {*fee.TRIPS} - {fee.BY_SAFETY},
    fee.TOO_OFTEN: {*fee.TRIPS},
}


@pytest.mark.parametrize(("kind", "condition"), [*product(fee.KINDS, fee.REFUSALS)])
def test_every_pair_of_order_and_condition_is_decided(kind, condition):
    forbidden = kind in FORBIDDEN[condition]
    assert fee.refusal(kind, [condition]) == (condition if forbidden else None)


def test_nothing_forbids_a_permit_nor_the_ends_of_alarm_and_hold():
    for kind in (fee.PERMIT_CLOSE, fee.HOLD_END, fee.ALARM, fee.ALARM_END):
        assert fee.refusal(kind, fee.REFUSALS) is None


def test_every_order_a_person_can_write_has_a_row():
    kinds = {*relay._KINDS.values(), *relay._TRIPS.values()}
    assert kinds == set(fee.KINDS)
    assert {*relay.ORDERS.values()} == set(range(codes.TRIP, codes.HOLD_END + 1))


# What stands


def test_a_trip_that_nobody_answered_may_have_happened():
    assert stands(record(1, [codes.TRIP], "expired")) == fee.UNSURE
    assert stands(record(1, [codes.TRIP], "expired", sent=0)) == fee.FREE
    assert stands(record(1, [codes.TRIP], "refused", status=codes.REFUSED_FIELD)) == fee.FREE
    assert stands(record(1, [codes.TRIP], "expired", status=codes.REFUSED_EXPIRED)) == fee.FREE


def test_a_refused_close_leaves_the_trip_in_force():
    tripped = record(1, [codes.TRIP], "done", status=0)
    held = record(2, [codes.DIRECT_CLOSE], "refused", status=codes.REFUSED_HELD)
    at = fee.standing([tripped, held], NOW_S)
    assert (at.state, at.by_id) == (fee.TRIPPED, 1)


def test_a_timed_trip_is_over_when_its_time_is():
    order = [codes.TRIP_THEN_CLOSE, 100]
    assert stands(record(1, order, "done", status=0, answered_s=NOW_S - 99)) == fee.TIMED
    assert stands(record(1, order, "done", status=0, answered_s=NOW_S - 100)) == fee.FREE


def test_a_hold_counts_until_its_end_is_certain():
    hold = record(1, [codes.HOLD, 500], "done", status=0)
    for ended, held in (
        ([], True),
        ([record(2, [codes.HOLD_END], "sent")], True),
        ([record(2, [codes.HOLD_END], "expired")], True),
        ([record(2, [codes.HOLD_END], "done", status=0)], False),
    ):
        assert fee.standing([hold, *ended], NOW_S).held == held
    assert not fee.standing([hold], NOW_S + 400).held
    lost = record(1, [codes.HOLD, 500], "expired")
    assert fee.standing([lost], NOW_S + 1499).held and not fee.standing([lost], NOW_S + 1500).held
    assert fee.standing([record(1, [codes.HOLD], "done", status=0)], NOW_S * 2).held


def test_six_orders_in_an_hour_are_counted_and_an_hour_later_none():
    orders = [record(number, [codes.PERMIT_CLOSE], "done", status=0) for number in range(1, 7)]
    assert fee.standing(orders, NOW_S).orders_in_hour == 6
    assert fee.standing(orders, NOW_S + 3600).orders_in_hour == 0


def test_whatever_was_ordered_and_answered_what_stands_is_what_the_module_did():
    """A module that applies what reaches it, answers that get lost, 3,000 histories."""
    orders = [
        [codes.TRIP],
        [codes.PERMIT_CLOSE],
        [codes.DIRECT_CLOSE],
        [codes.TRIP_THEN_ARM, 9999],
    ]
    truth = {1: {fee.TRIPPED}, 2: {fee.FREE}, 3: {fee.FREE}, 5: {fee.TIMED}}
    for seed in range(3000):
        dice = random.Random(seed)
        there, records = {fee.FREE}, []
        for number in range(1, dice.randint(2, 9)):
            order = dice.choice(orders)
            event = fee.event_of(order[0])
            before = fee.standing(records, NOW_S)
            if fee.TABLE[before.state, event][1] in (fee.SAME, fee.NO):
                continue
            fate = dice.choice(("done", "refused", "unsent", "lost"))
            if fate == "done":
                there = truth[order[0]]
                records.append(record(number, order, "done", status=0))
            elif fate == "refused":
                records.append(record(number, order, "refused", status=codes.REFUSED_HELD))
            elif fate == "unsent":
                records.append(record(number, order, "expired", sent=0))
            else:
                there = dice.choice((there, truth[order[0]]))
                records.append(record(number, order, "expired"))
            stands_now = stands(*records)
            assert stands_now == fee.UNSURE or {stands_now} == there, seed
