"""Where the folders of tests and benches stand: below one root that no other process has.

Any number of runs, of one checkout or of several, then leave each other alone. MicroPython
children find the root in their environment.
"""

import atexit
import os
import shutil
import tempfile

VARIABLE = "GRIDPURSE_TMP"
MASTER_KEY = "GRIDPURSE_MASTER_KEY_FILE"  # of the runs alone: a person's own is never used


def root() -> str:
    """The root of this process and its children, made at first use and removed at its end."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix="gridpurse-")
        atexit.register(shutil.rmtree, os.environ[VARIABLE], ignore_errors=True)
        os.environ[MASTER_KEY] = os.path.join(os.environ[VARIABLE], "master.key")
    return os.environ[VARIABLE]


def below(name: str) -> None:
    """The root of this process alone, below the one that it shares with other workers."""
    os.environ[VARIABLE] = os.path.join(root(), name)
    os.makedirs(os.environ[VARIABLE])
