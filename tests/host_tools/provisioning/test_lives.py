"""The identities of one chip: when the next one begins, and what is never made again."""

import json
from pathlib import Path

import pytest

from host_tools import Refused
from host_tools.care.people import Person
from host_tools.care.replace import take_over
from host_tools.care.retire import retire
from host_tools.faults import Fault
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.provisioning import batch, card, lives
from host_tools.provisioning.faults import EXISTING, ORDER, SERIAL
from host_tools.provisioning.order import Order
from host_tools.provisioning.record import Record, Records, Step
from host_tools.settlement import enrol, settle
from tests.host_tools.desk import Desk
from tests.host_tools.provisioning.test_order import ordered

ON_BOTH = True
OLD, NEW, CHIP = "gp-1", "gp-1b", "0200aa"
PERSON = Person("Li Na", "work order 7")


def as_(module: str, *more: str) -> Order:
    return ordered("--meter", "0=sdm120", "--module", module, *more)


def enrolled(desk: Desk, wanted: Order) -> None:
    keys = KeyFiles(desk.folder / KEYS_FOLDER)
    enrol.enrol(desk.store, keys, wanted.module, 0, wanted.new_points(), desk.clock.s)


def lived(module: str = OLD, *before: Record) -> Record:
    """A chip that was commissioned."""
    record = Record(CHIP, module, CHIP, "digest", 5, 9, before=list(before))
    record.steps["clock"] = Step("clock", True, 6, 7, "seen", "所见")
    return record


def begun(desk: Desk, record: Record | None, *more: str, module: str = NEW) -> Record:
    return lives.begun(desk.store, record, as_(module, *more), CHIP, 20)


def test_the_next_life_of_a_chip_keeps_the_one_before(desk: Desk) -> None:
    enrolled(desk, as_(OLD))
    record = begun(desk, lived(), "--was", OLD)
    assert (record.module, record.chip, record.steps, record.finished_s) == (NEW, CHIP, {}, 0)
    assert record.before == [lived()] and record.names() == {OLD, NEW}
    kept = Records(desk.folder)
    kept.folder.mkdir(parents=True)
    kept.write(record)
    assert kept.read(CHIP) == record
    assert begun(desk, record, "--was", OLD) is record  # interrupted, and the same words again
    third = begun(desk, record, "--was", NEW, module="gp-1c")
    assert [each.module for each in third.before] == [OLD, NEW]
    assert all(not each.before for each in third.before)


def test_the_card_of_a_chip_tells_all_its_lives(desk: Desk) -> None:
    enrolled(desk, as_(OLD))
    wanted = as_(NEW, "--was", OLD)
    page = card.written(desk.folder, begun(desk, lived(), "--was", OLD), wanted)
    told = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    (before,) = told["before"]
    assert told["module"] == NEW and before["module"] == OLD and before["finished_s"] == 9
    assert [step["check"] for step in before["steps"]] == ["clock"]
    text = page.read_text(encoding="utf-8")
    assert f"{OLD}: 1970-01-01 00:00:05" in text and "此前身份" in text


@pytest.mark.parametrize(
    ("record", "said"),
    ((None, "not on record"), (lived("gp-3"), "gp-3"), (lived(NEW), f"is {NEW}")),
)
def test_a_chip_that_was_another_module_is_left_alone(
    desk: Desk, record: Record | None, said: str
) -> None:
    enrolled(desk, as_(OLD))
    with pytest.raises(Fault, match=said) as fault:
        begun(desk, record, "--was", OLD)
    assert fault.value.kind == SERIAL


def test_a_lost_identity_is_not_its_own_successor() -> None:
    with pytest.raises(Refused, match="never made again"):
        as_(OLD, "--was", OLD)


def test_what_a_chip_was_is_nothing_that_is_written_to_it() -> None:
    assert as_(NEW, "--was", OLD).digest() == as_(NEW).digest()  # goes on without the word, too
    assert "was" in batch.COLUMNS


def test_the_points_of_a_lost_module_have_somewhere_to_go(desk: Desk) -> None:
    two = ("--point", "1=Shop", "--meter", "1=sdm120:2")
    enrolled(desk, as_(OLD, *two))
    with pytest.raises(Fault, match=rf"{OLD}/1: .*add --point 1=") as fault:
        begun(desk, lived(), "--was", OLD)
    assert fault.value.kind == ORDER
    assert begun(desk, lived(), "--was", OLD, *two).module == NEW
    retire(desk.store, OLD, None, False, PERSON, desk.clock.s)
    assert begun(desk, lived(), "--was", OLD).module == NEW


def test_the_key_of_a_module_that_was_replaced_or_retired_is_never_written_again(
    desk: Desk,
) -> None:
    enrolled(desk, as_(OLD))
    wanted = as_(NEW, "--was", OLD)
    lives.refuse_ended(desk.store, OLD)
    enrolled(desk, wanted)
    assert f"module replace {OLD} {NEW}" in lives.onward(desk.store, wanted)
    with desk.store.transaction():
        take_over(desk.store, OLD, NEW, {}, PERSON, desk.clock.s)
    with pytest.raises(Fault, match=f"{NEW}/0 took over.*another --module") as fault:
        lives.refuse_ended(desk.store, OLD)
    assert fault.value.kind == EXISTING
    assert f"module retire {OLD}" in lives.onward(desk.store, wanted)
    enrolled(desk, as_("gp-3"))
    retire(desk.store, "gp-3", None, False, PERSON, desk.clock.s)
    with pytest.raises(Fault, match="its module is retired"):
        lives.refuse_ended(desk.store, "gp-3")
    assert lives.onward(desk.store, as_(NEW, "--was", "gp-3")) == ""
    lives.refuse_ended(desk.store, NEW)
    assert lives.onward(desk.store, as_(NEW)) == ""


def test_a_module_that_began_another_ledger_is_told_the_way_on(desk: Desk) -> None:
    enrolled(desk, as_(OLD))
    lives.refuse_lost(desk.store, OLD)
    point = desk.store.fleet.point_known(OLD, 0)
    desk.store.ledgers.differ(point.id, settle.ROLLBACK, "epoch 2", 3, (2, 1), desk.clock.s)
    with pytest.raises(Fault, match=f"--erase-journal MAC.*--was {OLD}.*module replace {OLD} NEW"):
        lives.refuse_lost(desk.store, OLD)


def test_a_record_of_before_there_were_lives_is_read(tmp_path: Path) -> None:
    kept = Records(tmp_path)
    kept.folder.mkdir(parents=True)
    kept.write(lived())
    told = json.loads(kept.path(CHIP).read_text(encoding="utf-8"))
    del told["before"]
    kept.path(CHIP).write_text(json.dumps(told), encoding="utf-8")
    assert kept.read(CHIP) == lived()


def test_a_name_of_an_earlier_life_is_taken_by_no_chip(tmp_path: Path) -> None:
    kept = Records(tmp_path)
    kept.folder.mkdir(parents=True)
    kept.write(lived(NEW, lived()))
    for serial, chip in ((CHIP, CHIP), ("S2", "bb")):
        with pytest.raises(Fault, match="never written again") as fault:
            kept.refuse_duplicate(serial, chip, OLD)
        assert fault.value.kind == EXISTING
    kept.refuse_duplicate(CHIP, CHIP, NEW)


def test_a_type_plate_that_was_left_out_is_named(tmp_path: Path) -> None:
    kept = Records(tmp_path)
    kept.folder.mkdir(parents=True)
    kept.write(Record("SN-7", OLD, CHIP, "digest", 5, 9))
    with pytest.raises(Fault, match="say --serial SN-7"):
        kept.refuse_duplicate(CHIP, CHIP, NEW)
