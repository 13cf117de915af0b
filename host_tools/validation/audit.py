"""The audit before issue: a bill gets no number until these rules hold.

Energy and money come from recount.py, a code path of its own. A rule that could not run blocks: it
did not pass. A bill that is only to be reviewed is released by a person with a reason (gate.py); a
blocked one is corrected.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from host_tools.settlement.common import decimal
from host_tools.validation import recount
from host_tools.validation.limits import Limits
from host_tools.validation.series import ESTIMATED, MISSING, Interval, share_permille

PASS, BLOCK, REVIEW, FLAG = "pass", "block", "review", "flag"
ENERGY, FIXED, TAX, ADJUSTMENT, OTHER = "energy", "fixed", "tax", "adjustment", "other"
CHANGE_PERMILLE = 500  # (unverified)
NOT_COMPARED = "-"  # there is nothing to hold it against


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line. `rate` and `tier` of energy; `rate` is the name of any other line.

    A tax has `percent_ppm` of the printed lines whose kind or name is in `base`.
    """

    kind: str
    exact_ncur: int
    printed_ncur: int
    energy_wh: int = 0
    rate: str = ""
    tier: int = 0
    reference: str = ""  # of an adjustment: the interval or command that it corrects
    percent_ppm: int = 0
    base: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bill:
    """A bill before it has a number, with the facts that it is held against."""

    point: str
    start_s: int
    end_s: int
    metered_s: tuple[int, int]  # the reading from which its first interval counts, and its last
    zone: ZoneInfo
    lines: tuple[Line, ...]
    total_printed_ncur: int
    ledger_ncur: int  # what the ledger's entries of the period come to
    intervals: tuple[Interval, ...]  # the versions used
    registers: tuple[tuple[int, str, int], ...]  # raw (instant, meter, Wh) rows of the period
    register_range_wh: int
    multiplier: int
    tariff: Mapping[str, Any]  # the tariff file's document
    used_before_wh: int  # position in the ladder at the start
    anew: tuple[tuple[int, int], ...] = ()  # (instant, Wh): the ladder was set to that place
    opened: bool = False  # the point's readings begin with this bill
    next_s: tuple[int, int] | None = None  # from when to when the reading after it counts
    # Where the last bill left the ladder, in the same tier period and by the same tariff.
    previous_end_wh: int | None = None
    # What the ledger took for the same month last year, and takes for this one.
    compared_ncur: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    rule: str
    result: str
    detail: str = ""


Judged: TypeAlias = tuple[str, str]


def _second_rating(bill: Bill, limits: Limits) -> Judged:
    # The day on which a point is opened is not charged, nor are those before it.
    from_s = bill.metered_s[0] + 1 if bill.opened else bill.start_s
    days = recount.local_days(from_s, bill.end_s, bill.zone)
    spans = [(each.start_s, each.end_s, each.energy_wh) for each in bill.intervals]
    try:
        again = recount.Tariff(bill.tariff).recount(spans, bill.used_before_wh, days, bill.anew)
    except (recount.NotUnderstood, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return BLOCK, f"not run: {error}"
    billed_ncur: dict[tuple[str, int], int] = {}
    for line in bill.lines:
        if line.kind == ENERGY:
            key = (line.rate, line.tier)
            billed_ncur[key] = billed_ncur.get(key, 0) + line.exact_ncur
    for key in sorted({*billed_ncur, *again.energy_ncur}):
        ours, theirs = billed_ncur.get(key, 0), again.energy_ncur.get(key, 0)
        if ours != theirs:
            return BLOCK, f"{key[0]} {key[1] + 1}: {ours} != {theirs} ncur"
    named = {line.rate: line.exact_ncur for line in bill.lines if line.kind == OTHER}
    if named != again.lines_ncur:
        return BLOCK, f"{OTHER}: {named} != {dict(again.lines_ncur)} ncur"
    taxes = {line.rate: (line.percent_ppm, line.base) for line in bill.lines if line.kind == TAX}
    if taxes != again.percents:
        return BLOCK, f"{TAX}: {taxes} != {dict(again.percents)}"
    fixed_ncur = sum(line.exact_ncur for line in bill.lines if line.kind == FIXED)
    if fixed_ncur != again.fixed_ncur:
        return BLOCK, f"{FIXED}: {fixed_ncur} != {again.fixed_ncur} ncur"
    return PASS, ""


def _footing(bill: Bill, limits: Limits) -> Judged:
    printed_ncur = sum(line.printed_ncur for line in bill.lines)
    if printed_ncur != bill.total_printed_ncur:
        return BLOCK, f"{printed_ncur} != {bill.total_printed_ncur} ncur"
    exact_ncur = sum(line.exact_ncur for line in bill.lines)
    if exact_ncur != bill.ledger_ncur:
        return BLOCK, f"{exact_ncur} != {bill.ledger_ncur} ncur"
    for line in bill.lines:
        if line.printed_ncur != recount.printed_ncur(line.exact_ncur):
            return BLOCK, f"{line.kind}: {line.exact_ncur} -> {line.printed_ncur} ncur"
    return PASS, ""


def _energy(bill: Bill, limits: Limits) -> Judged:
    billed_wh = sum(line.energy_wh for line in bill.lines if line.kind == ENERGY)
    intervals_wh = sum(each.energy_wh for each in bill.intervals)
    if billed_wh != intervals_wh:
        return BLOCK, f"{billed_wh} != {intervals_wh} Wh"
    meters: dict[str, set[int]] = {}
    for time_s, meter, _ in bill.registers:
        meters.setdefault(meter, set()).add(time_s)
    ends = {time_s for times in meters.values() for time_s in times}
    if not ends or (min(ends), max(ends)) != bill.metered_s:
        return BLOCK, "not run: no register at both ends"
    register_wh = recount.register_energy_wh(
        bill.registers, bill.register_range_wh, bill.multiplier
    )
    steps_wh = limits.balance_lsb * bill.multiplier
    most_wh = max(steps_wh, register_wh * limits.balance_permille // 1000)
    if abs(register_wh - intervals_wh) > most_wh:
        return BLOCK, f"{intervals_wh} != {register_wh} Wh"
    return PASS, ""


def _continuity(bill: Bill, limits: Limits) -> Judged:
    if bill.previous_end_wh is None:
        return PASS, NOT_COMPARED
    if bill.used_before_wh != bill.previous_end_wh:
        return BLOCK, f"{bill.used_before_wh} != {bill.previous_end_wh} Wh"
    return PASS, ""


def _tax(bill: Bill, limits: Limits) -> Judged:
    for line in bill.lines:
        if line.kind != TAX:
            continue
        base_ncur = sum(
            each.printed_ncur
            for each in bill.lines
            if each.kind in line.base or (each.kind != ENERGY and each.rate in line.base)
        )
        if line.exact_ncur * 1_000_000 != base_ncur * line.percent_ppm:
            return BLOCK, f"{base_ncur} x {line.percent_ppm} ppm != {line.exact_ncur} ncur"
    return PASS, ""


def _change(bill: Bill, limits: Limits) -> Judged:
    before_ncur, now_ncur = bill.compared_ncur or (0, 0)
    if before_ncur <= 0:
        return PASS, NOT_COMPARED
    if abs(now_ncur - before_ncur) * 1000 > before_ncur * CHANGE_PERMILLE:
        return REVIEW, f"{decimal(before_ncur)} -> {decimal(now_ncur)}"
    return PASS, ""


def _negative(bill: Bill, limits: Limits) -> Judged:
    for line in bill.lines:
        referenced = line.kind == ADJUSTMENT and line.reference
        if min(line.exact_ncur, line.printed_ncur) < 0 and not referenced:
            return BLOCK, f"{line.kind}: {line.exact_ncur} ncur"
    return PASS, ""


def _estimation(bill: Bill, limits: Limits) -> Judged:
    estimated_s = sum(
        each.end_s - max(each.start_s, bill.start_s)
        for each in bill.intervals
        if each.quality == ESTIMATED
    )
    period_s = bill.end_s - bill.start_s
    share = estimated_s * 1000 > period_s * limits.estimated_permille
    if share or estimated_s > limits.estimated_s:
        permille = share_permille(estimated_s, period_s)
        return FLAG, f"{permille // 10}.{permille % 10} %"
    return PASS, ""


def _scope(bill: Bill, limits: Limits) -> Judged:
    at_s, ends_s = bill.metered_s
    if at_s > bill.start_s and not bill.opened:
        return BLOCK, f"{bill.start_s} != {at_s}"
    for each in sorted(bill.intervals, key=lambda each: each.start_s):
        if each.quality == MISSING:
            return BLOCK, f"{each.start_s}: N"
        if each.start_s != at_s:
            return BLOCK, f"{at_s} != {each.start_s}"
        if not bill.start_s < each.end_s <= bill.end_s:
            return BLOCK, f"{each.end_s}: of another period"
        at_s = each.end_s
    if at_s != ends_s:
        return BLOCK, f"{at_s} != {ends_s}"
    # Where one reading counts over the end of the period, its energy is of the next one.
    over_s = bill.next_s or (ends_s, ends_s)
    if ends_s != bill.end_s and not over_s[0] == ends_s < bill.end_s < over_s[1]:
        return BLOCK, f"{ends_s} != {bill.end_s}"
    for time_s in (bill.start_s, bill.end_s):
        local = datetime.fromtimestamp(time_s, bill.zone)
        if (local.hour, local.minute, local.second) != (0, 0, 0):
            return BLOCK, f"{local.isoformat()}: not a local midnight"
    return PASS, ""


@dataclass(frozen=True, slots=True)
class Rule:
    run: Callable[[Bill, Limits], Judged]
    name_zh: str
    rule: str
    failure: str


RULES: dict[str, Rule] = {
    "second rating": Rule(
        _second_rating, "二次计费", "a code path of its own re-rates the period: no difference",
        BLOCK,
    ),
    "footing": Rule(
        _footing, "合计", "printed lines = printed total; exact lines = ledger; half-up each",
        BLOCK,
    ),
    "energy": Rule(
        _energy, "电量", "energy on the bill = intervals = register difference x multiplier", BLOCK
    ),
    "tier continuity": Rule(
        _continuity, "阶梯衔接",
        "within a tier period the ladder begins where the last bill left it", BLOCK,
    ),
    "tax": Rule(_tax, "税费", "each tax line is its percentage of its base", BLOCK),
    "change": Rule(
        _change, "同比", "within ± 50 % of the same month last year (unverified)", REVIEW
    ),
    "negative line": Rule(
        _negative, "负行", "only an adjustment with a reference is negative", BLOCK
    ),
    "estimation": Rule(_estimation, "估算", "as V21; the customer is told", FLAG),
    "data scope": Rule(
        _scope, "数据范围", "every interval that is read in whole local days once, none missing",
        BLOCK,
    ),
}  # fmt: skip


def audit(bill: Bill, limits: Limits) -> tuple[Verdict, ...]:
    """Every rule with its result, in the order of the table."""
    return tuple(Verdict(name, *rule.run(bill, limits)) for name, rule in RULES.items())
