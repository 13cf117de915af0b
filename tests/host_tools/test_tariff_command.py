"""`gridpurse tariff`: a bad file is one line; a good one is told, priced and compared."""

import json
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest

from host_tools import Refused, cli, tariffs
from host_tools.settlement.common import cells
from host_tools.tariffs import comparing, telling
from tests.host_tools.bills import FILES, document, shipped

BEIJING = FILES / "cn-bj-2012.toml"

FULL = """
version = 7
name = "Everything"
origin = "made up"
currency = "INR"
zone = "Asia/Kolkata"
[[set]]
method = "per_tier"
tiers_kwh = [100, 200]
prices = { day = ["1", "2", "3"], night = ["0.5", "1", "1.5"] }
fixed_per_day = "0.10"
minimum_per_month = "20"
minimum_on = ["energy", "fixed"]
round_total = "0.05"
[[set.bands]]
rate = "day"
times = ["06:00-22:00"]
[[set.bands]]
rate = "night"
times = ["22:00-06:00"]
[[set.schedule]]
above_kwh = 300
prices = { day = "4", night = "2" }
[[set.line]]
name = "wheeling"
per_kwh = "1.40"
[[set.line]]
name = "capacity"
per_kw_month = "12.50"
[[set.line]]
name = "duty"
percent = "16"
on = ["energy", "wheeling", "minimum"]
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("alloc", "alloc", None),
        ("round_total", "rond_total", "set[0].rond_total: is unknown; write round_total"),
        ("tiers_kwh", "tier_kwh", "set[0].tier_kwh: is unknown; write tiers_kwh"),
        (
            "above_kwh = 300",
            "above_kwh = 300\nadder = 1",
            "set[0].schedule[0].adder: is unknown; write adders",
        ),
        ('day = "4"', 'day = "-0.4883"', "prices.day: '-0.4883' may not be negative"),
        ("above_kwh = 300", "above_kwh = -1", "above_kwh: '-1' may not be negative"),
        (
            'round_total = "0.05"',
            "round_total = 1.5",
            "set[0].round_total: write the number in quotes",
        ),
        (
            'minimum_per_month = "20"',
            'minimum_per_month = "20"\nminimum_per_day = "1"',
            "a tariff has one minimum; remove minimum_per_day",
        ),
        (
            'minimum_on = ["energy", "fixed"]',
            'minimum_on = ["energie"]',
            "set[0].minimum_on: must name some of",
        ),
        (
            'minimum_on = ["energy", "fixed"]',
            "minimum_on = [1]",
            "set[0].minimum_on: must be a list of texts",
        ),
        (
            "above_kwh = 300",
            'above_kwh = "x"',
            "set[0].schedule[0].above_kwh: 'x' must be a number",
        ),
        (
            "above_kwh = 300",
            "above_kwh = 0",
            "schedule[0].above_kwh: must be more than in the one before it",
        ),
        (
            '{ day = "4", night = "2" }',
            '{ day = "4" }',
            "prices: must name the rates of its set, day, night",
        ),
        (
            'per_kwh = "1.40"',
            'per_kwh = "1.40"\nper_day = "1"',
            "percent: write exactly one of per_kwh, per_day",
        ),
        ('per_kwh = "1.40"', "", "set[0].line[0].percent: write exactly one of"),
        (
            '"wheeling", "minimum"]',
            '"weeling"]',
            "duty is taken on 'weeling', which no line before it has",
        ),
        (
            'percent = "16"',
            'percent = "16.00001"',
            "line[2].percent: '16.00001' must be a number with at",
        ),
        (
            'method = "per_tier"',
            'method = "per_tier"\ntiers_per_day = true',
            "tiers_per_day: goes with no schedule",
        ),
        (
            'method = "per_tier"',
            'method = "per_tier"\nprorate_tiers = "yes"',
            "prorate_tiers: must be true or false",
        ),
        (
            "[100, 200]",
            "[200, 100]",
            "set[0].tiers_kwh: each threshold must be above the one before it",
        ),
        ('"INR"', '"inr"', "currency: 'inr' must be three letters"),
        ("[[set]]", "[[set]]\nfrom = 0005-01-01", "set[0].from: must lie in 1971 to 2200"),
    ],
)
def test_a_mistake_is_one_line_that_names_key_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: str | None
) -> None:
    path = tmp_path / "t.toml"
    path.write_text(FULL.replace(old, new), encoding="utf-8")
    assert cli.main(["tariff", "check", str(path)]) == (2 if line else 0)
    told = capsys.readouterr()
    if line is None:
        assert "ok 正确; version 版本 7, INR" in told.out
        assert "terms that only the host applies" in told.out
        return
    assert told.err.startswith(f"gridpurse tariff: {path}: ") and told.err.count("\n") == 1
    assert line in told.err


def test_a_bad_file_keeps_no_other_one_from_being_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [tmp_path / "a.toml", tmp_path / "b.toml"]
    bad[0].write_text(FULL.replace("round_total", "rond_total"), encoding="utf-8")
    words = ["tariff", "check", str(bad[0]), str(BEIJING), str(bad[1]), str(FILES / "cn-gd.toml")]
    for more in ([], ["--json"]):
        assert cli.main([*words, *more]) == 2
        told = capsys.readouterr()
        assert told.err.splitlines() == [
            f"gridpurse tariff: {bad[0]}: set[0].rond_total: is unknown; write round_total",
            f"gridpurse tariff: {bad[1]}: no such file",
        ]
        if more:
            assert len(json.loads(told.out)) == 2
        else:
            assert told.out.count(": ok 正确;") == 2


@pytest.mark.parametrize("path", sorted(FILES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_tariff_file_of_ours_is_checked_and_told_in_both_languages(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tariff", "check", "--json", str(path)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["module_bytes"] and row["version"] == tomllib.loads(path.read_text())["version"]
    assert cli.main(["tariff", "explain", str(path), "--month", "2026-04"]) == 0
    english, chinese = capsys.readouterr().out.split("\nRounding: ")
    assert "Example: 300 kWh a month used evenly" in english and "total" in english
    assert "示例：每月 300 千瓦时" in chinese and "合计" in chinese
    of = tariffs.read_document(path)
    for name in of.terms[0][1].rate_names:
        assert name in english


def test_versions_of_our_files_are_all_different() -> None:
    versions = [tariffs.read_document(path).book.version for path in FILES.glob("*.toml")]
    assert len(set(versions)) == len(versions)


def test_an_explanation_says_everything_that_is_charged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.toml"
    path.write_text(FULL, encoding="utf-8")
    words = ["tariff", "explain", str(path), "--kwh", "350", "--kw", "4.6", "--month", "2026-03"]
    assert cli.main([*words, "--lang", "en"]) == 0
    told = capsys.readouterr().out
    for line in (
        "tier 1 to 100 kWh, tier 2 to 200 kWh, tier 3 above 200 kWh",
        "day: 1.00 / 2.00 / 3.00 INR a kWh",
        "day 06:00-22:00; night 00:00-06:00, 22:00-24:00",
        "A charge of 0.10 a day.",
        "all use of a period above 300 kWh: day 4.00 | night 2.00",
        "wheeling: 1.40 a kWh",
        "capacity: 12.50 a month and contracted kW",
        "duty: 16 % of energy + wheeling + minimum",
        "minimum: at least 20.00 a month for energy + daily charge",
        "the total is rounded to 0.05, as a line",
        "2026-03, 4.6 kW contracted",
        "4.6 kW",
    ):
        assert line in told, line
    assert cli.main([*words, "--lang", "zh"]) == 0
    told = capsys.readouterr().out
    for line in (
        "第 3 档超过 200 千瓦时",
        "日间 06:00-22:00; 夜间",
        "周期总量超过 300 千瓦时",
        "输配电费：每千瓦时 1.40",
    ):
        assert line in told, line
    assert cli.main([*words, "--json"]) == 0
    (example,) = json.loads(capsys.readouterr().out)["examples"]
    lines = example["bill"]["lines"]
    assert sum(line["printed_ncur"] for line in lines) == example["bill"]["printed_ncur"]
    assert example["bill"]["printed_ncur"] % 50_000_000 == 0


def told_of(text: str) -> tuple[str, str]:
    """Its first set in English and Chinese."""
    of = document(text)
    both = ["\n".join(telling.dated(of, 0, language)) for language in ("en", "zh")]
    return both[0], both[1]


def test_a_heading_of_the_hosts_terms_has_something_under_it() -> None:
    shared = (FILES / "cn-sh-2012.toml").read_text(encoding="utf-8")
    english, chinese = told_of(shared)
    heading = "  What a module cannot charge; the host adds it:\n"
    assert f"{heading}  - every tier takes the same share of each rate" in english
    assert "  以下由主站计收，模块不计：\n  - 各档按相同比例分摊各时段电量" in chinese
    by_day = (FILES / "us-pge-e1.toml").read_text(encoding="utf-8")
    english, chinese = told_of(by_day.replace('minimum_per_day = "0.32854"', ""))
    assert "a module counts 30 days a month" in english
    assert "the host adds it" not in english and "以下由主站计收" not in chinese


def test_seasons_and_named_days_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tariff", "explain", str(FILES / "es-2.0td.toml"), "--lang", "en"]) == 0
    told = capsys.readouterr().out
    assert "Mon-Fri: P1 10:00-14:00, 18:00-22:00;" in told
    assert "Sat,Sun and 9 named days: P3 00:00-24:00" in told
    assert "From 2025-06-01 00:00:" in told
    assert "90/365 kW" in told


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["explain", "no.toml"], "no.toml: no such file"),
        (["explain", str(BEIJING), str(BEIJING)], "explain: name one file"),
        (["diff", str(BEIJING)], "diff: name OLD and NEW"),
        (["explain", str(BEIJING), "--kwh", "-1"], "--kwh: must be a whole number from 0"),
        (["explain", str(BEIJING), "--month", "March"], "--month March: write it as 2026-03"),
        (["explain", str(BEIJING), "--kw", "x"], "--kw: 'x' must be a number"),
        (["explain", str(BEIJING), "--kw", "-1"], "--kw: '-1' may not be negative"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert cli.main(["tariff", *words]) == 2
    told = capsys.readouterr().err
    assert line in told and told.count("\n") == 1


# Comparison


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> Path:
    text = BEIJING.read_text(encoding="utf-8").replace("version = 1", "version = 99")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "new.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_dearer_third_tier_is_told_to_those_who_reach_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = changed(tmp_path, ('"0.30"', '"0.40"'))
    words = [
        "tariff",
        "diff",
        str(BEIJING),
        str(new),
        "--month",
        "2026-01",
        "--kwh",
        "350",
        "--kwh",
        "500",
    ]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "0.7883 -> 0.4883 / 0.5383 / 0.8883 (who uses above 400 kWh every month)" in told
    assert "（每月用电超过 400 千瓦时）" in told
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    effects = {row["month_wh"]: row["new_ncur"] - row["old_ncur"] for row in found["households"]}
    assert effects == {350_000: 0, 500_000: 12 * 100 * 100_000_000}


def test_a_change_is_told_from_its_date_and_the_year_begins_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = (
        "[[set]]\nfrom = 2027-07-01\ntiers_kwh = [200, 400]\n"
        'adders = ["0", "0.05", "0.30"]\nprices = { flat = "0.4883" }\n'
    )
    new = changed(tmp_path)
    new.write_text(new.read_text(encoding="utf-8") + later, encoding="utf-8")
    assert (
        cli.main(["tariff", "diff", str(BEIJING), str(new), "--kwh", "240", "--lang", "en"]) == 0
    )
    told = capsys.readouterr().out
    assert "From 2027-07-01:\n  tiers to kWh: 240 / 400 -> 200 / 400 (who uses above 200" in told
    assert "From the beginning" not in told
    assert "Twelve months from 2027-07" in told
    assert "+24.00" in told  # 12 x 40 kWh x 0.05


def test_nothing_changes_nothing_and_currencies_do_not_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tariff", "diff", str(BEIJING), str(changed(tmp_path)), "--lang", "en"]) == 0
    assert "Nothing that is charged changes." in capsys.readouterr().out
    spain = FILES / "es-2.0td.toml"
    assert cli.main(["tariff", "diff", str(BEIJING), str(spain), "--lang", "en"]) == 0
    told = capsys.readouterr().out
    assert "currency: CNY -> EUR" in told and "no amounts compare" in told
    assert cli.main(["tariff", "diff", str(BEIJING), str(spain), "--lang", "zh"]) == 0
    told = capsys.readouterr().out
    assert "币种不同，金额无法比较。" in told and "compare" not in told


def test_thresholds_of_a_day_are_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "tariff",
        "diff",
        *(str(FILES / f"{name}.toml") for name in ("cn-zj-flat", "us-pge-e1")),
    ]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "tiers to kWh: 2760 / 4800 -> 13.5 / 54 a day (" in told
    assert "阶梯上限（千瓦时）：2760 / 4800 -> 13.5 / 54，每天（" in told


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_term_that_changes_is_told(language: str) -> None:
    plain = FULL.split("[[set.schedule]]", maxsplit=1)[0]
    for key in ("minimum_per_month", "minimum_on", "round_total", "fixed_per_day"):
        plain = "\n".join(line for line in plain.split("\n") if not line.startswith(key))
    (dated,) = comparing.compare(document(plain), document(FULL), language)
    told = {change.what for change in dated.changes}
    names = {
        "en": "daily charge,prices by the total,minimum,total rounded to,wheeling,capacity,duty",
        "zh": "每日基本费,总量电价表,最低电费,合计取整,输配电费,capacity,电力税",
    }
    assert told == set(names[language].split(","))


def test_a_comparison_of_annual_tiers_that_begin_lower_reaches_less_users() -> None:
    old = shipped("cn-zj-flat")
    lower = old.book.ladders[0][1]._replace(thresholds_wh=(2_760_000, 4_200_000))
    book = old.book._replace(ladders=((0, lower),))
    new = type(old)(old.name, old.origin, old.customers, old.zone, {}, book, old.terms)
    (dated,) = comparing.compare(old, new, "en")
    assert [change.whom for change in dated.changes] == [
        "who uses above 4200 kWh every year from 1 January"
    ]
    assert comparing.permille(Fraction(100), Fraction(105)) == 50
    with pytest.raises(Refused, match="no amounts compare"):
        comparing.effects(old, shipped("es-2.0td"), [100], 2026, 1)


def test_tables_line_up_in_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(
            [
                "tariff",
                "explain",
                str(BEIJING),
                "--kwh",
                "430",
                "--lang",
                "zh",
                "--month",
                "2026-01",
            ]
        )
        == 0
    )
    lines = [
        line
        for line in capsys.readouterr().out.split("\n")
        if line.startswith("  平 ") or "合计 " in line
    ]
    assert len({cells(line) for line in lines}) == 1
