"""A tariff's own terms as adjustments: whenever they are posted, they add up to the bill."""

from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.rating import accrual, periods
from host_tools.rating.periods import Period, Use
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Position
from tests.host_tools.bills import days, instant, shipped

CUR = 10**9


class Point:
    """A prepaid point: its module charges by the book, the host posts what is due at day's end."""

    def __init__(self, of: Document, first: date) -> None:
        self.of = of
        self.first = first
        self.position = Position(0, 0)
        self.uses: list[Use] = []
        self.entered_ncur = 0
        self.posted: list[tuple[int, int]] = []

    def use(self, day: int, energy_wh: int) -> None:
        at = self.first + timedelta(days=day)
        begin_s = instant(self.of, at.year, at.month, at.day)
        one = Use(begin_s, begin_s + 86400, energy_wh)
        self.uses.append(one)
        amount, self.position, _ = tariff.charge(
            self.of.book, self.position, one.from_s, one.to_s, energy_wh
        )
        self.entered_ncur += amount
        local = tariff.local_day(self.of.book, begin_s)
        self.entered_ncur += tariff.fixed_ncur(self.of.book, local)

    def period(self, count: int) -> Period:
        return days(self.of, self.first, count, mw=3_450_000)

    def post(self, count: int, closed: bool = False) -> None:
        found = accrual.due(self.of, self.period(count), self.uses, self.entered_ncur, closed)
        if found is not None:
            self.entered_ncur -= found.amount_ncur
            self.posted.append((count, found.amount_ncur))


def test_a_cliff_is_one_adjustment_on_the_day_that_it_is_crossed() -> None:
    kerala = shipped("in-kseb")
    point = Point(kerala, date(2021, 1, 1))
    for day in range(59):
        point.use(day, 9000)  # 504 kWh on day 56
        point.post(day + 1)
    owed = dict(point.posted)
    # 495 kWh cost 1805 + 95 x 7.60 by the slabs of 100; the duty is a tenth of it.
    assert sum(owed[count] for count in range(1, 56)) == -252_700_000_000
    # 504 kWh at 5.80 and the duty, less what was charged and posted.
    assert owed[56] == -(3_215_520_000_000 - 2_595_400_000_000 - 252_700_000_000)
    bill = periods.rate(kerala, point.period(59), point.uses)
    assert point.entered_ncur == sum(line.exact_ncur for line in bill.lines[:-1])
    point.post(59, closed=True)
    assert bill.lines[-1].kind == "rounding"
    assert point.entered_ncur == bill.exact_ncur == bill.printed_ncur


@pytest.mark.parametrize("closed", [False, True])
def test_the_least_is_only_due_when_the_period_is_closed(closed: bool) -> None:
    pge = shipped("us-pge-e1")
    point = Point(pge, date(2020, 6, 11))
    for day in range(30):
        point.use(day, 100)
        point.post(day + 1, closed and day == 29)
    energy_ncur = 3000 * 235_220
    assert point.posted == ([(30, energy_ncur - 30 * 328_540_000)] if closed else [])


@settings(max_examples=40)
@given(
    st.sampled_from(["in-msedcl", "es-2.0td", "us-pge-e1", "za-homepower", "in-tangedco"]),
    st.integers(0, 1 << 32),
)
def test_adjustments_whenever_posted_and_charges_are_the_exact_bill(name: str, seed: int) -> None:
    dice = Random(seed)
    of = shipped(name)
    count = dice.randrange(2, 31)
    point = Point(of, date(2026, 5, 1))
    for day in range(count):
        point.use(day, dice.randrange(30_000))
        if dice.random() < 0.4:
            point.post(day + 1)
    point.post(count, closed=True)
    bill = periods.rate(of, point.period(count), point.uses)
    assert 0 <= bill.exact_ncur - point.entered_ncur < 1
    before = len(point.posted)
    point.post(count, closed=True)
    assert len(point.posted) == before, "posting twice posts nothing"
