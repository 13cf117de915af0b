"""The files that say what is trusted and what is on trial: a copy of the program, settings.

`/slot` is read and counted down by boards/start.py, which must not import this; all else is here.
Loaded by life.py and by the commands UPDATE and CONFIG, and forgotten with them.
"""

import os

from firmware import config
from protocol.units import Malformed

FILE = "/slot"
FAILED = "/failed"  # "copy times": what boards/start.py started by a reset, in a row
NONE = "-"  # the copy at the root of the file system or in the image, which no update replaces
TRIES = 3  # starts that a copy on trial gets

TRIAL = "/config.cbor.trial"  # settings that the next start tries
TRIED = "/config.cbor.tried"  # in use and not confirmed: the start after goes back to the old


def read(root):
    """(trusted, trial, starts left)."""
    try:
        trusted, trial, tries = config.read(root, FILE).decode().split()
        return trusted, trial, int(tries)
    except (Malformed, ValueError):
        return NONE, NONE, 0


def write(root, trusted, trial=NONE, tries=0):
    config.write(root, FILE, ("%s %s %d" % (trusted, trial, tries)).encode())


def counted(root):
    """The copy whose starts were counted, or None."""
    try:
        return config.read(root, FAILED).decode().split()[0]
    except (Malformed, ValueError, IndexError):
        return None


def version(root, copy):
    """Version in the list of files of a copy, 0 without one."""
    try:
        return int(config.read(root, "/%s/files" % copy).split(b"\n")[0])
    except (Malformed, ValueError):
        return 0


def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def settings_path(root, trials):
    """Path of the settings this start uses; what is tried is tried for one start."""
    if not trials or exists(root + TRIED) or not exists(root + TRIAL):
        return config.CONFIG
    try:
        os.rename(root + TRIAL, root + TRIED)
    except OSError:  # settings that cannot be marked as tried would be tried for ever
        return config.CONFIG
    return TRIED
