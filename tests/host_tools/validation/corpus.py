"""Good series to plant faults in: real household curves, or a smooth load, with an honest history.

The year has what must not raise anything: a rollover, a meter exchange with its work order, an
outage, an open relay, both clock changes.
"""

from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from host_tools.simulator.household import Household, load_curve
from host_tools.validation.series import (
    OUTAGE,
    RELAY_OPEN,
    Case,
    Exchange,
    Facts,
    Frame,
    History,
    Interval,
    Register,
    Siblings,
    Span,
)

STEP_S = 900
DAY = 86400
BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
FACTS = Facts("gp-1", "M-1", BERLIN, range_wh=10**8)


def midnight_s(zone: ZoneInfo, year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=zone).timestamp())


def smooth(start_s: int, count: int) -> list[int]:
    """Wh of each quarter hour: a daily wave with noise that never repeats itself for long."""
    out = []
    noise = 12345
    for place in range(count):
        noise = (noise * 1103515245 + 12345) % 2**31
        hour = (start_s // STEP_S + place) // 4 % 24
        wave = 60 + 40 * (6 <= hour < 9) + 90 * (17 <= hour < 22)
        out.append(wave + noise // 2**16 % 41)
    return out


def household(curve: str, start_s: int, count: int) -> list[int]:
    """Wh of each quarter hour of a real household: differences of its exact total."""
    home = Household(load_curve(curve), start_s)
    totals = [home.wh((start_s + place * STEP_S) * 1000) for place in range(count + 1)]
    return [after - before for before, after in pairwise(totals)]


def case_of(
    loads_wh: list[int],
    start_s: int,
    facts: Facts = FACTS,
    *,
    first_wh: int = 1_000_000,
    register_each: int = 96,
    off: tuple[Span, ...] = (),
    exchange_at: int = 0,
) -> Case:
    """A case in which all agrees: intervals, registers, frames, siblings, voltage, history."""
    count = len(loads_wh)
    end_s = start_s + count * STEP_S
    starts = [start_s + place * STEP_S for place in range(count)]
    loads = [
        0 if any(s.start_s <= at_s and at_s + STEP_S <= s.end_s for s in off) else load
        for at_s, load in zip(starts, loads_wh, strict=True)
    ]
    totals = [0, *accumulate(loads)]  # primary Wh by each boundary
    m = facts.multiplier
    loads = [after // m * m - before // m * m for before, after in pairwise(totals)]

    def shown(place: int) -> tuple[str, int]:
        if exchange_at and place > exchange_at:
            return "M-2", (totals[place] // m - totals[exchange_at] // m + 7) % facts.range_wh
        return facts.meter, (first_wh + totals[place] // m) % facts.range_wh

    exchanges = ()
    if exchange_at:
        at_s = start_s + exchange_at * STEP_S
        exchanges = (Exchange("WO-1", at_s, facts.meter, shown(exchange_at)[1], "M-2", 7),)
    places = [*range(0, count, register_each), count]
    registers = tuple(Register(start_s + p * STEP_S, shown(p)[1], shown(p)[0]) for p in places)
    frames = tuple(
        Frame(
            facts.device, shown(p + 1)[0], facts.obis, at_s + STEP_S, p + 1, shown(p + 1)[1],
            at_s + STEP_S + 2, at_s + STEP_S + 3, facts.ct_ratio,
        )
        for p, at_s in enumerate(starts)
    )  # fmt: skip
    siblings = tuple(
        Siblings(
            "time of use",
            starts[low],
            starts[low] + 96 * STEP_S,
            totals[low + 96] - totals[low],
            ((totals[low + 96] - totals[low]) // 3, -(-(totals[low + 96] - totals[low]) * 2 // 3)),
        )
        for low in range(0, count - 95, 96)
    )
    daily_wh = sum(loads) * 96 // count
    return Case(
        facts=facts,
        start_s=start_s,
        end_s=end_s,
        now_s=end_s + 60,
        intervals=tuple(
            Interval(at_s, at_s + STEP_S, load) for at_s, load in zip(starts, loads, strict=True)
        ),
        registers=registers,
        frames=frames,
        spans=off,
        exchanges=exchanges,
        siblings=siblings,
        reactive_varh={at_s: load // 4 for at_s, load in zip(starts, loads, strict=True)},
        voltage_mv=dict.fromkeys(starts, 230_000),
        export_wh=dict.fromkeys(starts, 0),
        history=History(daily_wh, daily_wh),
    )


@cache
def good_year() -> Case:
    """2026 in Berlin, with all that is allowed to happen."""
    start_s = midnight_s(BERLIN, 2026, 1, 1)
    count = (midnight_s(BERLIN, 2027, 1, 1) - start_s) // STEP_S
    off = (
        Span(OUTAGE, start_s + 40 * DAY + 1800, start_s + 40 * DAY + 9 * 3600),
        Span(RELAY_OPEN, start_s + 200 * DAY, start_s + 202 * DAY),
    )
    facts = replace(FACTS, commercial=True)
    # Rolls over in spring; exchanged in summer.
    return case_of(
        smooth(start_s, count), start_s, facts,
        first_wh=10**8 - 900_000, off=off, exchange_at=180 * 96 + 40,
    )  # fmt: skip


@cache
def good_month(zone: ZoneInfo = SHANGHAI) -> Case:
    start_s = midnight_s(zone, 2026, 6, 1)
    return case_of(smooth(start_s, 30 * 96), start_s, replace(FACTS, zone=zone, commercial=True))
