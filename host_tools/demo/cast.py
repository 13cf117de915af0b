"""Who plays: three modules with four service points, their meters, tariffs, limits and households.

Everything here is data. Module 1 has a single-phase Modbus meter and daily tiers, module 2 a pulse
meter and peak and valley hours, module 3 a three-phase meter with a check meter on the same bus.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from protocol import settings
from protocol.units import NCUR_PER_CUR

TARIFFS = Path(__file__).parent / "tariffs"
# Friday 6 March 2026, 17:50 in China: ten minutes before an evening.
START_S = int(datetime(2026, 3, 6, 9, 50, tzinfo=UTC).timestamp())
POLL_MS = 10_000
SDM_BAUD = 9600


@dataclass(frozen=True, slots=True)
class Place:
    """One service point: what hangs on it and what it may do."""

    label: str
    tariff: str
    meter_map: str  # empty for a pulse meter
    unit: int
    relay: int
    warnings: tuple[int, int]  # CNY
    limit: int  # CNY, below zero an overdraft
    auto_close: bool
    curve: str
    scale_permille: int
    current_max_ma: int
    imp_per_kwh: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    module: str
    shard: int
    places: tuple[Place, ...]
    start_wh: int  # what the meters show when the module is mounted


FLAT_1 = Place(
    "一单元 101 Flat 101", "tiers", "sdm120", 1, 0, (3, 1), 0, False, "family", 3000, 45_000
)
SHOP = Place(
    "小商店 Corner shop", "hours", "", 0, 0, (5, 2), 0, True, "two_employees", 2500, 60_000, 3200
)
HOUSE = Place(
    "三相用户 House", "hours", "sdm630", 1, 0, (10, 5), 0, True, "two_over_65", 3000, 100_000
)
CHECK = Place(
    "考核表 Check meter",
    "flat",
    "sdm120",
    2,
    settings.NO_RELAY,
    (0, 0),
    -500,
    False,
    "two_over_65",
    3000,
    45_000,
)

CAST = (
    Part("gp-101", 0, (FLAT_1,), 1_234_567),
    Part("gp-shop", 0, (SHOP,), 0),
    Part("gp-house", 1, (HOUSE, CHECK), 88_000),
)
SHARDS = tuple(sorted({part.shard for part in CAST}))


def module_settings(part: Part, port: int, password: str, poll_ms: int) -> settings.Module:
    """The configuration a module of the cast is provisioned with."""
    points = tuple(_point(number, place, part) for number, place in enumerate(part.places))
    return settings.Module(
        1,
        part.module,
        part.shard,
        "127.0.0.1",
        port,
        part.module,
        password,
        60,
        poll_ms,
        8,
        SDM_BAUD,
        0,
        points,
    )


def _point(number: int, place: Place, part: Part) -> settings.Point:
    meter = settings.MODBUS if place.meter_map else settings.PULSE
    return settings.Point(
        number,
        meter,
        place.meter_map,
        place.unit,
        0,
        place.imp_per_kwh,
        0 if place.meter_map else part.start_wh,
        place.current_max_ma,
        place.relay,
        place.warnings[0] * NCUR_PER_CUR,
        place.warnings[1] * NCUR_PER_CUR,
        place.limit * NCUR_PER_CUR,
        (place.limit + 1) * NCUR_PER_CUR,
        500 * NCUR_PER_CUR,
        200 * NCUR_PER_CUR,
        int(place.auto_close),
    )
