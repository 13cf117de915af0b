"""What a typed token may lead to, and the lock-out that guessing runs into.

Time comes as elapsed monotonic milliseconds, so no clock setting shortens a lock-out; a restart
resumes from the persisted state, which is never ahead of the true one. Persist the state after a
failure before the result is shown. prepay-rules.md section 10. Never reads a clock.
"""

from collections import namedtuple

from protocol import topup
from protocol.units import const

# Results of an entry; the first three are topup's. Only INVALID is a failure.
ACCEPTED = topup.FRESH
USED = topup.USED
TOO_OLD = topup.TOO_OLD
INVALID = const(3)
FORMAT = const(4)  # wrong length, digit or check digit: nothing was computed
LOCKED = const(5)
CAP_EXCEEDED = const(6)  # genuine, above a limit, not consumed
REFUSED = const(7)  # genuine, of a kind that this point does not take, not consumed

# failures: INVALID entries in a row; left_s: seconds until the next entry.
Lockout = namedtuple("Lockout", "failures left_s")
CLEAR = Lockout(0, 0)

FORGIVEN = const(2)
DOUBLINGS_MAX = const(9)  # 512 minutes
FAILURES_MAX = const(255)  # one byte in the journal
LATCH = const(20)  # failures that only an authenticated command clears
LATCHED = const(2)  # of `locked`
SAVE_S = const(60)


def locked(state: Lockout, latch: int = LATCH) -> int:
    """0 open, 1 for `left_s` more, LATCHED until a command clears it."""
    if state.failures >= latch:
        return LATCHED
    return 1 if state.left_s > 0 else 0


def after(state: Lockout, result: int) -> Lockout:
    """The state after the result of an entry; a new failure never shortens what is left."""
    if result == ACCEPTED:
        return CLEAR
    if result != INVALID:
        return state
    failures = min(state.failures + 1, FAILURES_MAX)
    left_s = 0
    if failures > FORGIVEN:
        left_s = 60 << min(failures - FORGIVEN, DOUBLINGS_MAX)
    return Lockout(failures, max(left_s, state.left_s))


def passed(state: Lockout, elapsed_ms: int) -> tuple[Lockout, int]:
    """(state, milliseconds not yet counted) after monotonic time went by.

    Count from the latest call minus the second figure. A negative time counts as none.
    """
    if elapsed_ms <= 0 or not state.left_s:
        return state, 0
    seconds = elapsed_ms // 1000  # down: a second counts when it is over
    if seconds >= state.left_s:
        return Lockout(state.failures, 0), 0
    return Lockout(state.failures, state.left_s - seconds), elapsed_ms - seconds * 1000


def save_due(state: Lockout, saved: Lockout) -> bool:
    """True when the persisted state must be written again: a change, or a minute counted down."""
    if state.failures != saved.failures or state.left_s > saved.left_s:
        return True
    return saved.left_s - state.left_s >= SAVE_S or (saved.left_s > 0 and not state.left_s)
