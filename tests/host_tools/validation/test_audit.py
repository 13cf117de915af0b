"""The audit before issue, and its second path held against the engine and the golden bills."""

import ast
import random
import tomllib
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from host_tools import tariffs
from host_tools.validation import recount
from host_tools.validation.audit import (
    ADJUSTMENT,
    ENERGY,
    FIXED,
    OTHER,
    RULES,
    TAX,
    Bill,
    Line,
    audit,
)
from host_tools.validation.limits import Limits
from host_tools.validation.series import Interval
from protocol import tariff
from tests.host_tools.genuine import ROOT
from tests.host_tools.validation import corpus

LIMITS = Limits()
FILES = ROOT / "host_tools" / "tariff_files"
SHANGHAI = ZoneInfo("Asia/Shanghai")
CUR, CENT = 10**9, 10**7


def document(name: str) -> dict[str, Any]:
    return tomllib.loads((FILES / name).read_text(encoding="utf-8"))


BEIJING, ZHEJIANG = document("cn-bj-2012.toml"), document("cn-zj-tou.toml")
DST = {
    "version": 9,
    "name": "DST-TOU",
    "origin": "synthetic",
    "currency": "USD",
    "zone": "America/Los_Angeles",
    "set": [
        {
            "prices": {"peak": "0.45", "off": "0.25"},
            "bands": [
                {"rate": "peak", "times": ["16:00-21:00"]},
                {"rate": "off", "times": ["00:00-24:00"]},
            ],
        }
    ],
}


def local_s(zone: ZoneInfo, *at: int) -> int:
    return int(datetime(*at, tzinfo=zone).timestamp())  # type: ignore[misc,arg-type]


def test_the_second_path_shares_no_code_with_the_first() -> None:
    tree = ast.parse(Path(recount.__file__).read_text(encoding="utf-8"))
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {name.split(".")[0] for name in names} <= {
        "collections", "datetime", "fractions", "itertools", "typing", "zoneinfo",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "used_wh", "spans", "exact_ncur"),
    [
        (BEIJING, 0, [((2026, 6, 1), (2026, 7, 1), 430_000)], 226_969_000_000),
        (BEIJING, 0, [((2026, 6, 1), (2026, 7, 1), 240_000)], 117_192_000_000),
        (BEIJING, 0, [((2026, 6, 1), (2026, 7, 1), 240_010)], 117_197_383_000),
        (ZHEJIANG, 2_759_400, [((2026, 6, 1, 23), (2026, 6, 1, 23, 15), 1000)], 308_000_000),
        (ZHEJIANG, 0, [((2026, 6, 1, 21, 45), (2026, 6, 1, 22, 15), 900)], 385_200_000),
        (
            ZHEJIANG,
            2_700_000,
            [((2026, 6, 1, 8), (2026, 6, 1, 22), 240_000),
             ((2026, 6, 1, 22), (2026, 6, 2, 8), 160_000)],
            199_400_000_000,
        ),
    ],
    ids=["G01", "G02", "G02 and 10 Wh", "G10", "G11", "G05"],
)  # fmt: skip
def test_the_second_path_reproduces_the_golden_bills(
    what: dict[str, Any], used_wh: int, spans: list[Any], exact_ncur: int
) -> None:
    rows = [(local_s(SHANGHAI, *a), local_s(SHANGHAI, *b), energy_wh) for a, b, energy_wh in spans]
    assert recount.Tariff(what).recount(rows, used_wh).total_ncur() == exact_ncur


@pytest.mark.parametrize(
    ("month", "day", "exact_ncur"), [(3, 8, 6.75), (6, 8, 7.00), (11, 1, 7.25)]
)
def test_the_second_path_prices_days_of_23_24_and_25_hours(
    month: int, day: int, exact_ncur: float
) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    start_s, end_s = local_s(zone, 2026, month, day), local_s(zone, 2026, month, day + 1)
    rows = [(at_s, at_s + 3600, 1000) for at_s in range(start_s, end_s, 3600)]
    assert recount.Tariff(DST).recount(rows, 0).total_ncur() == int(exact_ncur * CUR)


KERALA = {
    **BEIJING,
    "set": [
        {
            "method": "per_tier",
            "tiers_kwh": [100, 200],
            "prices": {"flat": ["3.15", "3.70", "4.80"]},
            "schedule": [
                {"above_kwh": 250, "prices": {"flat": "5.80"}},
                {"above_kwh": 300, "prices": {"flat": "6.60"}},
            ],
            "line": [{"name": "meter", "per_day": "0.10"}, {"name": "way", "per_kwh": "1.40"}],
        }
    ],
}


@pytest.mark.parametrize(
    ("energy_wh", "energy_ncur"),
    [
        (250_000, 315 * CUR + 370 * CUR + 240 * CUR),
        (250_001, 1_450_005_800_000),
        (300_000, 1_740 * CUR),
        (300_001, 1_980_006_600_000),
    ],
)
def test_the_second_path_knows_prices_that_the_total_chooses_and_lines(
    energy_wh: int, energy_ncur: int
) -> None:
    month = (local_s(SHANGHAI, 2026, 6, 1), local_s(SHANGHAI, 2026, 7, 1))
    days = recount.local_days(*month, SHANGHAI)
    again = recount.Tariff(KERALA).recount([(*month, energy_wh)], 0, days)
    assert sum(again.energy_ncur.values()) == energy_ncur
    assert again.lines_ncur == {"meter": 3 * CUR, "way": energy_wh * 1_400_000}
    with pytest.raises(recount.NotUnderstood, match="not of one tier period"):
        recount.Tariff(KERALA).recount([(*month, energy_wh)], 1, days)


def test_the_second_path_counts_thirty_days_where_tiers_are_for_each_day() -> None:
    pge = document("us-pge-e1.toml")
    pge["set"][0].pop("minimum_per_day")  # the host's, which no module charges
    zone = ZoneInfo("America/Los_Angeles")
    march = (local_s(zone, 2026, 3, 1), local_s(zone, 2026, 4, 1))
    again = recount.Tariff(pge).recount([(*march, 500_000)], 0)
    assert again.energy_wh == {("flat", 0): 405_000, ("flat", 1): 95_000}
    assert again.total_ncur() == 405_000 * 235_220 + 95_000 * 296_000


def test_half_a_cent_is_rounded_away_from_zero_both_ways() -> None:
    assert recount.printed_ncur(CUR // 8) == 13 * CENT
    assert recount.printed_ncur(-CUR // 8) == -13 * CENT
    assert recount.printed_ncur(CENT // 2 - 1) == 0 and recount.printed_ncur(CENT // 2) == CENT


def test_the_second_path_counts_registers_over_rollover_and_exchange() -> None:
    rows = [(0, "a", 990), (5, "a", 10), (5, "b", 3), (9, "b", 50)]
    assert recount.register_energy_wh(rows, 1000, 2) == 2 * (20 + 47)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"slab": 1}, "slab: is unknown to the second path"),
        ({"set": [{"prices": {"a": "1"}, "minimum": "3"}]}, "minimum: is unknown"),
        ({"set": [{"prices": {"a": "1"}, "bands": [{"rate": "a", "when": 1}]}]}, "when: is"),
        ({"set": [{"prices": {"a": "1"}, "bands": [{"rate": "a", "times": ["00:00-01:00"]}]}]},
         "no band at 08:00"),
        ({"set": [{"prices": {"a": "1"}, "tier_period": "moon"}]}, "tier_period moon"),
        ({"set": [{"prices": {"a": "0.0000000001"}}]}, "more than nine decimals"),
        ({"set": [{"prices": {"a": "1"}, "line": [{"name": "x", "per_kw_month": "1"}]}]},
         "per_kw_month: is unknown"),
        ({"set": [{"prices": {"a": "1"}, "schedule": [{"above_kwh": 1, "cap": 1}]}]},
         "cap: is unknown"),
    ],
)  # fmt: skip
def test_the_second_path_refuses_what_it_does_not_understand(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(recount.NotUnderstood, match=message):
        recount.Tariff({**BEIJING, **changed}).recount([(0, 900, 7)], 0)


# Held against the engine

PRICE = st.integers(1, 2_000_000).map(lambda value: f"{value // 10**6}.{value % 10**6:06}")
ZONES = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"])
CLOCK = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    rates = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    tiers = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
    per_tier = draw(st.booleans())
    period = draw(st.sampled_from(["month", "year", "months", "days", "billing_day"]))
    columns = {
        rate: [draw(PRICE) for _ in range(len(tiers) + 1)] if per_tier else draw(PRICE)
        for rate in rates
    }
    bands: list[dict[str, Any]] = []
    for rate in rates:
        start, end = draw(CLOCK), draw(CLOCK)
        if start != end:
            band: dict[str, Any] = {"rate": rate, "times": [f"{start}-{end}"]}
            if draw(st.booleans()):
                band["seasons"] = ["summer"]
            if draw(st.booleans()):
                band["days"] = ["rest"]
            bands.append(band)
    bands.append({"rate": rates[0], "times": ["00:00-24:00"]})
    made: dict[str, Any] = {
        "method": "per_tier" if per_tier else "adder",
        "tier_period": period,
        "tier_length": draw(st.integers(1, 28)) if period != "month" else 1,
        "tiers_kwh": tiers,
        "adders": [draw(PRICE) for _ in range(len(tiers) + 1)],
        "fixed_per_day": draw(PRICE),
        "prices": columns,
        "seasons": {"summer": "05-01", "winter": "11-01"},
        "week": ["work"] * 5 + ["rest"] * 2,
        "special": {"2026-05-01": "rest", "2026-10-02": "rest"},
        "bands": bands,
    }
    if tiers and period in ("month", "year") and draw(st.booleans()):
        made["tier_shift_kwh_per_month"] = draw(st.integers(1, 5))
    return {**BEIJING, "zone": draw(ZONES), "set": [made]}


# Days before a clock change, a special day, a change of season, the month's and the year's end.
DAYS = ("2026-03-07", "2026-03-27", "2026-04-28", "2026-10-23", "2026-10-29", "2026-12-29")


def load_of(seed: int, at_s: int) -> list[tuple[int, int, int]]:
    """About five days of uneven intervals, enough to climb every tier."""
    draw = random.Random(seed)
    rows = []
    end_s = at_s + 5 * 86_400 + draw.randrange(86_400)
    while at_s < end_s:
        length_s = draw.choice((900, 900, 3600, draw.randrange(1, 7200)))
        rows.append((at_s, at_s + length_s, draw.choice((0, draw.randrange(4000)))))
        at_s += length_s
    return rows


@settings(
    max_examples=120,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink takes minutes
)
@given(
    documents(),
    st.sampled_from(DAYS),
    st.integers(0, 900),
    st.integers(0, 2**32),
    st.integers(0, 80_000),
    st.none() | st.integers(0, 80_000),
)
def test_both_paths_agree_to_the_nano_unit_on_random_tariffs_and_loads(
    what: dict[str, Any], day: str, late_s: int, seed: int, used_wh: int, set_wh: int | None
) -> None:
    book = tariffs.book_of(what, "random")
    zone = ZoneInfo(what["zone"])
    at_s = int(datetime.fromisoformat(day).replace(tzinfo=zone).timestamp()) + late_s
    rows = load_of(seed, at_s)
    ladder = tariff.in_force(book.ladders, rows[0][0])
    period = tariff.period_of(ladder, tariff.local_day(book, rows[0][0]))
    # The second path takes its position for the period of the first interval that has energy.
    used_at = next((row for row in rows if row[2]), rows[0])
    position = tariff.position_at(book, tariff.Position(period, used_wh), used_at[0])
    names = list(what["set"][0]["prices"])
    engine: dict[tuple[str, int], int] = {}
    start = position.used_wh
    # A transfer sets the ladder to another place half way.
    anew = [(rows[len(rows) // 2][0], set_wh)] if set_wh is not None else []
    for start_s, end_s, energy_wh in rows:
        if set_wh is not None and start_s == anew[0][0]:
            now = tariff.position_at(book, position, start_s)
            position = tariff.Position(now.period, set_wh)
        _, position, parts = tariff.charge(book, position, start_s, end_s, energy_wh)
        for part in parts:
            key = (names[part.rate], part.tier)
            engine[key] = engine.get(key, 0) + part.amount_ncur
    days = recount.local_days(rows[0][0], rows[-1][1], zone)
    again = recount.Tariff(what).recount(rows, start, days, anew)
    assert {k: v for k, v in again.energy_ncur.items() if v} == {
        k: v for k, v in engine.items() if v
    }
    epoch = date(1970, 1, 1)
    assert again.fixed_ncur == sum(tariff.fixed_ncur(book, (each - epoch).days) for each in days)


# The audit


def good_bill(opened_s: int | None = None) -> Bill:
    """June in Beijing: two tiers, a daily charge, a tax on the printed lines."""
    terms = {
        "fixed_per_day": "0.333",
        "line": [
            {"name": "wheeling", "per_kwh": "0.0123"},
            {"name": "VAT", "percent": "13", "on": [ENERGY, FIXED, "wheeling"]},
        ],
    }
    what = {**BEIJING, "set": [{**BEIJING["set"][0], **terms}]}
    month = corpus.good_month()
    start_s, end_s = month.start_s, month.end_s
    begins_s = start_s if opened_s is None else opened_s
    intervals = tuple(each for each in month.intervals if each.start_s >= begins_s)
    before_wh = sum(each.energy_wh for each in month.intervals) - sum(
        each.energy_wh for each in intervals
    )
    spans = [(each.start_s, each.end_s, each.energy_wh) for each in intervals]
    days = recount.local_days(start_s if opened_s is None else opened_s + 1, end_s, SHANGHAI)
    again = recount.Tariff(what).recount(spans, 0, days)
    first, last = month.registers[0], month.registers[-1]
    lines = [
        Line(ENERGY, exact, recount.printed_ncur(exact), again.energy_wh[key], key[0], key[1])
        for key, exact in sorted(again.energy_ncur.items())
    ]
    lines.append(Line(FIXED, again.fixed_ncur, recount.printed_ncur(again.fixed_ncur)))
    wheeling_ncur = again.lines_ncur["wheeling"]
    lines.append(Line(OTHER, wheeling_ncur, recount.printed_ncur(wheeling_ncur), rate="wheeling"))
    base_ncur = sum(line.printed_ncur for line in lines)
    tax_ncur = base_ncur * 130_000 // 10**6
    lines.append(
        Line(TAX, tax_ncur, recount.printed_ncur(tax_ncur), rate="VAT", percent_ppm=130_000,
             base=(ENERGY, FIXED, "wheeling"))
    )  # fmt: skip
    return Bill(
        "CN-1",
        start_s,
        end_s,
        (begins_s, end_s),
        SHANGHAI,
        tuple(lines),
        sum(line.printed_ncur for line in lines),
        sum(line.exact_ncur for line in lines),
        intervals,
        (
            (begins_s, first.meter, first.value_wh + before_wh),
            (end_s, last.meter, last.value_wh),
        ),
        month.facts.range_wh,
        1,
        what,
        used_before_wh=0,
        opened=opened_s is not None,
        previous_end_wh=0,
        compared_ncur=(CUR, CUR),
    )


GOOD = good_bill()


def with_line(place: int, **changes: Any) -> Bill:
    lines = list(GOOD.lines)
    lines[place] = replace(lines[place], **changes)
    return replace(GOOD, lines=tuple(lines))


def with_interval(place: int, **changes: Any) -> Bill:
    rows = list(GOOD.intervals)
    rows[place] = replace(rows[place], **changes)
    return replace(GOOD, intervals=tuple(rows))


def results(bill: Bill) -> dict[str, str]:
    return {each.rule: each.result for each in audit(bill, LIMITS)}


def early(by_s: int) -> Bill:
    """The first reading counts from before the month."""
    metered_s = (GOOD.start_s - by_s, GOOD.end_s)
    return replace(with_interval(0, start_s=metered_s[0]), metered_s=metered_s)


def cut(next_s: tuple[int, int] | None) -> Bill:
    """The last reading is half an hour before the end of the month."""
    metered_s = (GOOD.start_s, GOOD.end_s - 1800)
    return replace(GOOD, intervals=GOOD.intervals[:-2], metered_s=metered_s, next_s=next_s)


def estimated(share: int) -> Bill:
    rows = [
        replace(each, quality="E") if place < share else each
        for place, each in enumerate(GOOD.intervals)
    ]
    return replace(GOOD, intervals=tuple(rows))


def adjusted(reference: str) -> Bill:
    """A refund of one cent as a line of its own."""
    line = Line(ADJUSTMENT, -CENT, -CENT, reference=reference)
    return replace(
        GOOD,
        lines=(*GOOD.lines, line),
        total_printed_ncur=GOOD.total_printed_ncur - CENT,
        ledger_ncur=GOOD.ledger_ncur - CENT,
    )


def test_a_good_bill_passes_every_rule() -> None:
    assert set(results(GOOD).values()) == {"pass"}
    first = replace(GOOD, previous_end_wh=None, compared_ncur=None)
    assert set(results(first).values()) == {"pass"}


@pytest.mark.parametrize("late_s", [0, 86_400, 10 * 86_400 + 900 * 50, 30 * 86_400 - 900])
def test_a_point_is_charged_by_the_day_from_the_day_after_its_opening(late_s: int) -> None:
    bill = good_bill(GOOD.start_s + late_s)
    assert set(results(bill).values()) == {"pass"}
    fixed_ncur = sum(line.exact_ncur for line in bill.lines if line.kind == FIXED)
    assert fixed_ncur == (29 - late_s // 86_400) * CUR * 333 // 1000


@pytest.mark.parametrize(
    ("rule", "bill", "result"),
    [
        ("second rating", with_line(0, exact_ncur=GOOD.lines[0].exact_ncur + 1), "block"),
        ("second rating", with_line(0, tier=2), "block"),
        ("second rating", with_line(2, exact_ncur=GOOD.lines[2].exact_ncur + 1), "block"),
        ("second rating", with_interval(7, energy_wh=1), "block"),
        ("second rating", replace(GOOD, tariff={**GOOD.tariff, "slab": 1}), "block"),
        ("second rating", replace(GOOD, tariff={"set": []}), "block"),
        ("footing", replace(GOOD, total_printed_ncur=GOOD.total_printed_ncur + CENT), "block"),
        ("footing", replace(GOOD, ledger_ncur=GOOD.ledger_ncur - 1), "block"),
        ("footing", with_line(0, printed_ncur=GOOD.lines[0].printed_ncur + CENT), "block"),
        ("energy", with_line(0, energy_wh=GOOD.lines[0].energy_wh + 1), "block"),
        ("energy", replace(GOOD, registers=GOOD.registers[:-1]), "block"),
        ("energy", replace(GOOD, registers=()), "block"),
        ("energy", replace(GOOD, multiplier=40), "block"),
        ("tier continuity", replace(GOOD, previous_end_wh=1), "block"),
        ("tax", with_line(4, exact_ncur=GOOD.lines[4].exact_ncur + 1), "block"),
        ("tax", with_line(4, percent_ppm=130_001), "block"),
        ("second rating", with_line(4, percent_ppm=130_001), "block"),
        ("second rating", with_line(4, base=(ENERGY,)), "block"),
        ("second rating", with_line(3, exact_ncur=GOOD.lines[3].exact_ncur + 1), "block"),
        ("second rating", replace(GOOD, lines=GOOD.lines[:3] + GOOD.lines[4:]), "block"),
        ("second rating", replace(GOOD, lines=GOOD.lines[:4]), "block"),
        ("change", replace(GOOD, compared_ncur=(200, 100)), "pass"),
        ("change", replace(GOOD, compared_ncur=(201, 100)), "review"),
        ("change", replace(GOOD, compared_ncur=(200, 301)), "review"),
        ("change", replace(GOOD, compared_ncur=(0, 301)), "pass"),
        ("negative line", with_line(0, exact_ncur=-1), "block"),
        ("negative line", adjusted(""), "block"),
        ("negative line", adjusted("V10 2026-05-03"), "pass"),
        ("negative line", replace(GOOD, lines=(*GOOD.lines, Line(OTHER, -1, 0))), "block"),
        ("estimation", estimated(30 * 96 * 15 // 100), "flag"),  # also above three days
        ("estimation", estimated(288), "pass"),
        ("estimation", estimated(289), "flag"),
        ("data scope", replace(GOOD, intervals=GOOD.intervals[:-1]), "block"),
        ("data scope", replace(GOOD, intervals=GOOD.intervals[1:]), "block"),
        ("data scope", replace(GOOD, intervals=(*GOOD.intervals, GOOD.intervals[5])), "block"),
        ("data scope", with_interval(5, quality="N"), "block"),
        ("data scope", early(1800), "pass"),
        ("data scope", replace(early(1800), metered_s=GOOD.metered_s), "block"),
        ("data scope", replace(early(900), intervals=(
            Interval(GOOD.start_s - 900, GOOD.start_s, 0), *GOOD.intervals)), "block"),
        ("data scope", replace(GOOD, intervals=GOOD.intervals[1:], metered_s=(
            GOOD.start_s + 900, GOOD.end_s)), "block"),
        ("data scope", cut(None), "block"),
        ("data scope", cut((GOOD.end_s - 1800, GOOD.end_s + 2400)), "pass"),
        ("data scope", cut((GOOD.end_s - 900, GOOD.end_s + 2400)), "block"),
        ("data scope", cut((GOOD.end_s - 1800, GOOD.end_s)), "block"),
        ("energy", replace(GOOD, metered_s=(GOOD.start_s - 1800, GOOD.end_s)), "block"),
        ("data scope", replace(GOOD, end_s=GOOD.end_s + 3600, intervals=(
            *GOOD.intervals, Interval(GOOD.end_s, GOOD.end_s + 3600, 0))), "block"),
    ],
)  # fmt: skip
def test_a_rule_holds_back_what_breaks_it(rule: str, bill: Bill, result: str) -> None:
    assert results(bill)[rule] == result


def test_every_rule_is_shown_to_hold_back() -> None:
    assert list(results(GOOD)) == list(RULES) and len(RULES) == 9


@settings(max_examples=30)
@given(st.integers(0, 30 * 96 - 1), st.integers(-200, 4000).filter(lambda value: value != 0))
def test_no_interval_can_change_by_a_watt_hour_without_the_bill_being_blocked(
    place: int, change_wh: int
) -> None:
    changed = with_interval(place, energy_wh=GOOD.intervals[place].energy_wh + change_wh)
    assert results(changed)["energy"] == "block"
