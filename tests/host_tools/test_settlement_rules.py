"""What settlement promises of each message, in one process, with genuine seals and ledgers."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.settlement import commands, consumer, reconcile
from host_tools.settlement.transport import Delivery
from host_tools.store.intake import PARKED_MAX
from host_tools.store.sql import BROKEN
from protocol import cbor, codes, cose, ledger, messages, tariff, topics, units
from protocol.messages import Ack, Command, Readings, Time
from tests.host_tools.desk import NOW_S, Desk, enrolled
from tests.host_tools.genuine import START_S, PointLedger

ON_BOTH = True


def test_a_batch_is_settled_priced_posted_and_acknowledged(desk: Desk) -> None:
    made = desk.opened(charges=20)
    desk.take(made.batch(1, 21))
    (ack,) = desk.said()
    assert ack == Ack(1, {0: 21})  # what moved, nothing else
    state = desk.store.fleet.point_known("m1", 0).state
    assert state == made.state
    assert state.balance_ncur == -20 * 250 * 488300
    accounts = desk.store.ledgers.accounts()
    assert accounts["CNY", "customer prepaid"] == -accounts["CNY", "energy revenue"] > 0
    assert reconcile.trial_balance(desk.store)
    assert desk.transport.acknowledged == 1


def test_a_long_transaction_finds_what_it_wrote_itself(desk: Desk) -> None:
    """Rows go to the store while others wait; what is repeated may lie in either, or in both."""
    made = desk.opened(charges=700)
    at_once = [made.batch(seq, 7) for seq in range(1, 701, 7)]
    lie = made.batch(697, 4)._replace(items=[250, 250, 251, 250])
    desk.take(*at_once, made.batch(685, 16), made.batch(60, 24), lie, made.batch(701, 1))
    assert desk.seq() == 701
    assert [entry.balance_ncur for entry in desk.store.ledgers.entries(1)] == [
        entry.balance_ncur for entry in made.entries
    ]
    assert desk.store.fleet.point_known("m1", 0).duplicates == 16 + 24
    assert desk.reasons() == [units.CONTRADICTORY]


def test_duplicate_delivery_bills_once(desk: Desk) -> None:
    batch = desk.opened(charges=3).batch(1, 4)
    desk.take(batch, batch)
    desk.take(batch)
    assert desk.seq() == 4
    assert len(list(desk.store.ledgers.entries(1))) == 4
    assert desk.store.fleet.point_known("m1", 0).duplicates == 8
    assert desk.said()[-1].streams[0] == 4  # a duplicate is acknowledged again
    assert desk.reasons() == []


def test_while_a_backlog_lasts_a_module_hears_the_newest_acknowledgement_only(desk: Desk) -> None:
    made = desk.opened(charges=3)
    topic = topics.up(0, "m1")
    desk.clock.ms = 1
    for seq in range(1, 5):
        sealed = desk.sender.seal(made.batch(seq, 1))
        desk.consumer.consume([Delivery(topic, sealed, (0, 1, 1))], more=True)
    assert desk.said() == []
    desk.consumer.consume([])  # nothing more waits
    assert desk.said() == [Ack(1, {0: 4})]
    for more_ms, said in ((consumer.ACKS_MS - 1, []), (1, [Ack(1, {0: 4})])):
        desk.clock.ms += more_ms
        sealed = desk.sender.seal(made.batch(4, 1))
        desk.consumer.consume([Delivery(topic, sealed, (0, 1, 1))], more=True)
        assert desk.said() == said


def test_the_usual_way_and_the_long_way_journal_the_same(desk: Desk) -> None:
    made = desk.opened()
    desk.take(made.batch(1, 1))
    chance = random.Random(9)
    for _ in range(300):  # through tiers, days and months, alone and in batches
        made.charge(chance.choice((0, 1, 250, 4000, 90000)))
        if chance.randrange(30) == 0:
            made.fixed()
    seq = 2
    while seq <= len(made.entries):
        count = chance.choice((1, 1, 2, 8))
        desk.take(made.batch(seq, count))
        seq += count
    kept = list(desk.store.ledgers.entries(1))
    assert len(kept) == len(made.entries)
    for settled, entry, after in zip(kept, made.entries, made.states[1:], strict=True):
        for name in ledger.Entry._fields:
            assert getattr(settled, name) == getattr(entry, name), (entry.seq, name)
        sums = (settled.head, settled.charged_ncur, settled.topups_ncur)
        assert sums == (after.head, after.charged_ncur, after.topups_ncur)
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    assert desk.differences() == []


def test_batches_cut_differently_on_repetition_bill_once(desk: Desk) -> None:
    made = desk.opened(charges=9)
    desk.take(made.batch(1, 4), made.batch(3, 5), made.batch(2, 9))
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    assert desk.reasons() == []


def test_out_of_order_batches_wait_and_settle(desk: Desk) -> None:
    made = desk.opened(charges=8)
    desk.take(made.batch(7, 3), made.batch(4, 3))
    assert desk.seq() == 0
    assert desk.said()[-1].streams[0] == 0
    assert desk.store.intake.parked("m1") == 2
    desk.take(made.batch(1, 3))
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    assert desk.store.intake.parked("m1") == 0


def test_parking_is_bounded_and_says_what_it_drops(desk: Desk) -> None:
    made = desk.opened(charges=PARKED_MAX + 3)
    desk.take(*(made.batch(seq, 1) for seq in range(3, PARKED_MAX + 4)))
    assert desk.store.intake.parked("m1") == PARKED_MAX
    assert desk.reasons() == [units.OUT_OF_ORDER]
    desk.take(made.batch(1, 2), made.batch(PARKED_MAX + 3, 2))
    assert desk.store.fleet.point_known("m1", 0).state == made.state


def _nested(desk: Desk) -> bytes:
    payload = b"\x81" * 40 + b"\x00"
    return cose.seal(cose.HMAC_256_64, payload, desk.sender.up)


def _future(desk: Desk) -> bytes:
    made = PointLedger("m1", 1, desk.ledger.book)
    made.open(time_s=NOW_S + 121)
    return desk.sender.seal(made.batch(1, 1))


def _contradictory(desk: Desk) -> bytes:
    other = PointLedger("m1", 0, desk.ledger.book)
    other.open()
    other.charge(999)
    return desk.sender.seal(other.batch(1, 2))


def _unknown_point(desk: Desk) -> bytes:
    made = PointLedger("m1", 5, desk.ledger.book)
    made.open()
    return desk.sender.seal(made.batch(1, 1))


def _forged(desk: Desk) -> bytes:
    data = bytearray(desk.sender.seal(desk.ledger.batch(3, 1)))
    data[-1] ^= 1
    return bytes(data)


def _older_epoch(desk: Desk) -> bytes:
    return desk.sender.seal(desk.ledger.batch(3, 1, epoch=0))


def _older_boot(desk: Desk) -> bytes:
    desk.take(desk.sender.hello({0: 3}, boot_id=7))
    return desk.sender.seal(desk.sender.hello({0: 3}, boot_id=6))


def _reflected(desk: Desk) -> bytes:
    return messages.seal(Ack(1, {0: 9}), desk.sender.down)


def _wrong_way(desk: Desk) -> bytes:
    return desk.sender.seal(Ack(1, {0: 9}))


def _short_tag(desk: Desk) -> bytes:
    payload = messages.pack(desk.sender.hello({0: 3}))
    return cose.seal(cose.HMAC_256_64, payload, desk.sender.up)


def _unknown_kind(desk: Desk) -> bytes:
    return cose.seal(cose.HMAC_256_64, cbor.encode({0: 99}), desk.sender.up)


def _bad_event(desk: Desk) -> bytes:
    return desk.sender.seal(desk.sender.events(1, [START_S, 0, 1, 255, "text"]))


def _wild_register(desk: Desk) -> bytes:
    items = [[1, 900, 0, 1 << 50], [1, 900, 0, 1 << 50]]
    return desk.sender.seal(desk.ledger.batch(3, 1)._replace(items=items))


BAD = {
    "malformed": (lambda _: b"hello", units.MALFORMED),
    "empty": (lambda _: b"", units.MALFORMED),
    "oversized": (lambda _: bytes(units.MESSAGE_BYTES_MAX + 1), units.OVERSIZED),
    "deeply nested": (_nested, units.TOO_DEEP),
    "forged": (_forged, units.FORGED),
    "tag too short for its kind": (_short_tag, units.FORGED),
    "of an older epoch": (_older_epoch, units.REPLAYED),
    "of an older boot": (_older_boot, units.REPLAYED),
    "future-dated": (_future, units.FUTURE),
    "of an unknown point": (_unknown_point, units.UNKNOWN_POINT),
    "contradictory": (_contradictory, units.CONTRADICTORY),
    "reflected": (_reflected, units.FORGED),
    "in the wrong direction": (_wrong_way, units.WRONG_TOPIC),
    "of an unknown kind": (_unknown_kind, units.UNKNOWN_KIND),
    "with a bad event": (_bad_event, units.BAD_FIELD),
    "with a wild register": (_wild_register, units.BAD_FIELD),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_one_row_and_the_good_one_behind_it_settles(
    desk: Desk, name: str
) -> None:
    make, reason = BAD[name]
    made = desk.opened(charges=3)
    desk.take(made.batch(1, 2))
    bad = make(desk)
    before = desk.journal()
    desk.take(bad)
    assert desk.journal() == before
    desk.take(bad, made.batch(3, 2))
    assert desk.reasons() == [reason]
    (row,) = desk.store.intake.rejects()
    assert (row.count, row.module, row.size) == (2, "m1", len(bad))
    assert desk.seq() == 4


def test_a_message_of_another_module_shard_or_topic_is_refused(desk: Desk) -> None:
    made = desk.opened()
    good = desk.sender.seal(made.batch(1, 1))
    stranger = messages.seal(made.batch(1, 1), desk.sender.up)
    desk.take(stranger, topic=topics.up(0, "m9"))
    desk.take(good, topic=topics.up(3, "m1"))
    other = enrolled(desk.store, desk.folder, "m2")
    desk.take(other.seal(PointLedger("m2", 0, made.book).statement()), topic=topics.up(0, "m1"))
    for topic in ("d/0/m1", "up/0/m1", "u/00/m1", "\\xff"):
        desk.take(good + topic.encode(), topic=topic)
    wrong = [units.WRONG_TOPIC] * 4
    assert desk.reasons() == [units.UNKNOWN_MODULE, units.WRONG_SHARD, units.FORGED, *wrong]
    assert desk.seq() == 0


def test_a_key_that_others_may_read_stops_its_own_module_only(desk: Desk) -> None:
    (desk.folder / "keys" / "m1.key").chmod(0o644)
    other = enrolled(desk.store, desk.folder, "m2")
    made = PointLedger("m2", 0, desk.ledger.book)
    made.open()
    desk.take(desk.opened().batch(1, 1))
    desk.take(other.seal(made.batch(1, 1)), topic=topics.up(0, "m2"))
    assert desk.reasons() == [units.UNKNOWN_MODULE]
    assert desk.store.fleet.point_known("m2", 0).state.seq == 1


def test_a_hello_gets_time_acknowledgement_and_commands(desk: Desk) -> None:
    desk.take(desk.sender.hello({0: 0}, ticks_ms=4321))
    time, ack = desk.said()
    assert time == Time(1, 4321, NOW_S * 1000)
    assert ack == Ack(1, {0: 0, 1: 0, 8: 0})
    desk.consumer.send_due()
    first = desk.said()
    assert [item.action for item in first if isinstance(item, Command)] == [codes.TARIFF] * 2
    desk.consumer.send_due()
    assert desk.said() == []
    desk.take(desk.sender.hello({0: 0}, ticks_ms=9999))
    desk.said()
    desk.consumer.send_due()
    assert desk.said() == first


def test_a_command_is_repeated_until_its_result(desk: Desk) -> None:
    desk.consumer.send_due()
    desk.clock.ms += commands.RETRY_MS
    desk.consumer.send_due()
    assert [item.id for item in desk.said()] == [1, 2, 1, 2]
    desk.take(desk.sender.result(1, 1), desk.sender.result(2, 2, codes.ALREADY))
    desk.clock.ms += commands.RETRY_MS_MAX
    desk.said()
    desk.consumer.send_due()
    assert desk.said() == []
    assert [order.state for order in desk.store.payments.commands("m1")] == ["done", "done"]


def test_a_command_past_its_expiry_is_not_sent(desk: Desk) -> None:
    desk.clock.s += commands.TARIFF_LIFE_S
    desk.consumer.send_due()
    assert desk.said() == []
    assert desk.store.payments.command("m1", 1).state == "expired"


def _pay(desk: Desk, reference: str, amount_ncur: int) -> int:
    with desk.store.transaction():
        point = desk.store.fleet.point_known("m1", 0)
        return commands.pay(desk.store, point, reference, amount_ncur, desk.clock.s).number


def test_a_top_up_is_in_flight_until_the_modules_entry_credits_it(desk: Desk) -> None:
    made = desk.opened()
    desk.take(made.batch(1, 1))
    assert _pay(desk, "pay-1", 5000) == 2
    accounts = desk.store.ledgers.accounts()
    assert accounts["CNY", "top-up in flight"] == -5000
    desk.clock.s += 60
    (row, _) = reconcile.reconcile(desk.store, desk.clock.s)
    assert (row.in_flight[0].number, row.in_flight[0].age_s) == (2, 60)
    made.top_up(2, 5000)
    desk.take(made.batch(2, 1), made.statement())
    accounts = desk.store.ledgers.accounts()
    assert accounts["CNY", "top-up in flight"] == 0
    assert accounts["CNY", "customer prepaid"] == -5000
    (row, _) = reconcile.reconcile(desk.store, desk.clock.s)
    assert row.reconciled and not row.in_flight and row.topups_ncur == 5000
    states = [order.state for order in desk.store.payments.commands("m1")]
    assert states == ["queued", "queued", "done"]  # the entry answers the top-up's command


def test_one_payment_reference_is_one_top_up(desk: Desk) -> None:
    assert [_pay(desk, "pay-1", 5000), _pay(desk, "pay-1", 5000)] == [2, 2]
    assert _pay(desk, "pay-2", 5000) == 4
    with pytest.raises(commands.Refused, match="another payment"):
        _pay(desk, "pay-1", 6000)
    assert desk.store.ledgers.accounts()["CNY", "cash clearing"] == 10000


def test_a_refused_top_up_is_sent_again_under_its_number(desk: Desk) -> None:
    _pay(desk, "pay-1", 5000)
    desk.take(desk.sender.result(1, 3, codes.REFUSED_CAP))
    point = desk.store.fleet.point_known("m1", 0)
    assert [item.number for item in desk.store.payments.topups(point.id, "refused")] == [2]
    assert _pay(desk, "pay-1", 5000) == 2
    orders = desk.store.payments.commands("m1")[2:]
    assert [(order.state, order.args) for order in orders] == [
        ("refused", orders[0].args),
        ("queued", orders[0].args),
    ]
    assert desk.store.ledgers.accounts()["CNY", "cash clearing"] == 5000


def test_a_wrong_host_clock_ends_no_top_up(desk: Desk) -> None:
    numbers = [_pay(desk, f"pay-{place}", 1) for place in range(12)]
    made, good_s = desk.opened(), desk.clock.s
    desk.take(made.batch(1, 1), desk.sender.result(1, 1), desk.sender.result(2, 2))
    desk.clock.s += commands.TOPUP_LIFE_S + 1
    desk.consumer.send_due()
    desk.clock.s = good_s
    desk.said()
    desk.clock.ms += commands.RETRY_MS_MAX
    desk.consumer.send_due()
    sent = [item.args[0] for item in desk.said()]
    assert sent == numbers[:8]
    for number in sent:
        made.top_up(number, 1)
    desk.take(made.batch(2, 8))
    desk.consumer.send_due()
    assert [item.args[0] for item in desk.said() if isinstance(item, Command)] == numbers[8:]


def test_a_module_whose_clock_says_expired_is_paid_again(desk: Desk) -> None:
    _pay(desk, "pay-1", 5000)
    desk.take(desk.sender.result(1, 3, codes.REFUSED_EXPIRED))
    assert _pay(desk, "pay-1", 5000) == 2
    states = [order.state for order in desk.store.payments.commands("m1")[2:]]
    assert states == ["expired", "queued"]


def test_a_top_up_that_nothing_carries_is_sent_again_and_credited_once(desk: Desk) -> None:
    """As a store of before has them, whose command the host gave up by age."""
    made = desk.opened()
    desk.take(made.batch(1, 1))
    _pay(desk, "pay-1", 5000)
    with desk.store.transaction():
        (order,) = desk.store.payments.commands("m1")[2:]
        desk.store.payments.command_ended(order, "expired", None, None, desk.clock.s)
    assert [_pay(desk, "pay-1", 5000) for _ in range(3)] == [2, 2, 2]
    orders = desk.store.payments.commands("m1")[2:]
    assert [(each.state, each.args) for each in orders] == [
        ("expired", order.args),
        ("queued", order.args),
    ]
    made.top_up(2, 5000)
    desk.take(made.batch(2, 1))
    desk.take(desk.sender.result(1, 3), desk.sender.result(2, 4, codes.ALREADY))
    assert _pay(desk, "pay-1", 5000) == 2
    assert [each.state for each in desk.store.payments.commands("m1")[2:]] == ["done", "done"]
    accounts = desk.store.ledgers.accounts()
    assert (accounts["CNY", "cash clearing"], accounts["CNY", "customer prepaid"]) == (5000, -5000)
    assert accounts["CNY", "top-up in flight"] == 0


def test_a_late_refusal_leaves_the_open_command_of_a_top_up_alone(desk: Desk) -> None:
    _pay(desk, "pay-1", 5000)
    with desk.store.transaction():
        (order,) = desk.store.payments.commands("m1")[2:]
        desk.store.payments.command_ended(order, "expired", None, None, desk.clock.s)
    _pay(desk, "pay-1", 5000)
    desk.take(desk.sender.result(1, order.id, codes.REFUSED_CAP))
    assert _pay(desk, "pay-1", 5000) == 2
    point = desk.store.fleet.point_known("m1", 0)
    assert [item.state for item in desk.store.payments.uncredited(point.id)] == ["in flight"]
    assert len(desk.store.payments.open_commands("m1")) == 3


def test_no_more_top_ups_are_under_way_than_the_modules_window_holds(desk: Desk) -> None:
    numbers = [_pay(desk, f"pay-{place}", 1) for place in range(12)]
    made = desk.opened()
    desk.take(made.batch(1, 1), desk.sender.result(1, 1), desk.sender.result(2, 2))
    desk.said()
    desk.consumer.send_due()
    sent = [item.args[0] for item in desk.said()]
    assert sent == numbers[:8]
    for number in reversed(sent):  # the worst order the network can choose
        made.top_up(number, 1)
    desk.take(made.batch(2, 8))
    desk.consumer.send_due()
    assert [item.args[0] for item in desk.said() if isinstance(item, Command)] == numbers[8:]


def test_credit_that_the_host_never_issued_is_settled_and_flagged(desk: Desk) -> None:
    made = desk.opened()
    made.top_up(2, 777)
    desk.take(made.batch(1, 2), made.statement())
    assert desk.store.fleet.point_known("m1", 0).state.balance_ncur == 777
    assert desk.differences() == ["tamper"]
    assert desk.store.ledgers.accounts()["CNY", "suspense"] == 777
    assert reconcile.trial_balance(desk.store)


def test_another_amount_than_was_paid_is_tamper(desk: Desk) -> None:
    made = desk.opened()
    _pay(desk, "pay-1", 5000)
    made.top_up(2, 6000)
    desk.take(made.batch(1, 2))
    assert desk.differences() == ["tamper"]


def test_digits_and_command_of_one_payment_are_one_credit(desk: Desk) -> None:
    made = desk.opened()
    desk.take(made.batch(1, 1))
    for number, channel in ((2, ledger.BY_TOKEN), (4, ledger.BY_VOUCHER)):
        assert _pay(desk, f"pay-{number}", 5000) == number
        state = made.state
        made.enter(ledger.topped_up(state, state.time_s, 0, number, channel, 5000))
    desk.take(made.batch(2, 2), made.statement())
    assert desk.differences() == []
    assert desk.store.ledgers.accounts()["CNY", "top-up in flight"] == 0
    ended = [order.state for order in desk.store.payments.commands("m1")[2:]]
    assert ended == ["done", "done"]  # never sent, answered by the entries
    (row, _) = reconcile.reconcile(desk.store, desk.clock.s)
    assert row.reconciled and row.topups_ncur == 10000
    # A module that had been sent them says that it has them already.
    desk.take(desk.sender.result(1, 3, codes.ALREADY), desk.sender.result(2, 4, codes.ALREADY))
    point = desk.store.fleet.point_known("m1", 0)
    assert not desk.store.payments.topups(point.id, "refused")


def test_a_token_that_sets_the_balance_is_none_of_ours(desk: Desk) -> None:
    made = desk.opened()
    made.enter(ledger.adjusted(made.state, made.state.time_s, 0, 3, ledger.SET_BY_TOKEN, 777))
    desk.take(made.batch(1, 2), made.statement())
    assert desk.store.fleet.point_known("m1", 0).state.mark.floor == 3
    (row,) = desk.store.ledgers.differences()
    assert (row.kind, row.detail) == ("tamper", "set token 3")
    assert desk.store.ledgers.accounts()["CNY", "suspense"] == 777


def test_a_new_epoch_is_held_and_reported(desk: Desk) -> None:
    made = desk.opened(charges=1)
    desk.take(made.batch(1, 2))
    desk.said()
    fresh = PointLedger("m1", 0, made.book)
    fresh.open(register_wh=5000)
    desk.take(fresh.batch(1, 1, epoch=2))
    assert desk.seq() == 2
    assert desk.said() == []  # nothing the module could trim by
    assert desk.differences() == ["storage rollback"] * 2


FAR_S = 4_102_444_800


def test_a_statement_of_an_unset_clock_silences_no_later_one(desk: Desk) -> None:
    made = desk.opened(charges=2)
    old = made.statement()
    made.charge(700)
    unset = made.statement()._replace(time_s=FAR_S, quality=units.INVALID)
    desk.take(made.batch(1, 4), unset)
    kept = desk.store.fleet.point_known("m1", 0).statement
    assert kept is not None and (kept.seq, kept.time_s) == (4, None)
    desk.take(old)  # by its sequence, since one of both times says nothing
    assert desk.store.fleet.point_known("m1", 0).statement == kept
    made.charge(700)
    desk.take(made.batch(5, 1), made.statement())
    kept = desk.store.fleet.point_known("m1", 0).statement
    assert kept is not None and (kept.seq, kept.time_s) == (5, made.statement().time_s)
    assert (desk.differences(), desk.reasons()) == ([], [])
    desk.take(made.statement()._replace(balance_ncur=made.state.balance_ncur + 5))
    assert desk.differences() == ["unexplained"]


def test_an_unset_clock_far_ahead_is_no_storage_rollback(desk: Desk) -> None:
    made = desk.opened(charges=1)
    early = made.statement()._replace(time_s=FAR_S, quality=units.INVALID)
    made.charge(700)
    desk.take(made.batch(1, 3), early)
    assert desk.differences() == []


def test_a_far_time_that_was_kept_before_silences_nothing(desk: Desk) -> None:
    made = desk.opened(charges=1)
    desk.take(made.batch(1, 2), made.statement())
    point = desk.store.fleet.point_known("m1", 0)
    with desk.store.transaction():
        assert point.statement is not None
        desk.store.ledgers.stated(point, point.statement._replace(time_s=FAR_S))
    desk.take(made.statement())
    kept = desk.store.fleet.point_known("m1", 0).statement
    assert kept is not None and kept.time_s == made.statement().time_s


def test_a_sequence_that_went_back_is_a_storage_rollback(desk: Desk) -> None:
    made = desk.opened(charges=4)
    desk.take(made.batch(1, 5))
    desk.take(desk.sender.hello({0: 3}, boot_id=2))
    assert desk.differences() == ["storage rollback"]
    desk.take(desk.sender.hello({0: 5}, boot_id=3))
    assert desk.differences() == []


def test_a_wrong_statement_is_an_unexplained_difference_with_both_figures(desk: Desk) -> None:
    made = desk.opened(charges=1)
    desk.take(made.statement()._replace(balance_ncur=5), made.batch(1, 2))
    (found,) = desk.store.ledgers.differences()
    assert (found.kind, found.module_value) == ("unexplained", "5")
    assert found.host_value == str(made.state.balance_ncur)
    desk.take(made.statement()._replace(charged_ncur=3))
    assert desk.differences() == ["unexplained"] * 2
    (row, _) = reconcile.reconcile(desk.store, NOW_S)
    assert not row.reconciled
    assert row.charged_module_ncur == 3  # what the module says, not what we say


def test_a_statement_ahead_of_its_entries_is_compared_when_they_arrive(desk: Desk) -> None:
    made = desk.opened(charges=1)
    desk.take(made.batch(1, 1), made.statement()._replace(topups_ncur=9))
    assert desk.differences() == []
    desk.take(made.batch(2, 1))
    assert desk.differences() == ["unexplained"]


def test_an_unknown_tariff_version_waits_for_its_book(desk: Desk) -> None:
    book = desk.ledger.book._replace(version=7)
    made = PointLedger("m1", 0, book)
    made.open()
    desk.take(made.batch(1, 1))
    assert desk.seq() == 0
    assert desk.differences() == ["tariff version behind"]
    with desk.store.transaction():
        desk.store.fleet.store_book("new", book, NOW_S)
        desk.store.fleet.assign(1, 7, 0)
    desk.take(made.batch(1, 1))
    assert desk.seq() == 1
    assert desk.differences() == []


def test_an_older_tariff_than_assigned_is_settled_as_used_and_classified(desk: Desk) -> None:
    book = desk.ledger.book._replace(version=8)
    with desk.store.transaction():
        desk.store.fleet.store_book("new", book, NOW_S)
        desk.store.fleet.assign(1, 8, START_S)
    made = desk.opened(charges=2)
    desk.take(made.batch(1, 3))
    assert desk.store.fleet.point_known("m1", 0).state == made.state
    assert desk.differences() == ["tariff version behind"]
    made.book = book
    made.charge(100)
    desk.take(made.batch(4, 1))
    assert desk.differences() == []


def test_a_day_charged_twice_is_reported(desk: Desk) -> None:
    made = desk.opened(charges=1)
    made.states[-1] = made.state._replace(day=made.state.day - 1)
    made.fixed()
    desk.take(made.batch(1, 3))
    assert desk.seq() == 3
    assert "unexplained" in desk.differences()


def test_events_and_results_are_one_stream_without_gaps_or_repetition(desk: Desk) -> None:
    boot = [START_S, 0, codes.BOOT, 255, [1, 1]]
    refused = [START_S, 0, codes.REJECTED, 255, [units.FORGED]]
    events = desk.sender.events(1, boot, refused)
    desk.take(desk.sender.result(3, 1))
    assert desk.store.intake.events("m1") == []
    desk.take(events, events)
    assert [event.seq for event in desk.store.intake.events("m1")] == [1, 2, 3]
    assert desk.store.payments.command("m1", 1).state == "done"
    (row,) = desk.store.intake.rejects()
    assert (row.source, row.reason, row.count) == ("module", units.FORGED, 1)
    desk.take(desk.sender.events(1, refused))
    assert desk.reasons() == [units.FORGED, units.CONTRADICTORY]


def test_events_that_the_module_had_no_room_for_are_one_record_and_hold_nothing_up(
    desk: Desk,
) -> None:
    boot = [START_S, 0, codes.BOOT, 255, [1, 1]]
    gap = desk.sender.events(2, 40)
    desk.take(desk.sender.result(42, 1), gap, desk.sender.events(1, boot), gap)
    kept = desk.store.intake.events("m1")
    assert [event.seq for event in kept] == [1, 41, 42]
    assert (kept[1].code, kept[1].args) == (codes.OUTBOX_FULL, cbor.encode([40]))
    assert desk.reasons() == [] and desk.said()[-1].streams == {8: 42}


def test_a_batch_that_continues_from_another_register_has_another_head(desk: Desk) -> None:
    """Register and balance do not travel with a batch; its head tells when they differ."""
    made = desk.opened(charges=2)
    other = PointLedger("m1", 0, made.book)
    other.open(register_wh=1)
    for _ in range(2):
        other.charge(250)
    desk.take(made.batch(1, 2), other.batch(3, 1))
    (found,) = desk.store.ledgers.differences()
    assert (found.kind, found.detail) == ("unexplained", "chain head of a batch")
    assert (found.module_value, found.host_value) == (
        other.state.head.hex(),
        made.state.head.hex(),
    )
    (row, _) = reconcile.reconcile(desk.store, NOW_S)
    assert not row.reconciled and row.balance_module_ncur is None
    desk.said()
    desk.consumer.send_due()  # the module is asked to spell it out, once
    asked = [item for item in desk.said() if isinstance(item, Command)]
    assert [item.action for item in asked if item.target == 0].count(codes.STATE) == 1


def test_a_head_that_is_ours_says_the_balance(desk: Desk) -> None:
    made = desk.opened(charges=2)
    desk.take(made.statement(), made.batch(1, 3))
    made.charge(77)
    desk.take(made.batch(4, 1))
    (row, _) = reconcile.reconcile(desk.store, NOW_S)
    assert row.reconciled and row.balance_module_ncur == made.state.balance_ncur


def test_a_will_is_shown_and_moves_nothing(desk: Desk) -> None:
    made = desk.opened(charges=1)
    desk.take(made.batch(1, 2))
    before = desk.journal()
    desk.take(b"", topic="w/0/m1")
    assert desk.store.fleet.module_known("m1").gone_s == NOW_S
    desk.take(b"forged", b"", topic="w/0/m9")
    assert desk.journal() == before and desk.reasons() == [units.UNKNOWN_MODULE] * 2
    desk.take(made.batch(1, 2))
    assert desk.store.fleet.module_known("m1").gone_s is None


def history(seed: int) -> PointLedger:
    """A random ledger: charges, days, and top-ups in the order of the air."""
    chance = random.Random(seed)
    made = PointLedger("m1", 0, tariff.Book(*enrolled_book()))
    made.open()
    numbers = [2, 4, 6, 8]
    chance.shuffle(numbers)
    for _ in range(chance.randrange(5, 40)):
        kind = chance.randrange(10)
        if kind == 0 and numbers:
            made.top_up(numbers.pop(), chance.randrange(1, 10**12))
        elif kind == 1:
            made.fixed()
        else:
            made.charge(chance.randrange(0, 90000))
    return made


def enrolled_book() -> tariff.Book:
    from tests.host_tools.desk import BOOK

    return BOOK


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), data=st.data())
def test_any_order_and_any_repetition_give_the_identical_ledger(
    seed: int, data: st.DataObject
) -> None:
    made = history(seed)
    batches: list[Readings] = []
    first_seq = 1
    while first_seq <= len(made.entries):
        count = data.draw(st.integers(1, 8))
        batches.append(made.batch(first_seq, count))
        first_seq += count
    shuffled = data.draw(st.permutations(batches + data.draw(st.lists(st.sampled_from(batches)))))
    journals = []
    for order in (batches, shuffled):
        with tempfile.TemporaryDirectory() as folder:
            desk = Desk(Path(folder))
            while order:
                size = data.draw(st.integers(1, len(order)))
                desk.take(*order[:size])
                order = order[size:]
            assert desk.store.fleet.point_known("m1", 0).state == made.state
            assert desk.store.intake.parked("m1") == 0
            assert desk.reasons() == []
            assert reconcile.trial_balance(desk.store)
            journals.append(desk.journal())
            desk.store.close()
    assert journals[0] == journals[1]


@settings(max_examples=300)
@given(data=st.data())
def test_no_bytes_under_a_good_seal_stop_the_settlement(data: st.DataObject) -> None:
    """The holder of a key may send anything; it is settled, refused or held, never a crash."""
    number = st.integers(-(1 << 63), (1 << 64) - 1) | st.integers(0, 20)
    leaf = number | st.binary(max_size=20) | st.text(max_size=5) | st.none() | st.booleans()
    value = st.recursive(leaf, lambda inner: st.lists(inner, max_size=7), max_leaves=20)
    kind = data.draw(st.sampled_from([1, 2, 3, 4, 5]))
    good = _example(kind)
    fields = cbor.decode(messages.pack(good), 10)
    for key in data.draw(st.lists(st.sampled_from(sorted(fields)), max_size=3)):
        fields[key] = data.draw(value)
    if kind == messages.READINGS and data.draw(st.booleans()):
        item = st.lists(number, min_size=3, max_size=6) | number
        fields[5] = data.draw(st.lists(item, min_size=1, max_size=4))
    desk = shared_desk()
    alg = messages.alg_of(kind)
    payload = cbor.encode(fields)
    before = desk.transport.acknowledged
    desk.take(cose.seal(alg, payload, desk.sender.up))
    assert desk.transport.acknowledged == before + 1


_SHARED: list[Desk] = []


def shared_desk() -> Desk:
    if not _SHARED:
        _SHARED.append(Desk(Path(tempfile.mkdtemp())))
    return _SHARED[0]


def _example(kind: int) -> tuple[object, ...]:
    desk = shared_desk()
    made = PointLedger("m1", 0, desk.ledger.book)
    made.open()
    made.charge(100)
    made.top_up(2, 100)
    examples = {
        messages.READINGS: made.batch(1, 3),
        messages.EVENTS: desk.sender.events(1, [START_S, 0, 1, 255, [1, 2]]),
        messages.STATEMENT: made.statement(),
        messages.RESULT: desk.sender.result(2, 1),
        messages.HELLO: desk.sender.hello({0: 3}),
    }
    return examples[kind]


@pytest.mark.parametrize("table", ["entries", "postings", "events"])
def test_journals_refuse_update_and_delete(desk: Desk, table: str) -> None:
    made = desk.opened(charges=1)
    _pay(desk, "pay-1", 5000)
    desk.take(made.batch(1, 2), desk.sender.events(1, [START_S, 0, 1, 255, []]))
    for change in (f"UPDATE {table} SET time_s = time_s", f"DELETE FROM {table}"):
        with pytest.raises(BROKEN, match="append-only"):
            desk.store._connection.execute(change)
