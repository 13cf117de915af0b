# runs on: micropython
"""The look after a power cut would notice: broken rules make its figures rise."""

from tests.bench import cuts_child, cuts_world

EVERY = 23


class ActsBeforeCommit(cuts_world.Watched):
    """A journal that says "durable" while the slot is still in a cache."""

    cached = None

    def program(self, at, data):
        self.flush()
        self.cached = (at, bytes(data))
        if len(data) == 256:
            self.kept.append((data[4], bytes(data[6 : 6 + data[5]])))

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


def snapshots():
    """(steps, some snapshots of the uncut run)."""
    steps = cuts_world.workload()
    uncut = cuts_child.Uncut(0, 1, EVERY, cuts_world.Watched)
    uncut.run(steps)
    return steps, uncut.snapshots


def test_an_honest_journal_loses_nothing():
    count = cuts_child.tried(0, 1, EVERY)
    assert count.first == "", count.first
    assert count.tried == 4 * (count.operations // EVERY + 1)
    assert count.records_lost == count.double_charges == count.mount_failures == 0


def test_a_journal_that_acts_before_commit_loses_records():
    count = cuts_child.tried(0, 1, EVERY, make_journal=ActsBeforeCommit)
    assert count.records_lost > 0


def test_a_payment_sent_again_under_a_new_number_charges_twice():
    steps, taken = snapshots()
    careless = list(steps)
    # `expected` counts orders only: what is resent under a new number was never owed.
    careless.insert(-2, ("resend", 13, 1, 1, (10, 0, cuts_world.CUR)))
    count = cuts_child.Count()
    cuts_child.cut(count, taken[3], "none", steps, cuts_world.Watched)
    assert count.double_charges == 0
    cuts_child.cut(count, taken[3], "none", careless, cuts_world.Watched)
    assert count.double_charges == 1


def test_a_file_system_that_is_gone_is_a_mount_failure():
    steps, taken = snapshots()
    number, step, copy, journal, disk, _, _, _, _ = taken[3]
    wiped = (number, step, copy, journal, bytes(len(disk)), True, 0, b"\x00", 32)
    count = cuts_child.Count()
    cuts_child.cut(count, wiped, "all", steps, cuts_world.Watched)
    assert count.mount_failures == 1


def test_the_workload_goes_round_the_ring_and_moves_the_relay():
    steps = cuts_world.workload()
    uncut = cuts_child.Uncut(0, 1, 1 << 30, cuts_world.Watched)
    firmware = uncut.run(steps)
    assert firmware.journal.states.newest > 2 * firmware.journal.states.slots
    assert firmware.outbox.waiting() == 0 and uncut.filed >= 2
    assert [shelf.first > shelf.last for shelf in firmware.outbox.shelves] == [True, True]
    assert uncut.world.contact.moves == ["close", "open", "close", "open", "close"]
