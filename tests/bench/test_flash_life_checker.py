# runs on: micropython
"""The wear of the flash is measured, not believed: what wears it out shows."""

from firmware import metering, outbox
from tests.bench import wear_child

SECTORS = 16, 16


def replaced(owner, name, value, *arguments):
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        return wear_child.worked(*arguments)
    finally:
        setattr(owner, name, kept)


def test_ten_times_as_many_checkpoints_wear_ten_times_as_fast():
    honest = wear_child.worked(6, 10, 0, *SECTORS)
    hasty = replaced(metering, "CHECKPOINT_MS", 1000, 6, 1, 0, *SECTORS)
    assert 6 * sum(honest.journal) < sum(hasty.journal) < 14 * sum(honest.journal)


def test_files_are_written_only_without_a_network():
    assert sum(wear_child.worked(24, 300, 0, *SECTORS).disk) <= 2
    assert sum(wear_child.worked(24, 300, 10, *SECTORS).disk) > 5


def test_a_file_for_every_few_records_wears_the_file_system():
    honest = wear_child.worked(24, 300, 10, *SECTORS)
    careless = replaced(outbox.Outbox, "tidy", outbox.Outbox.flush, 24, 300, 10, *SECTORS)
    assert sum(careless.disk) > 3 * sum(honest.disk)
