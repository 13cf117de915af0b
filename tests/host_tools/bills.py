"""Bills for tests: tariff files of ours, periods by local date, and cents as published."""

import tomllib
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from host_tools import tariffs
from host_tools.rating.lines import CENT_NCUR, Bill
from host_tools.rating.periods import UNUSED, Period, Use
from host_tools.tariffs.terms import Document
from protocol.tariff import Position
from tests.host_tools.genuine import ROOT

FILES = ROOT / "host_tools/tariff_files"


@cache
def shipped(name: str) -> Document:
    return tariffs.read_document(FILES / f"{name}.toml")


def document(text: str) -> Document:
    return tariffs.document_of(tomllib.loads(text), "tariff.toml")


def instant(of: Document, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """A local wall clock of the tariff's zone."""
    zone = ZoneInfo(of.zone)
    return int(datetime(year, month, day, hour, minute, tzinfo=zone).timestamp())


def days(
    of: Document, first: date, count: int, position: Position = UNUSED, mw: int = 0
) -> Period:
    """A period of whole local days."""
    after = first + timedelta(days=count)
    starts = [instant(of, day.year, day.month, day.day) for day in (first, after)]
    return Period(starts[0], starts[1], position, mw)


def evenly(period: Period, energy_wh: int) -> list[Use]:
    return [Use(period.from_s, period.to_s, energy_wh)]


def cents(bill: Bill) -> list[int]:
    return [line.printed_ncur // CENT_NCUR for line in bill.lines]


def total(bill: Bill) -> int:
    return bill.printed_ncur // CENT_NCUR
