"""`meters`: the newest plausible register of each point, and how long ago it was read."""

from firmware.replies.shown import chosen

VERDICTS = {1: "total fell 表码倒走", 2: "total too fast 表码突变"}


async def reply(console, words):
    board = console.firmware.board
    for point in chosen(console, words):
        settings = point.settings
        name = "%s unit 地址 %d" % (settings.meter_map, settings.unit)
        if not settings.meter_map:
            name = "pulse 脉冲 %d, %d imp/kWh" % (settings.pulse_channel, settings.imp_per_kwh)
        await console.say("point 用电点 %d: %s" % (point.number, name))
        figures = (point.seen_wh // 1000, point.seen_wh % 1000)
        age = "not read yet 尚未抄到"
        if point.seen_ms:
            age = "%d s ago 秒前" % ((board.ticks_ms() - point.seen_ms) // 1000)
        await console.say("  %d.%03d kWh, %s" % (figures + (age,)))
        if point.silent:
            await console.say("  silent 无应答 %d" % point.silent)
        if point.verdict:
            await console.say(
                "  refused 不计费: " + VERDICTS.get(point.verdict, str(point.verdict))
            )
