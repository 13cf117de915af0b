"""The parameters of validation, in one record: defaults, never authority.

Every one can be set in the `[limits]` table of a meter file. Integers only: permille, seconds, Wh,
counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from host_tools import Refused

OURS, UNVERIFIED = "our default", "(unverified)"


@dataclass(frozen=True, slots=True)
class Limits:
    clock_good_s: int = 5
    clock_flag_s: int = 60
    clock_block_s: int = 180
    boundary_s: int = 2
    rollover_from_permille: int = 900
    headroom_permille: int = 1200
    reset_below_permille: int = 500
    reverse_wh: int = 10
    balance_lsb: int = 2
    balance_permille: int = 1
    spike_permille: int = 1800
    spike_intervals_min: int = 20
    use_low_permille: int = 400
    use_high_permille: int = 2000
    use_block_permille: int = 3000
    zero_intervals: int = 96
    live_permille: int = 800
    stuck_intervals: int = 8
    power_factor_permille: int = 300
    open_wh: int = 50
    siblings_permille: int = 1
    unit_permille: int = 20
    estimated_permille: int = 150
    estimated_s: int = 259_200
    future_s: int = 120
    linear_s: int = 7200
    weeks_min: int = 3
    weeks_max: int = 4


# name: (check, origin of the default, English, Chinese)
WORDS: dict[str, tuple[str, str, str, str]] = {
    "clock_good_s": ("V03", UNVERIFIED, "clock counts as synchronised", "时钟视为同步"),
    "clock_flag_s": ("V03", UNVERIFIED, "clock error that is flagged beyond", "时钟误差标记限"),
    "clock_block_s": ("V03", UNVERIFIED, "clock error that blocks beyond", "时钟误差闭锁限"),
    "boundary_s": ("V05", UNVERIFIED, "tolerance at a boundary", "时段边界容差"),
    "rollover_from_permille": (
        "V07",
        OURS,
        "a rollover begins above",
        "翻转前表码下限（量程千分比）",
    ),
    "headroom_permille": ("V07 V11", UNVERIFIED, "physical maximum times", "物理上限系数"),
    "reset_below_permille": ("V08", OURS, "a reset falls below", "复位判据（前值千分比）"),
    "reverse_wh": ("V09", UNVERIFIED, "reverse energy a day", "每日反向电量"),
    "balance_lsb": ("V10", UNVERIFIED, "steps of the register", "表码最小位数的倍数"),
    "balance_permille": ("V10", UNVERIFIED, "share of the difference", "表码差的千分比"),
    "spike_permille": ("V12", UNVERIFIED, "highest above third highest", "最大值超第三大值"),
    "spike_intervals_min": ("V12", UNVERIFIED, "fewest intervals of a day", "当日最少时段数"),
    "use_low_permille": (
        "V13",
        UNVERIFIED,
        "low use, of the expected",
        "用量偏低（期望值千分比）",
    ),
    "use_high_permille": (
        "V13",
        UNVERIFIED,
        "high use, of the expected",
        "用量偏高（期望值千分比）",
    ),
    "use_block_permille": ("V13", UNVERIFIED, "blocks the bill above", "超过则止发账单"),
    "zero_intervals": ("V14", UNVERIFIED, "zeros in a row", "连续零值时段数"),
    "live_permille": ("V14", UNVERIFIED, "of nominal voltage counts as live", "视为带电的电压"),
    "stuck_intervals": ("V15", UNVERIFIED, "equal values in a row", "连续相同值时段数"),
    "power_factor_permille": ("V16", UNVERIFIED, "lowest power factor of a day", "日功率因数下限"),
    "open_wh": ("V17", UNVERIFIED, "energy a day behind an open relay", "断开后每日电量"),
    "siblings_permille": ("V19", UNVERIFIED, "share of the total", "合计的千分比"),
    "unit_permille": ("V20", UNVERIFIED, "distance from a factor", "与倍数的偏差"),
    "estimated_permille": ("V21", UNVERIFIED, "estimated share of a period", "估算占比"),
    "estimated_s": ("V21", UNVERIFIED, "estimated time of a period", "估算时长"),
    "future_s": ("V22", OURS, "ahead of the host's clock", "超前主站时钟"),
    "linear_s": ("-", UNVERIFIED, "longest gap that is filled linearly", "线性补点最长缺口"),
    "weeks_min": ("-", UNVERIFIED, "fewest past days of one type", "同类型历史日最少天数"),
    "weeks_max": ("-", UNVERIFIED, "weeks looked back", "回溯周数"),
}
VALUE_MAX = 10**9


def limits_of(values: Mapping[str, object], where: str) -> Limits:
    """Defaults with what a `[limits]` table says on top; Refused with the key and the remedy."""
    names = {each.name for each in fields(Limits)}
    chosen: dict[str, int] = {}
    for key, value in values.items():
        if key not in names:
            raise Refused(f"{where}{key}: is unknown; remove it, see docs/validation.md")
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= VALUE_MAX:
            raise Refused(f"{where}{key}: must be a whole number from 0 to {VALUE_MAX}")
        chosen[key] = value
    made = replace(Limits(), **chosen)
    orders = (
        ("clock_flag_s", "clock_block_s"),
        ("use_low_permille", "use_high_permille"),
        ("use_high_permille", "use_block_permille"),
        ("weeks_min", "weeks_max"),
    )
    for low, high in orders:
        if getattr(made, low) > getattr(made, high):
            raise Refused(f"{where}{low}: must not be above {high}; change one of them")
    for key in ("weeks_min", "stuck_intervals", "zero_intervals", "headroom_permille"):
        if not getattr(made, key):
            raise Refused(f"{where}{key}: must be above 0")
    return made
