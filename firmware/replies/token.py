"""`token [point] DIGITS`: nine, fifteen or twenty digits, in groups if one likes."""

from firmware import entry
from firmware.replies import money

RESULTS = (
    "accepted 充值成功",
    "used already 已使用",
    "too old 已过期",
    "not valid 无效",
    "wrong number of digits or a typing error 位数不符或输入有误",
    "locked 已锁定",
    "above the limit, still usable 超过限值，仍可使用",
    "not taken here 本用电点不接受",
)
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
    result, _, amount_ncur = await entry.take(firmware.commands, point, digits)
    await console.say(RESULTS[result])
    left_s = entry.remaining(firmware.board, point).left_s
    if left_s:
        await console.say("locked for 锁定 %d s" % left_s)
    if not result:
        figures = (money(amount_ncur), money(point.state.balance_ncur), point.book.currency)
        await console.say("%s, balance 余额 %s %s" % figures)
