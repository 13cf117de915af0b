"""Payments and orders among refusals, clocks that step back, and shards that change hands: each is
booked once, carried by one number, and credited once."""

import json
import random
from collections.abc import Iterator

import pytest

from host_tools.keys import KeyFiles
from host_tools.ordering.kinds import ADJUSTMENTS
from host_tools.settlement import posting, reconcile
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import LEASE_MS, Tenancy
from host_tools.store.database import open_store
from host_tools.store.held import Overtaken
from protocol import codes
from protocol.messages import Command
from tests.host_tools.desk import Desk, DeskTransport
from tests.host_tools.ordering.orderly import BY, Orderly

ON_BOTH = True
CUR = 10**9


@pytest.fixture
def orderly(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Orderly:
    return Orderly(desk, capsys)


def told(orderly: Orderly, *words: object) -> dict[str, object]:
    code, out, err = orderly.run(*words, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def paid(orderly: Orderly, amount_cur: int, reference: str) -> dict[str, object]:
    return told(orderly, "topup", "m1", 0, amount_cur, "--reference", reference)


def receipt(orderly: Orderly, reference: str) -> dict[str, object]:
    return told(orderly, "bill", "receipt", reference)


@pytest.mark.parametrize("status", [codes.REFUSED_CAP, codes.REFUSED_EXPIRED])
def test_a_refused_payment_that_is_said_again_is_the_same_one(
    orderly: Orderly, status: int
) -> None:
    made = orderly.desk.opened(charges=1)
    orderly.desk.take(made.batch(1, 2))
    first = paid(orderly, 5, "cash-1")
    (one,) = orderly.sent()
    orderly.answer(one.id, status)
    assert reconcile.reconcile(orderly.desk.store, 0)[0].in_flight[0].state == "refused"
    waiting = receipt(orderly, "cash-1")
    again = paid(orderly, 5, "cash-1")
    assert again == first and receipt(orderly, "cash-1") == waiting
    (two,) = orderly.sent()
    assert two.id != one.id and two.args == one.args
    # Behind a reboot the module refuses a copy of the first order once more.
    orderly.answer(one.id, status)
    assert paid(orderly, 5, "cash-1")["state"] == "in flight"
    assert orderly.sent() == []
    made.top_up(2, 5 * CUR)
    orderly.desk.take(made.batch(3, 1))
    orderly.answer(one.id, status)
    assert paid(orderly, 5, "cash-1")["state"] == "credited"
    assert orderly.desk.store.payments.open_commands("m1") == []
    assert orderly.desk.store.ledgers.accounts()["CNY", posting.IN_FLIGHT] == 0
    paid(orderly, 7, "cash-2")
    assert receipt(orderly, "cash-2")["balance_before_ncur"] == made.state.balance_ncur


class Worker:
    """Another `gridpurse settle` on the store of a desk."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.store, self.transport = open_store(desk.place), DeskTransport()
        self.tenancy = Tenancy(self.store, desk.clock, name, (0,))
        keys = KeyFiles(desk.folder / "keys")
        what = (self.store, keys, desk.clock, self.transport, self.tenancy)
        self.consumer = Consumer(*what)


@pytest.fixture
def heir(desk: Desk) -> Iterator[Worker]:
    made = Worker(desk, "heir")
    yield made
    made.store.close()


def lease_ends(desk: Desk) -> None:
    """As time would: by this machine's clock, or by the server's."""
    desk.clock.ms += LEASE_MS + 1
    if desk.place.url:
        sql = "UPDATE leases SET until_ms = until_ms - ?"
        desk.store._connection.execute(sql, (LEASE_MS + 1,))


def test_orders_that_are_given_while_a_shard_changes_hands_have_one_number(
    orderly: Orderly, heir: Worker
) -> None:
    desk = orderly.desk
    desk.take(desk.opened(charges=1).batch(1, 2))
    adjust = ("adjust", "m1", 0, "1", "--class", "refund", "--reference", "case-1")
    first = paid(orderly, 5, "cash-1")
    assert not heir.tenancy.look()
    desk.consumer.send_due()  # and dies before the broker has any of it
    desk.transport.published.clear()
    number = orderly.order(*adjust)["id"]
    lease_ends(desk)
    assert heir.tenancy.look()
    assert paid(orderly, 5, "cash-1") == first and orderly.order(*adjust)["id"] == number
    assert paid(orderly, 6, "cash-2")["number"] == 4
    heir.consumer.send_due()
    heard = [desk.sender.opened(data) for _, data, _ in heir.transport.published]
    sent = [(each.action, each.args[0]) for each in heard if isinstance(each, Command)]
    refund, _ = ADJUSTMENTS["refund"]
    assert sent == [(codes.TOPUP, 2), (codes.ADJUST, refund), (codes.TOPUP, 4)]
    with pytest.raises(Overtaken):  # the first one was only slow
        desk.consumer.send_due()
    assert desk.transport.published == []
    queued = desk.store.payments.commands("m1")
    assert [each.sent for each in queued if each.action != codes.TARIFF] == [2, 1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_a_clock_that_steps_back_an_hour_books_and_orders_everything_once(
    orderly: Orderly, seed: int
) -> None:
    desk, chance = orderly.desk, random.Random(seed)
    made = desk.opened(charges=1)
    sums: dict[str, int] = {}
    seen: set[int] = set()
    sent_seq = 0

    def send() -> None:
        nonlocal sent_seq
        if len(made.entries) > sent_seq:
            desk.take(made.batch(sent_seq + 1, len(made.entries) - sent_seq))
            sent_seq = len(made.entries)

    def hear(often: float) -> None:
        """What goes out is applied once, or refused as too late by a clock that is ahead."""
        for command in orderly.sent(4_000_000):
            if command.id in seen:
                continue
            if chance.random() > often:
                orderly.answer(command.id, codes.REFUSED_EXPIRED)
                continue
            seen.add(command.id)
            if command.action == codes.TOPUP:
                made.top_up(command.args[0], command.args[2])
            elif command.action == codes.ADJUST:
                made.adjust(command.id, command.args[1], command.args[0])
            else:
                orderly.answer(command.id)

    def pay() -> None:
        reference = f"cash-{chance.randrange(9)}"
        paid(orderly, sums.setdefault(reference, chance.randrange(1, 30)), reference)

    def adjust() -> None:
        reference = f"case-{chance.randrange(4)}"
        orderly.order("adjust", "m1", 0, "1.5", "--class", "refund", "--reference", reference)

    def trip() -> None:
        words = ("m1", 0, "trip", "--cause", "safety", "--expires", "2h")
        assert orderly.run("command", "relay", *words, *BY)[0] in (0, 2)  # at most six an hour

    for _ in range(30):
        desk.clock.s += chance.choice((5, 600, 1800, -3600, -3600, 3600))
        chance.choice((pay, pay, adjust, trip, lambda: made.charge(300)))()
        if chance.random() < 0.6:
            hear(0.7)
        if chance.random() < 0.6:
            send()
    for reference, amount_cur in sums.items():
        paid(orderly, amount_cur, reference)
    hear(1)
    send()
    desk.take(made.statement())
    state = desk.store.fleet.point_known("m1", 0).state
    assert state == made.state and state.topups_ncur == sum(sums.values()) * CUR
    assert desk.store.ledgers.accounts().get(("CNY", posting.IN_FLIGHT), 0) == 0
    assert reconcile.trial_balance(desk.store) and desk.differences() == []
    assert orderly.run("verify")[0] == 0
    numbers = [str(receipt(orderly, reference)["number"]) for reference in sums]
    assert sorted(numbers) == [f"R-2026-{place:06d}" for place in range(1, len(sums) + 1)]
