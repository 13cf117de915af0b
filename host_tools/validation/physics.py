"""The most energy that a connection can carry, and what a step of the register means.

Shared by the checks of registers and by estimation. Integers; every division is a named floor.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from host_tools.validation.limits import Limits
from host_tools.validation.series import Case, Facts, Register

FORWARD, ROLLOVER, EXCHANGE = "forward", "rollover", "exchange"
REFUSED_ROLLOVER, RESET, FALL, SWAP = "refused rollover", "reset", "fall", "swap without order"
LEAP = "leap"  # further forward than the connection can carry
EXPLAINED = frozenset((FORWARD, ROLLOVER, EXCHANGE))

_MV_MA_S_PER_WH = 3600 * 1000 * 1000


def energy_max_wh(facts: Facts, limits: Limits, seconds: int) -> int:
    """Nominal voltage x highest current x phases x time x headroom, floor."""
    watts = facts.voltage_mv * facts.current_max_ma * facts.phases
    return watts * seconds * limits.headroom_permille // (_MV_MA_S_PER_WH * 1000)


@dataclass(frozen=True, slots=True)
class Step:
    """From one register to the next; `energy_wh` on the primary side, only where explained."""

    before: Register
    after: Register
    kind: str
    energy_wh: int


def anchors(case: Case) -> list[Register]:
    """All registers, those of the work orders among them, in order of time."""
    marks = [
        each
        for order in case.exchanges
        for each in (
            Register(order.time_s, order.old_end_wh, order.old_meter),
            Register(order.time_s, order.new_start_wh, order.new_meter),
        )
    ]
    # At one instant the old meter comes before the new one, so the sort keeps the given order
    # there; a reading of the old meter belongs before the order, one of the new behind it.
    ranks = {
        (order.time_s, meter): rank
        for order in case.exchanges
        for rank, meter in ((0, order.old_meter), (1, order.new_meter))
    }
    return sorted(
        [*case.registers, *marks],
        key=lambda each: (each.time_s, ranks.get((each.time_s, each.meter), 0)),
    )


def steps(case: Case, limits: Limits) -> Iterator[Step]:
    """Each register with the next one, classified."""
    orders = {(each.time_s, each.old_meter, each.new_meter) for each in case.exchanges}
    found = anchors(case)
    for before, after in itertools.pairwise(found):
        if before.meter != after.meter:
            known = before.time_s == after.time_s
            known = known and (before.time_s, before.meter, after.meter) in orders
            yield Step(before, after, EXCHANGE if known else SWAP, 0)
            continue
        yield _step(case.facts, limits, before, after)


def _step(facts: Facts, limits: Limits, before: Register, after: Register) -> Step:
    energy_wh = (after.value_wh - before.value_wh) * facts.multiplier
    most_wh = energy_max_wh(facts, limits, after.time_s - before.time_s)
    if energy_wh >= 0:
        # What is less than a step of the register is the register's, at whatever instant.
        leap = energy_wh > most_wh + facts.lsb_wh * facts.multiplier
        return Step(before, after, LEAP if leap else FORWARD, energy_wh)
    near_end = before.value_wh * 1000 >= facts.range_wh * limits.rollover_from_permille
    if near_end:
        over_wh = energy_wh + facts.range_wh * facts.multiplier
        if 0 <= over_wh <= most_wh:
            return Step(before, after, ROLLOVER, over_wh)
        return Step(before, after, REFUSED_ROLLOVER, 0)
    far_below = after.value_wh * 1000 < before.value_wh * limits.reset_below_permille
    return Step(before, after, RESET if far_below else FALL, 0)
