"""`emergency [point]`: the customer's choice of emergency credit, where it is offered."""

from firmware import relay
from firmware.replies.shown import chosen, money


async def reply(console, words):
    firmware = console.firmware
    supply = firmware.metering.supply
    points = chosen(console, words)
    if len(points) > 1:
        await console.say("name the point: emergency POINT 请指明用电点")
        return
    (point,) = points
    if not point.state.version:
        await console.say("not offered 未提供")
        return
    now_s, _ = firmware.clock.now()
    balance_ncur = point.state.balance_ncur - point.pending_ncur(now_s)
    if not supply.lend(point, balance_ncur, True):
        await console.say("not offered 未提供")
        return
    supply.decide(point, freed_by=relay.BY_EMERGENCY)
    figures = (money(-point.limit_ncur()), point.book.currency)
    await console.say("emergency credit on 应急额度已启用: %s %s" % figures)
