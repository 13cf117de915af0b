"""Words of validation for a person, English and Chinese, and how instants and amounts are read."""

from host_tools.ordering import amounts
from host_tools.settlement.common import decimal
from host_tools.validation.adjusting import Ordered
from host_tools.validation.versions import Reading

QUALITIES = {
    "A": ("actual", "实测"),
    "V": ("verified", "已核实"),
    "S": ("substituted", "校验表替代"),
    "M": ("manual", "人工修改"),
    "E": ("estimated", "估算"),
    "N": ("missing", "缺失"),
}


def instant_s(option: str, text: str) -> int:
    """Unix seconds of an instant with its zone."""
    return amounts.zoned_s(option, text, "an instant such as 2026-03-01T10:00:00Z 时刻须带时区")


def utc(at_s: int) -> str:
    """An instant as it can be typed again."""
    return amounts.utc(at_s).replace(" ", "T")


def quality(code: str) -> str:
    return f"{code} {' '.join(QUALITIES[code])}"


def reading_line(each: Reading) -> str:
    """One version of a reading on one line."""
    line = f"{utc(each.start_s)} - {utc(each.end_s)}: {each.energy_wh} Wh {quality(each.quality)}"
    if each.version:
        line += f", version {each.version} 版本"
    if each.tariff is not None:
        line += f", tariff {each.tariff} 电价"
    more = [each.origin, *each.failed]
    return line + "".join(f", {word}" for word in more if word)


def order_line(made: Ordered, where: str, currency: str) -> str:
    """What an adjustment is, on one line."""
    amount = f"{decimal(made.amount_ncur)} {currency}"
    elsewhere = not where.startswith(f"{made.module}/")
    by = f" of {made.module} which took over 接替模块" if elsewhere else ""
    return (
        f"command {made.command_id} 命令{by}: {where} adjust 调账 {amount},"
        f" {made.rule}, readings version {made.version} 读数版本, tariff {made.tariffs} 电价,"
        f" {made.charges} charges 计费 {utc(made.from_s)} - {utc(made.to_s)}, {made.state}"
    )
