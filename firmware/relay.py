"""The relay's total decision table, the ranks of what may open it, and the object that moves it.

Every pair of state and event is in the table; a decision is persisted before the contact moves,
and carries the rule that made it. Never decides about money: holds come from prepaid.py.
"""

from firmware.prepaid import (
    DID_COURTESY,
    DID_ZERO,
    HOLD_CREDIT,
    HOLD_LOAD,
    HOLD_NOT_CREDIT,
    HOLD_REMOTE,
    HOLD_SAFETY,
    HOLD_TAMPER,
    KEEP_FRIENDLY,
    KEEP_SUPPLY,
    OVERDRAFT,
    WARNING_2,
)
from protocol import codes
from protocol.units import const

CLOSED = const(0)
OPEN = const(1)
ARMED = const(2)  # open, and the customer may close
PENDING = const(3)  # closed, and will open when its delay is over

HELD = const(0)  # something holds the supply open
FREE = const(1)  # nothing does
KEY = const(2)  # the customer pressed the key
CLOSE = const(3)  # direct or automatic close, nothing holds it
DELAYED = const(4)  # credit holds it, and a delay runs
GENTLE = const(5)  # opens once, the key restores

NOTHING = const(0)
DO_OPEN = const(1)
DO_CLOSE = const(2)
DO_ARM = const(3)
DO_DISARM = const(4)
DO_WAIT = const(5)
DO_CALM = const(6)

# (next state, action) at state * EVENTS + event. NOTHING with the same state is an ignored pair.
EVENTS = const(6)
TABLE = (
    (OPEN, DO_OPEN),  # closed: held
    (CLOSED, NOTHING),  # free
    (CLOSED, NOTHING),  # key
    (CLOSED, NOTHING),  # close
    (PENDING, DO_WAIT),  # delayed
    (ARMED, DO_OPEN),  # gentle
    (OPEN, NOTHING),  # open: held
    (ARMED, DO_ARM),  # free
    (OPEN, NOTHING),  # key
    (CLOSED, DO_CLOSE),  # close
    (OPEN, NOTHING),  # delayed
    (OPEN, NOTHING),  # gentle
    (OPEN, DO_DISARM),  # armed: held
    (ARMED, NOTHING),  # free
    (CLOSED, DO_CLOSE),  # key
    (CLOSED, DO_CLOSE),  # close
    (OPEN, DO_DISARM),  # delayed
    (ARMED, NOTHING),  # gentle
    (OPEN, DO_OPEN),  # pending: held
    (CLOSED, DO_CALM),  # free
    (PENDING, NOTHING),  # key
    (CLOSED, DO_CALM),  # close
    (PENDING, NOTHING),  # delayed
    (ARMED, DO_OPEN),  # gentle
)

# Rules, carried by every opening, arming and closing.
BY_CREDIT = const(1)
BY_REARM = const(2)
BY_KEY = const(3)
AUTOMATIC = const(4)
BY_REMOTE_TRIP = const(5)
BY_REMOTE_PERMIT = const(6)
BY_REMOTE_CLOSE = const(7)
BY_SAFETY = const(8)
BY_TAMPER = const(9)
BY_LOAD = const(10)
BY_COURTESY = const(11)
BY_ZERO = const(12)
BY_HOLD_SUPPLY = const(13)
BY_RESTORE = const(14)  # the load limit's own
BY_TIMER = const(15)  # of an order with a time
BY_EMERGENCY = const(16)

# The first rank whose hold stands and is not masked decides: (hold, its rule, what masks it).
RANKS = (
    (HOLD_SAFETY, BY_SAFETY, 0),
    (HOLD_NOT_CREDIT, BY_REMOTE_TRIP, KEEP_SUPPLY),
    (HOLD_TAMPER, BY_TAMPER, KEEP_SUPPLY),
    (HOLD_REMOTE, BY_REMOTE_TRIP, KEEP_SUPPLY | KEEP_FRIENDLY),
    (HOLD_CREDIT, BY_CREDIT, KEEP_SUPPLY | KEEP_FRIENDLY),
    (HOLD_LOAD, BY_LOAD, KEEP_SUPPLY),
)

OPEN_MIN_MS = const(30000)
CLOSED_MIN_MS = const(10000)
CLOSE_AFTER_BOOT_MS = (5000, 30000)
HOUR_MS = const(3600000)
OPERATIONS_WARN = const(10000)  # contact life, IEC 62055-31 endurance class (unverified)


def is_closed(state):
    return state == CLOSED or state == PENDING


def ruling(bits, state):
    """The rule that wants the supply open, 0 none; friendly hours close nothing that is open."""
    if not is_closed(state):
        bits &= ~KEEP_FRIENDLY
    for hold, rule, masks in RANKS:
        if bits & hold and not bits & masks:
            return rule
    return 0


def gentle_rule(point, episode, zone):
    """The rule of an opening that the customer's key undoes, once an episode; 0 none."""
    if point.zero_trip and zone == OVERDRAFT and not episode & DID_ZERO:
        return BY_ZERO
    if point.courtesy_trip and zone == WARNING_2 and not episode & DID_COURTESY:
        return BY_COURTESY
    return 0


class Relay:
    """One contact, its minimum times and its operations in an hour, in monotonic time."""

    def __init__(self, contact, ticks_ms, entropy, an_hour):
        """contact: a board relay, or None for a point without one."""
        self.contact = contact
        self.ticks_ms = ticks_ms
        low, high = CLOSE_AFTER_BOOT_MS
        spread = int.from_bytes(entropy(2), "big") * (high - low) // 65536
        self.may_close_ms = ticks_ms() + low + spread
        self.may_open_ms = 0
        self.an_hour = an_hour
        self.moves_ms = []  # within the last hour
        self.mismatch = False  # the contact is not where it was commanded

    def allowed(self, action, rule=0):
        """Whether the minimum times and the operations of an hour let this happen now."""
        if action != DO_CLOSE and (action != DO_OPEN or rule == BY_SAFETY):
            return True
        now_ms = self.ticks_ms()
        if now_ms < (self.may_close_ms if action == DO_CLOSE else self.may_open_ms):
            return False
        while self.moves_ms and now_ms - self.moves_ms[0] >= HOUR_MS:
            self.moves_ms.pop(0)
        return len(self.moves_ms) < self.an_hour

    def move(self, action):
        """Pulse the contact after the decision was persisted."""
        if self.contact is None or (action != DO_OPEN and action != DO_CLOSE):
            return
        now_ms = self.ticks_ms()
        if action == DO_OPEN:
            self.contact.open()
            self.may_close_ms = now_ms + OPEN_MIN_MS
        else:
            self.contact.close()
            self.may_open_ms = now_ms + CLOSED_MIN_MS

    def count(self):
        """An operation by decision; repetitions of a lost pulse are none."""
        self.moves_ms.append(self.ticks_ms())

    def recall(self, state, number, events):
        """A contact that is known to be elsewhere: told once, commanded again each time."""
        actual = None if self.contact is None else self.contact.actual()
        closed = is_closed(state)
        if actual is None or actual == closed:
            self.mismatch = False
            return
        if not self.mismatch:
            self.mismatch = True
            events.add(codes.RELAY_MISMATCH, number, state, int(not closed))
        action = DO_CLOSE if closed else DO_OPEN
        if self.ticks_ms() >= (self.may_close_ms if closed else self.may_open_ms):
            self.move(action)
