"""Bills as CSV: one row a printed line, coded with the OBIS of the register it comes from.

Amounts are exact decimals printed from integers; the total of a bill is the sum of its printed
column. Never the source of a bill.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from host_tools.exchange.obis import Obis
from host_tools.exchange.readings_csv import safe, utc
from protocol.units import NCUR_PER_CUR

HEADER = (
    "bill", "usage_point", "line", "obis", "kind", "rate", "tier", "period_start_utc",
    "period_end_utc", "energy_wh", "price_per_kwh", "exact", "printed", "currency", "quality",
    "estimated_permille", "tariff_version", "readings_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BillLine:
    """One printed line; `obis` is None for what no register counts, `tier` -1 for none.

    `quality` is the worst of the bill's readings, empty where they are not validated or the bill
    does not say; what it does not say otherwise is None.
    """

    bill: str
    usage_point: str
    line: int
    obis: Obis | None
    kind: str
    rate: str
    tier: int
    start_s: int
    end_s: int
    energy_wh: int
    price_ucur_per_kwh: int
    exact_ncur: int
    printed_ncur: int
    currency: str
    quality: str
    estimated_permille: int | None
    tariff_version: int
    readings_version: int | None


def decimal(value: int, decimals: int) -> str:
    """An integer with so many decimals, none of them lost: (-1500, 3) -> -1.5."""
    whole, rest = divmod(abs(value), 10**decimals)
    text = f"{whole}.{rest:0{decimals}d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def written(lines: Iterable[BillLine]) -> Iterator[str]:
    """The lines of the file, each with its CRLF."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    nano = len(str(NCUR_PER_CUR)) - 1
    rows: Iterator[tuple[object, ...]] = (
        (
            safe(each.bill), safe(each.usage_point), each.line, each.obis or "", each.kind,
            safe(each.rate), each.tier + 1 if each.rate and each.tier >= 0 else "",
            utc(each.start_s), utc(each.end_s), each.energy_wh,
            decimal(each.price_ucur_per_kwh, 6), decimal(each.exact_ncur, nano),
            decimal(each.printed_ncur, nano), each.currency, each.quality,
            each.estimated_permille, each.tariff_version, each.readings_version,
        )
        for each in lines
    )  # fmt: skip
    writer.writerow(HEADER)
    for row in rows:
        writer.writerow(row)
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()
