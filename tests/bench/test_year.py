"""Two months of the year's proof, and that it notices a charge that is not the tariff's."""

import pytest

from tests.bench import figures, year

SHORT_DAYS = 63


def test_two_months_reconcile_and_the_heap_stays() -> None:
    assert year.measure(SHORT_DAYS) == {
        "year_reconciliation_ncur": 0,
        "year_heap_growth_bytes": 0,
    }


def test_a_module_with_another_price_is_noticed() -> None:
    child = figures.child("tests.bench.year_child", 2, 568001, heap=year.HEAP)
    with pytest.raises(RuntimeError, match="ended with 1"):
        figures.answer(child)
