"""Rules of new tariff files: one line where one is checked or added; stored ones stay readable."""

import tomllib
from pathlib import Path

import pytest

from host_tools import Refused, cli, tariffs
from host_tools.backup import issued
from host_tools.store import tariff_files
from host_tools.tariffs import stored
from tests.host_tools.bills import document
from tests.host_tools.desk import NOW_S, Desk
from tests.host_tools.ordering.orderly import Orderly

HEAD = """
version = 650
name = "x"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
"""
FLAT = HEAD + 'prices = { flat = "0.5" }\n'
BANDS = """
[[set.bands]]
rate = "peak"
times = ["08:00-22:00"]
[[set.bands]]
rate = "valley"
times = ["22:00-08:00"]
"""
SHARED = (
    HEAD
    + """
method = "per_tier"
alloc = "proportional"
tier_period = "billing_day"
tier_length = 15
tiers_kwh = [200]
prices = { peak = ["0.50", "1.00"], valley = ["0.50", "1.00"] }
"""
    + BANDS
)
BY_TOTAL = FLAT + """
tier_period = "billing_day"
tier_length = 15
[[set.schedule]]
above_kwh = 250
prices = { flat = "0.80" }
"""  # fmt: skip
PER_TIER = HEAD + 'method = "per_tier"\n'
DUTY = '[[set.line]]\nname = "duty"\npercent = "10"\non = ["energy"]\n'
DAY_15 = 'tier_period = "billing_day"\ntier_length = 15'
DAYS_30 = 'tier_period = "days"\ntier_length = 30'
DAY_1 = 'tier_period = "billing_day"\ntier_length = 1'
WHOLE = ('tier_period = "month"', 'tier_period = "months"\ntier_length = 2', DAY_1)

REFUSED = {
    "shared": (SHARED, 'set[0].tier_period: where a set has alloc = "proportional", billing_day'),
    "shared days": (SHARED.replace(DAY_15, DAYS_30), 'alloc = "proportional", days begins'),
    "shared after it": (
        FLAT + f'{DAY_15}\ntiers_kwh = [200]\n[[set]]\nfrom = 2026-01-10\nalloc = "proportional"\n'
        'prices = { flat = "0.6" }\n',
        'set[0].tier_period: where a set has alloc = "proportional", billing_day',
    ),
    "by total": (BY_TOTAL, "set[0].tier_period: with [[set.schedule]], billing_day begins inside"),
    "by total, days": (BY_TOTAL.replace(DAY_15, DAYS_30), "with [[set.schedule]], days begins"),
    "too few prices": (
        PER_TIER + 'tiers_kwh = [100, 200]\nprices = { flat = ["0.5", "0.6"] }\n',
        "set[0].prices: each rate has 2; write 3, one a tier, or one for all",
    ),
    "too many prices": (
        PER_TIER + 'tiers_kwh = [100]\nprices = { flat = ["0.5", "0.6", "0.7"] }\n',
        "set[0].prices: each rate has 3; write 2, one a tier, or one for all",
    ),
    "prices of a schedule": (
        FLAT + '[[set.schedule]]\nabove_kwh = 9\nmethod = "per_tier"\n'
        'prices = { flat = ["0.5", "0.6"] }\n',
        "set[0].schedule[0].prices: each rate has 2; write 1, one a tier",
    ),
    "length of a month": (
        FLAT + 'tier_period = "month"\ntier_length = 3\ntiers_kwh = [100]\n',
        "set[0].tier_length: a month or a year has none; remove it, or write tier_period",
    ),
    "reserved": (
        FLAT + '[[set.line]]\nname = "energy"\nper_day = "1"\n',
        "set[0].line[0].name: 'energy' means another line in `on`; use another name",
    ),
    "reserved percent": (
        FLAT + 'percent = { fixed = "10" }\n',
        "set[0].percent.fixed: 'fixed' means another line in `on`; use another name",
    ),
    "two of a name": (
        FLAT + '[[set.line]]\nname = "duty"\nper_kwh = "0.1"\n' + DUTY,
        "set[0].line[1].name: 'duty' is a line before it already; use another name",
    ),
    "percent and line": (
        FLAT + 'percent = { duty = "10" }\n' + DUTY,
        "set[0].line[0].name: 'duty' is a line before it already; use another name",
    ),
}  # fmt: skip


@pytest.fixture
def orderly(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Orderly:
    return Orderly(desk, capsys)


@pytest.mark.parametrize("name", REFUSED)
def test_a_new_file_that_would_not_be_billed_as_it_reads_is_one_line(
    orderly: Orderly, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text, line = REFUSED[name]
    path = orderly.desk.folder / "t.toml"
    path.write_text(text, encoding="utf-8")
    assert cli.main(["tariff", "check", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"gridpurse tariff: {path}: set[") and told.count("\n") == 1
    assert line in told
    with pytest.raises(Refused, match="set"):
        tariffs.read_book(path)
    code, _, err = orderly.run("tariff", "add", path)
    assert code == 2 and line in err
    assert tariff_files.of(orderly.desk.store).file(650) is None


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_a_store_has_already_stays_readable(orderly: Orderly, name: str) -> None:
    text, _ = REFUSED[name]
    store = orderly.desk.store
    with store.transaction():
        store.fleet.store_book("x", tariffs.book_of(tomllib.loads(text), "x"), NOW_S)
        tariff_files.of(store).add(650, "x", text, NOW_S)
    found = stored.document(store, 650)
    assert found is not None and found.terms == document(text).terms
    path = orderly.desk.folder / "t.toml"
    path.write_text(text, encoding="utf-8")
    for words in (("show", 650), ("list",), ("add", path)):
        code, _, err = orderly.run("tariff", *words)
        assert code == 0, err
    assert list(issued.wrong(store._connection)) == []


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("text", [SHARED, BY_TOTAL])
def test_tier_periods_that_a_month_has_whole_are_taken(
    tmp_path: Path, text: str, whole: str
) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text.replace(DAY_15, whole), encoding="utf-8")
    assert tariffs.read_book(path).version == 650


@pytest.mark.parametrize(
    "more",
    [
        'tiers_kwh = [100]\nprices = { flat = ["0.5"] }',
        'tiers_kwh = [100]\nprices = { flat = ["0.5", "0.6"] }',
        f'{DAYS_30}\nalloc = "proportional"\nprices = {{ flat = ["1"] }}',
    ],
)
def test_one_price_for_all_tiers_and_sharing_without_tiers_are_taken(
    tmp_path: Path, more: str
) -> None:
    path = tmp_path / "t.toml"
    path.write_text(f"{PER_TIER}{more}\n", encoding="utf-8")
    assert tariffs.read_book(path).version == 650


@pytest.mark.parametrize(
    ("period", "length", "most"),
    [("billing_day", 29, 28), ("billing_day", 0, 28), ("months", 0, 4000), ("days", 4001, 4000)],
)
def test_a_length_out_of_range_is_named_with_its_range(
    period: str, length: int, most: int
) -> None:
    text = f'{FLAT}tier_period = "{period}"\ntier_length = {length}\ntiers_kwh = [100]\n'
    line = rf"set\[0\].tier_length: must be a whole number from 1 to {most}$"
    with pytest.raises(Refused, match=line):
        document(text)
