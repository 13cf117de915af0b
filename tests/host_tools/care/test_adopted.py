"""A new module whose records were lost in a restored store: what was lost counts once."""

from pathlib import Path

import pytest

from host_tools.backup import archive
from host_tools.care import following
from protocol import topics
from tests.host_tools.care.street import NEW, OLD, Street, alike, begun, opened, used
from tests.host_tools.test_older_backup import Restored

WHO = ("--from-statement", "--who", "Li Na", "--why", "disk failed")


def restored(street: Street, folder: Path, module: str) -> None:
    """The store as it was in its backup; a module goes on, and what lies between is adopted."""
    desk = Restored(street.desk, folder / "backup", folder / "new")
    desk.clock.s = street.desk.clock.s
    street.desk = street.old.desk = street.new.desk = desk
    metering = street.modules[module]
    desk.take(metering.sender.seal(metering.ledger.statement()), topic=topics.up(0, module))
    metering.charge(metering.state.register_wh + 700)
    metering.send()
    code, _, err = street.run("adopt", module, 0, *WHO)
    assert code == 0, err


def test_what_the_old_module_tells_late_gives_no_lost_record_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    street = Street(tmp_path / "data", capsys)
    begun(street)
    opened(street)
    street.settle()
    street.replace()
    used(street, NEW, 4)
    street.settle()
    archive.take(street.desk.place, tmp_path / "backup", street.desk.clock.s)
    used(street, NEW, 20)  # over both thresholds of the tiers
    street.settle()
    restored(street, tmp_path, NEW)
    alike(street, street.new.state.time_s, 700)
    used(street, NEW, 4)
    street.settle()
    street.old.charge(street.old.state.register_wh)
    street.settle()
    used(street, NEW, 4)
    street.settle()
    street.agreed()


def test_lost_records_on_both_sides_of_a_hand_over_wait_for_a_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the old module has charged in them is not charged again as energy in between."""
    (tmp_path / "data").mkdir()
    street = Street(tmp_path / "data", capsys)
    begun(street)
    archive.take(street.desk.place, tmp_path / "backup", street.desk.clock.s)
    used(street, OLD, 5)
    at_s, register_wh = street.old.state.time_s, street.old.state.register_wh
    for _ in range(5):
        street.old.charge(street.old.state.register_wh + 700)
    street.old.send()
    restored(street, tmp_path, OLD)
    street.new.open(at_s + 700, register_wh)
    street.new.send()
    street.replace()
    street.settle()
    had_ncur = street.old.ledger.states[-2].balance_ncur
    assert street.balance(NEW) == street.new.state.balance_ncur == had_ncur
    assert following.SWAP in street.desk.differences()
