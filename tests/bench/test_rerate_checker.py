"""The re-rating figure rises when one nano-unit, or one watt-hour of position, is wrong."""

from random import Random

import numpy as np

from host_tools.rating import vectors
from host_tools.rating.vectors import Charged
from protocol.tariff import Position
from tests.bench import rerate


def test_a_wrong_integer_is_counted_and_right_ones_are_not() -> None:
    book, points = rerate.wild(Random(1))
    found = vectors.rate_many(book, points)
    wanted = [vectors.one_by_one(book, point) for point in points]
    assert rerate.differences(found, wanted) == 0
    amounts = np.array(found[0].amount_ncur)
    amounts[-1] += 1
    used = found[0].position
    for wrong in (
        Charged(amounts, used),
        Charged(found[0].amount_ncur, Position(used.period, used.used_wh + 1)),
    ):
        assert rerate.differences([wrong, *found[1:]], wanted) == 1


def test_wild_points_reach_both_sides_of_64_bits() -> None:
    found = []
    for seed in range(20):
        book, points = rerate.wild(Random(seed))
        found += [isinstance(one.amount_ncur, list) for one in vectors.rate_many(book, points)]
    assert {True, False} == set(found)
