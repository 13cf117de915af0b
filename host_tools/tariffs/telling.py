"""A tariff in words, English or Chinese: what is charged, when, and what only a bill can add."""

from collections.abc import Sequence
from datetime import UTC, datetime

from host_tools.billing.words import EN, kwh, named, percent, price
from host_tools.rating import lines
from host_tools.settlement.common import decimal
from host_tools.tariffs import terms
from host_tools.tariffs.sets import DAYS_NOMINAL
from host_tools.tariffs.terms import Document, Line, Terms
from protocol import tariff
from protocol.tariff import Ladder, Rates

_PERIODS = {
    tariff.MONTH: ("every month", "每月"),
    tariff.YEAR: ("every year from 1 January", "每年自 1 月 1 日起"),
    tariff.MONTHS: ("every {} months", "每 {} 个月"),
    tariff.DAYS: ("every {} days", "每 {} 天"),
    tariff.BILLING_DAY: ("every month from its day {}", "每月自 {} 日起"),
}
_DAYS = (["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "一二三四五六日")
_UNITS = {
    terms.PER_KWH: ("a kWh", "每千瓦时"),
    terms.PER_DAY: ("a day", "每天"),
    terms.PER_MONTH: ("a month", "每月"),
    terms.PER_KW_MONTH: ("a month and contracted kW", "每月每千瓦合同容量"),
    terms.PER_KW_YEAR: (
        "a year and contracted kW, by days of 365",
        "每年每千瓦合同容量（按天数/365 计）",
    ),
}
_BASES = {terms.ENERGY: "电量电费", terms.FIXED: "每日基本费", terms.MINIMUM: "补足最低电费"}


def date_of(document: Document, from_s: int) -> str:
    """The local date on which a set begins."""
    day = tariff.local_day(document.book, from_s)
    return datetime.fromtimestamp(day * 86400, UTC).strftime("%Y-%m-%d")


def head(document: Document, language: str) -> list[str]:
    book = document.book
    first = f"{document.name} ({book.version}, {book.currency}, {document.zone})"
    said = {True: ("For: ", "Prices from: "), False: ("适用：", "来源：")}[language == EN]
    out = [first]
    if document.customers != "-":
        out.append(said[0] + document.customers)
    return [*out, said[1] + " ".join(document.origin.split())]


def dated(document: Document, place: int, language: str) -> list[str]:
    """Everything of one dated set."""
    from_s, around = document.terms[place]
    rates, ladder = document.book.rates[place][1], document.book.ladders[place][1]
    english = language == EN
    if place == 0:
        begins = "From the beginning:" if english else "起始："
    else:
        day = date_of(document, from_s)
        begins = f"From {day} 00:00:" if english else f"{day} 0 时起："
    out = [begins]
    for line in (
        *_tiers(around, ladder, english),
        *_prices(document, around, rates, ladder, english),
        *hours(document, around, rates, english),
        *_around(document, around, rates, english),
    ):
        out.append(f"  {line}")
    return out


def period(ladder: Ladder, english: bool) -> str:
    return _PERIODS[ladder.period][0 if english else 1].format(ladder.length)


def bounds(ladder: Ladder, days: int = 1) -> list[tuple[str, str]]:
    """(from, to) of each tier in kWh; the last has no end."""
    edges = [kwh(wh // days) for wh in ladder.thresholds_wh]
    return list(zip(["0", *edges], [*edges, ""], strict=True))


def _tiers(around: Terms, ladder: Ladder, english: bool) -> list[str]:
    if not ladder.thresholds_wh:
        return ["No tiers." if english else "不分阶梯。"]
    days = DAYS_NOMINAL if around.tiers_per_day else 1
    told = []
    for tier, (low, high) in enumerate(bounds(ladder, days), 1):
        if english:
            told.append(f"tier {tier} {f'to {high} kWh' if high else f'above {low} kWh'}")
        else:
            told.append(f"第 {tier} 档{f'至 {high} 千瓦时' if high else f'超过 {low} 千瓦时'}")
    if around.tiers_per_day:
        every = (
            f"Tiers count for each day of the bill; a module counts {DAYS_NOMINAL} days a month"
            if english
            else f"阶梯按账期天数计，模块每月按 {DAYS_NOMINAL} 天"
        )
    else:
        every = (
            f"Tiers begin anew {period(ladder, True)}"
            if english
            else f"{period(ladder, False)}重新计阶梯"
        )
    return [f"{every}: {', '.join(told)}." if english else f"{every}：{'，'.join(told)}。"]


def _prices(
    document: Document, around: Terms, rates: Rates, ladder: Ladder, english: bool
) -> list[str]:
    language = EN if english else "zh"
    tiers = range(len(ladder.adders_ucur_per_kwh))
    unit = f"{document.book.currency} {'a kWh' if english else '每千瓦时'}"
    apart = around.method == terms.ADDER and len(around.rate_names) > 1
    out = []
    for rate, name in enumerate(around.rate_names):
        book = tariff.Book(1, "CUR", ((0, 0),), ((0, rates),), ((0, ladder),))
        each = [tariff.price_ucur_per_kwh(book, 0, rate, tier) for tier in tiers]
        if apart:
            each = [rates.prices_ucur_per_kwh[0][rate]]
        shown = " / ".join(price(value) for value in each)
        colon = ": " if english else "："
        out.append(f"{named(name, document.names_zh, language)}{colon}{shown} {unit}")
    if apart:
        added = [
            f"{'tier' if english else '第'} {tier + 1}{'' if english else ' 档'} +{price(adder)}"
            for tier, adder in enumerate(ladder.adders_ucur_per_kwh)
            if adder
        ]
        if added:
            out.append(
                f"Added to every kWh of {', '.join(added)}"
                if english
                else f"各档加价：{'，'.join(added)}"
            )
    return out


def hours(document: Document, around: Terms, rates: Rates, english: bool) -> list[str]:
    """One line a season and day type, where there is more than one rate."""
    if len(around.rate_names) == 1:
        return []
    language = EN if english else "zh"
    out = []
    for season, span in _seasons(rates):
        kinds = rates.days[season]
        for kind, slots in enumerate(kinds):
            days = _kind(rates, kind, english) if len(kinds) > 1 else ""
            if days is None:
                continue
            of_rates: dict[int, list[str]] = {}
            ends = [*(minute for minute, _ in slots[1:]), 1440]
            for (minute, rate), end in zip(slots, ends, strict=True):
                of_rates.setdefault(rate, []).append(f"{clock(minute)}-{clock(end)}")
            told = [
                f"{named(around.rate_names[rate], document.names_zh, language)} {', '.join(spans)}"
                for rate, spans in sorted(of_rates.items())
            ]
            where = " ".join(part for part in (span, days) if part)
            colon = ": " if english else "："
            out.append(f"{where}{colon if where else ''}{'; '.join(told)}")
    return out


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _seasons(rates: Rates) -> list[tuple[int, str]]:
    """(season, its dates); no dates when there is one all the year."""
    starts = list(rates.seasons)
    if len({season for _, season in starts}) == 1:
        return [(starts[0][1], "")]
    out = []
    for place, (start, season) in enumerate(starts):
        after = starts[(place + 1) % len(starts)][0]
        out.append((season, f"{_month_day(start)} .. {_month_day(after)}"))
    return out


def _month_day(start: int) -> str:
    return f"{start // 100:02}-{start % 100:02}"


def _kind(rates: Rates, kind: int, english: bool) -> str | None:
    """The days of a day type, None when there are none."""
    week = [place for place, each in enumerate(rates.week) if each == kind]
    named_days = sum(each == kind for _, each in rates.special)
    names = _DAYS[0 if english else 1]
    told = []
    if week:
        run = week[-1] - week[0] + 1 == len(week) > 2
        if english:
            told.append(
                f"{names[week[0]]}-{names[week[-1]]}" if run else ",".join(names[d] for d in week)
            )
        else:
            told.append(
                f"周{names[week[0]]}至周{names[week[-1]]}"
                if run
                else "、".join(f"周{names[d]}" for d in week)
            )
    if named_days:
        told.append(f"{named_days} named days" if english else f"{named_days} 个指定日")
    return (" and " if english else "及 ").join(told) or None


def _around(document: Document, around: Terms, rates: Rates, english: bool) -> list[str]:
    out = []
    language = EN if english else "zh"
    if rates.fixed_per_day_ncur:
        shown = decimal(rates.fixed_per_day_ncur)
        out.append(f"A charge of {shown} a day." if english else f"每日基本费 {shown}。")
    for name, millionths in around.included:
        shown = f"{named(name, document.names_zh, language)} {percent(millionths)}"
        out.append(f"Prices contain {shown}." if english else f"价格含{shown}。")
    if not around.extra():
        return out
    adds = _host_adds(document, around, english)
    if adds:  # tiers by the day are told with the tiers
        out.append(
            "What a module cannot charge; the host adds it:"
            if english
            else "以下由主站计收，模块不计："
        )
    return [*out, *(f"- {told}" for told in adds)]


def _host_adds(document: Document, around: Terms, english: bool) -> list[str]:
    colon = ": " if english else "："
    out = []
    if around.alloc == terms.PROPORTIONAL:
        out.append(
            "every tier takes the same share of each rate"
            if english
            else "各档按相同比例分摊各时段电量"
        )
    out += schedules(document, around, english)
    for each in (*around.lines, *([around.minimum] if around.minimum else [])):
        name = _base(each.name, document.names_zh, english)
        out.append(f"{name}{colon}{line(each, document, english)}")
    if around.prorate_tiers:
        out.append(
            "registers: thresholds by days where prices change inside a period"
            if english
            else "按示数计费时，周期内调价则阶梯按天数折算"
        )
    if around.total_step_ncur:
        step = decimal(around.total_step_ncur, 0).rstrip(".")
        out.append(
            f"the total is rounded to {step}, as a line"
            if english
            else f"合计取整至 {step}，单列一行"
        )
    return out


def schedules(document: Document, around: Terms, english: bool) -> list[str]:
    """One text for each table that a period's total chooses."""
    out = []
    for schedule in around.schedules:
        above = kwh(schedule.above_wh)
        shown = " | ".join(_schedule(schedule, around, document, english))
        out.append(
            f"all use of a period above {above} kWh: {shown}"
            if english
            else f"周期总量超过 {above} 千瓦时，全部电量按 {shown}"
        )
    return out


def _schedule(
    schedule: terms.Schedule, around: Terms, document: Document, english: bool
) -> list[str]:
    tiers = len(schedule.ladder.adders_ucur_per_kwh)
    ladder = schedule.ladder
    book = tariff.Book(1, "CUR", ((0, 0),), ((0, schedule.rates),), ((0, ladder),))
    out = []
    for rate, name in enumerate(around.rate_names):
        each = [price(tariff.price_ucur_per_kwh(book, 0, rate, tier)) for tier in range(tiers)]
        shown = named(name, document.names_zh, EN if english else "zh")
        out.append(f"{shown} {' / '.join(each)}")
    if ladder.thresholds_wh:
        steps = " / ".join(kwh(wh) for wh in ladder.thresholds_wh)
        out.append(f"steps at {steps} kWh" if english else f"分档 {steps} 千瓦时")
    return out


def _base(name: str, names_zh: dict[str, str], english: bool) -> str:
    if english:
        return "daily charge" if name == terms.FIXED else name
    return _BASES.get(name) or named(name, names_zh, "zh")


def line(of: Line, document: Document, english: bool) -> str:
    bases = [_base(name, document.names_zh, english) for name in of.on]
    if of.kind == terms.PERCENT:
        on = " + ".join(bases)
        return f"{percent(of.amount)} of {on}" if english else f"{on}的 {percent(of.amount)}"
    amount = price(of.amount) if of.kind == terms.PER_KWH else decimal(of.amount)
    unit = _UNITS[of.kind][0 if english else 1]
    told = f"{amount} {unit}" if english else f"{unit} {amount}"
    if of.name == terms.MINIMUM and bases:
        least = " + ".join(bases)
        return f"at least {told} for {least}" if english else f"{least}合计至少{told}"
    return told


def rule(english: bool) -> str:
    if english:
        return f"Rounding: {lines.RULE}; the total is the sum of the lines."
    return "舍入：各行四舍五入至 0.01（正负对称），合计为各行之和。"


def sections(document: Document, places: Sequence[int], language: str) -> list[str]:
    """The head and some dated sets, in one language."""
    out = head(document, language)
    for place in places:
        out += dated(document, place, language)
    return out
