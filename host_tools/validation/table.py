"""The table of all checks: code, what, severity, action, in both languages, and who runs it.

The order of the dictionary is the order in which they run: V05 before V10, V18 before V04 and V14,
V08 before V07. The page docs/validation.md is printed from here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from host_tools.validation import arrival, load, registers
from host_tools.validation import findings as act
from host_tools.validation.findings import Found
from host_tools.validation.limits import Limits
from host_tools.validation.series import Case

HARD, REVIEW, FLAG = "hard", "review", "flag"
SEVERITIES_ZH = {HARD: "硬错误", REVIEW: "待审核", FLAG: "标记"}
ACTIONS_ZH = {
    act.DROP: "丢弃重复",
    act.REJECT: "拒收",
    act.QUARANTINE: "隔离",
    act.BLOCK: "闭锁",
    act.REALIGN: "重新对齐",
    act.ESTIMATE: "估算",
    act.HOLD: "挂起",
    act.TAMPER: "窃电事件",
    act.FLAG: "标记",
    act.WARN: "告警",
    act.REVIEW: "人工审核",
    act.LATE: "迟到数据调整",
    act.BLOCK_BILL: "止发账单",
}


@dataclass(frozen=True, slots=True)
class Check:
    run: Callable[[Case, Limits], Found]
    name: str
    name_zh: str
    severity: str
    rule: str
    actions: tuple[str, ...]


CHECKS: dict[str, Check] = {
    "V01": Check(
        arrival.v01_identity, "identity", "身份", HARD,
        "device, meter, OBIS code and CT ratio are those of the master data", (act.REJECT,),
    ),
    "V22": Check(
        arrival.v22_age, "future or too old", "超前或过旧", REVIEW,
        "not after now + `future_s`; not in a closed period", (act.QUARANTINE, act.LATE),
    ),
    "V02": Check(
        arrival.v02_duplicate, "duplicate", "重复", HARD,
        "one key has one value, no two intervals share time; equal copies are dropped",
        (act.DROP, act.QUARANTINE),
    ),
    "V03": Check(
        arrival.v03_time, "time", "时钟", HARD,
        "clock error at most `clock_flag_s`, never above `clock_block_s`; not set meanwhile",
        (act.FLAG, act.BLOCK),
    ),
    "V05": Check(
        arrival.v05_size, "interval size", "时段长度", FLAG,
        "on the grid within `boundary_s`, one step long", (act.REALIGN,),
    ),
    "V18": Check(
        load.v18_outage, "outage consistency", "停电一致性", REVIEW,
        "nothing is metered while an outage is on record; zeros there are actual", (act.REVIEW,),
    ),
    "V04": Check(
        arrival.v04_gap, "sequence and gap", "序号与缺口", REVIEW,
        "no interval and no sequence number is missing", (act.ESTIMATE, act.REVIEW),
    ),
    "V06": Check(
        registers.v06_monotone, "monotone register", "表码单调", HARD,
        "the register never falls, but for a rollover", (act.HOLD,),
    ),
    "V08": Check(
        registers.v08_exchange, "reset or exchange", "复位或换表", HARD,
        "a new meter or a reset register has its work order", (act.HOLD,),
    ),
    "V07": Check(
        registers.v07_rollover, "rollover", "表码翻转", HARD,
        "what a rollover adds is below the physical maximum", (act.HOLD,),
    ),
    "V09": Check(
        registers.v09_reverse, "reverse energy", "反向电量", HARD,
        "no negative interval; export of an import-only point at most `reverse_wh` a day",
        (act.TAMPER,),
    ),
    "V10": Check(
        registers.v10_sum, "sum check", "总和核对", HARD,
        "intervals = register difference x multiplier, within `balance_lsb` steps or"
        " `balance_permille`", (act.HOLD,),
    ),
    "V11": Check(
        load.v11_maximum, "physical maximum", "物理上限", HARD,
        "voltage x current x phases x time x `headroom_permille`; of a register step too",
        (act.ESTIMATE, act.HOLD),
    ),
    "V12": Check(
        load.v12_spike, "spike", "尖峰", FLAG,
        "highest of a day above the third highest by at most `spike_permille`", (act.FLAG,),
    ),
    "V13": Check(
        load.v13_use, "high or low use", "用量异常", REVIEW,
        "daily average within `use_low_permille` and `use_high_permille` of the expected",
        (act.WARN, act.BLOCK_BILL),
    ),
    "V14": Check(
        load.v14_zero, "zero", "零用量", REVIEW,
        "fewer than `zero_intervals` zeros while live and closed", (act.REVIEW,),
    ),
    "V15": Check(
        load.v15_stuck, "stuck", "读数停滞", FLAG,
        "fewer than `stuck_intervals` equal values other than zero", (act.WARN,),
    ),
    "V16": Check(
        load.v16_reactive, "reactive energy", "无功电量", REVIEW,
        "commercial: varh beside Wh, power factor from `power_factor_permille`", (act.REVIEW,),
    ),
    "V17": Check(
        load.v17_inactive, "inactive point", "断电后用电", HARD,
        "behind an open relay at most `open_wh` a day", (act.HOLD,),
    ),
    "V19": Check(
        registers.v19_siblings, "siblings", "分项合计", HARD,
        "time-of-use registers, and phases, add up to the total within `siblings_permille`",
        (act.HOLD,),
    ),
    "V20": Check(
        registers.v20_unit, "unit and multiplier", "单位与倍率", HARD,
        "no factor of 10^k or of a CT within `unit_permille`", (act.HOLD,),
    ),
    "V21": Check(
        load.v21_estimated, "prolonged estimation", "长期估算", FLAG,
        "at most `estimated_permille` of the period and `estimated_s`", (act.FLAG,),
    ),
}  # fmt: skip


def hard(codes: set[str]) -> set[str]:
    """Those of the codes that are hard errors."""
    return {code for code in codes if CHECKS[code].severity == HARD}
