"""The acceptance corpus of validation: 28 household months, errors of every class seeded in turn.

    python -m tests.bench.vee

Real 15-minute curves, seven months of each of four households. An error of a class goes into 1 %
of the intervals (of the registers where the class is one of registers, once where it is one of the
period); the seed is published here and where each error went is the answer key. A hard error that
the corpus' key has and no finding names is missed; a bill is bad when it would be issued with
another energy than the truth.
"""

import random
import sys
from collections.abc import Iterator
from dataclasses import replace

from host_tools.validation.checking import check
from host_tools.validation.limits import Limits
from host_tools.validation.processing import process
from host_tools.validation.series import Case
from host_tools.validation.shapes import Past
from host_tools.validation.table import CHECKS, HARD
from tests.bench import figures
from tests.host_tools.validation import corpus
from tests.host_tools.validation.faults import PLANT, Planted

SEED = 20_261_126
CURVES = ("family", "two_employees", "two_over_65", "single_under_30")
MONTHS = 7
DAYS = 30
GAPS = 16  # of each household
HARD_CODES = [code for code, each in CHECKS.items() if each.severity == HARD]
OF_REGISTERS = ("V06", "V07", "V08")
OF_PERIODS = ("V13", "V21", "V22")  # V22 moves the host's clock, once
OF_RUNS = {"V14": 96, "V17": 48, "V18": 48, "V20": 96, "V15": 8}  # intervals that one error takes


def households(count: int) -> Iterator[tuple[Case, Past]]:
    """Months that begin 52 days apart, so that all seasons and weekdays are there."""
    for number in range(count):
        curve = CURVES[number % len(CURVES)]
        first = corpus.midnight_s(corpus.SHANGHAI, 2026, 1, 1)
        start_s = first + number // len(CURVES) % MONTHS * 52 * corpus.DAY
        facts = replace(corpus.FACTS, zone=corpus.SHANGHAI, commercial=True)
        good = corpus.case_of(corpus.household(curve, start_s, DAYS * 96), start_s, facts)
        before_s = start_s - 28 * corpus.DAY
        before = corpus.case_of(corpus.household(curve, before_s, 28 * 96), before_s, facts)
        yield good, Past(before.intervals, daily_wh=energy(before) // 28)


def seeded(good: Case, code: str, draw: random.Random) -> tuple[Case, list[tuple[int, int]]]:
    """The case with errors of one class, and the answer key: where they are."""
    if code == "V12":
        return spiked(good, draw)
    count = max(1, len(good.intervals) // 100 // OF_RUNS.get(code, 1))
    if code in OF_REGISTERS or code in OF_PERIODS:
        count = 1
    case, key = good, []
    for place in draw.sample(range(len(good.intervals) - 1), count):
        planted: Planted = PLANT[code](case, place % len(case.intervals))
        case = planted[0]
        key.append(planted[1:])
    return case, key


def missed(case: Case, code: str, key: list[tuple[int, int]], limits: Limits) -> int:
    found = [each for each in check(case, limits, [code]).findings if each.code == code]
    return sum(
        not any(each.start_s < end_s and start_s < each.end_s for each in found)
        for start_s, end_s in key
    )


def energy(case: Case) -> int:
    return sum(each.energy_wh for each in case.intervals)


def spike_wh(good: Case, place: int) -> int:
    """Just above the rule of V12 for the interval's day, or 0 where the connection has no room."""
    day = good.intervals[place // 96 * 96 : place // 96 * 96 + 96]
    # The second highest is the third as soon as the spike is on top.
    third_wh, top_wh = sorted(each.energy_wh for each in day)[-2:]
    least_wh = max(third_wh * 14 // 5, top_wh) + 1
    return least_wh if third_wh and least_wh <= 4140 else 0


def spiked(good: Case, draw: random.Random) -> tuple[Case, list[tuple[int, int]]]:
    """One spike a day: a second one would be the third highest that the rule compares with."""
    rows, key = list(good.intervals), []
    for day in range(DAYS):
        place = day * 96 + draw.randrange(96)
        if spike_wh(good, place):
            rows[place] = replace(rows[place], energy_wh=spike_wh(good, place))
            key.append((rows[place].start_s, rows[place].end_s))
    return replace(good, intervals=tuple(rows)), key


def gap_errors(
    good: Case, past: Past, draw: random.Random, limits: Limits, registers: bool
) -> list[tuple[int, int]]:
    """(Wh that the estimate is off, true Wh) of each day of a gap of 2 to 24 hours.

    The month is whole before and after it; the four weeks before the month are known.
    """
    count = draw.randrange(9, 97)
    low = draw.randrange(1, len(good.intervals) - count - 1)
    holed = replace(good, intervals=good.intervals[:low] + good.intervals[low + count :])
    if not registers:
        holed = replace(holed, registers=())
    made = process(holed, past, limits).intervals
    first, last = low // 96, (low + count - 1) // 96
    out = []
    for day in range(first, last + 1):
        span = slice(day * 96, day * 96 + 96)
        true_wh = sum(each.energy_wh for each in good.intervals[span])
        off_wh = abs(sum(each.energy_wh for each in made[span]) - true_wh)
        out.append((off_wh, true_wh))
    return out


def measure(count: int = len(CURVES) * MONTHS) -> dict[str, int]:
    draw, limits = random.Random(SEED), Limits()
    wanted = figures.TARGETS["settlement proof"]
    out = {figure: 0 for figure in wanted if figure.startswith("vee_")}
    blocked = flags = 0
    off_permille: list[int] = []
    for good, past in households(count):
        out["vee_households"] += 1
        clean = process(good, past, limits)
        hard = [each for each in clean.first.findings if each.code in HARD_CODES]
        out["vee_clean_hard"] += len(hard)
        blocked += not clean.billable()
        flags += len(clean.first.findings) - len(hard)
        for code in CHECKS:
            bad, key = seeded(good, code, draw)
            kind = "hard" if code in HARD_CODES else "other"
            out[f"vee_{kind}_seeded"] += len(key)
            out[f"vee_{kind}_missed"] += missed(bad, code, key, limits)
            outcome = process(bad, past, limits)
            billed_wh = sum(each.energy_wh for each in outcome.intervals)
            if kind == "hard":
                out["vee_bad_bills"] += outcome.billable() and billed_wh != energy(good)
            again = process(replace(bad, intervals=outcome.intervals), past, limits)
            pairs = zip(again.intervals, outcome.intervals, strict=True)
            out["vee_second_run_changes"] += sum(
                (one.energy_wh, one.quality) != (other.energy_wh, other.quality)
                for one, other in pairs
            )
        for _ in range(GAPS):
            out["vee_gaps"] += 1
            closed = gap_errors(good, past, draw, limits, True)
            out["vee_gap_with_registers_wh"] += sum(off_wh for off_wh, _ in closed)
            off_permille += [
                off_wh * 1000 // true_wh
                for off_wh, true_wh in gap_errors(good, past, draw, limits, False)
            ]
    out["vee_clean_blocked_ratio"] = blocked * 1_000_000 // count
    out["vee_false_flags_per_1000_meter_years"] = flags * 365 * 1000 // (count * DAYS)
    out["vee_gap_without_register_mape_permille"] = sum(off_permille) // len(off_permille)
    return out


if __name__ == "__main__":
    sys.exit(figures.write("vee", measure(), targets=figures.TARGETS["settlement proof"]))
