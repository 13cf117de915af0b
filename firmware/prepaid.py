"""Credit zones of prepay-rules.md section 2, and what a service point's relay should do about
them.

Pure: balance and limits in, zone and holds out. Nano-currency. Never touches a relay.
"""

NORMAL = 0
WARNING_1 = 1
WARNING_2 = 2
EXHAUSTED = 3

# Reasons that hold a relay open, as bits; it may close only when none is left.
HOLD_CREDIT = 1
HOLD_REMOTE = 2


def zone(point, balance_ncur):
    """The zone of a balance under settings.Point limits; a bound belongs to the lower zone."""
    if balance_ncur <= point.limit_ncur:
        return EXHAUSTED
    if balance_ncur <= point.warning_2_ncur:
        return WARNING_2
    if balance_ncur <= point.warning_1_ncur:
        return WARNING_1
    return NORMAL


def holds(point, balance_ncur, before):
    """The holds after a balance: credit holds from the limit down until rearm is reached again."""
    if balance_ncur <= point.limit_ncur:
        return before | HOLD_CREDIT
    if balance_ncur >= point.rearm_ncur:
        return before & ~HOLD_CREDIT
    return before


def cap_allows(point, balance_ncur, amount_ncur):
    """A top-up beyond the maximum or the credit cap is refused whole, and not consumed."""
    return 0 < amount_ncur <= point.topup_max_ncur and balance_ncur + amount_ncur <= point.cap_ncur
