"""The rules of a prepaid balance: zones, emergency credit, what holds the supply, the cap.

Pure: balance, limits and state in, zone, state and holds out; prepay-rules.md sections 2 to 5.
Nano-currency. Never touches a relay, a journal or a clock.
"""

from protocol.units import const

# Zones, worst last; a bound belongs to the worse one.
NORMAL = const(0)
WARNING_1 = const(1)
WARNING_2 = const(2)
OVERDRAFT = const(3)
EXHAUSTED = const(4)

# Reasons that hold the supply open, as bits; relay.RANKS orders them.
HOLD_CREDIT = const(1)  # from the limit down until rearm is reached again
HOLD_REMOTE = const(2)  # ordered, and waits for the end of friendly hours
HOLD_NOT_CREDIT = const(4)  # ordered, and does not wait
HOLD_TAMPER = const(8)  # latched until cleared
HOLD_LOAD = const(16)  # load limit, restores itself
HOLD_SAFETY = const(32)  # voltage or current beyond the hard limits
HOLD_ORDERED = const(6)  # the two that the host orders and frees
# What keeps the supply closed.
KEEP_SUPPLY = const(64)  # hold-supply 保电
KEEP_FRIENDLY = const(128)  # friendly hours, or a clock that does not know

# Emergency credit: offered at a low balance, chosen by the customer, offered anew when repaid.
EC_NONE = const(0)
EC_OFFERED = const(1)
EC_ACTIVE = const(2)
EC_SPENT = const(3)

# Bits of an episode, kept in point.M_EPISODE.
DID_COURTESY = const(1)  # opened once in the second warning
DID_ZERO = const(2)  # opened once at the beginning of the overdraft
WAS_FRIENDLY = const(4)  # friendly hours kept the supply on beyond the limit
CLOSE_ORDERED = const(8)  # a direct close waits for the relay's minimum open time
ALARM = const(16)  # ordered by the host
CLOSE_RESTORES = const(32)  # the load limit closes what it opened


def limit_ncur(point, emergency):
    """The balance at which credit ends, given the state of emergency credit."""
    return -point.emergency_limit_ncur if emergency == EC_ACTIVE else point.limit_ncur


def zone(point, balance_ncur, limit, mean_ncur):
    """The zone of a balance; `mean_ncur` is the mean spend of a day, for warnings in days."""
    if balance_ncur <= limit:
        return EXHAUSTED
    if limit < 0 and balance_ncur <= 0:
        return OVERDRAFT
    if balance_ncur <= max(point.warning_2_ncur, _days_ncur(point.warning_2_days, mean_ncur)):
        return WARNING_2
    if balance_ncur <= max(point.warning_1_ncur, _days_ncur(point.warning_1_days, mean_ncur)):
        return WARNING_1
    return NORMAL


def _days_ncur(days, mean_ncur):
    """The greatest balance of which `balance // mean` is at most `days`."""
    return (days + 1) * mean_ncur - 1 if days and mean_ncur > 0 else -1 << 63


def emergency(point, before, balance_ncur):
    """The state of emergency credit at a balance; only the customer makes it EC_ACTIVE."""
    if not point.emergency_limit_ncur or balance_ncur > point.emergency_offer_ncur:
        return EC_NONE
    if before == EC_NONE:
        return EC_OFFERED
    if before == EC_ACTIVE and balance_ncur <= -point.emergency_limit_ncur:
        return EC_SPENT
    return before


def holds(point, balance_ncur, limit, before):
    """The holds after a balance. Emergency credit lifts the limit below what credit holds."""
    if balance_ncur <= limit:
        return before | HOLD_CREDIT
    if balance_ncur >= point.rearm_ncur or limit < point.limit_ncur:
        return before & ~HOLD_CREDIT
    return before


def episode(bits, zone_now):
    """What is over when the balance is back above the zone it belongs to."""
    if zone_now < WARNING_2:
        bits &= ~DID_COURTESY
    if zone_now < OVERDRAFT:
        bits &= ~DID_ZERO
    return bits


def cap_allows(point, balance_ncur, amount_ncur):
    """A top-up beyond the maximum or the credit cap is refused whole, and not consumed."""
    return 0 < amount_ncur <= point.topup_max_ncur and balance_ncur + amount_ncur <= point.cap_ncur
