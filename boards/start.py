"""Chooses which copy of the program runs, before any of it is imported; the same on every board.

`/slot` says "trusted trial tries": the copy that is trusted and the one on trial ("a" or "b" for
/a or /b, "-" for none: the copy at the root or in the image), and the starts the trial has left.
Never imports the program, and no update replaces this file.
"""

import os
import sys

FILE = "/slot"
NONE = "-"


def choose(root=""):
    """The copy to run now. A start of a trial is used up before it begins."""
    try:
        with open(root + FILE) as file:
            trusted, trial, left = file.read().split()
        tries = int(left)
    except (OSError, ValueError):  # there was no update yet
        return NONE
    if trial == NONE or tries < 1:
        return trusted
    try:
        with open(root + FILE + ".new", "w") as file:
            file.write("%s %s %d" % (trusted, trial, tries - 1))
        os.rename(root + FILE + ".new", root + FILE)
    except OSError:  # a trial that cannot be counted would never end
        return trusted
    return trial


def enter(path):
    """Choose, let imports find that copy first, and leave no trace in memory. -> its name"""
    copy = choose()
    if copy != NONE:
        path.insert(0, "/" + copy)
    del sys.modules["boards.start"]
    delattr(sys.modules["boards"], "start")
    return copy
