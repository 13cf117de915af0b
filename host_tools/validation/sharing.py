"""Splitting whole watt-hours so that the parts add up: the one rounding of estimation.

`cumulative_floor` never loses a watt-hour: part k is floor(total x weights up to k / all weights)
less the part before it, so that a remainder falls late. No other division is made here.
"""

from collections.abc import Sequence
from itertools import accumulate


def cumulative_floor(total: int, weights: Sequence[int]) -> list[int]:
    """Parts of a total in proportion to weights; equal ones where all weights are 0."""
    if not weights:
        raise ValueError("nothing to share among")
    if any(weight < 0 for weight in weights):
        raise ValueError("a negative weight")
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    parts, before = [], 0
    for upto in accumulate(weights):
        reached = total * upto // whole
        parts.append(reached - before)
        before = reached
    return parts


def linear(before: int, after: int, count: int) -> list[int]:
    """`count` values on the line between two neighbours, each rounded down."""
    return [before + (after - before) * place // (count + 1) for place in range(1, count + 1)]


def two_decimals(wh_per_day: int) -> int:
    """Average daily use in Wh with two decimals of a kWh, half up (CPUC working group)."""
    return (wh_per_day + 5) // 10 * 10
