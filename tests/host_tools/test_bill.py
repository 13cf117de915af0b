"""A statement foots to the ledger, to the nano-unit, whatever happened in the month."""

import json
from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools import Refused, cli
from host_tools.billing import printed, shown
from host_tools.billing.account import Account
from host_tools.billing.documents import unnamed
from host_tools.billing.printed import text
from host_tools.billing.statement import Statement, _printed_whole, statement
from host_tools.rating.lines import CENT_NCUR, line_of
from host_tools.rating.rerating import Correction, charges_of, rerate
from host_tools.store.records import Settled
from host_tools.tariffs import stored
from host_tools.tariffs.terms import Document
from protocol import ledger, tariff
from protocol.tariff import Position
from protocol.units import INVALID, SYNCHRONISED
from tests.host_tools import random_books
from tests.host_tools.bills import document, instant, shipped
from tests.host_tools.desk import BOOK, NOW_S, Desk
from tests.host_tools.genuine import ROOT, PointLedger

ON_BOTH = True

CUR = 10**9
BEIJING = shipped("cn-bj-2012")
FILES = ROOT / "host_tools/tariff_files"
JANUARY_S = 1_767_196_800  # 2026-01-01 00:00 in China


class Meter(PointLedger):
    """A point of any book, read when it is told to."""

    def read(self, time_s: int, energy_wh: int, quality: int = SYNCHRONISED) -> None:
        register_wh = self.state.register_wh + energy_wh
        self.enter(ledger.charge(self.state, self.book, time_s, quality, register_wh))

    def days(self, time_s: int) -> None:
        first, after = ledger.fixed_days_due(self.state, self.book, time_s)
        for day in range(first, after):
            self.enter(ledger.fixed(self.state, self.book, SYNCHRONISED, day))

    def adjust(self, number: int, amount_ncur: int) -> None:
        state = self.state
        self.enter(ledger.adjusted(state, state.time_s, SYNCHRONISED, number, 7, amount_ncur))

    def owe(self, amount_ncur: int) -> None:
        self.enter(ledger.recovered(self.state, self.state.time_s, SYNCHRONISED, 1, amount_ncur))

    def settled(self) -> list[Settled]:
        return [
            Settled(*entry, state.head, state.charged_ncur, state.topups_ncur)
            for entry, state in zip(self.entries, self.states[1:], strict=True)
        ]


def of(meter: Meter, around: Document, year: int, month: int) -> Statement:
    return statement(lambda version: around, around, Account(meter.settled()), year, month)


def foots(found: Statement) -> None:
    movements = sum(each.amount_ncur for each in found.movements)
    assert found.opening_ncur + movements - found.charged_ncur == found.closing_ncur
    assert 0 <= found.bill.exact_ncur - found.charged_ncur < 1
    assert found.bill.printed_ncur == sum(line.printed_ncur for line in found.bill.lines)
    for line in found.bill.lines:
        assert line.printed_ncur % CENT_NCUR == 0
        assert abs(line.printed_ncur - line.exact_ncur) * 2 <= CENT_NCUR


def beijing() -> Meter:
    meter = Meter("m1", 0, BOOK)
    meter.open(JANUARY_S)
    return meter


def test_a_month_has_a_line_a_tier_and_foots_to_the_ledger() -> None:
    meter = beijing()
    for day in range(1, 32):
        meter.read(JANUARY_S + day * 86400, 430_000 // 31)
    meter.top_up(2, 300 * CUR)
    meter.adjust(9, -5 * CUR - 1)
    meter.owe(20 * CUR)
    found = of(meter, BEIJING, 2026, 1)
    foots(found)
    assert [(line.kind, line.tier) for line in found.bill.lines] == [
        ("energy", 1), ("energy", 2), ("energy", 3),
    ]  # fmt: skip
    assert found.closing_ncur == -found.bill.exact_ncur
    assert found.movements == ()
    february = of(meter, BEIJING, 2026, 2)  # top-up, adjustment and debt came at its midnight
    foots(february)
    assert [line.name for line in february.bill.lines] == ["9 (7)"]
    assert february.bill.exact_ncur == 5 * CUR + 1
    assert [each.kind for each in february.movements] == [ledger.TOPUP, ledger.DEBT]
    assert february.opening_ncur == found.closing_ncur
    assert february.closing_ncur == meter.state.balance_ncur


def test_a_reading_at_midnight_ends_the_month_before_and_its_day_begins_the_next() -> None:
    meter = Meter("m1", 0, document(DAILY).book)
    meter.open(JANUARY_S)
    february_s = JANUARY_S + 31 * 86400
    meter.read(february_s, 1000)
    meter.days(february_s)
    found = of(meter, document(DAILY), 2026, 1)
    foots(found)
    assert [(line.name, int(line.quantity)) for line in found.bill.lines] == [
        ("flat", 1000), ("fixed", 30), ("VAT", 0),
    ]  # fmt: skip
    february = of(meter, document(DAILY), 2026, 2)
    assert [int(line.quantity) for line in february.bill.lines] == [1, 0]
    assert february.registers_wh == (2000, 2000)


DAILY = """
version = 5
name = "daily charge and tax"
origin = "made up"
currency = "ZAR"
zone = "Asia/Shanghai"
[[set]]
prices = { flat = "1.9028" }
fixed_per_day = "0.40"
percent = { VAT = "15" }
"""


def test_the_tax_inside_the_prices_is_a_line_and_the_ledger_still_foots() -> None:
    around = document(DAILY)
    meter = Meter("m1", 0, around.book)
    meter.open(JANUARY_S)
    for hour in range(1, 49):
        meter.read(JANUARY_S + hour * 3600, 333)
        meter.days(JANUARY_S + hour * 3600)
    found = of(meter, around, 2026, 1)
    foots(found)
    energy, daily, tax = found.bill.lines
    assert (energy.unit_amount, daily.unit_amount, tax.unit_amount) == (
        1_902_800,
        4 * CUR // 10,
        150_000,
    )
    assert energy.exact_ncur == 48 * 333 * 1_902_800
    assert tax.exact_ncur == (energy.exact_ncur + daily.exact_ncur) * Fraction(15, 100)
    assert -found.bill.exact_ncur == meter.state.balance_ncur
    plain = of(meter, unnamed(around.book), 2026, 1)
    assert plain.bill.exact_ncur == found.bill.exact_ncur
    assert [line.name for line in plain.bill.lines] == ["rate 1", "fixed"]


def test_terms_that_a_module_cannot_charge_are_shown_beside_the_ledger() -> None:
    mumbai = shipped("in-msedcl")
    meter = Meter("m1", 0, mumbai.book)
    start_s = JANUARY_S + 9000  # midnight in Kolkata is 2 h 30 later
    meter.open(start_s)
    for day in range(1, 32):
        meter.read(start_s + day * 86400, 350_000 // 31)
    found = of(meter, mumbai, 2026, 1)
    foots(found)
    beyond = found.beyond
    assert beyond is not None and beyond.bill is not None
    assert [line.name for line in beyond.bill.lines[-3:]] == ["wheeling", "service", "duty"]
    own = sum(line.exact_ncur for line in beyond.bill.lines[-3:])
    assert beyond.lacking_ncur == own
    assert set(beyond.lacking()) == {"per_kwh wheeling", "per_month service", "percent duty"}
    meter.adjust(77, -own.numerator)  # by a person, who does not close the month by it
    after = statement(lambda version: mumbai, mumbai, Account(meter.settled()), 2026, 2)
    assert after.bill.exact_ncur == own


def test_terms_of_a_month_that_goes_on_are_those_of_its_settled_days() -> None:
    mumbai = shipped("in-msedcl")
    meter = Meter("m1", 0, mumbai.book)
    start_s = JANUARY_S + 9000
    meter.open(start_s)
    meter.read(start_s + 86400 + 3600, 1000)  # the second day has begun
    beyond = of(meter, mumbai, 2026, 1).beyond
    assert beyond is not None and beyond.bill is not None
    assert beyond.span.days == 2
    service = next(line for line in beyond.bill.lines if line.name == "service")
    assert service.exact_ncur == 115 * CUR * Fraction(2, 31)


def test_a_second_month_is_judged_by_the_total_of_its_two() -> None:
    kerala = shipped("in-kseb")
    meter = Meter("m1", 0, kerala.book)
    start_s = JANUARY_S + 9000
    meter.open(start_s)
    for day in range(1, 60):
        meter.read(start_s + day * 86400, 10_000)
    january = of(meter, kerala, 2026, 1).beyond
    assert january is not None and january.bill is not None
    assert january.bill.lines[0].unit_amount == 3_150_000  # 310 kWh so far: by the tiers
    beyond = of(meter, kerala, 2026, 2).beyond
    assert beyond is not None and beyond.bill is not None
    assert beyond.span.days == 59
    assert beyond.bill.lines[0].unit_amount == 5_800_000  # 590 kWh: all at the price of the slab
    assert sum(beyond.entered.values()) == -meter.state.balance_ncur
    meter.read(start_s + 100 * 86400, 1000)
    meter.read(start_s + 130 * 86400, 1000)
    may = of(meter, kerala, 2026, 5).beyond
    assert may is not None and may.bill is not None
    assert may.bill.lines[0].quantity == 1000  # a reading from before May, which ends in it


def test_a_month_of_a_rounded_tier_period_prints_what_it_is_exactly() -> None:
    lines = [line_of("energy", "flat", exact * 10**6) for exact in (334, 333, 333)]
    assert _printed_whole(lines, rounded=False) == lines
    whole = _printed_whole(lines, rounded=True)
    assert [each.printed_ncur for each in whole] == [330_000_000] * 3 + [10_000_000]
    assert whole[3].kind == "rounding" and whole[3].exact_ncur == 0
    entered = _printed_whole([*lines, line_of("terms", "rounding", -CUR // 2)], rounded=True)
    assert sum(each.printed_ncur for each in entered) == CUR // 2
    assert len(entered) == 4


def test_an_energy_charged_by_an_unset_clock_is_counted() -> None:
    meter = beijing()
    meter.read(JANUARY_S + 900, 5, INVALID)
    meter.read(JANUARY_S + 1800, 5)
    assert of(meter, BEIJING, 2026, 1).unset_clock == 1


def test_a_ledger_that_contradicts_its_tariff_or_itself_is_refused() -> None:
    meter = beijing()
    meter.read(JANUARY_S + 900, 500)
    meter.read(JANUARY_S + 1800, 500)
    good = meter.settled()
    priced = good[1].amount_ncur

    def told(*entries: Settled) -> str:
        with pytest.raises(Refused) as caught:
            statement(lambda version: BEIJING, BEIJING, Account(list(entries)), 2026, 1)
        return str(caught.value)

    cheap = good[1]._asdict()
    cheap |= {"amount_ncur": priced + 1, "balance_ncur": good[1].balance_ncur + 1}
    assert "entry 2: the ledger charged 244149999 nano-units" in told(good[0], Settled(**cheap))
    assert "entry 3: its balance does not follow" in told(good[0], good[2])
    with pytest.raises(Refused, match="2026-03: nothing is settled in it"):
        of(meter, BEIJING, 2026, 3)


@settings(max_examples=60)
@given(st.integers(0, 1 << 32))
def test_statements_of_all_months_foot_and_add_up_to_the_balance(seed: int) -> None:
    dice = Random(seed)
    book = random_books.book(dice)
    around = unnamed(book)
    meter = Meter("m1", 0, book)
    at_s = dice.choice(random_books.AROUND_S) - dice.randrange(40 * 86400)
    meter.open(at_s)
    number = 0
    for _ in range(dice.randrange(1, 60)):
        at_s += dice.choice((0, 900, 900, 3600, 86400, 20 * 86400))
        meter.read(at_s, dice.randrange(3000))
        meter.days(at_s)
        number += 2
        what = dice.randrange(5)
        if what == 0:
            meter.top_up(number, dice.randrange(1, 10**12))
        elif what == 1:
            meter.adjust(number, dice.randrange(-(10**12), 10**12))
        elif what == 2:
            meter.owe(dice.randrange(1, 10**11))
    local = [tariff.civil(tariff.local_day(book, s)) for s in (meter.entries[0].time_s, at_s)]
    first, last = (year * 12 + month - 1 for year, month, _ in local)
    balance_ncur = 0
    entries = energy_wh = 0
    for each in range(first, last + 2):
        try:
            found = of(meter, around, each // 12, each % 12 + 1)
        except Refused:
            continue
        foots(found)
        assert found.opening_ncur == balance_ncur
        balance_ncur = found.closing_ncur
        entries += found.charges
        energy_wh += found.energy_wh
    assert balance_ncur == meter.state.balance_ncur
    assert entries == sum(entry.kind == ledger.CHARGE for entry in meter.entries)
    assert energy_wh == meter.state.register_wh - 1000


def test_settled_charges_can_be_rated_again_from_the_ledger() -> None:
    meter = beijing()
    for day in range(1, 31):
        meter.read(JANUARY_S + day * 86400, 10_000)
        if day % 7 == 0:
            meter.top_up(day * 2, 10 * CUR)
    charges = charges_of(meter.settled())
    assert len(charges) == 30
    start = Position(charges[0].after.period, 0)
    books = {BOOK.version: BOOK}
    assert rerate(start, charges, [], books) is None
    found = rerate(start, charges, [Correction(charges[4].seq, 0)], books)
    assert found is not None
    assert found.amount_ncur == 10_000 * 538_300  # the last 10 kWh were of tier 2
    rest = rerate(charges[9].after, charges[10:], [Correction(charges[10].seq, 0)], books)
    assert rest is not None and rest.amount_ncur == found.amount_ncur


def test_prices_that_change_inside_the_month_are_told_apart() -> None:
    guangdong = shipped("cn-gd")
    meter = Meter("m1", 0, guangdong.book)
    change_s = instant(guangdong, 2026, 11, 1)
    meter.open(change_s - 86400)
    meter.read(change_s, 1000)
    dearer = document(
        (FILES / "cn-gd.toml")
        .read_text(encoding="utf-8")
        .replace("version = 12", "version = 13")
        .replace("0.5886", "0.6")
    )
    meter.read(change_s + 3600, 1000)
    meter.book = dearer.book
    meter.read(change_s + 7200, 1000)
    both = {12: guangdong, 13: dearer}
    found = statement(lambda version: both[version], dearer, Account(meter.settled()), 2026, 11)
    foots(found)
    assert [(line.version, line.set_place, line.unit_amount) for line in found.bill.lines] == [
        (12, 1, 588_600), (13, 1, 600_000),
    ]  # fmt: skip
    lines = text(found.bill, {}, "en", lambda line: f"version {line.version}")
    assert [line for line in lines if line.startswith("version")] == ["version 12", "version 13"]
    assert found.versions == (12, 13)


def test_a_meter_exchanged_in_the_middle_of_a_day_is_billed_by_both_registers() -> None:
    meter = beijing()
    meter.read(JANUARY_S + 40_000, 7_000)
    meter.open(JANUARY_S + 41_000, 123)  # the new meter's register
    meter.read(JANUARY_S + 86_400, 5_000)
    found = of(meter, BEIJING, 2026, 1)
    foots(found)
    assert found.energy_wh == 12_000
    assert found.bill.exact_ncur == 12_000 * 488_300
    assert found.openings == ((JANUARY_S, 1000), (JANUARY_S + 41_000, 123))
    assert found.registers_wh == (1000, 5123)


@pytest.mark.parametrize(
    ("figures", "told"),
    [  # balance before, charges
        ((-834_576_000_000, 795_946_000_000), "rounded figures may differ by 0.01"),
        ((-834_576_000_000, 795_944_000_000), ""),
        ((-1_004_000_000, -4_000_000), ""),
        ((4_000_000, -4_000_000), "rounded figures may differ by 0.01"),
    ],
)
def test_an_account_that_does_not_foot_as_it_is_printed_says_why(
    figures: tuple[int, int], told: str
) -> None:
    meter = beijing()
    meter.read(JANUARY_S + 900, 500)
    before_ncur, charged_ncur = figures
    found = replace(
        of(meter, BEIJING, 2026, 1),
        opening_ncur=before_ncur,
        charged_ncur=charged_ncur,
        closing_ncur=before_ncur - charged_ncur,
    )
    point = shown.Customer("m1", 0, "flat 1", "CNY")
    for language, word in (("en", told), ("zh", "四舍五入后可能相差 0.01"), ("both", told)):
        lines = shown.text(point, found, BEIJING, lambda version: BEIJING, language)
        noted = [line for line in lines if "may differ" in line or "可能相差" in line]
        assert len(noted) == bool(told) and all(word in line for line in noted)


def test_a_total_of_rounded_lines_that_differs_from_the_charges_says_by_how_much() -> None:
    meter = beijing()
    meter.read(JANUARY_S + 900, 500)
    found = of(meter, BEIJING, 2026, 1)
    point = shown.Customer("m1", 0, "flat 1", "CNY")
    words = {
        "en": "each line is rounded; the total of the lines and the charges differ by",
        "zh": "各行分别舍入，合计与本期电费相差",
    }
    for parts, told in (((4, 4), "0.01"), ((6, 6), "0.01"), ((2, 1), "")):
        exact = [(5 * CUR + each * CUR // 1000) for each in parts]
        lines = tuple(line_of("energy", "flat", each) for each in exact)
        bill = replace(found.bill, lines=lines)
        balance_ncur = -sum(exact)
        seen = replace(
            found, bill=bill, opening_ncur=0, charged_ncur=sum(exact), closing_ncur=balance_ncur
        )
        for language in ("en", "zh", "both"):
            out = shown.text(point, seen, BEIJING, lambda version: BEIJING, language)
            pair = [f"{words[each]} {told}" for each in words if language in (each, "both")]
            noted = [line for line in out if "differ by" in line or "相差" in line]
            assert noted == ([" ".join(pair)] if told else []), out


# The command


def add(desk: Desk, name: str) -> None:
    with desk.store.transaction():
        stored.add(desk.store, FILES / f"{name}.toml", NOW_S)


def told(desk: Desk, *words: str) -> list[str]:
    return ["bill", "draft", *words, "--data", str(desk.folder)]


def test_the_command_prints_settled_charges_in_two_languages_and_json(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    made = desk.opened(charges=20)
    desk.take(made.batch(1, 21))
    for language, words in (  # before its file is added, only the book is known
        ("both", ["total 合计 CNY", "rate 1 费率 1 tier 阶梯 1", "settled only until 仅结算至"]),
        (
            "en",
            ["Electricity statement 2026-01", "flat tier 1", "5 kWh", "0.4883", "2.44", "-0.0015"],
        ),
        ("zh", ["电费账单 2026-01", "平 阶梯 1", "合计 CNY", "四舍五入至 0.01"]),
    ):
        assert cli.main(told(desk, "m1", "0", "--month", "2026-01", "--lang", language)) == 0
        out = capsys.readouterr().out
        add(desk, "cn-bj-2012")
        for word in words:
            assert word in out, word
    assert cli.main(told(desk, "m1", "0", "--month", "2026-01", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    lines = found["bill"]["lines"]
    assert sum(line["exact_ncur"] for line in lines) == found["bill"]["exact_ncur"]
    assert (
        sum(line["printed_ncur"] for line in lines) == found["bill"]["printed_ncur"] == 244 * 10**7
    )
    assert found["bill"]["rounding_ncur"] == -1_500_000
    assert found["closing_ncur"] == made.state.balance_ncur
    assert found["ledger_head"] == made.state.head.hex()
    assert found["registers_wh"] == [1000, 6000] and not found["complete"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["m1", "0", "--month", "2026-13"], "--month 2026-13: write it as 2026-03"),
        (["m1", "0", "--month", "1900-01"], "1900-01: must be from 2000-01 to 2099-12"),
        (["m1", "0", "--month", "2100-01"], "2100-01: must be from 2000-01 to 2099-12"),
        (["m1", "0", "--month", "1900-13"], "--month 1900-13: write it as 2026-03"),
        (["m1", "0", "--month", "2027-01"], "m1/0: --month 2027-01: nothing is settled in it"),
        (["m1", "7", "--month", "2026-01"], "m1/7: no such service point"),
        (["m1", "1", "--month", "2026-01"], "m1/1: it has no entry yet"),
    ],
)  # fmt: skip
def test_what_cannot_be_billed_is_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    desk.take(desk.opened(charges=2).batch(1, 3))
    assert cli.main(told(desk, *words)) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1


def test_columns_line_up_where_characters_are_wide() -> None:
    meter = beijing()
    meter.read(JANUARY_S + 900, 450_500)
    lines = text(of(meter, BEIJING, 2026, 1).bill, {}, "zh", str)
    assert len({printed.cells(line) for line in lines}) == 1
