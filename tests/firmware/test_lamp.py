# runs on: cpython micropython
"""The lamp shows the gravest condition, and only when it changes."""

import asyncio

from firmware import lamp, prepaid, relay
from firmware import point as points
from protocol.units import INVALID, SYNCHRONISED
from tests.firmware import desk as desks

GRAVEST_LAST = (
    lamp.FINE, lamp.NO_NETWORK, lamp.NO_TIME, lamp.WARNING_1, lamp.WARNING_2, lamp.OVERDRAFT,
    lamp.EXHAUSTED, lamp.LOCKED, lamp.PENDING, lamp.SILENT, lamp.TAMPER, lamp.SAFE, lamp.FAULT,
)  # fmt: skip
ZONES = {
    lamp.WARNING_1: prepaid.WARNING_1,
    lamp.WARNING_2: prepaid.WARNING_2,
    lamp.OVERDRAFT: prepaid.OVERDRAFT,
    lamp.EXHAUSTED: prepaid.EXHAUSTED,
}


class Here:
    """Parts of a firmware as the lamp looks at them."""

    def __init__(self, **values):
        for name, value in values.items():
            setattr(self, name, value)


def module(*conditions):
    """A firmware with two points, the second one under the conditions."""
    slot = desks_point.slot
    calm = points.Slot(*(slot[:6] + (prepaid.NORMAL,) + slot[7:]))
    sick = calm
    silent = 0
    for code in conditions:
        if code in ZONES:
            sick = points.Slot(*(sick[:6] + (ZONES[code],) + sick[7:]))
        elif code == lamp.LOCKED:
            sick = desks_point.with_more(sick, points.M_LOCKED_S, 60)
        elif code == lamp.TAMPER:
            sick = desks_point.with_more(sick, points.M_TAMPER, 4)
        elif code == lamp.PENDING:
            sick = points.Slot(*(sick[:2] + (relay.PENDING,) + sick[3:]))
        elif code == lamp.SILENT:
            silent = 3
    signals = []
    quality = INVALID if lamp.NO_TIME in conditions else SYNCHRONISED
    return Here(
        uplink=Here(client=Here(connected=lamp.NO_NETWORK not in conditions)),
        clock=Here(now=lambda: (0, quality)),
        points={0: Here(slot=calm, silent=0), 1: Here(slot=sick, silent=silent)},
        safe=lamp.SAFE in conditions,
        shown=None,
        board=Here(signal=signals.append),
        signals=signals,
    )


desks_point = points.Point(desks.point_settings(), "desk-1", 1, desks.flat_book(), None, None)


def test_the_codes_are_in_the_order_of_their_gravity():
    assert list(GRAVEST_LAST) == list(range(len(GRAVEST_LAST)))


def test_of_any_two_conditions_the_graver_one_is_shown():
    shown = GRAVEST_LAST[:-1]  # a fault is shown before there is a firmware
    for lesser in shown:
        for graver in shown[lesser:]:
            if lesser in ZONES and graver in ZONES and lesser != graver:
                continue  # a balance is in one zone
            firmware = module(lesser, graver)
            lamp.show(firmware)
            assert firmware.signals == [graver], (lesser, graver)


def test_an_alarm_by_the_host_is_shown_as_pending():
    firmware = module()
    slot = firmware.points[1].slot
    firmware.points[1].slot = desks_point.with_more(slot, points.M_EPISODE, prepaid.ALARM)
    lamp.show(firmware)
    assert firmware.signals == [lamp.PENDING]


def test_the_board_is_told_only_of_changes():
    firmware = module(lamp.SILENT)
    lamp.show(firmware)
    lamp.show(firmware)
    firmware.points[1].silent = 0
    lamp.show(firmware)
    assert firmware.signals == [lamp.SILENT, lamp.FINE]


def test_a_module_shows_its_state_after_each_poll():
    desk = desks.Desk(desks.folder("lamp"))
    desks.provision(desk.root, [desks.point_settings()], desks.flat_book())
    board, firmware = desk.power_on()
    desk.meter.answers = False
    for _ in range(3):
        asyncio.run(firmware.metering.poll())
    assert board.signals[-1] == lamp.SILENT
