"""Debt recovery: two debts by time and one by payment, each step a ledger entry of its own.

Amounts are nano-currency, rounded down in the customer's favour; prepay-rules.md section 6. Terms
lie in a file, what is left in the point's slot, so that an entry and its debt are one record.
Loaded only while a point owes something.
"""

from firmware import config, prepaid, relay
from firmware import point as points
from protocol import cbor, codes, ledger, tariff
from protocol.units import const

# Places in point.M_DEBTS: what is left of debts 1 to 3, and the state of their recovery.
DUE = const(3)  # of the third debt, from a top-up that is already credited
TAKEN = const(4)  # of the third debt in the running week
CARRIED_S = const(5)  # of debts 1 and 2, towards the next full period
WEEK = const(7)
NONE = (0,) * 8
BY_PAYMENT = const(2)  # place of the third debt
# [[rate_ncur, period_s], [rate_ncur, period_s], [percent, weekly ceiling_ncur]]
NO_TERMS = ((0, 0), (0, 0), (0, 0))


def path(number):
    return "/debt%d.cbor" % number


def terms(root, number):
    try:
        return cbor.decode(config.read(root, path(number)))
    except config.Malformed:
        return [list(item) for item in NO_TERMS]


def reserve(root, point, slot):
    """The slot of a top-up with the share of it that the third debt takes next."""
    values = list(slot.more[points.M_DEBTS])
    percent, ceiling_ncur = terms(root, point.number)[BY_PAYMENT]
    entry = slot.entry
    used_ncur = max(0, entry.amount_ncur - entry.balance_ncur)  # emergency credit or overdraft
    week = tariff.local_day(point.book, entry.time_s) // 7
    if week != values[WEEK]:
        values[WEEK], values[TAKEN] = week, 0
    take_ncur = max(0, entry.amount_ncur - used_ncur) * percent // 100
    take_ncur = min(take_ncur, values[BY_PAYMENT] - values[DUE])
    if ceiling_ncur:
        take_ncur = min(take_ncur, max(0, ceiling_ncur - values[TAKEN] - values[DUE]))
    values[DUE] += take_ncur
    return point.with_more(slot, points.M_DEBTS, values)


def passed(point, slot, passed_s):
    """The slot of an interval with its time in it, so that no cut makes a period longer."""
    if passed_s <= 0 or suspended(point):
        return slot
    values = list(slot.more[points.M_DEBTS])
    for place in (0, 1):
        if values[place]:
            values[CARRIED_S + place] += passed_s
    return point.with_more(slot, points.M_DEBTS, values)


def recover(point, metering, by_time):
    """Post what is due: the share of a top-up, and at the end of an interval what time brought."""
    values = list(point.slot.more[points.M_DEBTS])
    due_ncur = min(values[DUE], values[BY_PAYMENT])
    if values[DUE]:
        values[DUE] = 0
        values[TAKEN] += due_ncur
        post(point, metering, values, BY_PAYMENT, due_ncur)
    if not by_time:
        return
    agreed = terms(metering.board.root, point.number)
    for place in (0, 1):
        rate_ncur, period_s = agreed[place]
        if not values[place] or not period_s:
            continue
        carried_s = values[CARRIED_S + place]
        due_ncur = min(values[place], carried_s // period_s * rate_ncur)
        if due_ncur:
            values[CARRIED_S + place] = carried_s % period_s
            post(point, metering, values, place, due_ncur)


def suspended(point):
    settings = point.settings
    if not settings.debt_when_off and not relay.is_closed(point.slot.relay):
        return True
    lent = point.slot.more[points.M_EMERGENCY] == prepaid.EC_ACTIVE
    return lent and not settings.debt_in_emergency


def post(point, metering, values, place, amount_ncur):
    values[place] -= amount_ncur
    now_s, quality = metering.clock.now()
    entry = ledger.recovered(point.state, now_s, quality, place + 1, amount_ncur)
    left = list(values) if any(values[:DUE]) else []
    slot = point.with_more(point.with_entry(entry), points.M_DEBTS, left)
    metering.commit(point, slot)
    if not values[place]:
        metering.events.add(codes.DEBT_LEFT, point.number, place + 1, 0)
