"""Integer supply quality against floating point: roots, unbalance, effective values."""

import cmath
import math

from hypothesis import given
from hypothesis import strategies as st

from firmware.quality import isqrt, unbalance_e4

VOLTS = st.integers(215_000, 245_000)  # none is 10 % off the mean


@given(st.integers(0, 1 << 80))
def test_the_integer_root_is_that_of_the_standard_library(number: int) -> None:
    assert isqrt(number) == math.isqrt(number)


@given(VOLTS, VOLTS, VOLTS)
def test_unbalance_is_that_of_the_symmetrical_components(a: int, b: int, c: int) -> None:
    turn = cmath.exp(2j * cmath.pi / 3)
    phasors = a, b / turn, c * turn
    positive = abs(phasors[0] + phasors[1] * turn + phasors[2] / turn)
    negative = abs(phasors[0] + phasors[1] / turn + phasors[2] * turn)
    found = unbalance_e4(a, b, c)
    assert found is not None
    assert abs(found - 10_000 * negative / positive) <= 4  # 0.04 %: tenths of a volt


@given(VOLTS, VOLTS, VOLTS)
def test_unbalance_is_that_of_the_line_to_line_voltages(a: int, b: int, c: int) -> None:
    """The CIGRE formula from the three line voltages that these phases have at 120 degrees."""
    lines = [x * x + y * y + x * y for x, y in ((a, b), (b, c), (c, a))]
    beta = sum(line * line for line in lines) / sum(lines) ** 2
    root = math.sqrt(max(0.0, 3 - 6 * beta))
    exact = math.sqrt(max(0.0, (1 - root) / (1 + root)))
    assert abs(unbalance_e4(a, b, c) - 10_000 * exact) <= 4


@given(VOLTS)
def test_balanced_phases_have_no_unbalance(a: int) -> None:
    assert unbalance_e4(a, a, a) == 0
