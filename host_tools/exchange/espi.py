"""Readings as a Green Button feed (NAESB REQ.21 ESPI, an Atom document).

One usage point, a meter reading with its reading type for each OBIS code, one block for each local
day. Values are whole units, money hundred-thousandths; the same records give the same bytes. What
is missing is left out. A version above 1 travels as an extension; an estimate's method is lost.
"""

import html
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from host_tools.exchange.local_time import local_time
from host_tools.exchange.obis import Obis
from host_tools.exchange.readings_csv import utc
from host_tools.exchange.records import ESPI_LINEAR, QUALITY, Record
from host_tools.validation.series import ESTIMATED, MISSING

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
OURS = "urn:gridpurse:espi"
CURRENCIES = {"CNY": 156, "EUR": 978, "USD": 840, "ZAR": 710, "INR": 356}
UOM = {"Wh": 72, "varh": 73, "VAh": 71}
BULK, DELTA = 1, 4
FORWARD, REVERSE = 1, 19
ENERGY_USE, TAX = 3, 5
_REVERSED = (2, 4, 10)
_NCUR_PER_COST = 10_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What a bill says of its period."""

    start_s: int
    end_s: int
    total_ncur: int
    energy_wh: int
    lines: tuple[tuple[str, int, int], ...] = ()  # (text, nano-currency, ENERGY_USE or TAX)


def cost(amount_ncur: int) -> int:
    """In hundred-thousandths of the currency unit, half away from zero."""
    half = (abs(amount_ncur) + _NCUR_PER_COST // 2) // _NCUR_PER_COST
    return -half if amount_ncur < 0 else half


def written(
    records: Sequence[Record],
    zone: ZoneInfo,
    made_s: int,
    currency: str,
    costs_ncur: dict[int, int] | None = None,
    summary: Summary | None = None,
) -> Iterator[str]:
    """The feed of one usage point; costs by start of the interval, for the import register."""
    points = sorted({each.usage_point for each in records})
    if len(points) != 1:
        raise ValueError("one usage point to a feed")
    base = f"/UsagePoint/{uuid.uuid5(uuid.NAMESPACE_URL, f'{OURS}/{points[0]}')}"
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<feed xmlns="{ATOM}" xmlns:espi="{ESPI}">\n'
    yield f"<id>{_id(base)}</id><title>Gridpurse</title><updated>{utc(made_s)}</updated>\n"
    yield f'<link rel="self" href="{base}"/>\n'
    year = datetime.fromtimestamp(min(each.start_s for each in records), zone).year
    related = [f"{base}/LocalTimeParameters/1", f"{base}/MeterReading"]
    if summary:
        related.append(f"{base}/UsageSummary")
    point = "<espi:UsagePoint><espi:ServiceCategory><espi:kind>0</espi:kind>"
    point += "</espi:ServiceCategory><espi:status>1</espi:status></espi:UsagePoint>"
    yield _entry(base, "/UsagePoint", related, points[0], point, made_s)
    yield _entry(related[0], f"{base}/LocalTimeParameters", [], "", _clock(zone, year), made_s)
    ordered = sorted(records, key=lambda each: (each.obis, each.is_register(), each.start_s))
    for (code, register), group in groupby(ordered, lambda each: (each.obis, each.is_register())):
        rows = [each for each in group if each.quality != MISSING]
        if rows:
            yield from _reading(base, code, register, rows, zone, made_s, currency, costs_ncur)
    if summary:
        content = _summary(summary, made_s, currency)
        up = f"{base}/UsageSummary"
        yield _entry(f"{up}/1", up, [], "", content, made_s)
    yield "</feed>\n"


def _reading(
    base: str,
    code: Obis,
    register: bool,
    rows: list[Record],
    zone: ZoneInfo,
    made_s: int,
    currency: str,
    costs_ncur: dict[int, int] | None,
) -> Iterator[str]:
    name = f"{'R' if register else 'I'}{code.c}.{code.d}.{code.e}.{code.f}"
    here = f"{base}/MeterReading/{name}"
    kind = f"/ReadingType/{name}"
    title = f"{code}"
    related = [f"{here}/IntervalBlock", kind]
    yield _entry(here, f"{base}/MeterReading", related, title, "<espi:MeterReading/>", made_s)
    longest_s = 0 if register else rows[0].end_s - rows[0].start_s
    fields = (
        ("accumulationBehaviour", BULK if register else DELTA),
        ("commodity", 1),
        ("currency", CURRENCIES[currency]),
        ("dataQualifier", 12),
        ("defaultQuality", 14 if register else 17),
        ("flowDirection", REVERSE if code.c in _REVERSED else FORWARD),
        ("intervalLength", longest_s),
        ("kind", 12),
        ("powerOfTenMultiplier", 0),
        ("timeAttribute", 0),
        ("uom", UOM[rows[0].unit]),
    )
    inner = "".join(f"<espi:{key}>{value}</espi:{key}>" for key, value in fields)
    content = f"<espi:ReadingType>{inner}</espi:ReadingType>"
    yield _entry(kind, "/ReadingType", [], title, content, made_s)
    days = groupby(rows, lambda each: datetime.fromtimestamp(each.start_s, zone).date())
    for day, group in days:
        block = list(group)
        content = _block(block, None if register else costs_ncur)
        up = f"{here}/IntervalBlock"
        yield _entry(f"{up}/{day.isoformat()}", up, [], "", content, made_s)


def _block(rows: list[Record], costs_ncur: dict[int, int] | None) -> str:
    start_s = rows[0].start_s
    out = [f"<espi:IntervalBlock>{_period('interval', start_s, rows[-1].end_s - start_s)}"]
    for each in rows:
        version = ""
        if each.version != 1:
            version = f'<espi:extension><version xmlns="{OURS}">{each.version}</version>'
            version += "</espi:extension>"
        money = ""
        if costs_ncur is not None and each.start_s in costs_ncur:
            money = f"<espi:cost>{cost(costs_ncur[each.start_s])}</espi:cost>"
        quality = QUALITY[each.quality]
        if each.quality == ESTIMATED and each.method.endswith("linear"):
            quality = quality if "register" in each.method else ESPI_LINEAR
        out.append(
            f"<espi:IntervalReading>{version}{money}<espi:ReadingQuality><espi:quality>{quality}"
            "</espi:quality></espi:ReadingQuality>"
            f"{_period('timePeriod', each.start_s, each.end_s - each.start_s)}"
            f"<espi:value>{each.value}</espi:value></espi:IntervalReading>\n"
        )
    out.append("</espi:IntervalBlock>")
    return "".join(out)


def _period(name: str, start_s: int, duration_s: int) -> str:
    return (
        f"<espi:{name}><espi:duration>{duration_s}</espi:duration>"
        f"<espi:start>{start_s}</espi:start></espi:{name}>"
    )


def _clock(zone: ZoneInfo, year: int) -> str:
    rules = local_time(zone, year)
    return (
        f"<espi:LocalTimeParameters><espi:dstEndRule>{rules.end_rule:08X}</espi:dstEndRule>"
        f"<espi:dstOffset>{rules.dst_offset_s}</espi:dstOffset>"
        f"<espi:dstStartRule>{rules.start_rule:08X}</espi:dstStartRule>"
        f"<espi:tzOffset>{rules.offset_s}</espi:tzOffset></espi:LocalTimeParameters>"
    )


def _summary(summary: Summary, made_s: int, currency: str) -> str:
    lines = "".join(
        "<espi:costAdditionalDetailLastPeriod>"
        f"<espi:amount>{cost(amount_ncur)}</espi:amount><espi:note>{_text(note)}</espi:note>"
        f"<espi:itemKind>{kind}</espi:itemKind></espi:costAdditionalDetailLastPeriod>"
        for note, amount_ncur, kind in summary.lines
    )
    return (
        "<espi:UsageSummary>"
        f"{_period('billingPeriod', summary.start_s, summary.end_s - summary.start_s)}"
        f"<espi:billLastPeriod>{cost(summary.total_ncur)}</espi:billLastPeriod>{lines}"
        f"<espi:currency>{CURRENCIES[currency]}</espi:currency>"
        "<espi:overallConsumptionLastPeriod><espi:powerOfTenMultiplier>0"
        f"</espi:powerOfTenMultiplier><espi:uom>72</espi:uom><espi:value>{summary.energy_wh}"
        f"</espi:value></espi:overallConsumptionLastPeriod>"
        f"<espi:statusTimeStamp>{made_s}</espi:statusTimeStamp></espi:UsageSummary>"
    )


def _entry(
    here: str, up: str, related: Iterable[str], title: str, content: str, made_s: int
) -> str:
    links = [("self", here), ("up", up), *(("related", each) for each in related)]
    joined = "".join(f'<link rel="{rel}" href="{_text(href)}"/>' for rel, href in links)
    return (
        f"<entry><id>{_id(here)}</id>{joined}<title>{_text(title)}</title>"
        f"<content>{content}</content>"
        f"<published>{utc(made_s)}</published><updated>{utc(made_s)}</updated></entry>\n"
    )


def _id(here: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, OURS + here)}"


def _text(text: str) -> str:
    return html.escape(text)
