"""A customer of two modules, with corrected readings and closed months, owes what one tariff asks.

The oracle is the rating of whole periods (`rating.periods.rate`) of a ledger that metered all
along, with the readings as a person decided them.
"""

import random
from fractions import Fraction
from pathlib import Path

import pytest

from host_tools.billing.documents import Documents
from host_tools.rating import calendar, periods
from host_tools.rating.periods import Period, Use
from host_tools.settlement import reconcile
from host_tools.tariffs.terms import Document
from protocol import ledger, tariff
from protocol.tariff import Position
from protocol.units import DAY_S
from tests.host_tools.care.street import NEW, OLD, Street, alike
from tests.host_tools.care.test_corrected import charges, corrected, settled
from tests.host_tools.test_closing import JANUARY_S

MONTHS = ((2026, 1), (2026, 2), (2026, 3))
END_S = JANUARY_S + 90 * DAY_S  # of March
HEAD = """
version = 603
name = "made up"
origin = "made up"
currency = "CNY"
zone = "Asia/Shanghai"
[[set]]
percent_base = "exact"
"""
TIERS = 'tiers_kwh = [60, 150]\nadders = ["0", "0.05", "0.30"]\n'
BANDS = (
    'bands = [{ rate = "peak", times = ["08:00-22:00"] },'
    ' { rate = "valley", times = ["22:00-08:00"] }]\n'
)
SLAB = '[[set.schedule]]\nabove_kwh = {}\nprices = {{ flat = "0.60" }}\n'
KINDS = {
    "daily": 'prices = { flat = "0.50" }\nfixed_per_day = "0.30"\n',
    "month": 'prices = { flat = "0.50" }\ntier_period = "month"\n' + TIERS,
    "year": 'prices = { flat = "0.50" }\ntier_period = "year"\nfixed_per_day = "0.2"\n' + TIERS,
    "rates": 'prices = { peak = "0.60", valley = "0.30" }\ntier_period = "month"\n'
    + TIERS
    + BANDS,
    "slab of a month": 'prices = { flat = "0.50" }\ntier_period = "month"\n' + SLAB.format(150),
    "slab of a year": (
        'prices = { flat = "0.50" }\ntier_period = "year"\nfixed_per_day = "0.2"\n'
        + SLAB.format(260)
    ),
}
LINES = """
[[set.line]]
name = "wheel"
per_kwh = "0.017"
[[set.line]]
name = "stand"
per_day = "0.11"
[[set.line]]
name = "duty"
percent = "7"
on = ["energy", "wheel", "stand"]
"""


class Life:
    """An old module, a new one at a random instant, and what persons do meanwhile."""

    def __init__(self, street: Street, chance: random.Random, one_period: bool) -> None:
        self.street, self.chance = street, chance
        self.one_period = one_period  # the prices are of all three months
        self.values_wh: dict[int, int] = {}  # decided by a person, by the end of the interval
        self.counted_s = 0  # behind it the old module's readings are the new one's, too

    def metered(self, module: str, at_s: int, energy_wh: int) -> None:
        one = self.street.modules[module]
        one.charge(one.state.register_wh + energy_wh, at_s)
        alike(self.street, at_s, energy_wh)

    def days(self, module: str, until_s: int, most: int = 100) -> None:
        for _ in range(most):
            at_s = self.street.modules[module].state.time_s
            at_s += DAY_S - (at_s - JANUARY_S) % DAY_S
            if at_s > until_s:
                return
            self.metered(module, at_s, self.chance.randrange(1000, 9000))

    def exchange(self) -> None:
        chance, street = self.chance, self.street
        at_s = JANUARY_S + chance.choice((20 * DAY_S, 31 * DAY_S - 900, 31 * DAY_S + 900))
        gap_s = chance.choice((3, 900, 20_000, 3 * DAY_S))
        self.days(OLD, at_s - gap_s - 1)
        self.metered(OLD, at_s - gap_s, chance.randrange(3000))
        self.counted_s = at_s - gap_s
        gap_wh = chance.randrange(1, gap_s // 2 + 1)
        street.old.send(max(1, street.old.state.seq - chance.choice((0, 2))))
        street.new.open(at_s, street.old.state.register_wh + gap_wh)
        alike(street, at_s, gap_wh)
        step_s = chance.choice((900, DAY_S, 10 * DAY_S))
        for place in range(1, 1 + chance.choice((0, 0, 3))):  # it goes on beside the new one
            register_wh = street.old.state.register_wh + gap_wh + 700
            street.old.charge(register_wh, at_s + place * step_s)

    def correct(self, module: str) -> None:
        one = self.street.modules[module]
        told = [
            entry
            for entry in charges(self.street, module)
            if entry.seq <= one.sent_seq and entry.time_s not in self.values_wh
            if module == NEW or entry.time_s <= self.counted_s
        ]
        if told:
            entry = self.chance.choice(told)
            wh = self.chance.randrange(min(entry.energy_wh, 3000) + 1)
            one.send()
            corrected(self.street, module, entry, wh)
            self.values_wh[entry.time_s] = wh

    def close(self) -> int:
        """Every month that can be closed; how many had something to enter."""
        self.street.desk.clock.s += 7
        entered = 0
        for year, month in MONTHS:
            for module in (OLD, NEW):
                words = ("--month", f"{year}-{month:02}", "--json")
                code, out, _ = self.street.run("bill", "close", module, 0, *words)
                entered += code == 0 and '"entered": []' not in out
        settled(self.street)
        return entered

    def owed_ncur(self, document: Document) -> Fraction:
        """By all terms of the three months, and the day that the last midnight has begun."""
        truth, book = self.street.truth, document.book
        uses = [
            Use(was.time_s, entry.time_s, self.values_wh.get(entry.time_s, entry.energy_wh))
            for was, entry in zip(truth.states, truth.entries, strict=False)
            if entry.kind == ledger.CHARGE
        ]
        edges = [calendar.month_s(book, *month) for month in MONTHS]
        spans = [(edges[0][0], edges[-1][1])] if self.one_period else edges
        position, total = Position(0, 0), Fraction(0)
        for from_s, to_s in spans:
            own = [use for use in uses if from_s < use.to_s <= to_s]
            total += periods.rate(document, Period(from_s, to_s, position), own).exact_ncur
            for use in own:
                metered = use.from_s, use.to_s, use.energy_wh
                _, position, _ = tariff.charge(book, position, *metered)
            if document.terms[0][1].schedules:
                position = Position(0, 0)
        return total + tariff.fixed_ncur(book, tariff.local_day(book, END_S))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_a_customer_owes_what_the_tariff_asks_of_all_that_he_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, seed: int
) -> None:
    street = Street.under(tmp_path, capsys, HEAD + KINDS[kind] + LINES)
    chance = random.Random(f"{kind} {seed}")
    life = Life(street, chance, kind == "slab of a year")
    for ledger_of in (street.old, street.truth):
        ledger_of.open(JANUARY_S, 50_000)
    life.exchange()
    street.new.send()
    steps = ["replace", *["correct"] * 4, *["use"] * 3, "close", "close"]
    chance.shuffle(steps)
    for what in steps:
        silent = (OLD,) if chance.random() < 0.5 else ()
        if what == "replace":
            settled(street)
            street.replace()
        elif what == "use":
            life.days(NEW, END_S, chance.randrange(1, 30))
        elif what == "close":
            settled(street)
            life.close()
        else:
            life.correct(chance.choice((OLD, NEW)))
        settled(street, *silent)
    life.days(NEW, END_S)
    settled(street)
    life.correct(OLD)
    life.correct(NEW)
    settled(street)
    for _ in range(3):
        life.close()
    assert life.close() == 0
    owed = life.owed_ncur(Documents(street.store)(603))
    assert street.balance(NEW) == street.new.state.balance_ncur
    assert abs(-street.balance(NEW) - owed) < 10  # each closing floors what it enters
    assert street.owned(OLD) == 0 and street.transit() == 0
    street.sound()
    for module in (OLD, NEW):
        (row,) = reconcile.reconcile(street.store, street.desk.clock.s, module)
        assert row.reconciled and not row.in_flight, row
