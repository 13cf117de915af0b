"""Each check by itself: a series that passes, one that fails, the bound between, and bad input."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from host_tools import Refused
from host_tools.validation.checking import check
from host_tools.validation.findings import (
    BLOCK,
    BLOCK_BILL,
    DROP,
    ESTIMATE,
    FLAG,
    HOLD,
    LATE,
    QUARANTINE,
    REALIGN,
    REJECT,
    REVIEW,
    TAMPER,
    WARN,
)
from host_tools.validation.limits import Limits, limits_of
from host_tools.validation.physics import energy_max_wh
from host_tools.validation.series import (
    CLOCK_SET,
    ESTIMATED,
    MISSING,
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
from host_tools.validation.table import CHECKS

UTC = ZoneInfo("UTC")
FACTS = Facts("gp-1", "M-1", UTC)
T0 = 1_767_225_600  # 2026-01-01 00:00 UTC
Q = 900
OTHERS = Limits()


def row(*loads_wh: int, start_s: int = T0) -> tuple[Interval, ...]:
    return tuple(
        Interval(start_s + place * Q, start_s + (place + 1) * Q, load)
        for place, load in enumerate(loads_wh)
    )


def case(*loads_wh: int, **more: object) -> Case:
    """A span that the intervals fill; `more` is what else is known."""
    end_s = T0 + Q * (len(loads_wh) or 1)
    made = Case(FACTS, T0, end_s, end_s + 60, row(*loads_wh))
    return replace(made, **more)  # type: ignore[arg-type]


def frame(**changes: object) -> Frame:
    made = Frame("gp-1", "M-1", "1-0:1.8.0*255", T0 + Q, 1, 500, T0 + Q, T0 + Q)
    return replace(made, **changes)  # type: ignore[arg-type]


def registers(*values_wh: int) -> tuple[Register, ...]:
    return tuple(Register(T0 + place * Q, value, "M-1") for place, value in enumerate(values_wh))


def span(kind: str, first: int, last: int) -> tuple[Span, ...]:
    return (Span(kind, T0 + first * Q, T0 + last * Q),)


def actions(code: str, what: Case, limits: Limits = OTHERS) -> list[str] | None:
    """What the check asks for; None when it could not run."""
    report = check(what, limits, [code])
    return None if code in report.not_run else [each.action for each in report.findings]


DAY = [50 + 7 * place % 41 for place in range(96)]
ROLLING = replace(FACTS, range_wh=10**6)
CT = replace(FACTS, ct_ratio=40, current_max_ma=2_400_000)
SHOP = replace(FACTS, commercial=True)
WORK_ORDER = Exchange("WO-1", T0 + Q, "M-1", 950_000, "M-2", 5)
SWAPPED = (Register(T0, 949_900, "M-1"), Register(T0 + 2 * Q, 105, "M-2"))


def voltage(count: int, mv: int) -> dict[int, int]:
    return {T0 + place * Q: mv for place in range(count)}


TABLE: list[tuple[str, str, Case, list[str] | None]] = [
    ("V01", "all as on file", case(9, frames=(frame(),)), []),
    ("V01", "other device", case(9, frames=(frame(device="gp-2"),)), [REJECT]),
    ("V01", "other meter", case(9, frames=(frame(meter="M-2"),)), [REJECT]),
    ("V01", "other register", case(9, frames=(frame(obis="1-0:2.8.0*255"),)), [REJECT]),
    ("V01", "transformer changed in the field", case(9, frames=(frame(ct_ratio=40),)), [REJECT]),
    ("V01", "meter of a work order",
     case(9, frames=(frame(meter="M-2"),), exchanges=(WORK_ORDER,)), []),
    ("V01", "no frame", case(9), None),
    ("V02", "once", case(9, frames=(frame(), frame(seq=2, time_s=T0 + 2 * Q))), []),
    ("V02", "the same again", case(9, frames=(frame(), frame())), [DROP]),
    ("V02", "another value", case(9, frames=(frame(), frame(value=501))), [QUARANTINE]),
    ("V02", "an interval twice", case(9, intervals=row(9) + row(9)), [DROP]),
    ("V02", "an hour over a quarter of it",
     case(9, 9, 9, 9, intervals=(Interval(T0, T0 + 3600, 40), *row(9))), [QUARANTINE]),
    ("V02", "two that share half",
     case(9, 9, intervals=(*row(9), Interval(T0 + 450, T0 + 1350, 9))), [QUARANTINE]),
    ("V02", "two that share the tolerance of a boundary",
     case(9, 9, intervals=(Interval(T0, T0 + Q + 2, 9), Interval(T0 + Q - 2, T0 + 2 * Q, 9))), []),
    ("V02", "two that share more",
     case(9, 9, intervals=(Interval(T0, T0 + Q + 3, 9), Interval(T0 + Q - 2, T0 + 2 * Q, 9))),
     [QUARANTINE]),
    ("V02", "an interval with two values", case(9, intervals=row(9) + row(8)), [QUARANTINE]),
    ("V03", "60 s", case(9, frames=(frame(sent_s=T0 + Q + 60),)), []),
    ("V03", "61 s", case(9, frames=(frame(sent_s=T0 + Q + 61),)), [FLAG]),
    ("V03", "behind by 61 s", case(9, frames=(frame(sent_s=T0 + Q - 61),)), [FLAG]),
    ("V03", "180 s", case(9, frames=(frame(sent_s=T0 + Q + 180),)), [FLAG]),
    ("V03", "181 s", case(9, frames=(frame(sent_s=T0 + Q + 181),)), [BLOCK]),
    ("V03", "set in an interval", case(9, 9, spans=span(CLOCK_SET, 0, 0)), [FLAG]),
    ("V03", "no clock told", case(9), None),
    ("V04", "all there", case(9, 9), []),
    ("V04", "one missing", case(9, 9, 9, intervals=row(9, 9)), [ESTIMATE]),
    ("V04", "a row without value", case(9, intervals=(Interval(T0, T0 + Q, 0, MISSING),)),
     [ESTIMATE]),
    ("V04", "missing in an outage",
     case(9, 9, 9, intervals=row(9, 9), spans=span(OUTAGE, 2, 3)), []),
    ("V04", "half of it in an outage",
     case(9, 9, 9, intervals=row(9), spans=span(OUTAGE, 2, 3)), [ESTIMATE]),
    ("V04", "a sequence number missing",
     case(9, frames=(frame(), frame(seq=3, time_s=T0 + 2 * Q))), [REVIEW]),
    ("V04", "nothing at all", replace(case(9), intervals=()), [ESTIMATE]),
    ("V05", "on the grid", case(9), []),
    ("V05", "2 s late", case(9, intervals=(Interval(T0 + 2, T0 + Q, 9),)), []),
    ("V05", "3 s late", case(9, intervals=(Interval(T0 + 3, T0 + Q, 9),)), [REALIGN]),
    ("V05", "an hour", case(9, intervals=(Interval(T0, T0 + 3600, 9),)), [REALIGN]),
    ("V06", "rises and stands", case(9, registers=registers(5, 5, 6)), []),
    ("V06", "falls by one", case(9, registers=registers(6, 5)), [HOLD]),
    ("V06", "one register", case(9, registers=registers(6)), None),
    ("V07", "rolls over", case(9, facts=ROLLING, registers=registers(999_990, 10)), []),
    ("V07", "from 0.9 of the range",
     case(9, facts=replace(ROLLING, range_wh=10_000), registers=registers(9000, 3139)), []),
    ("V07", "one more than possible",
     case(9, facts=replace(ROLLING, range_wh=10_000), registers=registers(9000, 3141)), [HOLD]),
    ("V07", "below 0.9 of the range is none",
     case(9, facts=ROLLING, registers=registers(899_999, 10)), []),
    ("V08", "with its work order", case(9, 9, registers=SWAPPED, exchanges=(WORK_ORDER,)), []),
    ("V08", "without a work order", case(9, 9, registers=SWAPPED), [HOLD]),
    ("V08", "half of before", case(9, registers=registers(1000, 500)), []),
    ("V08", "below half", case(9, registers=registers(1000, 499)), [HOLD]),
    ("V09", "zero", case(0), []),
    ("V09", "negative", case(-1), [TAMPER]),
    ("V09", "10 Wh exported", case(9, export_wh={T0: 10}), []),
    ("V09", "11 Wh exported", case(9, export_wh={T0: 11}), [TAMPER]),
    ("V09", "a point that may export",
     case(9, facts=replace(FACTS, import_only=False), export_wh={T0: 900}), []),
    ("V10", "adds up", case(9, 9, registers=registers(0, 9, 18)), []),
    ("V10", "off by two steps", case(9, registers=registers(0, 11)), []),
    ("V10", "off by three steps", case(9, registers=registers(0, 12)), [HOLD]),
    ("V10", "0.1 % of much", case(3003, registers=registers(0, 3000)), []),
    ("V10", "more than that", case(3004, registers=registers(0, 3000)), [HOLD]),
    ("V10", "small drifts of one way",
     case(11, 11, registers=registers(0, 9, 18)), [HOLD]),
    ("V10", "a gap between", case(9, 9, intervals=row(9), registers=SWAPPED), None),
    ("V10", "with a transformer",
     case(400, facts=replace(CT, lsb_wh=1), registers=registers(0, 10)), []),
    ("V10", "over a rollover", case(20, facts=ROLLING, registers=registers(999_990, 10)), []),
    ("V10", "over an exchange",
     case(100, 100, registers=SWAPPED, exchanges=(WORK_ORDER,)), []),
    ("V11", "4.14 kWh", case(4140), []),
    ("V11", "one more", case(4141), [ESTIMATE]),
    ("V11", "a register that leaps", case(9, registers=registers(0, 4142)), [HOLD]),
    ("V12", "2.8 times the third", case(*DAY[:93], 100, 100, 280), []),
    ("V12", "one more", case(*DAY[:93], 100, 100, 281), [FLAG]),
    ("V12", "too few intervals", case(1, 1, 900), None),
    ("V12", "no third value", case(*[0] * 95, 900), []),
    ("V13", "0.4 of before", case(*[40] * 96, history=History(9600)), []),
    ("V13", "less", case(*[40] * 95, 39, history=History(9600)), [WARN]),
    ("V13", "twice", case(*[200] * 96, history=History(9600)), []),
    ("V13", "more than twice", case(*[200] * 95, 201, history=History(9600)), [WARN]),
    ("V13", "three times", case(*[300] * 96, history=History(9600)), [WARN]),
    ("V13", "more than that", case(*[300] * 95, 301, history=History(9600)), [BLOCK_BILL]),
    ("V13", "a cold month is expected to use more",
     case(*[300] * 96, history=History(9600, None, 2000)), []),
    ("V13", "mean of both", case(*[200] * 96, history=History(4800, 14_400)), []),
    ("V13", "no history", case(9), None),
    ("V14", "95 zeros", case(*[0] * 95, 1, voltage_mv=voltage(96, 230_000)), []),
    ("V14", "96 zeros", case(*[0] * 96, voltage_mv=voltage(96, 230_000)), [REVIEW]),
    ("V14", "0.8 of nominal is not live", case(*[0] * 96, voltage_mv=voltage(96, 184_000)), []),
    ("V14", "just above is", case(*[0] * 96, voltage_mv=voltage(96, 184_001)), [REVIEW]),
    ("V14", "relay open",
     case(*[0] * 96, voltage_mv=voltage(96, 230_000), spans=span(RELAY_OPEN, 0, 96)), []),
    ("V14", "voltage not told", case(*[0] * 96), None),
    ("V15", "7 equal", case(*[5] * 7, 6), []),
    ("V15", "8 equal", case(*[5] * 8, 6), [WARN]),
    ("V15", "8 equal at the end", case(6, *[5] * 8), [WARN]),
    ("V15", "zeros", case(*[0] * 20), []),
    ("V15", "with a gap between",
     case(9, intervals=row(*[5] * 4) + row(*[5] * 4, start_s=T0 + 5 * Q)), []),
    ("V16", "0.8", case(400, facts=SHOP, reactive_varh={T0: 300}), []),
    ("V16", "just 0.3", case(300, facts=SHOP, reactive_varh={T0: 953}), []),
    ("V16", "below", case(300, facts=SHOP, reactive_varh={T0: 954}), [REVIEW]),
    ("V16", "varh missing", case(9, 9, facts=SHOP, reactive_varh={T0: 3}), [REVIEW]),
    ("V16", "a household", case(1, reactive_varh={T0: 900}), None),
    ("V17", "50 Wh", case(50, spans=span(RELAY_OPEN, 0, 1)), []),
    ("V17", "51 Wh", case(51, spans=span(RELAY_OPEN, 0, 1)), [HOLD]),
    ("V17", "half open", case(51, spans=(Span(RELAY_OPEN, T0 + 1, T0 + Q),)), []),
    ("V17", "never open", case(51), None),
    ("V18", "zero", case(0, spans=span(OUTAGE, 0, 1)), []),
    ("V18", "metered without supply", case(1, spans=span(OUTAGE, 0, 1)), [REVIEW]),
    ("V18", "no outage", case(1), None),
    ("V19", "adds up", case(9, siblings=(Siblings("tou", T0, T0 + Q, 5000, (2000, 2995)),)), []),
    ("V19", "0.1 % off", case(9, siblings=(Siblings("tou", T0, T0 + Q, 5000, (2000, 3005)),)), []),
    ("V19", "more", case(9, siblings=(Siblings("tou", T0, T0 + Q, 5000, (2000, 3006)),)), [HOLD]),
    ("V19", "each cut off at its digit",
     case(9, siblings=(Siblings("phases", T0, T0 + Q, 30, (9, 9, 9)),)), []),
    ("V19", "none told", case(9), None),
    ("V20", "one unit", case(9, registers=registers(1000, 1009)), []),
    ("V20", "Wh shown as kWh", case(9, registers=registers(9_000_000, 9000)), [HOLD]),
    ("V20", "kWh shown as Wh", case(9, registers=registers(9000, 9_000_900)), [HOLD]),
    ("V20", "intervals ten times", case(300, registers=registers(5000, 5030)), [HOLD]),
    ("V20", "2 % beside it", case(306, registers=registers(5000, 5030)), [HOLD]),
    ("V20", "more beside it", case(307, registers=registers(5000, 5030)), []),
    ("V20", "transformer forgotten", case(10, facts=CT, registers=registers(90, 100)), [HOLD]),
    ("V20", "transformer applied twice",
     case(16_000, facts=CT, registers=registers(90, 100)), [HOLD]),
    ("V20", "no registers", case(9), None),
    ("V21", "15 %",
     case(*[9] * 20, intervals=tuple(
         replace(each, quality=ESTIMATED if place < 3 else "A")
         for place, each in enumerate(row(*[9] * 20)))), []),
    ("V21", "more",
     case(*[9] * 20, intervals=tuple(
         replace(each, quality=ESTIMATED if place < 4 else "A")
         for place, each in enumerate(row(*[9] * 20)))), [FLAG]),
    ("V22", "120 s ahead", case(9, now_s=T0 + Q - 120), []),
    ("V22", "121 s ahead", case(9, now_s=T0 + Q - 121), [QUARANTINE]),
    ("V22", "a frame ahead",
     case(0, intervals=(), frames=(frame(),), now_s=T0 + Q - 121), [QUARANTINE]),
    ("V22", "in the closed period", case(9, closed_s=T0 + Q), [LATE]),
    ("V22", "just after it", case(9, closed_s=T0 + Q - 1), []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "what", "wanted"),
    [(code, what, wanted) for code, _, what, wanted in TABLE],
    ids=[f"{code}-{name}" for code, name, _, _ in TABLE],
)
def test_a_check_asks_for_what_its_rule_says(
    code: str, what: Case, wanted: list[str] | None
) -> None:
    assert actions(code, what) == wanted


@pytest.mark.parametrize("code", CHECKS)
def test_every_check_is_shown_to_pass_and_to_fail(code: str) -> None:
    results = [wanted for each, _, _, wanted in TABLE if each == code]
    assert [] in results and any(results)


@pytest.mark.parametrize("code", CHECKS)
def test_a_check_asks_only_for_actions_of_its_row(code: str) -> None:
    asked = {action for each, _, _, wanted in TABLE if each == code for action in wanted or ()}
    assert asked <= set(CHECKS[code].actions)


@pytest.mark.parametrize("code", CHECKS)
def test_an_empty_case_is_no_pass_where_input_is_missing_and_never_a_crash(code: str) -> None:
    empty = Case(FACTS, T0, T0 + Q, T0 + Q)
    assert actions(code, empty) in (None, [], [ESTIMATE])


def test_the_checks_run_in_the_order_that_they_need() -> None:
    order = list(CHECKS)
    for before, after in (("V18", "V04"), ("V18", "V14"), ("V08", "V07"), ("V05", "V10")):
        assert order.index(before) < order.index(after)
    assert len(order) == 22


def test_the_physical_maximum_is_the_published_one() -> None:
    assert energy_max_wh(FACTS, OTHERS, Q) == 4140
    assert energy_max_wh(replace(FACTS, phases=3), OTHERS, 3600) == 3 * 4 * 4140


def test_a_limit_of_the_configuration_moves_the_bound() -> None:
    narrow = limits_of({"stuck_intervals": 4}, "meter.toml: limits.")
    assert actions("V15", case(*[5] * 4, 6)) == []
    assert actions("V15", case(*[5] * 4, 6), narrow) == [WARN]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stuck": 4}, "limits.stuck: is unknown; remove it"),
        ({"stuck_intervals": "4"}, "limits.stuck_intervals: must be a whole number"),
        ({"stuck_intervals": True}, "limits.stuck_intervals: must be a whole number"),
        ({"stuck_intervals": -1}, "limits.stuck_intervals: must be a whole number from 0"),
        ({"stuck_intervals": 0}, "limits.stuck_intervals: must be above 0"),
        ({"clock_flag_s": 181}, "limits.clock_flag_s: must not be above clock_block_s"),
        ({"use_low_permille": 2001}, "limits.use_low_permille: must not be above use_high"),
    ],
)
def test_a_bad_limit_is_refused_with_its_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(Refused, match=message):
        limits_of(values, "meter.toml: limits.")


def test_a_clock_change_makes_a_day_of_92_or_100_quarter_hours_and_no_gap() -> None:
    berlin = replace(FACTS, zone=ZoneInfo("Europe/Berlin"))
    for month, day, quarters in ((3, 29, 92), (10, 25, 100)):
        start_s = int(datetime(2026, month, day, tzinfo=berlin.zone).timestamp())
        end_s = int(datetime(2026, month, day + 1, tzinfo=berlin.zone).timestamp())
        assert (end_s - start_s) // Q == quarters
        loads = row(*(DAY * 2)[:quarters], start_s=start_s)
        whole = Case(berlin, start_s, end_s, end_s, loads)
        assert actions("V04", whole) == [] and list(map(len, whole.days.values())) == [quarters]
        assert actions("V04", replace(whole, intervals=loads[:8] + loads[16:])) == [ESTIMATE]
