"""The golden bills, a short look at the peers' thousand, and that a wrong figure is noticed."""

from fractions import Fraction

import pytest

from tests.bench import golden_bills
from tests.peers import tariff_cases


@pytest.mark.parametrize("name", golden_bills.GOLDEN)
def test_a_golden_bill_is_reproduced(name: str) -> None:
    found, wanted = golden_bills.GOLDEN[name]
    assert found() == wanted


def test_ratebook_and_pysam_agree_on_random_tariffs_and_loads() -> None:
    assert golden_bills.ratebook_differing(range(25)) == []
    assert golden_bills.pysam_differing(range(3)) == []


def test_one_nano_unit_of_price_would_be_noticed() -> None:
    case = tariff_cases.one_month(3)
    (before,) = golden_bills.month_totals(case, 1)
    rows = [[price + 1 for price in row] for row in case.rows]
    (after,) = golden_bills.month_totals(case._replace(rows=rows, least=None), 1)
    assert after - before >= sum(case.load) > 0
    assert isinstance(before, Fraction)


def test_cases_have_everything_that_peers_can_price() -> None:
    cases = [tariff_cases.one_month(seed) for seed in range(200)]
    assert {len(case.thresholds_wh) for case in cases} >= {0, 1, 2, 3}
    assert {case.per_day for case in cases} == {True, False}
    for each in ("fixed", "least"):
        kinds = {value and value[0] for value in (getattr(case, each) for case in cases)}
        assert kinds == {None, "day", "month"}
    assert any(len(case.rows) == 4 for case in cases)
