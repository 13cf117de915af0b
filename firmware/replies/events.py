"""`events`: the latest events that the journal still holds, newest first."""

from firmware.replies.shown import instant
from protocol import cbor
from protocol.units import MODULE_TARGET, Unavailable

SHOWN = 10
LOOKED_MAX = 300
WORDS = (
    "boot 上电启动",
    "clock set 对时",
    "relay opened 跳闸",
    "relay closed 合闸",
    "relay armed 合闸允许",
    "warning 余额预警",
    "message rejected 报文拒收",
    "meter silent 电表无应答",
    "meter back 电表恢复",
    "register refused 表码不可信",
    "task restarted 任务重启",
    "relay mismatch 触点不一致",
    "tariff set 电价已更换",
    "outbox full 待发队列已满",
    "relay disarmed 取消合闸允许",
    "relay will open 跳闸延时中",
    "emergency credit 应急额度",
    "load limit 超负荷",
    "hold supply 保电",
    "token entry locked 代码输入锁定",
    "token entered 输入充值代码",
    "register rebased 表码起点改变",
    "meter identity 电表身份改变",
    "register frozen 表码停走",
    "clock refused 拒绝对时",
    "supply quality 电能质量",
    "ten minutes 十分钟统计",
    "tamper 窃电或防护告警",
    "safe mode 安全模式",
    "update 程序升级",
    "configuration 参数已更新",
    "crash 异常复位",
    "debt 欠费分期",
    "momentary values 瞬时量",
    "tariff switched 费率切换",
    "relay worn 继电器寿命将尽",
)


async def reply(console, words):
    journal = console.firmware.journal
    newest = journal.states.newest
    below = console.firmware.events.seq + 1
    shown = 0
    for number in range(newest, max(newest - LOOKED_MAX, 0), -1):
        if shown == SHOWN:
            return
        seq, line = _record(journal, number)
        # A record that was carried ahead lies in the ring twice.
        if line and seq < below:
            below = seq
            shown += 1
            await console.say(line)
    if not shown:
        await console.say("none 无")


def _record(journal, number):
    """(sequence, line) of an event or command result, (0, None) of any other slot."""
    try:
        values = cbor.decode(journal.record(number))
    except Unavailable:
        return 0, None  # torn, or never written
    if len(values) != 5 or type(values[4]) is not list:
        return 0, None
    seq, what, fields = values[1], values[3], values[4]
    at = instant(fields[0])
    if what:
        return seq, "%s command 命令 %d: status 结果 %d" % (at, fields[2], fields[3])
    _, _, code, point, numbers = fields
    word = WORDS[code - 1] if code <= len(WORDS) else "event 事件 %d" % code
    place = "" if point == MODULE_TARGET else " point 用电点 %d" % point
    return seq, "%s%s %s %s" % (at, place, word, " ".join([str(each) for each in numbers]))
