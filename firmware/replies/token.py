"""`token [point] DIGITS`: nine, fifteen or twenty digits, in groups if one likes."""

from firmware import config, entry

LENGTHS = (9, 15, 20)


async def reply(console, words):
    firmware = console.firmware
    points = firmware.points
    digits = "".join(words).replace("-", "")
    number = None
    if len(digits) - 1 in LENGTHS and words[0] == digits[0]:
        number, digits = digits[0], digits[1:]
    elif len(points) == 1:
        number = str(next(iter(points)))
    point = {str(each): point for each, point in points.items()}.get(number)
    if point is None:
        await console.say("name the point: token POINT DIGITS 请指明用电点")
        return
    found = await entry.take(firmware.commands, point, digits)
    for name in ("openpaygo", "siphash", "voucher"):
        config.forget(name)  # before the words of the answer need the room
    from firmware.replies import result

    await result.tell(console, point, found, entry.remaining(firmware.board, point).left_s)
