"""Tariff files: the golden bills of tariffs.md section 4, and one line for every mistake."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from host_tools import Refused, tariffs
from protocol import cbor, tariff, tariff_book
from protocol.tariff import Position
from tests.host_tools.desk import BOOK, TOU_BOOK
from tests.host_tools.genuine import ROOT

CUR = 10**9
SHANGHAI_S = 8 * 3600

DST = """
version = 9
name = "DST-TOU"
origin = "synthetic, shaped like California E-TOU-C (tariffs.md section 3)"
currency = "USD"
zone = "America/Los_Angeles"
[[set]]
from = 2025-01-01
prices = { peak = "0.45", off = "0.25" }
[[set.bands]]
rate = "peak"
times = ["16:00-21:00"]
[[set.bands]]
rate = "off"
times = ["00:00-24:00"]
"""

FLAT_ZJ = """
version = 3
name = "CN-ZJ flat"
origin = "tariffs.md section 3"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
tier_period = "year"
tiers_kwh = [2760, 4800]
adders = ["0", "0.05", "0.30"]
prices = { flat = "0.538" }
"""


def book(text: str) -> tariff.Book:
    return tariffs.book_of(tomllib.loads(text), "tariff.toml")


def at_s(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """An instant by Shanghai's clock."""
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) - SHANGHAI_S


def printed(parts: list[tariff.Part]) -> int:
    """Cents of a bill whose lines, one a tier and rate, are rounded half-up (rule 13)."""
    lines: dict[tuple[int, int], int] = {}
    for part in parts:
        lines[part.rate, part.tier] = lines.get((part.rate, part.tier), 0) + part.amount_ncur
    cent_ncur = CUR // 100
    return sum((amount + cent_ncur // 2) // cent_ncur for amount in lines.values())


@pytest.mark.parametrize(
    ("energy_wh", "exact_ncur", "cents"),
    [
        (430_000, 226_969_000_000, 22697),  # G01
        (240_000, 117_192_000_000, 11719),  # G02
        (240_010, 117_197_383_000, 11720),  # G02, the next 10 Wh
        (333_330, 167_431_539_000, 16743),  # G24
    ],
)
def test_golden_bills_of_monthly_tiers(energy_wh: int, exact_ncur: int, cents: int) -> None:
    from_s, to_s = at_s(2026, 3, 1), at_s(2026, 4, 1)
    amount, _, parts = tariff.charge(BOOK, Position(0, 0), from_s, to_s, energy_wh)
    assert amount == exact_ncur
    # The printed lines of G02 are its total of 117.197383 rounded once: a line of 0.005383 rounds
    # to 0.01 half-up, so both ways agree.
    assert printed(parts) == cents


def test_golden_bill_g04_crosses_an_annual_threshold() -> None:
    start = Position(2026, 2_700_000)
    amount, position, parts = tariff.charge(
        book(FLAT_ZJ), start, at_s(2026, 11, 1), at_s(2026, 12, 1), 400_000
    )
    assert (amount, printed(parts)) == (232_200_000_000, 23220)
    assert position == Position(2026, 3_100_000)


def test_golden_bill_g05_adds_the_tier_to_peak_and_valley() -> None:
    total = 0
    position = Position(2026, 2_700_000)
    for hour, energy_wh in ((12, 240_000), (23, 160_000)):
        at = at_s(2026, 11, 3, hour)
        amount, position, _ = tariff.charge(TOU_BOOK, position, at, at + 900, energy_wh)
        total += amount
    assert total == 199_400_000_000


def test_golden_bill_g10_splits_an_interval_at_the_tier_by_energy() -> None:
    at = at_s(2026, 11, 3, 23)
    start = Position(2026, 2_759_400)
    amount, _, parts = tariff.charge(TOU_BOOK, start, at, at + 900, 1000)
    assert amount == 308_000_000
    assert [part.energy_wh for part in parts] == [600, 400]


def test_golden_bill_g11_splits_an_interval_at_the_band_by_time() -> None:
    at = at_s(2026, 11, 3, 21, 45)
    amount, _, parts = tariff.charge(TOU_BOOK, Position(2026, 0), at, at + 1800, 900)
    assert amount == 385_200_000
    assert [part.energy_wh for part in parts] == [450, 450]


@pytest.mark.parametrize(
    ("day", "exact_ncur"),
    [
        (date(2026, 3, 8), 6_750_000_000),
        (date(2026, 6, 8), 7_000_000_000),
        (date(2026, 11, 1), 7_250_000_000),
    ],
)
def test_golden_bill_g20_follows_the_clock_changes(day: date, exact_ncur: int) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    next_day = day + timedelta(days=1)
    start_s, end_s = (
        int(datetime(d.year, d.month, d.day, tzinfo=zone).timestamp()) for d in (day, next_day)
    )
    hours = (end_s - start_s) // 3600
    tested = book(DST)
    amount, _, _ = tariff.charge(tested, Position(0, 0), start_s, end_s, hours * 1000)
    assert amount == exact_ncur


def test_clock_changes_are_compiled_to_the_second_and_bounded() -> None:
    zone = book(DST).zone
    assert len(zone) <= 64
    assert zone[0] == (0, -8 * 3600)
    assert (int(datetime(2026, 3, 8, 10, tzinfo=UTC).timestamp()), -7 * 3600) in zone
    assert (int(datetime(2026, 11, 1, 9, tzinfo=UTC).timestamp()), -8 * 3600) in zone


def test_the_same_file_gives_the_same_bytes_within_one_command() -> None:
    wires = {cbor.encode(tariff_book.to_wire(book(DST))) for _ in range(2)}
    assert len(wires) == 1
    assert len(wires.pop()) < tariffs.BOOK_BYTES_MAX


def test_bands_of_seasons_and_days_first_match_wins() -> None:
    made = book(
        DST.replace('peak = "0.45"', 'sharp = "0.9", peak = "0.45"').replace(
            "[[set.bands]]",
            'seasons = { summer = "05-01", winter = "11-01" }\n'
            'week = ["work", "work", "work", "work", "work", "rest", "rest"]\n'
            'special = { 2026-07-03 = "rest" }\n'
            "[[set.bands]]\n"
            'rate = "sharp"\ntimes = ["17:00-18:00"]\nseasons = ["summer"]\ndays = ["work"]\n'
            "[[set.bands]]",
            1,
        )
    )
    local_offset_s = 7 * 3600

    def rate(year: int, month: int, day: int, hour: int, offset_s: int = local_offset_s) -> int:
        at = int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) + offset_s
        return tariff.rate_at(made, at)[0]

    assert rate(2026, 7, 2, 17) == 0  # a Thursday in summer
    assert rate(2026, 7, 2, 18) == 1
    assert rate(2026, 7, 3, 17) == 1  # a special day
    assert rate(2026, 7, 4, 17) == 1  # a Saturday
    assert rate(2026, 12, 3, 17, 8 * 3600) == 1  # winter
    assert rate(2026, 2, 3, 17, 8 * 3600) == 1  # still last year's winter
    assert rate(2026, 7, 2, 3) == 2


def test_a_later_set_is_dated_and_a_price_a_tier_is_possible() -> None:
    made = book(
        FLAT_ZJ
        + """
[[set]]
from = 2027-01-01
method = "per_tier"
tier_period = "year"
tiers_kwh = ["3120.5", 4800]
fixed_per_day = "0.25"
prices = { flat = ["0.617", "0.677", "0.977"] }
"""
    )
    assert made.rates[1][0] == at_s(2027, 1, 1)
    assert made.ladders[1][1].thresholds_wh == (3_120_500, 4_800_000)
    assert made.rates[1][1].prices_ucur_per_kwh == ((617_000,), (677_000,), (977_000,))
    assert tariff.fixed_ncur(made, at_s(2027, 1, 2) // 86400 + 1) == 250_000_000


MISTAKES = [
    ('version = 3', 'version = 0', "version: must be a whole number"),
    ('version = 3', '', "version: is missing"),
    ('"CNY"', '"YUAN"', "currency"),
    ('"Asia/Shanghai"', '"Asia/Nowhere"', "zone: 'Asia/Nowhere' is no zone"),
    ('"0.538"', '0.538', "set[0].prices.flat: write the number in quotes"),
    ('"0.538"', '"0.5380001"', "at most 6 decimals"),
    ('"0.538"', '"-1"', "set[0].prices.flat"),
    ('["0", "0.05", "0.30"]', '["0"]', "set[0].adders: must have 3 items"),
    ('"year"', '"fortnight"', "set[0].tier_period: 'fortnight' must be one of"),
    ('[2760, 4800]', '[4800, 2760]', "threshold"),
    ('tier_period', 'tier_perod', "set[0].tier_perod: is unknown"),
    ('{ flat = "0.538" }', '{ a = "1", b = "2" }', "set[0].bands: is missing"),
    ('[[set]]', '[set]', "set: must be a list"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), MISTAKES)
def test_a_mistake_is_one_line_with_file_key_and_remedy(old: str, new: str, line: str) -> None:
    with pytest.raises(Refused) as caught:
        book(FLAT_ZJ.replace(old, new))
    assert line in str(caught.value)
    assert str(caught.value).startswith("tariff.toml: ")
    assert "\n" not in str(caught.value)


def test_a_gap_between_bands_is_named() -> None:
    with pytest.raises(Refused, match="nothing covers 21:00"):
        book(DST.replace("00:00-24:00", "00:00-16:00"))
    with pytest.raises(Refused, match="must be written"):
        book(DST.replace("00:00-24:00", "0-24"))


@pytest.mark.parametrize("path", sorted((ROOT / "host_tools/tariff_files").glob("*.toml")))
def test_every_tariff_file_of_ours_compiles_and_names_its_origin(path: Path) -> None:
    assert tariffs.read_book(path).version
    assert "tariffs.md" in tomllib.loads(path.read_text())["origin"]


SHANGHAI = """
version = 4
name = "CN-SH-2012, five persons"
origin = "tariffs.md section 3"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
method = "per_tier"
tier_period = "year"
tiers_kwh = [3120, 4800]
tier_shift_kwh_per_month = 100
prices = { peak = ["0.617", "0.677", "0.977"], valley = ["0.307", "0.337", "0.487"] }
[[set.bands]]
rate = "peak"
times = ["06:00-22:00"]
[[set.bands]]
rate = "valley"
times = ["22:00-06:00"]
"""
HOMELIGHT = """
version = 5
name = "ZA-HOMELIGHT 20 A, 2024/25, with VAT"
origin = "tariffs.md section 3"
currency = "ZAR"
zone = "Africa/Johannesburg"
[[set]]
method = "per_tier"
tiers_kwh = [350]
prices = { flat = ["1.9028", "2.1562"] }
percent = { VAT = "15" }
"""


def test_golden_bill_g08_shifts_the_thresholds_of_a_large_household() -> None:
    shanghai = book(SHANGHAI)
    assert shanghai.ladders[0][1].thresholds_wh == (4_320_000, 6_000_000)
    position = Position(2026, 4_300_000)
    start_s = at_s(2026, 11, 3, 12)
    amount, _, _ = tariff.charge(shanghai, position, start_s, start_s + 3600, 50_000)
    assert amount == 32_650_000_000
    alone = book(SHANGHAI.replace("100\n", "100\nshift_tiers = [1]\n"))
    assert alone.ladders[0][1].thresholds_wh == (4_320_000, 4_800_000)


def test_half_a_first_year_has_half_the_tiers() -> None:
    text = SHANGHAI.replace("tier_shift_kwh_per_month = 100", "first_year_months = 6")
    assert book(text).ladders[0][1].thresholds_wh == (1_560_000, 2_400_000)


def test_golden_bill_g17_carries_its_percentage_in_exact_prices() -> None:
    start_s = at_s(2024, 6, 3)
    position = Position(tariff.period_of(book(HOMELIGHT).ladders[0][1], start_s // 86400), 0)
    amount, _, _ = tariff.charge(book(HOMELIGHT), position, start_s, start_s + 3600, 497_000)
    assert amount == 1_130_382_610_000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HOMELIGHT.replace('"15"', '"3.33"'), "prices.flat: with percent it has more than 6"),
        (SHANGHAI.replace('"year"', '"days"'), "tier_shift_kwh_per_month: needs a tier period"),
        (SHANGHAI.replace("= 100", "= 100\nshift_tiers = [3]"), "shift_tiers: must name tiers"),
        (SHANGHAI.replace("= 100", "= 900\nshift_tiers = [1]"), "shift_tiers: the shifted"),
        (HOMELIGHT.replace("[350]", "[350]\nfirst_year_months = 6"), "first_year_months: needs"),
    ],
)
def test_a_shift_or_percentage_that_cannot_be_exact_is_refused(text: str, line: str) -> None:
    with pytest.raises(Refused, match=line.replace(".", r"\.")):
        book(text)
