"""The file that says which copy of the program is trusted and which one is on trial.

Read and counted down by boards/start.py, which must not import this; changed only here. Loaded by
life.py and by the update command, and forgotten with them.
"""

from firmware import config
from protocol.units import Malformed

FILE = "/slot"
NONE = "-"  # the copy at the root of the file system or in the image, which no update replaces
TRIES = 3  # starts that a copy on trial gets


def read(root):
    """(trusted, trial, starts left)."""
    try:
        trusted, trial, tries = config.read(root, FILE).decode().split()
        return trusted, trial, int(tries)
    except (Malformed, ValueError):
        return NONE, NONE, 0


def write(root, trusted, trial=NONE, tries=0):
    config.write(root, FILE, ("%s %s %d" % (trusted, trial, tries)).encode())


def version(root, copy):
    """Version in the list of files of a copy, 0 without one."""
    try:
        return int(config.read(root, "/%s/files" % copy).split(b"\n")[0])
    except (Malformed, ValueError):
        return 0
