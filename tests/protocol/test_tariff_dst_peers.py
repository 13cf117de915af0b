"""Times of use on days with clock changes, against a walk over every minute of the day."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from protocol import tariff
from tests.bench.differential import zone
from tests.protocol import books

DAYS = (
    ("America/Los_Angeles", (2026, 3, 8)),
    ("America/Los_Angeles", (2026, 11, 1)),
    ("Europe/Berlin", (2026, 3, 29)),
    ("Europe/Berlin", (2026, 10, 25)),
    ("Europe/Berlin", (2026, 6, 1)),
    ("Australia/Lord_Howe", (2026, 4, 5)),
    ("Australia/Lord_Howe", (2026, 10, 4)),
    ("Africa/Cairo", (2026, 4, 24)),
    ("Africa/Cairo", (2026, 10, 29)),
    ("America/St_Johns", (2026, 3, 8)),
    ("Asia/Kathmandu", (2026, 3, 8)),
)
# (from minute, to minute) of the dear rate; the last ones contain the clock changes themselves.
BANDS = ((960, 1260), (480, 1320), (0, 180), (90, 150), (1410, 1440), (120, 121))


def ends(place: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    after = day + timedelta(days=1)
    start = datetime(day.year, day.month, day.day, tzinfo=place).astimezone(UTC)
    return start, datetime(after.year, after.month, after.day, tzinfo=place).astimezone(UTC)


def minutes_in_band(place: ZoneInfo, day: date, in_band: Callable[[int], bool]) -> tuple[int, int]:
    """tariffs.md section 5: no logic of its own."""
    at, end = ends(place, day)
    inside = outside = 0
    while at < end:
        local = at.astimezone(place)
        if in_band(local.hour * 60 + local.minute):
            inside += 1
        else:
            outside += 1
        at += timedelta(minutes=1)
    return inside, outside


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize(("name", "day"), DAYS)
def test_a_day_of_constant_load_costs_what_its_minutes_say(
    name: str, day: tuple[int, int, int], band: tuple[int, int]
) -> None:
    low, high = band
    place = ZoneInfo(name)
    inside, outside = minutes_in_band(place, date(*day), lambda minute: low <= minute < high)
    slots = {0: 0, low: 1} | ({high: 0} if high < 1440 else {})
    prices = books.rates(((250_000, 450_000),), ((tuple(sorted(slots.items())),),))
    a_book = books.book(prices, zone=zone(name))
    start, end = (int(instant.timestamp()) for instant in ends(place, date(*day)))
    # One watt-hour a minute: every cut lies on a whole one, so the sums are exact.
    amount_ncur, _, parts = tariff.charge(
        a_book, tariff.Position(0, 0), start, end, (end - start) // 60
    )
    assert amount_ncur == outside * 250_000 + inside * 450_000
    assert sum(part.energy_wh for part in parts if part.rate) == inside


@pytest.mark.parametrize("name", sorted({name for name, _ in DAYS}))
def test_every_local_day_has_its_number(name: str) -> None:
    place = ZoneInfo(name)
    a_book = books.book(books.rates(((1,),)), zone=zone(name))
    day = date(2026, 1, 1)
    while day.year == 2026:
        start, end = (int(instant.timestamp()) for instant in ends(place, day))
        number = (day - date(1970, 1, 1)).days
        assert tariff.local_day(a_book, start) == tariff.local_day(a_book, end - 1) == number
        day += timedelta(days=1)
