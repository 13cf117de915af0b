"""The words of bills in English and Chinese, and numbers as a person reads them."""

from fractions import Fraction

from host_tools.settlement.common import decimal
from protocol.units import NCUR_PER_CUR

EN, ZH, BOTH = "en", "zh", "both"
LANGUAGES = (EN, ZH, BOTH)

UNNAMED = "rate "  # and its number: of a book without its tariff file

_WORDS = {
    "item": ("item", "项目"),
    "quantity": ("quantity", "数量"),
    "price": ("price", "单价"),
    "amount": ("amount", "金额"),
    "rounding": ("rounding", "舍入"),
    "exact": ("exact", "精确值"),
    "total": ("total", "合计"),
    "energy": ("energy", "电量电费"),
    "fixed": ("daily charge", "每日基本费"),
    "minimum": ("up to the minimum", "补足最低电费"),
    "adjustment": ("adjustment", "调账"),
    "terms": ("by the terms of the tariff:", "按电价条款："),
    "lost": ("lost records, by the module's statement:", "缺失记录（按模块申报）："),
    "tier": ("tier", "阶梯"),
    "tier_addition": ("addition of tier", "阶梯加价"),
    "rate": ("rate", "费率"),
    "day": ("day", "天"),
    "month": ("month", "月"),
    "days": ("days", "天"),
    "months": ("months", "月"),
    "bill": ("Electricity statement", "电费账单"),
    "number": ("number", "单号"),
    "issued": ("issued", "开具时间"),
    "takes_back": ("credit bill, takes back", "红字账单，冲销"),
    "taken_back": ("taken back by", "已被冲销"),
    "digest": ("SHA-256 of its content", "内容校验值"),
    "receipt": ("Receipt", "收据"),
    "payment": ("payment", "缴费流水号"),
    "paid": ("paid", "缴费时间"),
    "topup_number": ("top-up number", "充值序号"),
    "before": ("balance before", "缴费前余额"),
    "after": ("balance after", "缴费后余额"),
    "buys": ("buys about", "约可购电"),
    "price_now": (
        "at the energy price of this moment, other lines apart",
        "按缴费时电量电价，不含其他费用",
    ),
    "point": ("service point", "用电点"),
    "period": ("period", "账期"),
    "register": ("register", "电表示数"),
    "began": ("counted anew from", "换表或建账起数"),
    "used": ("energy used", "用电量"),
    "tariff": ("tariff version", "电价版本"),
    "opening": ("balance before", "期初余额"),
    "topup": ("top-up", "充值"),
    "charges": ("charges of this statement", "本期电费"),
    "debt": ("to debts", "偿还欠费"),
    "transfer": ("transfer", "转移"),
    "closing": ("balance after", "期末余额"),
    "rounded": (
        "the account is kept exactly; rounded figures may differ by",
        "账户按精确值记账，四舍五入后可能相差",
    ),
    "rounded_lines": (
        "each line is rounded; the total of the lines and the charges differ by",
        "各行分别舍入，合计与本期电费相差",
    ),
    "position": ("used in the tier period", "阶梯周期累计"),
    "left": ("left in this tier", "本档剩余"),
    "last_tier": ("the last tier, no limit", "最高档，无上限"),
    "estimated": ("charged by an unset clock", "时钟无效时计费"),
    "estimated_readings": ("estimated readings", "估算读数"),
    "of_time": ("of the time of this statement", "占本期时长"),
    "quality": ("worst quality of readings", "最差读数质量"),
    "substituted": ("substituted from a check meter", "校验表替代"),
    "manual": ("edited by a person", "人工修改"),
    "missing": ("missing", "缺失"),
    "incomplete": ("settled only until", "仅结算至"),
    "rule": ("rounding rule", "舍入规则"),
    "rule_text": (
        "each line half away from zero to 0.01; the total is the sum of the lines",
        "各行四舍五入至 0.01（正负对称），合计为各行之和",
    ),
    "proof": ("ledger head", "账链摘要"),
    "full": ("by all terms of the tariff", "按电价全部条款"),
    "beyond": ("owed by the tariff, not in the ledger", "电价应收、尚未入账"),
    "intervals": ("charges", "计费笔数"),
}
_NAMES_ZH = {
    "peak": "峰",
    "flat": "平",
    "valley": "谷",
    "sharp": "尖",
    "off": "非峰",
    "day": "日间",
    "night": "夜间",
    "VAT": "增值税",
    "duty": "电力税",
    "wheeling": "输配电费",
    "service": "服务费",
    "power": "容量费",
}
# Rules as entries of the host name them: of a tariff a kind and mostly a name; of lost records.
_RULES_ZH = {
    "energy": "电量电费",
    "fixed": "每日基本费",
    "minimum": "补足最低电费",
    "rounding": "舍入",
    "per_kwh": "按电量",
    "per_day": "按天",
    "per_month": "按月",
    "per_kw_month": "按月每千瓦",
    "per_kw_year": "按年每千瓦",
    "percent": "按比例",
    "charges": "电费",
    "others": "其他",
}


def say(key: str, language: str) -> str:
    """The word in one language, or in both side by side."""
    english, chinese = _WORDS[key]
    return {EN: english, ZH: chinese, BOTH: f"{english} {chinese}"}[language]


def named(name: str, names_zh: dict[str, str], language: str) -> str:
    """A name of the tariff file; in Chinese by the file's own word, or a usual one."""
    chinese = names_zh.get(name) or _NAMES_ZH.get(name)
    if name.startswith(UNNAMED):
        chinese = name.replace(UNNAMED, "费率 ")
    if chinese is None or language == EN:
        return name
    return chinese if language == ZH else f"{name} {chinese}"


def ruled(rule: str, names_zh: dict[str, str], language: str) -> str:
    """A rule such as "percent duty"; in Chinese its kind, and its name as `named` has it."""
    kind, _, name = rule.partition(" ")
    chinese = f"{_RULES_ZH.get(kind, kind)} {named(name, names_zh, ZH)}".rstrip()
    return {EN: rule, ZH: chinese, BOTH: f"{rule} {chinese}"}[language]


def price(ucur_per_kwh: int, decimals_min: int = 2) -> str:
    return decimal(ucur_per_kwh * 1000, decimals_min)


def money(amount_ncur: Fraction | int) -> str:
    """The exact amount; a part of a nano-unit that a yearly charge leaves shows as an ellipsis."""
    amount = Fraction(amount_ncur)
    if amount.denominator == 1:
        return decimal(int(amount))
    whole_ncur = abs(amount.numerator) // amount.denominator
    return f"{'-' if amount < 0 else ''}{decimal(whole_ncur, 9)}…"


def cents(amount_ncur: int) -> str:
    """A printed amount, which has no more than two decimals."""
    return decimal(amount_ncur)


def rounded(key: str, amount_ncur: int, language: str) -> str:
    """Why rounded figures do not add up by an amount."""
    each = {one: f"{say(key, one)} {cents(amount_ncur)}" for one in (EN, ZH)}
    return " ".join(each.values()) if language == BOTH else each[language]


def kwh(energy_wh: int) -> str:
    """Watt-hours as kWh, exactly."""
    return decimal(energy_wh * (NCUR_PER_CUR // 1000), 0).rstrip(".")


def percent(millionths: int) -> str:
    """Millionths as a percentage."""
    return decimal(millionths * (NCUR_PER_CUR // 10000), 0).rstrip(".") + " %"
