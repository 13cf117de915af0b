"""A new module whose records were lost in a restored store: what was lost counts once."""

from pathlib import Path

import pytest

from host_tools.backup import archive
from protocol import topics
from tests.host_tools.care.street import NEW, Street, begun, opened, used
from tests.host_tools.test_older_backup import Restored

TOPIC = topics.up(0, NEW)
WHO = ("--from-statement", "--who", "Li Na", "--why", "disk failed")


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
    restored = Restored(street.desk, tmp_path / "backup", tmp_path / "new")
    restored.clock.s = street.desk.clock.s
    street.desk = street.old.desk = street.new.desk = restored
    street.desk.take(street.new.sender.seal(street.new.ledger.statement()), topic=TOPIC)
    used(street, NEW, 1)
    street.new.send()
    code, _, err = street.run("adopt", NEW, 0, *WHO)
    assert code == 0, err
    used(street, NEW, 4)
    street.settle()
    street.old.charge(street.old.state.register_wh)
    street.settle()
    used(street, NEW, 4)
    street.settle()
    street.agreed()
