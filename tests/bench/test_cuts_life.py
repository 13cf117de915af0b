# runs on: micropython
"""A power cut in the middle of an update or of new settings leaves a module that boots."""

import os
import sys

from tests.bench import cuts_life

EVERY = 9


class Careless:
    """A file system whose rename is two steps, as it would be on many others."""

    def __getattr__(self, name):
        return getattr(os, name)

    def rename(self, old, new):
        try:
            os.remove(new)
        except OSError:
            pass  # there was none
        os.rename(old, new)


def test_some_cuts_of_updates_and_settings_leave_old_or_new():
    count = cuts_life.tried(0, 1, EVERY)
    assert count.first == "", count.first
    assert count.unbootable == count.wrong == 0
    assert count.tried > 4 * (count.operations // EVERY) - 40


def test_a_rename_that_is_not_atomic_would_be_noticed():
    sys.modules["os"] = Careless()  # life.py is imported anew each time, and finds this one
    try:
        count = cuts_life.tried(0, 1, 1, ("hear",))
    finally:
        sys.modules["os"] = os
    assert count.unbootable > 0
