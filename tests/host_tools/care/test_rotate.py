"""Keys are exchanged: whoever is killed where, both sides come to the same, nothing is lost."""

import os

import pytest

from host_tools.care import rekeying, rotate
from host_tools.keys import KeyFiles, RootKey
from host_tools.store import care
from protocol import codes, messages, rekey, topics
from protocol.messages import Command
from protocol.units import DAY_S, FORGED
from tests.host_tools.care.street import OLD, PERSON, Street, alike, begun, paid, used

BY = ("--by", "Li Na", "--reason", "work order 7")
ROTATE = ("module", "rotate", OLD, *BY)


class Rekeyed:
    """The old module with what firmware/effects/key.py does."""

    def __init__(self, street: Street) -> None:
        self.street, self.module = street, street.old
        self.keys = KeyFiles(street.desk.folder / "keys")
        self.key = self.keys.load(OLD)
        self.before = self.module.sender.down

    def order(self) -> Command:
        """The KEY command that goes out now, under the module's own down key."""
        found = [order for order in self.sent() if order.action == codes.KEY]
        return found[-1]

    def sent(self) -> list[Command]:
        desk = self.street.desk
        desk.clock.ms += 4_000_000
        desk.consumer.send_due()
        out = []
        for topic, data, _ in desk.transport.published:
            if topics.parse(topic).module == OLD:
                message = messages.unseal(data, self.module.sender.down, True, self.before)
                out += [message] if isinstance(message, Command) else []
        desk.transport.published.clear()
        return out

    def obey(self, order: Command) -> int:
        salt, wanted = order.args
        assert self.key
        if rekey.check(self.key.reveal()) == wanted:
            return codes.ALREADY
        new = RootKey(rekey.next_root(self.key.reveal(), salt))
        assert rekey.check(new.reveal()) == wanted
        self.use(new)
        return codes.DONE

    def use(self, key: RootKey) -> None:
        self.key, self.before = key, self.module.sender.down
        self.module.sender = type(self.module.sender)(OLD, key)

    def host_key(self) -> bytes:
        found = KeyFiles(self.street.desk.folder / "keys").load(OLD)
        assert found
        return found.reveal()


@pytest.fixture
def rekeyed(street: Street) -> Rekeyed:
    begun(street)
    street.settle("new-1")
    return Rekeyed(street)


def test_a_key_is_exchanged_over_the_air_and_no_message_is_lost(rekeyed: Rekeyed) -> None:
    street, before = rekeyed.street, rekeyed.host_key()
    assert street.done(*ROTATE)["state"] == rotate.WAITS
    order = rekeyed.order()
    used(street, OLD, 2)
    street.old.send()  # still under the old key
    assert rekeyed.host_key() == before
    status = rekeyed.obey(order)
    street.old.answers.append((order.id, status))
    used(street, OLD, 2)
    street.old.answer()
    street.old.send()
    assert rekeyed.host_key() == rekeyed.key.reveal() != before
    assert street.store.fleet.point_known(OLD, 0).state == street.old.state
    assert street.store.payments.command(OLD, order.id).state == "done"
    assert street.store.intake.rejects(OLD) == []
    assert street.done(*ROTATE)["state"] == rotate.IN_USE
    assert rekeyed.sent() == []
    assert care.of(street.store).rotation(OLD).who == PERSON.who


def test_the_same_order_again_is_the_same_key(rekeyed: Rekeyed) -> None:
    street = rekeyed.street
    street.done(*ROTATE)
    first = rekeyed.order()
    street.done(*ROTATE)
    again = rekeyed.order()
    assert (first.id, first.args) == (again.id, again.args)
    with street.store.transaction():  # it expired, or was refused
        order = street.store.payments.command(OLD, first.id)
        street.store.payments.command_ended(order, "expired", None, None, 0)
    street.done(*ROTATE)
    assert rekeyed.order().args == first.args


def test_a_lost_answer_is_asked_for_under_the_new_key(rekeyed: Rekeyed) -> None:
    street = rekeyed.street
    street.done(*ROTATE)
    order = rekeyed.order()
    assert rekeyed.obey(order) == codes.DONE  # and the power goes: no answer, no slot
    used(street, OLD, 1)
    street.old.send()
    again = rekeyed.order()
    assert again.id == order.id and rekeyed.obey(again) == codes.ALREADY
    assert rekeyed.host_key() == rekeyed.key.reveal()


def test_a_host_killed_before_its_file_is_replaced_finds_out_again(
    rekeyed: Rekeyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = rekeyed.street
    street.done(*ROTATE)
    rekeyed.obey(rekeyed.order())
    used(street, OLD, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(KeyFiles, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            street.old.send()
    street.desk.clock.ms += 2000
    street.old.sent_seq -= 1
    street.old.send()
    assert rekeyed.host_key() == rekeyed.key.reveal()
    assert street.store.fleet.point_known(OLD, 0).state == street.old.state


def test_a_rotation_that_was_given_up_and_arrived_all_the_same_is_found(rekeyed: Rekeyed) -> None:
    street = rekeyed.street
    street.done(*ROTATE)
    assert rekeyed.obey(rekeyed.order()) == codes.DONE  # and is silent for months
    street.desk.clock.s += rotate.LIFE_S + 1
    street.done(*ROTATE)
    assert len(care.of(street.store).rotations(OLD)) == 2
    used(street, OLD, 1)
    street.old.send()
    assert rekeyed.host_key() == rekeyed.key.reveal()


def test_another_worker_that_had_the_old_key_in_hand_looks_at_the_file(rekeyed: Rekeyed) -> None:
    street = rekeyed.street
    new = RootKey(os.urandom(32))  # as brought in at the console
    KeyFiles(street.desk.folder / "keys").replace(OLD, new)
    rekeyed.use(new)
    used(street, OLD, 1)
    street.old.send()
    assert street.store.fleet.point_known(OLD, 0).state == street.old.state


def test_a_forged_message_changes_no_key(rekeyed: Rekeyed) -> None:
    street, before = rekeyed.street, rekeyed.host_key()
    street.done(*ROTATE)
    rekeyed.use(RootKey(bytes(32)))
    street.old.tell(codes.BOOT, 1, 2)
    assert rekeyed.host_key() == before
    assert [row.reason for row in street.store.intake.rejects(OLD)] == [FORGED]
    data = street.old.sender.seal(street.old.ledger.statement())
    assert not rekeying.heard(street.store, rekeyed.keys, "nobody", data)


def test_tokens_that_nobody_has_typed_hold_a_rotation(rekeyed: Rekeyed) -> None:
    street = rekeyed.street
    street.pay(OLD, 5, "cash-2")
    assert "is in flight and its token would lapse" in street.refused(*ROTATE)
    (given,) = street.store.payments.uncredited(street.store.fleet.point_known(OLD, 0).id)
    with street.store.transaction():
        street.store.payments.topup_became(given, "refused", None)
    assert "is refused and its token would lapse" in street.refused(*ROTATE)
    assert street.done(*ROTATE, "--tokens-lapse")["state"] == rotate.WAITS


def test_after_two_rotations_what_was_said_under_older_keys_counts_for_nothing(
    rekeyed: Rekeyed,
) -> None:
    street, late = rekeyed.street, []
    for name in ("cash-2", "cash-3"):
        used(street, OLD, 2)
        street.old.charge(street.old.state.register_wh)  # under way for long
        alike(street, street.old.state.time_s, 0)
        before = street.old.sender
        late.append(before.seal(street.old.ledger.batch(street.old.state.seq, 1)))
        paid(street, OLD, 5, name)
        street.desk.clock.s += DAY_S
        assert street.done(*ROTATE, "--tokens-lapse")["state"] == rotate.WAITS
        for order in rekeyed.sent():  # the payment among them
            if order.action == codes.KEY:
                street.old.answers.append((order.id, rekeyed.obey(order)))
            else:
                street.old.hear(order)
        street.old.send()
        street.old.answer()
        assert rekeyed.host_key() == rekeyed.key.reveal()
    street.desk.clock.ms += 10_000
    street.desk.take(*late, topic=topics.up(0, OLD))
    assert rekeyed.host_key() == rekeyed.key.reveal()
    assert {row.reason for row in street.store.intake.rejects(OLD)} == {FORGED}
    assert street.store.fleet.point_known(OLD, 0).state == street.old.state
    assert street.balance(OLD) == street.truth.state.balance_ncur
    assert street.store.payments.open_commands(OLD) == []
    street.sound()
