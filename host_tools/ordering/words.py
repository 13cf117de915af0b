"""Chinese words for commands beside the English ones of protocol/words.py."""

from protocol import codes

STATUSES = {
    0: "成功",
    1: "已执行过",
    2: "命令已过期",
    3: "超过囤积限值",
    4: "字段错误",
    5: "不支持",
    6: "编号过旧",
    7: "时钟无效",
    8: "欠费闭锁，不能合闸",
    9: "另一变更正在试运行",
    10: "文件系统空间不足",
}

ACTIONS = {
    1: "充值",
    2: "电价",
    3: "继电器",
    4: "调账",
    5: "参数",
    6: "申报状态",
    7: "监测方案",
    8: "解除",
    9: "换表",
    10: "程序升级",
    11: "欠费",
    12: "换模块转账",
    13: "更换密钥",
    14: "立即对时",
}

RELAY_ORDERS = {
    1: "跳闸",
    2: "合闸允许",
    3: "直接合闸",
    4: "跳闸，到时合闸",
    5: "跳闸，到时合闸允许",
    6: "报警",
    7: "报警解除",
    8: "保电",
    9: "保电解除",
}

PLANS = {0: "普通监护", 1: "订制监护", 2: "全面监护"}

UPDATE_REASONS = {
    1: "版本不高于当前",
    2: "解释器不符",
    3: "校验不符",
    4: "空间不足",
    5: "不完整",
    6: "文件清单有误",
    7: "已无法启动",
}

# What a command carries, by what the module's code calls it.
STEPS = {
    codes.BEGIN: ("begin", "开始"),
    codes.CHUNK: ("chunk", "数据块"),
    codes.FINISH: ("finish", "完成"),
    codes.ABORT: ("abort", "放弃"),
}
CLEARED = {
    codes.CLEAR_TAMPER: ("tamper", "窃电闭锁"),
    codes.CLEAR_LOCKOUT: ("lock-out", "代码锁定"),
}

# What became of a command.
STATES = {
    "not queued": "未下达",
    "queued": "待发",
    "sent": "已发，待答复",
    "done": "已执行",
    "refused": "模块拒绝",
    "expired": "已过期",
    "withdrawn": "已撤回",
    "on trial": "试运行",
    "confirmed": "已确认",
    "taken back": "已回退",
}
