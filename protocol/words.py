"""Words for the numbers on the wire, for people on the host. The module never loads this file."""

QUALITIES = {0: "synchronised", 1: "holdover", 2: "invalid"}

REASONS = {
    1: "malformed",
    2: "oversized",
    3: "too deep",
    4: "forged",
    5: "unknown module",
    6: "wrong shard",
    7: "wrong topic",
    8: "replayed",
    9: "expired",
    10: "future-dated",
    11: "unknown kind",
    12: "bad field",
    13: "unknown point",
    14: "contradictory",
    15: "out of order",
    16: "unsupported",
}

REASONS_ZH = {
    1: "报文格式错误",
    2: "报文超长",
    3: "嵌套过深",
    4: "伪造（认证失败）",
    5: "未知模块",
    6: "分片不符",
    7: "主题不符",
    8: "重放",
    9: "已过期",
    10: "时间超前",
    11: "未知报文类型",
    12: "字段错误",
    13: "未知用电点",
    14: "前后矛盾",
    15: "序号错序",
    16: "不支持",
}

ENTRIES = {
    1: "charge",
    2: "fixed",
    3: "top-up",
    4: "debt",
    5: "adjustment",
    6: "transfer",
    7: "opening",
}

ACTIONS = {
    1: "top-up",
    2: "tariff",
    3: "relay",
    4: "adjust",
    5: "config",
    6: "statement",
    7: "monitoring plan",
    8: "clear",
    9: "meter",
    10: "update",
    11: "debt",
    12: "transfer",
    13: "key",
    14: "set the clock",
}

RELAY_ORDERS = {
    1: "trip",
    2: "permit close",
    3: "direct close",
    4: "trip, then close",
    5: "trip, then permit close",
    6: "alarm",
    7: "alarm end",
    8: "hold supply",
    9: "hold supply end",
}

STATUSES = {
    0: "done",
    1: "already applied",
    2: "expired",
    3: "credit cap exceeded",
    4: "bad field",
    5: "unsupported",
    6: "number too old",
    7: "clock invalid",
    8: "held open by credit",
    9: "another change is being tried",
    10: "no room in the file system",
}

EVENTS = {
    1: "boot",
    2: "clock set",
    3: "relay opened",
    4: "relay closed",
    5: "relay armed",
    6: "warning",
    7: "message rejected",
    8: "meter silent",
    9: "meter back",
    10: "register refused",
    11: "task restarted",
    12: "relay mismatch",
    13: "tariff set",
    14: "outbox full",
    15: "relay disarmed",
    16: "relay will open",
    17: "emergency credit",
    18: "load limit",
    19: "hold supply",
    20: "token entry locked",
    21: "token entered",
    22: "meter register rebased",
    23: "meter identity changed",
    24: "meter register frozen",
    25: "clock step refused",
    26: "supply quality",
    27: "ten minutes of supply",
    28: "tamper",
    29: "safe mode",
    30: "firmware update",
    31: "configuration set",
    32: "crash",
    33: "debt changed",
    34: "momentary values",
    35: "tariff switched",
    36: "relay worn",
}

# Verdicts on a register, in REGISTER_REFUSED and METER_REBASED.
VERDICTS = {
    0: "plausible again",
    1: "fell",
    2: "jumped",
    3: "rolled over",
    4: "replaced",
}

# What a QUALITY event tells.
SUPPLY = {
    1: "supply lost",
    2: "undervoltage",
    3: "frequency low",
    4: "overvoltage",
    5: "frequency high",
    6: "unbalance",
    7: "overcurrent",
    8: "large overcurrent",
    9: "frequency changes fast",
    10: "neutral lost",
    11: "events dropped",
}

# Kinds of tamper, by bit.
TAMPERS = {
    1: "cover open",
    2: "terminal cover open",
    4: "magnet",
    8: "reverse flow",
    16: "flow through an open relay",
    32: "relay not where commanded",
    64: "other meter or ratio",
    128: "register reset or turned back",
    256: "impossible pulses",
    512: "storage rolled back",
    1024: "phase missing",
}

PLANS = {0: "ordinary", 1: "customised", 2: "comprehensive"}

RELAY_STATES = {0: "closed", 1: "open", 2: "armed", 3: "pending"}

RELAY_EVENTS = {0: "held", 1: "free", 2: "key", 3: "close", 4: "delayed", 5: "gentle"}

RELAY_RULES = {
    1: "credit exhausted",
    2: "credit restored",
    3: "customer key",
    4: "automatic close",
    5: "remote trip",
    6: "remote permit",
    7: "remote close",
    8: "safety",
    9: "tamper",
    10: "load limit",
    11: "courtesy trip",
    12: "zero trip",
    13: "hold supply",
    14: "load limit over",
    15: "end of a timed trip",
    16: "emergency credit",
}

OUTCOMES = {
    1: "whole, on trial after the restart",
    2: "confirmed",
    3: "taken back",
    4: "refused",
}

UPDATE_REASONS = {
    1: "not newer than what runs",
    2: "compiled for another interpreter",
    3: "wrong hash",
    4: "no space",
    5: "not whole",
    6: "list of files is wrong",
    7: "does not start any more",
}

CRASHES = {
    1: "watchdog",
    2: "brown-out",
    3: "reset that nobody announced",
    4: "too many task failures",
    5: "error outside every task",
}
