"""The simulated day of the power cuts: what two points use and what is ordered and typed there.

Steps: ("use", seconds, Wh of point 0, pulses of point 1), ("order", id, target, action, args),
("type", target, digits, amount), ("settle",). Both top-up ways share the numbers of a point.
"""

from protocol import codes, openpaygo, siphash, tariff_book, voucher
from protocol.cose import Mac
from protocol.units import INTERVAL_S
from tests.firmware import desk as desks
from tests.protocol import openpaygo_issuer

CUR = desks.CUR
PRICE_UCUR_PER_KWH = 500000
LATER_PRICE_UCUR_PER_KWH = 900000
FIXED_NCUR = CUR // 10
DAY_S = 86400
AFTER_S = 900  # into the next day, whose fixed charge begins
HOUR_S = 3600
PULSE_UNIT = 3600  # watt-seconds of a pulse of 1 Wh
DEBT_NCUR = 2 * CUR  # of point 1, in hourly parts
PART_NCUR = CUR // 8
VOUCHER_SCALE = 2  # whole units

# From this hour on: load of point 0, of point 1, in W.
LOADS = ((0, 300, 100), (6, 1500, 220), (9, 400, 220), (17, 2500, 1500), (22, 800, 250))
# (minutes of the day, order, ("token" or "voucher", point, top-up number, units), or a name)
ORDERS = (
    (1, (1, 0, codes.TOPUP, 2, 0, 4 * CUR)),
    (2, (2, 1, codes.TOPUP, 2, 0, 30 * CUR)),
    (100, (15, 1, codes.DEBT, 1, DEBT_NCUR, PART_NCUR, HOUR_S)),
    (330, "settle"),
    (400, (3, 0, codes.TOPUP, 4, 0, 2 * CUR)),
    (460, (4, 0, codes.RELAY, codes.TRIP)),
    (480, (5, 0, codes.RELAY, codes.DIRECT_CLOSE)),
    (500, (6, 1, codes.TOPUP, 4, 0, CUR)),
    (555, (7, 0, codes.ADJUST, 3, -CUR // 3)),
    (610, ("voucher", 0, 6, 1)),
    (720, "settle"),
    (840, "tariff"),
    (900, ("token", 1, 6, 2)),
    (1020, "settle"),
    (1210, (12, 0, codes.TOPUP, 8, 0, 3 * CUR)),
    (1230, (13, 1, codes.TOPUP, 8, 0, 4 * CUR)),
    (1330, "settle"),
    (1420, ("voucher", 0, 10, 5)),
    (1455, "settle"),
)


def book(version=1, price_ucur_per_kwh=PRICE_UCUR_PER_KWH):
    return desks.flat_book(version, price_ucur_per_kwh, FIXED_NCUR)


def workload(poll_s=10):
    """A day of two points: top-ups by command, token and voucher, a debt, a trip and a close, a
    tariff switch, running out, midnight.

    Long stretches without settlement fill outbox files; the journal's ring goes round.
    """
    steps = [("use", 0, 0, 0)]
    due = list(ORDERS)
    sums = [0, 0]
    for at_s in range(poll_s, DAY_S + AFTER_S + 1, poll_s):
        used = []
        load = [each for each in LOADS if each[0] * HOUR_S < at_s][-1]
        for number in (0, 1):
            before = sums[number] // PULSE_UNIT
            sums[number] += load[1 + number] * poll_s
            used.append(sums[number] // PULSE_UNIT - before)
        steps.append(("use", poll_s, used[0], used[1]))
        while due and due[0][0] * 60 <= at_s:
            steps += named(due.pop(0)[1])
    return steps


def named(what):
    if what == "settle":
        return [("settle",)]
    if what == "tariff":
        new = tariff_book.to_wire(book(2, LATER_PRICE_UCUR_PER_KWH))
        return [order(9, 0, codes.TARIFF, new), order(10, 1, codes.TARIFF, new)]
    if what[0] == "token":
        _, point, number, units = what
        return [("type", point, token(point, number, units), units * CUR, number)]
    if what[0] == "voucher":
        return [typed_voucher(*what[1:])]
    return [order(*what)]


def token(point, number, units):
    key = openpaygo.derived_key(Mac(desks.ROOT_KEY), point, 0)
    code = openpaygo.starting_code(siphash.SipHash(key), key)
    return openpaygo_issuer.token(key, code, number, units)


def typed_voucher(point, number, units):
    mac = Mac(voucher.derived_key(Mac(desks.ROOT_KEY), point))
    tag = voucher.tag(mac, "desk-1", point, 0, number, VOUCHER_SCALE, units)
    bits = (number & 1023) << 47 | VOUCHER_SCALE << 45 | units << 32 | int.from_bytes(tag, "big")
    text = "%019d" % bits
    return ("type", point, text + str(voucher.luhn(text)), units * CUR, number)


def order(command_id, target, action, *args):
    return ("order", command_id, target, action, args)


def orders(steps, action, target):
    return [
        step for step in steps if step[0] == "order" and step[3] == action and step[2] == target
    ]


def payments(steps, target):
    """[(top-up number, amount_ncur, step)] of a point, whichever way each was paid."""
    out = []
    for step in steps:
        if step[0] == "order" and step[3] == codes.TOPUP and step[2] == target:
            out.append((step[4][0], step[4][2], step))
        elif step[0] == "type" and step[1] == target:
            out.append((step[4], step[3], step))
    return out


def owed(world, steps, number, opened_wh, register_wh):
    """Money of a point from what was used and ordered alone: (topups, energy, adjustments)."""
    topups = sum([amount_ncur for _, amount_ncur, _ in payments(steps, number)])
    adjusted = sum([step[4][1] for step in orders(steps, codes.ADJUST, number)])
    switched_wh = world.switched_wh[number]
    if switched_wh is None:
        switched_wh = register_wh
    charged = (switched_wh - opened_wh) * PRICE_UCUR_PER_KWH
    charged += (register_wh - switched_wh) * LATER_PRICE_UCUR_PER_KWH
    return topups, charged, adjusted


def recovered_ncur(world, state):
    """(least, most) of the debt that hourly parts have brought back by the newest metered instant.

    The time that a recovery counted last may be lost in a cut, in the customer's favour.
    """
    if world.owing_s is None:
        return 0, 0
    passed_s = state.time_s - world.owing_s
    most = passed_s // HOUR_S * PART_NCUR
    least = (passed_s - INTERVAL_S) // HOUR_S * PART_NCUR
    return min(DEBT_NCUR, max(0, least)), min(DEBT_NCUR, most)
