"""`help`, and the one line for an empty one and for what is not understood."""


async def reply(console, words):
    if words[0] == "?":
        await console.say("type help 请输入 help")
        return
    await console.say("status [full] [point]   state 状态")
    await console.say("token [point] DIGITS    top-up by token or voucher 输入充值代码或充值券")
    await console.say("meters                  readings 电表读数")
    await console.say("emergency [point]       take emergency credit 启用应急额度")
    await console.say("events                  latest events 最近事件")
    await console.say("log                     what happened since power-on 上电以来的记录")
