"""Chooses which copy of the program runs, before any of it is imported; the same on every board.

`/slot` says "trusted trial tries": the copy that is trusted and the one on trial ("a" or "b" for
/a or /b, "-" for none: the copy at the root or in the image), and the starts the trial has left.
Never imports the program, and no update replaces this file.
"""

import os
import sys
import time

FILE = "/slot"
NONE = "-"
PAUSE_MS = 2000


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
    """Choose, and let imports find that copy first. -> its name"""
    copy = choose()
    if copy != NONE:
        path.insert(0, "/" + copy)
    return copy


def over(error, board):
    """The program ended with an error that nothing in it expected: the next start goes on."""
    sys.print_exception(error)
    time.sleep_ms(PAUSE_MS)  # a technician may press Ctrl-C
    board.reset()
