"""Updates by command: each answer of the real firmware decides the next step, whatever is lost."""

import json
import os
import random

import pytest

from host_tools import cli
from host_tools.flashing import bundle_file
from host_tools.flashing.bundle import bundle
from host_tools.ordering import rollout
from host_tools.settlement import commands
from host_tools.store import orders
from protocol import cbor, codes
from tests.firmware.test_update import FILES, Site

ON_BOTH = True

BUNDLE = bundle(dict(FILES), "0.2.0")


class Updated:
    """A module on a desk that gets its commands from the host on another."""

    def __init__(self, orderly, name: str) -> None:
        self.orderly = orderly
        self.site = Site(name)
        self.path = orderly.desk.folder / "update.bundle"
        self.path.write_bytes(bundle_file.packed(BUNDLE))
        self.told = 0
        self.waiting: list[tuple[object, ...]] = []

    def order(self, *words: object) -> dict[str, object]:
        return self.orderly.order("update", "m1", *(words or ("--bundle", self.path)))

    def take(self, sent) -> None:
        """What the firmware makes of commands; its answers wait."""
        for command in sent:
            self.site.firmware.commands.take(command)
        records = self.site.records()
        for values in records[self.told :]:
            kind, more = values[3], values[4]
            if kind == 1:
                self.waiting.append((self.orderly.answer, more[2], more[3], more[4]))
            elif more[2] == codes.UPDATED:
                self.waiting.append((self.orderly.tell, codes.UPDATED, *more[4]))
        self.told = len(records)

    def deliver(self) -> None:
        for call, *values in self.waiting:
            call(*values)
        self.waiting.clear()

    def run(self) -> None:
        """Until the host has nothing more to send."""
        while sent := self.orderly.sent(later_ms=1):
            self.take(sent)
            self.deliver()

    def progress(self):
        store = self.orderly.desk.store
        return rollout.progress(store, orders.of(store).rollouts("m1")[-1])

    @property
    def state(self) -> str:
        return self.progress().state

    def whole(self) -> bool:
        root = self.site.root
        found = {}
        for path, _ in FILES:
            with open(f"{root}/a/{path}", "rb") as file:
                found[path] = file.read()
        return found == dict(FILES) and not os.path.exists(f"{root}/b")


@pytest.fixture
def updated(orderly):
    return Updated(orderly, "rollout")


def test_a_bundle_goes_out_in_steps_and_is_armed_confirmed_and_told(updated, orderly):
    updated.order()
    updated.run()
    assert updated.state == rollout.ARMED and updated.whole()
    updated.orderly.tell(codes.UPDATED, codes.CONFIRMED, BUNDLE.version, 0)
    one = updated.progress()
    assert (one.state, one.done_bytes) == (rollout.CONFIRMED, one.total_bytes)
    code, out, _ = orderly.run("commands", "m1")
    assert code == 0 and "update 1 to 0.2.0: confirmed 已确认, 100 %" in out
    assert "chunk" not in out and "update finish 程序升级 完成" in out
    assert "update chunk 1 at 1024" in orderly.run("commands", "m1", "--all")[1]


def test_a_program_that_was_taken_back_is_told_with_its_reason(updated):
    updated.order()
    updated.run()
    updated.orderly.tell(codes.UPDATED, codes.ROLLED_BACK, BUNDLE.version, codes.NO_START)
    one = updated.progress()
    assert (one.state, one.reason) == (rollout.TAKEN_BACK, codes.NO_START)
    assert updated.order()["id"] > 3  # another attempt is another update
    assert updated.progress().number == 2


def test_an_update_that_gets_on_while_it_is_listed_is_not_told_to_have_stopped(
    updated, orderly, monkeypatch
):
    updated.order()
    updated.take(orderly.sent(later_ms=1))
    read = orders.Orders.rollouts

    def then_answered(known, module):
        found = read(known, module)
        monkeypatch.setattr(orders.Orders, "rollouts", read)
        updated.deliver()
        return found

    monkeypatch.setattr(orders.Orders, "rollouts", then_answered)
    code, out, _ = orderly.run("commands", "m1", "--json")
    assert code == 0 and not updated.waiting
    assert json.loads(out)["updates"][-1]["state"] == "sending"


def test_a_chunk_is_in_the_store_only_while_it_is_under_way(updated):
    updated.order()
    updated.run()
    for record in orders.of(updated.orderly.desk.store).records("m1"):
        assert record.action != codes.UPDATE or len(record.args) < 64


@pytest.mark.parametrize("seed", range(4))
def test_lost_answers_resends_and_restarts_on_both_sides_end_in_the_same_files(updated, seed):
    dice = random.Random(seed)
    desk = updated.orderly.desk
    updated.order()
    for _ in range(200):
        what = dice.random()
        if what < 0.15:  # settlement starts anew
            desk.consumer._dispatch = commands.Dispatch()  # all that it does not have in its store
        elif what < 0.3:  # the module does
            updated.site.boot()
        sent = updated.orderly.sent(later_ms=dice.choice((1, 20_000)))
        if dice.random() < 0.7:
            updated.take(sent)
        if dice.random() < 0.7:
            updated.deliver()
        if updated.state != rollout.SENDING:
            break
    assert updated.state == rollout.ARMED and updated.whole()
    assert not updated.orderly.sent(later_ms=1 << 30)


def test_a_repeated_id_without_a_place_is_asked_where_to_go_on(updated):
    """The effect was there before, its answer was not: then the module says `already` alone."""
    updated.order()
    for _ in range(2):
        updated.take(updated.orderly.sent(later_ms=1))
        updated.deliver()
    (chunk,) = updated.orderly.sent(later_ms=1)
    updated.site.firmware.commands.take(chunk)
    updated.told = len(updated.site.records())  # that answer is lost for good
    updated.orderly.answer(chunk.id, codes.ALREADY)
    (again,) = updated.orderly.sent(later_ms=1)
    assert again.args[0] == codes.BEGIN
    updated.take([again])
    updated.deliver()
    updated.run()
    assert updated.state == rollout.ARMED and updated.whole()


def test_what_the_module_refuses_for_good_ends_it_with_the_reason(updated):
    wrong = bundle({path: b"M\x05" + data[2:] for path, data in FILES}, "0.2.0")
    updated.path.write_bytes(bundle_file.packed(wrong))
    updated.order()
    updated.run()
    one = updated.progress()
    assert (one.state, one.reason) == (rollout.REFUSED, codes.BAD_MPY)
    assert "compiled for another interpreter 解释器不符" in rollout.told(one)


def test_a_module_that_never_gets_further_is_given_up(updated):
    updated.order()
    begun = 0
    while sent := updated.orderly.sent(later_ms=1):
        begun += 1
        updated.orderly.answer(sent[0].id, codes.REFUSED_FIELD)
    assert updated.state == rollout.REFUSED and begun == rollout.TRIES_MAX


def test_an_update_that_ran_out_of_time_goes_on_when_it_is_ordered_again(updated):
    updated.order("--bundle", updated.path, "--expires", "1h")
    for _ in range(3):
        updated.take(updated.orderly.sent(later_ms=1))
        updated.deliver()
    updated.orderly.desk.clock.s += 3601
    assert not updated.orderly.sent(later_ms=1)
    assert updated.state == rollout.STOPPED
    before = updated.progress().done_bytes
    assert before
    updated.order()
    updated.run()
    assert updated.state == rollout.ARMED and updated.whole()
    records = orders.of(updated.orderly.desk.store).records("m1")
    sent = [commands.args_of(record.args) for record in records]
    assert sent.count([codes.CHUNK, 0, 0]) == 1  # nothing that had arrived was sent again


def test_the_same_order_under_way_is_the_same_and_another_bundle_waits(updated):
    first = updated.order()
    assert updated.order()["id"] == first["id"]
    other = updated.orderly.desk.folder / "other.bundle"
    other.write_bytes(bundle_file.packed(bundle(dict(FILES), "0.3.0")))
    assert "--abort first" in updated.orderly.refusal("update", "m1", "--bundle", other)
    updated.take(updated.orderly.sent(later_ms=1))
    updated.deliver()
    aborted = updated.order("--abort")
    assert len(aborted["withdrawn"]) == 1 and updated.state == rollout.ABORTED
    updated.run()
    assert not os.path.exists(f"{updated.site.root}/a/begun")
    assert updated.order("--bundle", other)["state"] == "queued"
    updated.run()
    assert updated.state == rollout.ARMED
    assert "no update is under way" in updated.orderly.refusal("update", "m1", "--abort")


def test_a_version_that_runs_already_is_not_sent(updated):
    desk = updated.orderly.desk
    desk.take(desk.sender.hello({})._replace(firmware="0.2.0"))
    line = updated.orderly.refusal("update", "m1", "--bundle", updated.path)
    assert "version 0.2.0 is not newer than 0.2.0 of m1" in line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        cbor.encode([2, *BUNDLE.parts]),
        cbor.encode([1, BUNDLE.parts[0]]),
        cbor.encode([1, *BUNDLE.parts[:-1]]),
        cbor.encode([1, BUNDLE.parts[0], *reversed(BUNDLE.parts[1:])]),
        cbor.encode([1, b"x", BUNDLE.parts[1]]),
        cbor.encode([1, BUNDLE.parts[0].replace(b"firmware/", b"../mware/"), *BUNDLE.parts[1:]]),
        bundle_file.packed(BUNDLE)[:-1],
    ],
    ids=range(9),
)
def test_a_file_that_is_no_bundle_is_one_line(updated, content):
    updated.path.write_bytes(content)
    line = updated.orderly.refusal("update", "m1", "--bundle", updated.path)
    assert "is no bundle that `gridpurse image` made" in line


def test_the_images_of_a_board_come_with_the_bundle_of_their_program(tmp_path, capsys):
    assert cli.main(["image", "--board", "esp32_generic", "--out", str(tmp_path)]) == 0
    made, _ = bundle_file.read(tmp_path / "update.bundle")
    assert bundle_file.version_text(made.version) == "0.1.0"
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert "update.bundle" not in [part["file"] for part in manifest["files"]]
    capsys.readouterr()
