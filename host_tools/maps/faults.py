"""What can go wrong between a meter map and a live meter; see host_tools/faults.py."""

from host_tools.faults import DEVICE, WRONG, Kind

NOT_REACHED = Kind(
    "gateway-not-reached",
    DEVICE,
    ("{line}: no connection", "{line}：连接失败"),
    ("look at address, port and network of the gateway", "检查网关地址、端口与网络"),
)
SILENT = Kind(
    "meter-silent",
    DEVICE,
    ("{line}: unit {unit} does not answer", "{line}：地址 {unit} 无应答"),
    (
        "swap A and B, look at the meter's power, its unit, baud and parity in its menu",
        "对调 A/B，检查电表电源及其地址、波特率与校验",
    ),
)
OTHER_SPEED = Kind(
    "wrong-baud",
    WRONG,
    ("{line}: the meter talks at {baud} {parity}", "{line}：电表通信参数为 {baud} {parity}"),
    ("use --baud {baud} --parity {parity}", "请加 --baud {baud} --parity {parity}"),
)
OTHER_UNIT = Kind(
    "wrong-unit",
    WRONG,
    (
        "{line}: nobody is unit {unit}, a meter is unit {found}",
        "{line}：地址 {unit} 无表，{found} 有表",
    ),
    ("use --unit {found}, or change the meter's", "请用 --unit {found} 或修改电表地址"),
)
GARBLED = Kind(
    "answer-garbled",
    DEVICE,
    ("{line}: what unit {unit} answers cannot be read", "{line}：地址 {unit} 的应答无法识别"),
    (
        "correct baud and parity; look for two meters of one unit, no termination, long stubs",
        "核对波特率与校验；地址重复、缺终端电阻、支线过长也会如此",
    ),
)
REFUSES = Kind(
    "meter-refuses",
    WRONG,
    ("{line}: unit {unit} refuses every register: {why}", "{line}：地址 {unit} 拒绝全部寄存器"),
    (
        "it is another meter than {map}, or its function is not {function}; see its manual",
        "电表型号与 {map} 不符或功能码不是 {function}，请查说明书",
    ),
)
KINDS = (NOT_REACHED, SILENT, OTHER_SPEED, OTHER_UNIT, GARBLED, REFUSES)

# Exception codes of a Modbus server (MODBUS application protocol 1.1b3, section 7).
EXCEPTIONS = {
    1: ("no such function", "功能码不支持"),
    2: ("no such register", "寄存器不存在"),
    3: ("not so many registers", "数量不允许"),
    4: ("the meter has failed", "电表故障"),
    5: ("accepted, not done yet", "已接受，处理中"),
    6: ("busy, ask again", "忙，请重试"),
    10: ("gateway: no path", "网关无通路"),
    11: ("gateway: the meter does not answer", "网关侧电表无应答"),
}
GATEWAY_SILENT = (10, 11)


def exception_words(code: int) -> str:
    return f"exception 异常 {code}: " + " ".join(EXCEPTIONS.get(code, ("unknown", "未知")))
