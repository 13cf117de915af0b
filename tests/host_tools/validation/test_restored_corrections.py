"""A store that was restored knows what a correction was ordered as before."""

from pathlib import Path

from host_tools.backup import archive, check
from host_tools.settlement import posting, reconcile
from protocol import ledger
from tests.host_tools.test_older_backup import Restored
from tests.host_tools.validation.judged import DAY, Judged


def test_a_correction_that_was_forgotten_is_known_by_its_sum(
    judged: Judged, tmp_path: Path
) -> None:
    judged.meter(DAY)
    judged.validate()
    desk = judged.desk
    folder = tmp_path / "x"
    folder.mkdir()
    archive.take(desk.place, folder / "backup", desk.clock.s)
    at = judged.sent_seq
    first = judged.edit(5, 100)["adjustment"]["amount_ncur"]
    judged.adjusted()
    restored = Restored(desk, folder / "backup", folder / "new")
    restored.clock.s = desk.clock.s
    judged.desk = judged.orderly.desk = restored
    judged.store = restored.store
    judged.orderly.clock = restored.folder / "clock"
    desk = restored
    desk.take(judged.made.batch(at + 1, len(judged.made.entries) - at))
    assert desk.differences() == ["tamper"]
    judged.edit(5, 100)
    judged.adjusted()
    made = [entry for entry in judged.made.entries if entry.kind == ledger.ADJUSTMENT]
    assert sum(entry.amount_ncur for entry in made) == first
    assert desk.differences() == []
    assert not check.check(desk.store._database).findings
    assert reconcile.trial_balance(desk.store)
    assert desk.store.ledgers.accounts().get(("CNY", posting.SUSPENSE), 0) == 0
