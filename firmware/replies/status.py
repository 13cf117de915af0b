"""`status [full] [point]`: money, relay and why, clock, network, what waits, lock-out."""

from firmware.point import M_EMERGENCY, M_FAILURES, M_LOCKED_S
from firmware.replies.shown import chosen, instant, money
from protocol.units import NO_RELAY, const

LATCH = const(20)  # protocol/lockout.py

RELAY = (
    "closed 合闸",
    "open 跳闸",
    "armed, press the key 合闸允许，请按键",
    "closed, will open 合闸，即将跳闸",
)
RULES = {
    1: "credit exhausted 欠费",
    2: "credit restored 余额恢复",
    3: "key 按键",
    4: "automatic 自动",
    5: "remote trip 远程跳闸",
    6: "remote permit 远程允许",
    7: "remote close 远程合闸",
    8: "safety 安全保护",
    9: "tamper 窃电或防护",
    10: "load limit 超负荷",
    11: "courtesy trip 提醒跳闸",
    12: "zero trip 余额为零",
    13: "hold supply 保电",
    14: "load limit over 负荷恢复",
    15: "end of a timed trip 限时跳闸结束",
    16: "emergency credit 应急额度",
}
EMERGENCY = ("", "offered 可启用", "used 使用中", "spent 已用完")
CLOCK = ("synchronised 已对时", "holdover 守时", "invalid 无效")


async def reply(console, words):
    firmware = console.firmware
    now_s, quality = firmware.clock.now()
    for point in chosen(console, words):
        state = point.state
        balance_ncur = state.balance_ncur - point.pending_ncur(now_s)
        await console.say("point 用电点 %d" % point.number)
        await console.say("  balance 余额 %s %s" % (money(balance_ncur), point.book.currency))
        if words[0] == "full":
            figures = (state.balance_ncur, state.seq, state.register_wh)
            await console.say("  ledger 账本 %d ncur, seq %d, %d Wh" % figures)
        slot = point.slot
        why = RULES.get(slot.rule, "rule 规则 %d" % slot.rule)
        told = "none 无" if point.settings.relay == NO_RELAY else RELAY[slot.relay] + ": " + why
        await console.say("  relay 继电器 " + told)
        lent = slot.more[M_EMERGENCY]
        if lent:
            await console.say("  emergency credit 应急额度 " + EMERGENCY[lent])
        if point.contact.mismatch:
            await console.say("  contact disagrees 触点状态不一致")
        if slot.more[M_FAILURES]:
            await _locked(console, point)
    await console.say("clock 时钟 %s %s" % (CLOCK[quality], instant(now_s)))
    up = "up 正常" if firmware.board.link.is_up() else "down 断开"
    link = firmware.uplink  # None in safe mode
    on = "connected 已连接" if link and link.client.connected else "not connected 未连接"
    await console.say("network 网络 %s, broker 代理 %s" % (up, on))
    await console.say("waiting 待发 %d" % firmware.outbox.waiting())


async def _locked(console, point):
    """As firmware/entry.py counts it, which is not loaded for this."""
    more = point.slot.more
    passed_s = (console.firmware.board.ticks_ms() - point.locked_ms) // 1000
    if more[M_FAILURES] >= LATCH:
        await console.say("  tokens 代码 locked until cleared 已锁定，须远程解除")
    elif more[M_LOCKED_S] > passed_s:
        await console.say("  tokens 代码 locked 锁定 %d s" % (more[M_LOCKED_S] - passed_s))
    else:
        await console.say("  tokens 代码 %d failures 次错误" % more[M_FAILURES])
