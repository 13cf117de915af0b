# runs on: micropython
"""The look after a power cut would notice: broken rules make its figures rise."""

from firmware import metering
from protocol import topup
from tests.bench import cuts_child, cuts_day, cuts_world

EVERY = 23
POLL_S = 300


class ActsBeforeCommit(cuts_world.Watched):
    """A journal that says "durable" while the slot is still in a cache."""

    cached = None

    def program(self, at, data):
        self.flush()
        self.cached = (at, bytes(data))
        self.note(data)

    def erase(self, at):
        self.flush()
        super().erase(at)

    def read(self, at, buf):
        super().read(at, buf)
        if self.cached and self.cached[0] == at:
            buf[:] = self.cached[1]

    def flush(self):
        if self.cached:
            at, data = self.cached
            self.cached = None
            self.settle(self.flash.program(at, data))


def tried(**changes):
    return cuts_child.tried(0, 1, EVERY, POLL_S, **changes)


def replaced(owner, name, value):
    """Puts a broken rule in place for one run. -> the count of that run."""
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        return tried()
    finally:
        setattr(owner, name, kept)


def test_an_honest_module_loses_and_doubles_nothing():
    count = tried()
    assert count.first == "", count.first
    assert count.tried == 4 * -(-count.operations // EVERY)
    assert count.records_lost == count.double_charges == count.double_credits == 0
    assert count.mount_failures == count.wrong_ends == 0


def test_a_journal_that_acts_before_commit_loses_records():
    assert tried(make_journal=ActsBeforeCommit).records_lost > 0


def test_a_payment_without_its_watermark_is_credited_twice():
    count = replaced(topup, "check", lambda mark, number: topup.FRESH)
    assert count.double_credits > 0


def test_pulses_that_are_not_kept_are_charged_twice():
    count = replaced(metering.Metering, "keep_pulses", lambda self, point: None)
    assert count.double_charges > 0


def test_an_entry_that_forgets_its_energy_is_found():
    honest = metering.Metering.charge

    def careless(self, point, at_s, quality):
        point.seen_wh = max(point.state.register_wh, point.seen_wh - 1)
        honest(self, point, at_s, quality)

    assert replaced(metering.Metering, "charge", careless).records_lost > 0


def test_a_file_system_that_is_gone_is_a_mount_failure():
    uncut = cuts_child.Uncut(cuts_day.workload(POLL_S), lambda number: number == 3)
    uncut.run()
    bench = cuts_child.Bench(uncut)
    for number, journal, disk in uncut.images():
        bench.cut(number, journal, bytes(len(disk)), "none")
    assert bench.count.mount_failures == 1


def test_the_day_goes_round_the_ring_fills_files_and_moves_the_relay():
    uncut = cuts_child.Uncut(cuts_day.workload(POLL_S), lambda number: False)
    firmware = uncut.run()
    assert firmware.journal.states.newest > 2 * firmware.journal.states.slots
    assert firmware.outbox.waiting() == 0 and uncut.filed >= 2
    assert [shelf.first > shelf.last for shelf in firmware.outbox.shelves] == [True, True]
    # Opened by a trip and by running out twice.
    assert uncut.world.contact.moves == ["close", "open"] * 3 + ["close"]
