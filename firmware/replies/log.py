"""`log`: the latest records of the ring since power-on, newest first."""

SHOWN = 16
WORDS = (
    "booted 启动",
    "task failed 任务失败",
    "connected 已连接",
    "message rejected 报文拒收",
    "meter failed 电表无应答",
    "clock step 时钟跳变",
    "tamper 窃电或防护",
    "unconnected 连接断开",
)


async def reply(console, words):
    records = list(console.firmware.log.records())[-SHOWN:]
    while records:
        at_s, code, first, second, third = records.pop()
        word = WORDS[code - 1] if 0 < code <= len(WORDS) else "code 代码 %d" % code
        await console.say("%d s %s %d %d %d" % (at_s, word, first, second, third))
