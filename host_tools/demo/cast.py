"""Who plays: three modules with four service points, their meters, tariffs, limits and households.

Everything here is data. Module 1 has a single-phase Modbus meter and daily tiers, module 2 a pulse
meter and peak and valley hours, module 3 a three-phase meter with a check meter on the same bus.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from host_tools.simulator.wiring import Place
from protocol import settings

TARIFFS = Path(__file__).parent / "tariffs"
# Friday 6 March 2026, 17:50 in China: ten minutes before an evening.
START_S = int(datetime(2026, 3, 6, 9, 50, tzinfo=UTC).timestamp())
POLL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    module: str
    shard: int
    places: tuple[Place, ...]
    tariffs: tuple[str, ...]
    start_wh: int  # what the meters show when the module is mounted


FLAT_1 = Place("一单元 101 Flat 101", "sdm120", 1, 0, (3, 1), 0, False, "family", 3000, 45_000)
SHOP = Place("小商店 Corner shop", "", 0, 0, (5, 2), 0, True, "two_employees", 2500, 60_000, 3200)
HOUSE = Place("三相用户 House", "sdm630", 1, 0, (10, 5), 0, True, "two_over_65", 3000, 100_000)
CHECK = Place(
    "考核表 Check meter",
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
    Part("gp-101", 0, (FLAT_1,), ("tiers",), 1_234_567),
    Part("gp-shop", 0, (SHOP,), ("hours",), 0),
    Part("gp-house", 1, (HOUSE, CHECK), ("hours", "flat"), 88_000),
)
