"""A replacement in a store that was restored: nothing that was lost is ordered a second time."""

from pathlib import Path

import pytest

from host_tools.backup import archive
from protocol import codes
from tests.host_tools.care.street import CUR, NEW, OLD, Street, begun, opened, used

REPLACE = ("module", "replace", OLD, NEW, "--by", "Li Na", "--reason", "work order 7")


def adopt(street: Street) -> None:
    street.new._say(street.new.ledger.statement())
    used(street, NEW, 1)
    street.new.send()
    street.done("adopt", NEW, 0, "--from-statement", "--who", "Li Na", "--why", "disk")
    used(street, NEW, 1)
    street.new.send()


def test_adopted_charges_of_the_new_module_are_not_paid_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = Street(tmp_path / "a", capsys)
    begun(street)
    street.replace()
    opened(street)
    street.settle()
    street.agreed()
    file = tmp_path / "backup"
    archive.take(street.desk.place, file, street.desk.clock.s)
    used(street, NEW, 8)
    street.settle()  # settled and trimmed, and then the store is lost
    street.back_to(file, tmp_path / "new")
    adopt(street)
    street.done(*REPLACE)
    street.settle()
    assert len(street.ordered(NEW, 0, codes.TRANSFER)) == 1
    street.agreed()


def test_a_transfer_among_the_lost_records_is_not_ordered_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`replace` is in the backup, the TRANSFER that followed is not; the module has applied it."""
    street = Street(tmp_path / "a", capsys)
    begun(street)
    street.replace()
    file = tmp_path / "backup"
    archive.take(street.desk.place, file, street.desk.clock.s)
    opened(street)
    street.settle()
    street.agreed()
    used(street, NEW, 8)
    street.settle()
    street.back_to(file, tmp_path / "new")
    adopt(street)
    street.settle()
    assert street.new.state.balance_ncur == street.truth.state.balance_ncur
    assert "gridpurse command adjust" in street.run(*REPLACE)[1]


def test_a_debt_that_this_store_never_ordered_stops_no_replacement(street: Street) -> None:
    begun(street)
    street.old.tell(codes.DEBT_LEFT, 1, 9 * CUR)  # its order was given after the backup
    street.replace()
    opened(street)
    street.settle()
    assert street.balance(NEW) == street.truth.state.balance_ncur


def test_a_debt_told_late_that_this_store_never_ordered_ends_no_settlement(
    street: Street,
) -> None:
    begun(street)
    street.replace()
    opened(street)
    street.settle()
    street.old.tell(codes.DEBT_LEFT, 1, 9 * CUR)
    street.old.charge(street.old.state.register_wh + 1)
    street.settle()
    assert street.balance(NEW) == street.truth.state.balance_ncur
