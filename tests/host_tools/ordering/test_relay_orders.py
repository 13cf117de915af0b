"""Relay orders by the command line: what is refused, what takes the place of what, who wins."""

import random

import pytest

from host_tools.ordering import fee_control as fee
from host_tools.store import orders
from protocol import codes
from tests.host_tools.ordering.orderly import file_of

TRIP = ("relay", "m1", 0, "trip", "--cause", "safety", "--expires", "2h")
CONTRACT = ("relay", "m1", 0, "trip", "--cause", "contract", "--expires", "2h")
PERMIT = ("relay", "m1", 0, "permit")
CLOSE = ("relay", "m1", 0, "close", "--confirm-close", "--expires", "2h")
TIMED = ("relay", "m1", 0, "trip-then-permit", "--for", "3h", "--expires", "2h")
HOLD = ("relay", "m1", 0, "hold", "--for", "7d", "--expires", "2h")
HOLD_END = ("relay", "m1", 0, "hold-end")


def done(orderly, *words: object) -> int:
    """An order that the module has carried out."""
    told = orderly.order(*words)
    orderly.sent(later_ms=1)
    orderly.answer(told["id"])
    return int(str(told["id"]))


def state(orderly) -> str:
    records = orders.of(orderly.desk.store).of_action("m1", 0, codes.RELAY)
    return fee.standing(records, orderly.desk.clock.s).state


def test_the_module_itself_trips_for_credit_so_nobody_orders_it(orderly):
    credit = ("relay", "m1", 0, "trip", "--cause", "credit", "--expires", "2h")
    orderly.desk.take(orderly.desk.opened(1).batch(1, 2))
    assert "keeps this point's balance" in orderly.refusal(*credit)
    assert orderly.order("relay", "m1", 1, *credit[3:])["state"] == "queued"  # has no ledger


def test_a_held_point_is_not_tripped_until_the_end_of_the_hold_is_answered(orderly):
    done(orderly, *HOLD)
    for words in (TRIP, CONTRACT, TIMED):
        assert "hold-supply protects this point 保电中" not in orderly.refusal(*words)
        assert "hold-end" in orderly.refusal(*words)
    end = orderly.order(*HOLD_END)
    assert "hold-end" in orderly.refusal(*TRIP)
    orderly.sent()
    orderly.answer(end["id"])
    assert orderly.order(*TRIP)["state"] == "queued"


def test_a_hold_that_is_only_queued_protects_already(orderly):
    orderly.order(*HOLD)
    assert "hold-end" in orderly.refusal(*TRIP)


@pytest.mark.parametrize(
    ("hours_later", "expires", "line"),
    [
        (0, "2h", None),
        (0, "6h", None),  # ten to four
        (0, "6h", None),
        (0, "7h", "protected hours"),  # it could act at half past four
        (-3, "1h", "protected hours"),  # seven in the morning
        (6, "1h", "protected hours"),
        (4 * 24, "2h", None),  # Friday, ten o'clock
        (4 * 24, "3h", "protected hours"),
        (5 * 24, "1h", "protected hours"),
    ],
)
def test_nobody_is_cut_off_by_contract_in_protected_hours(orderly, hours_later, expires, line):
    orderly.desk.clock.s += hours_later * 3600
    words = (*CONTRACT[:-1], expires)
    if line:
        assert line in orderly.refusal(*words)
        assert orderly.order(*TRIP[:-1], expires)["state"] == "queued"  # safety passes
    else:
        assert orderly.order(*words)["state"] == "queued"


def test_the_operators_own_hours_holidays_and_list_count(orderly):
    folder = orderly.desk.folder
    file_of(folder, "fee-control.toml", 'hours = ["", "", "", "", "", "", "00:00-24:00"]\n')
    assert "protected hours" in orderly.refusal(*CONTRACT)
    file_of(folder, "fee-control.toml", "holidays = [2026-04-13]\n")
    assert "protected hours" in orderly.refusal(*CONTRACT)
    listed = '[[protected]]\npoint = "m1/0"\nwhy = "life support"\nuntil = 2026-04-14\n'
    file_of(folder, "fee-control.toml", listed)
    assert "nobody cuts off, in fee-control.toml" in orderly.refusal(*CONTRACT)
    file_of(folder, "fee-control.toml", listed.replace("04-14", "04-13"))
    assert orderly.order(*CONTRACT)["state"] == "queued"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hours = []", "hours: must be seven texts"),
        ('hours = ["8-16", "", "", "", "", "", ""]', "'8-16' must be such as 08:00-16:00"),
        ('hours = ["16:00-08:00", "", "", "", "", "", ""]', "must begin before it ends"),
        ('holidays = ["2026-10-01"]', "must be a day such as 2026-10-01, without quotes"),
        ("[[protected]]\npoint = 'm1/0'", "give point and why"),
        ("[[protected]]\npoint = 'm1'\nwhy = 'x'", "must be such as gp-1/0"),
        ("ours = 1", "ours: is unknown"),
    ],
)
def test_a_wrong_file_of_protections_stops_every_trip(orderly, text, line):
    file_of(orderly.desk.folder, "fee-control.toml", text)
    assert line in orderly.refusal(*TRIP)


def test_a_second_trip_is_the_first_one(orderly):
    first = orderly.order(*TRIP)
    assert orderly.order(*TRIP)["id"] == first["id"]
    orderly.sent()
    orderly.answer(first["id"])
    assert orderly.order(*TRIP)["id"] == first["id"]
    assert "is tripped by command" in orderly.refusal(*TIMED)
    assert not orderly.sent(later_ms=1 << 30)


def test_a_permit_withdraws_a_trip_that_nobody_answered_and_it_is_never_sent_again(orderly):
    trip = orderly.order(*TRIP)
    assert [each.id for each in orderly.sent()] == [trip["id"]]
    permit = orderly.order(*PERMIT)
    assert permit["withdrawn"] == [trip["id"]]
    for later_ms in (0, 15_000, 60_000, 1 << 20):
        assert {each.id for each in orderly.sent(later_ms)} <= {permit["id"]}
    rows = {row["id"]: row for row in orderly.listed()}
    assert rows[trip["id"]]["state"] == "withdrawn"
    assert rows[trip["id"]]["withdrawn_by"] == permit["id"]
    orderly.answer(trip["id"])  # it had been applied, before the permit
    orderly.answer(permit["id"])
    assert state(orderly) == fee.FREE


def test_an_alarm_and_a_hold_leave_a_trip_on_its_way(orderly):
    trip = orderly.order(*TRIP)
    assert orderly.order("relay", "m1", 0, "alarm")["withdrawn"] == []
    assert orderly.order(*HOLD)["withdrawn"] == []
    assert trip["id"] in [each.id for each in orderly.sent()]


def test_a_close_that_credit_holds_leaves_what_was(orderly):
    done(orderly, *TRIP)
    close = orderly.order(*CLOSE)
    orderly.sent()
    orderly.answer(close["id"], codes.REFUSED_HELD)
    assert state(orderly) == fee.TRIPPED
    assert orderly.listed()[-1]["answer_zh"] == "欠费闭锁，不能合闸"


def test_six_orders_in_an_hour_are_enough_but_supply_can_be_given_back(orderly):
    for _ in range(3):
        done(orderly, *TRIP)
        done(orderly, *PERMIT)
    assert "wait" in orderly.refusal(*TRIP)
    assert orderly.order(*CLOSE)["state"] == "queued"
    orderly.desk.clock.s += 3601
    assert orderly.order(*TRIP)["state"] == "queued"


class Relay:
    """A module as far as relay orders go: it applies what is new to it, in the order it comes."""

    def __init__(self) -> None:
        self.applied: dict[int, int] = {}
        self.tripped = False

    def take(self, command) -> None:
        if command.id in self.applied:
            return
        self.applied[command.id] = command.args[0]
        self.tripped = command.args[0] == codes.TRIP


@pytest.mark.parametrize("seed", range(6))
def test_whatever_gets_lost_the_last_order_is_what_the_module_did_last(orderly, seed):
    """Commands that wait at the broker in their order, answers that get lost, many resends."""
    dice = random.Random(seed)
    module, at_broker, answers = Relay(), [], []
    given: list[int] = []
    for _ in range(12):
        words = dice.choice((TRIP, PERMIT))
        if orderly.desk.clock.s:
            orderly.desk.clock.s += 3601 if len(given) % 5 == 4 else 60
        code, _, err = orderly.run("command", *words[:-1], words[-1], "--by", "a", "--reason", "b")
        assert code in (0, 2), err
        if code == 0:
            given.append(codes.TRIP if words is TRIP else codes.PERMIT_CLOSE)
        at_broker += orderly.sent(later_ms=dice.choice((0, 16_000, 1 << 22)))
        if dice.random() < 0.5:  # the module is on line
            for command in at_broker:
                module.take(command)
                answers.append(command.id)
            at_broker = []
        if dice.random() < 0.5:
            for command_id in answers:
                orderly.answer(command_id)
            answers = []
    for _ in range(3):
        for command in [*at_broker, *orderly.sent(later_ms=1 << 22)]:
            module.take(command)
            orderly.answer(command.id)
        at_broker = []
    assert module.tripped == (given[-1] == codes.TRIP)
    assert state(orderly) == (fee.TRIPPED if module.tripped else fee.FREE)
