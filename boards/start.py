"""Chooses which copy of the program runs, before any of it is imported; the same on every board.

`/slot` says "trusted trial tries": the copy that is trusted and the one on trial ("a" or "b" for
/a or /b, "-" for none: the copy at the root or in the image), and the starts the trial has left.
`/failed` says how often in a row a trusted copy was started by a reset and has not begun: after
three times one that was trusted before takes its place; where there is none the relays hold, and
it is tried every quarter of an hour. A power-on is none of these starts: a grid may flicker.
Never imports the program, and no update replaces this file.
"""

import os
import sys

FILE = "/slot"
FAILED = "/failed"
NONE = "-"
TRIES = 3
WAIT_S = 900
# Reset causes of firmware/README.md: nothing has failed before power-on, deep sleep, soft reset
# and brown-out.
INNOCENT = (1, 4, 5, 6)


def choose(root="", cause=1):
    """The copy to run now. A start of a trial, or after a reset, is counted before it begins."""
    trusted, trial, tries = read(root)
    # A trial that cannot be counted would never end.
    if trial != NONE and tries > 0 and write(root, FILE, (trusted, trial, tries - 1)):
        return trial
    if cause in INNOCENT:
        return trusted
    times = failures(root, trusted) + 1
    write(root, FAILED, (trusted, times))
    if times <= TRIES:
        return trusted
    forget(root + "/%s/trusted" % trusted)
    for other in ("a", "b", NONE):
        if other != trusted and proved(root, other) and write(root, FILE, (other, NONE, 0)):
            return other
    return trusted


def read(root):
    """(trusted, trial, starts left)."""
    try:
        with open(root + FILE) as file:
            trusted, trial, left = file.read().split()
        return trusted, trial, int(left)
    except (OSError, ValueError):  # there was no update yet
        return NONE, NONE, 0


def write(root, path, words):
    """Replace a file as a whole. -> whether there was room for it"""
    try:
        with open(root + path + ".new", "w") as file:
            file.write(" ".join([str(word) for word in words]))
        os.rename(root + path + ".new", root + path)
    except OSError:
        return False
    return True


def failures(root, copy):
    try:
        with open(root + FAILED) as file:
            name, times = file.read().split()
        return int(times) if name == copy else 0
    except (OSError, ValueError):
        return 0


def proved(root, copy):
    """Whether a copy was trusted once, has not failed since, and no update takes its place."""
    try:
        for name in () if copy == NONE else ("begun", "trusted"):
            os.stat(root + "/%s/%s" % (copy, name))
        return True
    except OSError:
        return False


def forget(path):
    try:
        os.remove(path)
    except OSError:
        pass  # there was none


def hold(board, before_s, sleep_ms):
    """The relays stay where they are, up to the bound of the board; Ctrl-C leads to the prompt."""
    sleep_ms(WAIT_S * 1000)
    if before_s < board.hold_s <= before_s + WAIT_S:
        for contact in board.relays:
            contact.open()


def enter(path, board):
    """Choose, let imports find that copy first, and leave no trace in memory. -> its name"""
    cause = board.reset_cause()
    copy = choose(board.root, cause)
    times = failures(board.root, copy)
    if times > TRIES and cause not in INNOCENT:
        import time

        print("gridpurse: the program does not start; tried again in %d s" % WAIT_S)
        hold(board, (times - TRIES - 1) * WAIT_S, time.sleep_ms)
    if copy != NONE:
        path.insert(0, "/" + copy)
    del sys.modules["boards.start"]
    delattr(sys.modules["boards"], "start")
    return copy
