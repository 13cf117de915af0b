"""What came of typed digits, in words."""

from firmware.replies.shown import money

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


async def tell(console, point, found, left_s):
    result, _, amount_ncur = found
    await console.say(RESULTS[result])
    if left_s:
        await console.say("locked for 锁定 %d s" % left_s)
    if not result:
        figures = (money(amount_ncur), money(point.state.balance_ncur), point.book.currency)
        await console.say("%s, balance 余额 %s %s" % figures)
