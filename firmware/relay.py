"""The relay's total decision table, and the one object that moves a contact.

Every pair of state and event is in the table; a decision is persisted before the contact moves,
and carries the rule that made it. Never decides about money: holds come from prepaid.py and
commands.
"""

CLOSED = 0
OPEN = 1
ARMED = 2  # open, and the customer may close

HELD = 0  # at least one hold wants it open
FREE = 1  # no hold is left
KEY = 2  # the customer pressed the key
CLOSE = 3  # direct or automatic close, no hold is left

NOTHING = 0
DO_OPEN = 1
DO_CLOSE = 2
DO_ARM = 3
DO_DISARM = 4

# (state, event): (next state, action). NOTHING with the same state is an ignored pair.
TABLE = {
    (CLOSED, HELD): (OPEN, DO_OPEN),
    (CLOSED, FREE): (CLOSED, NOTHING),
    (CLOSED, KEY): (CLOSED, NOTHING),
    (CLOSED, CLOSE): (CLOSED, NOTHING),
    (OPEN, HELD): (OPEN, NOTHING),
    (OPEN, FREE): (ARMED, DO_ARM),
    (OPEN, KEY): (OPEN, NOTHING),
    (OPEN, CLOSE): (CLOSED, DO_CLOSE),
    (ARMED, HELD): (OPEN, DO_DISARM),
    (ARMED, FREE): (ARMED, NOTHING),
    (ARMED, KEY): (CLOSED, DO_CLOSE),
    (ARMED, CLOSE): (CLOSED, DO_CLOSE),
}

# Rules, carried by every opening, arming and closing.
BY_CREDIT = 1
BY_REARM = 2
BY_KEY = 3
AUTOMATIC = 4
BY_REMOTE_TRIP = 5
BY_REMOTE_PERMIT = 6
BY_REMOTE_CLOSE = 7

OPEN_MIN_MS = 30000
CLOSED_MIN_MS = 10000
CLOSE_AFTER_BOOT_MS = (5000, 30000)


class Relay:
    """One contact. `moved_ms` guards the minimum open and closed times in monotonic time."""

    def __init__(self, contact, ticks_ms, entropy):
        """contact: a board relay, or None for a point without one."""
        self.contact = contact
        self.ticks_ms = ticks_ms
        low, high = CLOSE_AFTER_BOOT_MS
        spread = int.from_bytes(entropy(2), "big") * (high - low) // 65536
        self.may_close_ms = ticks_ms() + low + spread
        self.may_open_ms = 0

    def allowed(self, action):
        """Whether the minimum times let this action happen now."""
        if action == DO_CLOSE:
            return self.ticks_ms() >= self.may_close_ms
        return action != DO_OPEN or self.ticks_ms() >= self.may_open_ms

    def move(self, action):
        """Pulse the contact after the decision was persisted."""
        if self.contact is None:
            return
        if action == DO_OPEN:
            self.contact.open()
            self.may_close_ms = self.ticks_ms() + OPEN_MIN_MS
        elif action == DO_CLOSE:
            self.contact.close()
            self.may_open_ms = self.ticks_ms() + CLOSED_MIN_MS

    def disagrees(self, state):
        """True when the contact is known to be elsewhere than the commanded state."""
        actual = None if self.contact is None else self.contact.actual()
        return actual is not None and actual != (state == CLOSED)
