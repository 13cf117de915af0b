# runs on: micropython
"""The checker of the token histories notices what it is there for."""

from firmware import point as points
from tests.bench import tokens_child
from tests.bench import tokens_world as worlds
from tests.firmware import desk as desks


def counts(make_world):
    return tokens_child.run(0, 80, 0, desks.folder("tokens-checker"), make_world)


class Forgetful(worlds.World):
    """Failures live in memory only, as in the reference hardware example."""

    def restart(self):
        super().restart()
        slot = self.point.with_more(self.point.plain(), points.M_FAILURES, 0, points.M_LOCKED_S, 0)
        self.firmware.metering.commit(self.point, slot)


class Impatient(worlds.World):
    """A lock-out that follows the wall clock."""

    def move_clock(self):
        super().move_clock()
        self.point.locked_ms -= 86400000


class Rewound(worlds.World):
    """A restart finds the flash as it was when the module was new."""

    def restart(self):
        self.cells.cells[:] = self.site.cells
        super().restart()


def test_a_lock_out_that_a_restart_clears_is_a_bypass():
    count = counts(Forgetful)
    assert count["bypasses"] > 0, count


def test_a_lock_out_that_the_clock_shortens_is_a_bypass():
    count = counts(Impatient)
    assert count["bypasses"] > 0 and not count["double_accepts"], count


def test_a_forgotten_mark_is_a_double_accept():
    count = counts(Rewound)
    assert count["double_accepts"] > 0, count


def test_an_honest_module_passes():
    count = counts(worlds.World)
    assert not (count["double_accepts"] or count["bypasses"] or count["wrong"]), count
    assert count["accepted"] > 80 and count["cuts"] > 10
