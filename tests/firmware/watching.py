"""A point on the desk that is looked at: stories of seconds, and what was told of them."""

import asyncio

from protocol import codes, messages
from tests.firmware import desk as desks


def start(name, power=None, **others):
    """A commissioned desk with one point; `others` are settings of the point, `plan` the module's.

    -> (desk, firmware), with a minute behind it and nothing told.
    """
    desk = desks.Desk(desks.folder("watch-" + name))
    module = {"plan": others.pop("plan")} if "plan" in others else {}
    point = desks.point_settings(auto_close=1, **others)
    desks.provision(desk.root, [point], desks.flat_book(), **module)
    for number in range(1):
        for file in ("/plan.cbor", "/identity%d.cbor" % number):
            forget(desk.root + file)
    desk.meter.moments = single()
    firmware = power_on(desk, power=power)
    command(firmware, codes.TOPUP, [2, 0, 100 * desks.CUR])
    seconds(desk, firmware, 60)
    return desk, firmware


def forget(path):
    import os

    try:
        os.remove(path)
    except OSError:
        pass


def power_on(desk, rtc=True, power=None):
    firmware = desk.power_on(rtc, power)[1]
    asyncio.run(firmware.metering.poll())
    return firmware


def single(volts=230, ma=1000, mw=230000, mhz=50000):
    """Moments of a single-phase meter, volts as such."""
    return {65: int(volts * 1000), 66: ma, 64: mw, 67: mhz}


def three(volts=(230, 230, 230), amps=(1, 1, 1), watts=(230, 230, 230), mhz=50000):
    moments = {64: int(sum(watts) * 1000), 67: mhz}
    for phase in range(3):
        moments[72 + phase] = int(volts[phase] * 1000)
        moments[75 + phase] = int(amps[phase] * 1000)
        moments[78 + phase] = int(watts[phase] * 1000)
    return moments


def seconds(desk, firmware, count, wh_per_hour=0, step_s=1):
    """Poll every step_s; the register turns evenly."""
    start_wh = desk.meter.register_wh
    for step in range(step_s, count + 1, step_s):
        desk.now_ms += 1000 * step_s
        desk.meter.register_wh = start_wh + wh_per_hour * step // 3600
        asyncio.run(firmware.metering.poll())


def command(firmware, action, args, target=0, command_id=None):
    """-> status"""
    number = command_id or firmware.events.seq + 1000
    firmware.commands.take(messages.Command(number, target, action, 0, 1 << 33, args))
    return desks.results(firmware)[-1]


def told(firmware, *wanted):
    """(code, numbers...) of every event with one of the codes, in order."""
    items = desks.told(firmware)
    return [tuple([item[2]] + item[4]) for item in items if item[2] in wanted]


def entries(firmware):
    """(kind, energy_wh, register_wh) of every ledger entry that waits."""
    from firmware import point as points

    out = []
    for _, record in firmware.outbox.take(0, firmware.outbox.acked.get(0, 0), 100000):
        entry = points.unpack(record).entry
        out.append((entry.kind, entry.energy_wh, entry.register_wh))
    return out
