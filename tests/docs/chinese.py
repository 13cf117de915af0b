"""Chinese words beside those of protocol/words.py, and what the docs say about each number.

State Grid's terms where it has one (DL/T 645, DL/T 698.45). Only the generator of the docs reads
this; a number without a word here fails the docs test.
"""

from host_tools.care.words import EVENTS, QUALITIES
from host_tools.ordering import words as ordered
from protocol import words

__all__ = ["EVENTS", "QUALITIES"]  # of the host, for the generator

RELAY_STATES = {0: "合闸", 1: "跳闸", 2: "合闸允许", 3: "跳闸延时"}

RELAY_EVENTS = {
    0: ("闭锁", "a hold decides that the supply is open, see the ranks"),
    1: ("解除闭锁", "no hold is left, or what is left is masked"),
    2: ("按键", "the customer pressed the key, nothing holds it"),
    3: ("合闸", "automatic or remote direct close, nothing holds it"),
    4: ("延时", "credit holds it, and the delay of the opening runs"),
    5: ("提醒跳闸", "opens once in a warning or at zero; the key closes again"),
}

RELAY_ACTIONS = {
    "NOTHING": "不动作",
    "DO_OPEN": "跳闸",
    "DO_CLOSE": "合闸",
    "DO_ARM": "转合闸允许",
    "DO_DISARM": "取消合闸允许",
    "DO_WAIT": "开始跳闸延时",
    "DO_CALM": "取消跳闸延时",
}

RELAY_RULES = {
    1: "欠费跳闸",
    2: "余额恢复，合闸允许",
    3: "用户按键合闸",
    4: "自动合闸",
    5: "远程跳闸",
    6: "远程合闸允许",
    7: "远程直接合闸",
    8: "安全保护跳闸",
    9: "防窃电跳闸",
    10: "超负荷跳闸",
    11: "预警提醒跳闸",
    12: "零元提醒跳闸",
    13: "保电",
    14: "超负荷恢复合闸",
    15: "预跳闸到时",
    16: "启用应急额度",
}

# bit: (name in the code, Chinese, what it is)
RELAY_BITS = {
    32: ("HOLD_SAFETY", "安全保护", "voltage or current beyond a hard limit"),
    4: ("HOLD_NOT_CREDIT", "远程跳闸（非欠费）", "remote trip that is not for credit"),
    8: ("HOLD_TAMPER", "防窃电闭锁", "latched tamper trip"),
    2: ("HOLD_REMOTE", "远程跳闸", "remote trip"),
    1: ("HOLD_CREDIT", "欠费", "from the limit down until `rearm_ncur`"),
    16: ("HOLD_LOAD", "超负荷", "load limit"),
    64: ("KEEP_SUPPLY", "保电", "hold-supply"),
    128: ("KEEP_FRIENDLY", "友好时段", "friendly hours or an invalid clock, while closed"),
}

ZONES = {
    0: ("NORMAL", "above warning 1", "正常"),
    1: ("WARNING_1", "at or below `warning_1_ncur` or `warning_1_days`", "一级预警"),
    2: ("WARNING_2", "at or below `warning_2_ncur` or `warning_2_days`", "二级预警"),
    3: ("OVERDRAFT", "at or below 0, above the limit", "透支"),
    4: ("EXHAUSTED", "at or below the limit", "欠费"),
}

VERDICTS = {
    0: "恢复可信",
    1: "倒走",
    2: "突变",
    3: "翻转（走满归零）",
    4: "换表",
}

# The word; limit, time and unit of the extreme.
SUPPLY = {
    1: ("失压", "U < 0.05 Un, one sample; ends at 0.07; mV"),
    2: ("欠压", "U < 0.90 Un, two samples; ends at 0.92; mV"),
    3: ("频率偏低", "mean of 10 s more than 0.2 Hz below 50 or 60 Hz; ends at 0.18; mHz"),
    4: ("过压", "U > 1.10 Un, two samples; ends at 1.08; mV"),
    5: ("频率偏高", "mean of 10 s more than 0.2 Hz above; ends at 0.18; mHz"),
    6: ("三相不平衡", "U2/U1 > 2 % for 60 s; ends at 1.8 %; hundredths of a percent"),
    7: ("过流", "I > 1.1 Imax for 60 s; ends below Imax; mA"),
    8: ("严重过流", "I > 1.5 Imax for 2 s; ends below Imax; mA"),
    9: ("频率突变", "more than 2.5 Hz in 5 s, three samples; mHz"),
    10: ("断零线", "one phase > 1.20 Un and another < 0.80 Un, two samples; mV"),
    11: ("事件被抑制", "how many begins the bound of an hour kept back"),
}

# The word; when it begins.
TAMPERS = {
    1: ("开盖", "input of the board for 1 s"),
    2: ("开端子盖", "input of the board for 1 s"),
    4: ("磁场干扰", "input of the board for 1 s"),
    8: ("反向用电", "a phase or all of them below -20 W for 60 s"),
    16: ("跳闸后有电流", "above 0.1 A for 60 s, or more than 10 Wh and one step in a minute"),
    32: ("继电器拒动", "the contact is elsewhere for 5 s"),
    64: ("电表身份改变", "serial number, type or ratio differs; asked at start and daily"),
    128: ("表码清零或倒走", "the total is below the last good one"),
    256: ("脉冲异常", "10 in a minute beyond what the wires carry, or none for a week"),
    512: ("存储回退", "the host has settled entries that this storage does not know"),
    1024: ("缺相", "a phase below a fifth of another, or current without voltage, for 30 s"),
}

# The word; what is read beside the billing register, and what is told.
PLANS = {
    0: (ordered.PLANS[0], "all registers every 15 minutes", "nothing beside events"),
    1: (ordered.PLANS[1], "all registers every minute", "`MOMENTS` every 5 minutes"),
    2: (ordered.PLANS[2], "all registers every second", "`MOMENTS` every minute"),
}

STATUSES = ordered.STATUSES

ACTIONS = ordered.ACTIONS

RELAY_ORDERS = ordered.RELAY_ORDERS

# Kinds of `gridpurse command`.
ORDERS = {
    "relay": "跳闸、合闸允许、直接合闸、报警、保电",
    "tariff": "更换电价",
    "adjust": "调账，正负均可",
    "debt": "约定欠费回收方式",
    "plan": "监测方案",
    "meter": "告知已换表",
    "clear": "解除窃电闭锁或代码锁定",
    "state": "要求申报状态",
    "clock": "令模块立即对时",
    "config": "试用新参数",
    "update": "分步发送新程序，自动续传",
}

ENTRIES = {
    1: "电量电费",
    2: "每日固定费用",
    3: "充值",
    4: "欠款",
    5: "调账",
    6: "转移",
    7: "建账",
}

KINDS = {
    1: "读数批次",
    2: "事件批次",
    3: "状态申报",
    4: "命令结果",
    5: "上线登记",
    16: "结算确认",
    17: "命令",
    18: "对时",
}

# number: (Chinese, what to do, the same in Chinese)
REASONS = {
    1: (
        words.REASONS_ZH[1],
        "damaged or foreign bytes; look for what else publishes on the topic",
        "字节损坏或来自其他系统；查找还有谁在该主题发布",
    ),
    2: (words.REASONS_ZH[2], "as malformed", "同报文格式错误"),
    3: (words.REASONS_ZH[3], "as malformed", "同报文格式错误"),
    4: (
        words.REASONS_ZH[4],
        "wrong key or an attack: check that the module carries the key of its enrolment,"
        " then who may publish at the broker",
        "密钥不符或遭攻击：先核对模块密钥是否为登记时的密钥，再核对代理的发布权限",
    ),
    5: (
        words.REASONS_ZH[5],
        "no key, or no row in the store: enrol the module, or restore keys and store from one"
        " backup",
        "无密钥或库中无此模块：登记该模块，或从同一备份恢复密钥与库",
    ),
    6: (
        words.REASONS_ZH[6],
        "the module's `shard` setting differs from its enrolment",
        "模块参数 `shard` 与登记不一致",
    ),
    7: (
        words.REASONS_ZH[7],
        "module name or direction does not fit the topic; check broker permissions",
        "模块名或方向与主题不符；检查代理权限",
    ),
    8: (
        words.REASONS_ZH[8],
        "an old message again; a few after a broker restart are harmless, many are an attack"
        " or a module restored from an old flash image",
        "旧报文再次到达；代理重启后少量属正常，大量则为攻击或模块被恢复成旧闪存映像",
    ),
    9: (
        words.REASONS_ZH[9],
        "a command came after its time; nothing to do, issue anew what is still wanted",
        "命令到达时已过期；无需处理，仍需要的重新下发",
    ),
    10: (
        words.REASONS_ZH[10],
        "module or host clock is wrong by more than two minutes; set the host's clock first",
        "模块或主站时钟偏差超过两分钟；先校准主站时钟",
    ),
    11: (
        words.REASONS_ZH[11],
        "the module is newer than the host; update the host",
        "模块版本高于主站；升级主站",
    ),
    12: (
        words.REASONS_ZH[12],
        "a firmware fault or another version; report it with the bytes in the store",
        "固件缺陷或版本不符；连同库中报文上报",
    ),
    13: (
        words.REASONS_ZH[13],
        "the module has a point that was never enrolled",
        "模块上的用电点未在主站登记",
    ),
    14: (
        words.REASONS_ZH[14],
        "the module says something else about settled records; keep it, exchange the module",
        "模块对已结算记录前后说法不一；保留证据并更换模块",
    ),
    15: (
        words.REASONS_ZH[15],
        "too many batches wait for a gap; look why the oldest one does not arrive",
        "等待补缺的批次过多；查明最旧批次未到的原因",
    ),
    16: (
        words.REASONS_ZH[16],
        "a seal with another algorithm: foreign software, or versions that differ",
        "认证算法不符：外来软件，或版本不一致",
    ),
}

# key: (English, Chinese)
SETTINGS = {
    "version": ("version of this configuration, told in hello", "参数版本，随上线登记上报"),
    "module": ("name of the module: `a`-`z`, `0`-`9`, `-`", "模块名"),
    "shard": ("shard of the settlement that owns the module", "所属结算分片"),
    "broker_host": ("MQTT broker", "MQTT 代理地址"),
    "broker_port": ("its port", "代理端口"),
    "broker_user": ("login at the broker", "代理用户名"),
    "broker_password": ("password at the broker, a secret", "代理口令，须保密"),
    "keepalive_s": ("MQTT keep-alive, seconds", "MQTT 保活时间，秒"),
    "poll_ms": ("pause between two readings of the meters, milliseconds", "抄表间隔，毫秒"),
    "batch_records": ("most records in one message", "每报文最多记录数"),
    "rs485_baud": ("speed of the meter bus", "电表总线波特率"),
    "rs485_parity": ("0 none, 1 odd, 2 even", "校验：0 无，1 奇，2 偶"),
    "points": ("1 to 8 service points, fields below", "1 至 8 个用电点，字段见下表"),
    "point": ("number of the service point", "用电点编号"),
    "meter": (
        "0 pulse, 1 Modbus RTU, 2 Modbus TCP",
        "表计类型：0 脉冲，1 Modbus RTU，2 Modbus TCP",
    ),
    "meter_map": ("name of the meter map; Modbus only", "寄存器映射名，仅 Modbus"),
    "unit": ("Modbus address; 1 to 247 for a Modbus meter", "Modbus 地址"),
    "pulse_channel": ("pulse input of the board", "脉冲输入通道"),
    "imp_per_kwh": ("pulse constant printed on the meter", "脉冲常数 imp/kWh，见表计铭牌"),
    "register_base_wh": (
        "what a pulse meter showed at count zero, Wh",
        "脉冲计数为零时的表码，Wh",
    ),
    "current_max_ma": (
        "rated maximum current, mA: a faster total is refused",
        "最大电流，mA；超出其可能电量的表码不计费",
    ),
    "relay": ("relay of the board; 255 for none", "继电器编号；255 为无"),
    "warning_1_ncur": ("first warning at or below", "报警金额 1 限值"),
    "warning_2_ncur": ("second warning at or below", "报警金额 2 限值"),
    "limit_ncur": ("trips at or below; negative is an overdraft", "跳闸金额；为负即透支金额限值"),
    "rearm_ncur": ("may close again from here on; above `limit_ncur`", "合闸允许金额限值"),
    "cap_ncur": ("most a balance may be after a top-up", "囤积金额限值"),
    "topup_max_ncur": ("most a single top-up may be", "单次充值限值"),
    "auto_close": (
        "1: closes when armed; 0: the customer presses the key",
        "1 自动合闸；0 用户按键合闸",
    ),
    "ct_ratio": ("current transformer ratio", "电流互感器变比"),
    "pt_ratio": ("voltage transformer ratio", "电压互感器变比"),
    "register_modulus_wh": (
        "where the meter's register rolls over, Wh; 0 never",
        "表码翻转值，Wh；0 为不翻转",
    ),
    "warning_1_days": ("first warning with so many days left; 0 none", "剩余天数预警 1；0 为无"),
    "warning_2_days": ("second warning with so many days left; 0 none", "剩余天数预警 2；0 为无"),
    "courtesy_trip": (
        "1: opens once in warning 2, the key restores",
        "1：二级预警跳闸一次，按键恢复",
    ),
    "zero_trip": (
        "1: opens once at zero before the overdraft, the key restores",
        "1：余额为零跳闸一次，按键恢复",
    ),
    "emergency_offer_ncur": ("emergency credit is offered at or below", "应急额度启用金额"),
    "emergency_limit_ncur": ("how much emergency credit there is; 0 none", "应急额度；0 为无"),
    "emergency_load_mw": (
        "load limit while emergency credit is used, mW; 0 none",
        "应急期间负荷限值，mW；0 为无",
    ),
    "friendly": (
        "calendars of friendly hours: from when, windows, special days",
        "友好时段：生效时刻、时段、特殊日",
    ),
    "friendly_floor_ncur": (
        "a balance that ends the protection; 0 none",
        "友好时段透支下限；0 为无",
    ),
    "friendly_delay_s": (
        "longest random delay of the first cut after a window",
        "时段结束后随机延时上限，秒",
    ),
    "clock_protect_s": (
        "how long an invalid clock counts as friendly hours",
        "时钟无效时的保护时间，秒",
    ),
    "load_limit_mw": ("load limit, mW; 0 none", "负荷限值，mW；0 为无"),
    "load_period_s": ("over which load is averaged", "负荷平均周期，秒"),
    "load_action": ("0 opens, 1 only tells", "超负荷动作：0 跳闸，1 仅告警"),
    "load_restore_s": ("open for this long, then it may close", "超负荷跳闸后恢复时间，秒"),
    "load_retries": ("openings before only the key closes", "自动恢复次数"),
    "open_current_max_ma": (
        "does not open above this current, mA; 0 any",
        "允许跳闸的最大电流，mA；0 为不限",
    ),
    "open_wait_s": ("waits so long for the current to fall, then opens", "等待电流下降的时间，秒"),
    "trip_delay_s": ("delay of an opening for credit, alarm on", "跳闸延时时间，秒"),
    "operations_per_hour": ("most movements of the relay in an hour", "每小时最多动作次数"),
    "nominal_mv": ("nominal voltage, mV; 0: quality is not judged", "标称电压，mV；0 为不判断"),
    "protect": (
        "1 voltage, 2 current, 3 both: opens on a hard limit",
        "保护跳闸：1 电压，2 电流，3 两者",
    ),
    "tamper_notify": ("tamper kinds that are told, as bits", "上报的防护告警类型（位）"),
    "tamper_trip": (
        "tamper kinds that trip until cleared, as bits",
        "跳闸并保持的防护告警类型（位）",
    ),
    "debt_in_emergency": (
        "1: debt is recovered while emergency credit is used",
        "1：应急期间继续扣欠费",
    ),
    "debt_when_off": ("1: debt is recovered while supply is off", "1：断电期间继续扣欠费"),
    "token_unit_ncur": ("value of one token unit; 0: no tokens", "代码单位金额；0 为不用代码"),
    "token_set": ("1: tokens that set the balance are taken", "1：接受设定余额的代码"),
    "hold_records": ("plain charges wait until there are so many", "攒够条数再上报"),
    "tls": (
        "0 plain, 1 TLS with `/ca.der`, 2 and a client certificate",
        "0 明文，1 TLS 固定 CA，2 另加客户端证书",
    ),
    "broker_fallbacks": (
        "further brokers, `host:port` with commas",
        "备用代理 host:port，逗号分隔",
    ),
    "ntp_host": ("NTP server; empty none", "NTP 服务器；空为无"),
    "gateway_host": ("Modbus TCP gateway; empty none", "Modbus TCP 网关；空为无"),
    "gateway_port": ("its port", "网关端口"),
    "plan": (
        "monitoring plan: 0 ordinary, 1 customised, 2 comprehensive",
        "监测方案：0 普通，1 定制，2 全面",
    ),
}

# class in the code: (Chinese, how it closes, what to do, the same in Chinese)
DIFFERENCES = {
    "clock invalid": (
        "时钟无效",
        "by itself: with an adjustment once the module tells when its clock was set, or a day"
        " after it had its time again without telling",
        "nothing; charges without a known time are priced by the clock that the module had"
        " until then, and only a retired module's is closed by hand",
        "无须处理；时刻未知的计费暂按模块当时的时钟计价；仅已退役模块的可人工关闭",
    ),
    "storage rollback": (
        "存储回退",
        "by itself, when the module states the settled entry again, or with `module retire`",
        "the module's flash is older than what it had settled, or was made anew. Exchange the"
        " module, or take the same board on again as another: `provision --was`, then"
        " `module replace`, then `module retire`",
        "模块闪存早于已结算的记录或被重建。更换模块，或以新身份重新启用同一块板：先"
        " `provision --was`，再 `module replace`，最后 `module retire`",
    ),
    "tariff version behind": (
        "电价版本滞后",
        "by itself, with the next batch under the assigned version; what was charged meanwhile is"
        " priced by it and made good by one adjustment",
        "wait for the module to take the tariff command; if the version is unknown to the host,"
        " nothing is acknowledged until it is known",
        "等待模块执行电价命令；主站未知该版本时不予确认，记录留在模块",
    ),
    "tamper": (
        "异常账目",
        "never by itself",
        "the module booked money that the host did not order. It is posted to `suspense`. Treat"
        " the module as compromised: trip, secure, exchange",
        "模块记入主站未下达的金额，已计入 `suspense` 科目。视模块已失控：停电，保全，更换",
    ),
    "meter swap or rollover": (
        "换表或表码翻转",
        "never by itself",
        "compare the work order of the exchange with the two registers shown; charging goes on"
        " from the new register",
        "以换表工单核对所示两个表码；自新表码起继续计费",
    ),
    "unexplained": (
        "原因不明",
        "never by itself",
        "an alarm, never a rounding: keep store and module as they are and report it",
        "属告警，绝非舍入：保持数据与模块原状并上报",
    ),
    "records missing": (
        "记录缺失",
        "by itself, when the missing records come and everything behind them is settled",
        "the module goes on behind records that the host does not have: the store was restored"
        " from an older backup, or a gap has lasted an hour. Nothing behind it is settled or"
        " billed; see [backup](#backup-restore-verify-备份恢复校验)",
        "模块后续记录已到，主站缺少中间记录：数据库由较旧备份恢复，或缺口已逾一小时。其后一律不结算、不出账，见备份一节",
    ),
}

OUTCOMES = {1: "完整，重启后试运行", 2: "已确认", 3: "已回退", 4: "拒绝"}

UPDATE_REASONS = ordered.UPDATE_REASONS

CRASHES = {
    1: "看门狗",
    2: "欠压复位",
    3: "未预告的复位",
    4: "任务失败过多",
    5: "任务之外的错误",
}

# Name in firmware/lamp.py: condition, 状态, what to do, 处理.
# Of firmware/log.py: (what, its numbers, what to do) twice.
LOGS = {
    "BOOTED": ("started: reset cause, boot number", "启动：复位原因、启动编号", "-", "-"),
    "TASK_FAILED": (
        "a task of the program ended and was started again: how many by now",
        "任务异常并已重启：累计次数",
        "let it run; after eight the module restarts and tells `crash`",
        "可继续运行，多次后模块重启并上报 `crash`",
    ),
    "CONNECTED": ("connected to the broker: how often by now", "已连接代理：累计次数", "-", "-"),
    "REJECTED": (
        "a message of the host was refused: reason",
        "拒收主站报文：原因码",
        "reasons in operator.md; `forged` means another key: provision again",
        "原因见 operator.md；`forged` 表示密钥不符，须重新配置",
    ),
    "METER_FAILED": (
        "a meter did not answer or answered nonsense: point",
        "电表无应答或应答错误：用电点",
        "`gridpurse maps try`; A/B, termination, baud, parity, unit",
        "用 `gridpurse maps try` 检查 A/B、终端电阻、波特率、校验、地址",
    ),
    "CLOCK_STEP": (
        "the clock was set: before, after",
        "对时：调整前、调整后",
        "expected after power-on; otherwise look at the host's clock",
        "上电后属正常，否则检查主站时钟",
    ),
    "TAMPER": (
        "a protection switch or register rule: point, kind, 1 begin 0 end",
        "防护告警：用电点、类别、1 开始 0 结束",
        "look at the site, then have the host clear it",
        "现场检查后由主站清除",
    ),
    "UNCONNECTED": (
        "no connection to a broker: reason, place in the list of brokers",
        "未能连接代理：原因、代理序号",
        "Wi-Fi, address and port, login, certificate, clock",
        "检查 Wi-Fi、地址端口、用户名口令、证书与时钟",
    ),
}

LAMPS = {
    "FINE": ("all well", "正常", "-", "-"),
    "NO_NETWORK": (
        "no connection to the broker; metering and relay go on",
        "未连接代理，计量与继电器照常",
        "Wi-Fi name and password, signal, broker address",
        "检查 Wi-Fi 名称口令、信号、代理地址",
    ),
    "NO_TIME": (
        "the clock has not been set since power-on",
        "上电后未对时",
        "wait for the host; look at the network",
        "等待主站对时，检查网络",
    ),
    "WARNING_1": ("warning 1", "一级预警", "top up", "充值"),
    "WARNING_2": ("warning 2", "二级预警", "top up", "充值"),
    "OVERDRAFT": ("in the overdraft", "透支中", "top up", "充值"),
    "EXHAUSTED": ("credit exhausted", "欠费", "top up, then press the key", "充值后按键合闸"),
    "LOCKED": (
        "token entry is locked after wrong tokens",
        "代码输错，输入已锁定",
        "wait, or have the host clear it",
        "等待，或由主站解除",
    ),
    "PENDING": (
        "the relay is going to open, or an alarm was ordered",
        "即将跳闸，或主站报警",
        "top up; save what is open",
        "充值，保存未完成的工作",
    ),
    "SILENT": (
        "a meter does not answer",
        "电表无应答",
        "bus wires A and B, baud and parity, unit, power of the meter",
        "检查总线 A/B、波特率与校验、地址、电表电源",
    ),
    "TAMPER": (
        "tamper, latched until cleared",
        "防护告警，须清除",
        "look at the site, then have the host clear it",
        "现场检查后由主站清除",
    ),
    "SAFE": (
        "safe mode after three short lives: only metering and relay run",
        "连续三次短时崩溃后进入安全模式，仅计量与继电器运行",
        "it leaves by itself after 1 to 24 hours; Ctrl-D at the console tries at once",
        "1 至 24 小时后自动退出；控制台 Ctrl-D 立即重试",
    ),
    "FAULT": (
        "the firmware cannot start; the relay stays where it is",
        "固件不能启动，继电器保持原位",
        "read the line on the console, see below",
        "查看控制台提示，见下表",
    ),
}

# Quality codes of an interval, best first: (English, Chinese).
INTERVAL_QUALITIES = {
    "A": ("actual: passed all checks on arrival", "实测：到达时通过全部检查"),
    "V": ("verified: suspect once, confirmed by a person or a second source", "已核实"),
    "S": ("substituted from a check meter", "校验表替代"),
    "M": ("manual edit, with a reason", "人工修改，附理由"),
    "E": ("estimated, with the method", "估算，附方法"),
    "N": ("missing: not estimated yet, never billed", "缺失：尚未估算，不得计费"),
}

REVIEW_ACTIONS = {
    "verify": "实测转为已核实",
    "set values": "置为人工值",
    "estimate": "以估算替代",
    "nothing": "不变",
}

AUDIT = {"block": "拦截", "review": "待审", "flag": "标记"}
