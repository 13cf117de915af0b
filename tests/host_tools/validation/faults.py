"""Plants one fault of a class at a place of a good case: (case, span in which it is found)."""

from collections.abc import Callable
from dataclasses import replace

from host_tools.validation.series import CLOCK_SET, ESTIMATED, OUTAGE, RELAY_OPEN, Case, Span
from tests.host_tools.validation.corpus import STEP_S

Planted = tuple[Case, int, int]


def swapped(case: Case, place: int, **changes: object) -> Planted:
    """One interval is another."""
    each = case.intervals[place]
    intervals = list(case.intervals)
    intervals[place] = replace(each, **changes)  # type: ignore[arg-type]
    return replace(case, intervals=tuple(intervals)), each.start_s, each.end_s


def frame(case: Case, place: int, **changes: object) -> Planted:
    each = case.frames[place]
    frames = list(case.frames)
    frames[place] = replace(each, **changes)  # type: ignore[arg-type]
    return replace(case, frames=tuple(frames)), each.time_s - STEP_S, each.time_s


def register(case: Case, place: int, value_wh: int) -> Planted:
    """The register of one day is another."""
    spot = 1 + place // 96 % (len(case.registers) - 2)
    each = case.registers[spot]
    registers = list(case.registers)
    registers[spot] = replace(each, value_wh=value_wh)
    low, high = case.registers[spot - 1].time_s, case.registers[spot + 1].time_s
    return replace(case, registers=tuple(registers)), low, high


def later(place: int) -> int:
    """The good year itself rolls over in its first hundred days."""
    return max(place, 100 * 96)


def shown(case: Case, place: int) -> int:
    return case.registers[1 + place // 96 % (len(case.registers) - 2)].value_wh


def run(case: Case, place: int, count: int, value_wh: int) -> Planted:
    """Intervals in a row have one value; beginning where it fits."""
    low = min(place, len(case.intervals) - count)
    changed = [replace(each, energy_wh=value_wh) for each in case.intervals[low : low + count]]
    intervals = (*case.intervals[:low], *changed, *case.intervals[low + count :])
    return replace(case, intervals=intervals), changed[0].start_s, changed[-1].end_s


def v02(case: Case, place: int) -> Planted:
    each = case.frames[place]
    twin = replace(each, value=each.value + 5)
    return replace(case, frames=(*case.frames, twin)), each.time_s - STEP_S, each.time_s


def v04(case: Case, place: int) -> Planted:
    gone = case.intervals[place]
    kept = case.intervals[:place] + case.intervals[place + 1 :]
    return replace(case, intervals=kept), gone.start_s, gone.end_s


def v07(case: Case, place: int) -> Planted:
    """Up to the end, then down to where it was: no connection can have carried that rollover."""
    far = 140 * 96 + place % (35 * 96)  # so far up the good year's registers are that month
    return register(case, far, case.facts.range_wh - 10)


def v08(case: Case, place: int) -> Planted:
    """Another meter, and no work order."""
    bad, low, high = register(case, place, 1000)
    registers = tuple(
        replace(each, meter="M-9") if each not in case.registers else each
        for each in bad.registers
    )
    return replace(bad, registers=registers), low, high


def v09(case: Case, place: int) -> Planted:
    at_s = case.intervals[place].start_s
    exported = {**(case.export_wh or {}), at_s: 11}
    return replace(case, export_wh=exported), at_s, at_s + STEP_S


def v13(case: Case, place: int) -> Planted:
    usual_wh = case.history.previous_wh or 0
    history = replace(case.history, previous_wh=usual_wh // 3, year_ago_wh=usual_wh // 3)
    return replace(case, history=history), case.start_s, case.end_s


def v16(case: Case, place: int) -> Planted:
    at_s = case.intervals[place].start_s
    reactive = {**case.reactive_varh, at_s: 10**7}
    return replace(case, reactive_varh=reactive), at_s, at_s + STEP_S


def covered(case: Case, place: int, kind: str) -> Planted:
    """A span on record over half a day in which energy was metered all the same."""
    low = min(place, len(case.intervals) - 48)
    at_s, end_s = case.intervals[low].start_s, case.intervals[low + 47].end_s
    return replace(case, spans=(*case.spans, Span(kind, at_s, end_s))), at_s, end_s


def v19(case: Case, place: int) -> Planted:
    spot = place // 96 % len(case.siblings)
    each = case.siblings[spot]
    wrong = replace(each, parts_wh=(each.parts_wh[0] + 1000, *each.parts_wh[1:]))
    siblings = (*case.siblings[:spot], wrong, *case.siblings[spot + 1 :])
    return replace(case, siblings=siblings), each.start_s, each.end_s


def v20(case: Case, place: int) -> Planted:
    """One day in the unit of another: the register tells."""
    low = min(place // 96 * 96, len(case.intervals) - 96)
    day = [replace(each, energy_wh=each.energy_wh * 10) for each in case.intervals[low : low + 96]]
    intervals = (*case.intervals[:low], *day, *case.intervals[low + 96 :])
    return replace(case, intervals=intervals), day[0].start_s, day[-1].end_s


def v21(case: Case, place: int) -> Planted:
    count = len(case.intervals) // 5
    intervals = tuple(
        replace(each, quality=ESTIMATED) if spot < count else each
        for spot, each in enumerate(case.intervals)
    )
    return replace(case, intervals=intervals), case.start_s, case.end_s


def v22(case: Case, place: int) -> Planted:
    """The host's clock says that everything from here on is still to come."""
    at_s = case.intervals[place].start_s
    return replace(case, now_s=at_s - 3600), at_s, at_s + STEP_S


def clock_set(case: Case, place: int) -> Planted:
    each = case.intervals[place]
    span = Span(CLOCK_SET, each.start_s + 60, each.start_s + 300)
    return replace(case, spans=(*case.spans, span)), each.start_s, each.end_s


PLANT: dict[str, Callable[[Case, int], Planted]] = {
    "V01": lambda case, place: frame(case, place, device="gp-9"),
    "V02": v02,
    "V03": lambda case, place: frame(case, place, sent_s=case.frames[place].arrived_s + 181),
    "V04": v04,
    "V05": lambda case, place: swapped(case, place, start_s=case.intervals[place].start_s + 3),
    "V06": lambda case, place: register(
        case, later(place), max(0, shown(case, later(place)) - 500_000)
    ),
    "V07": v07,
    "V08": v08,
    "V09": v09,
    "V10": lambda case, place: swapped(
        case, place, energy_wh=case.intervals[place].energy_wh + 500
    ),
    "V11": lambda case, place: swapped(case, place, energy_wh=4141),
    "V12": lambda case, place: swapped(case, place, energy_wh=2000),
    "V13": v13,
    "V14": lambda case, place: run(case, place, 96, 0),
    "V15": lambda case, place: run(case, place, 8, 77),
    "V16": v16,
    "V17": lambda case, place: covered(case, place, RELAY_OPEN),
    "V18": lambda case, place: covered(case, place, OUTAGE),
    "V19": v19,
    "V20": v20,
    "V21": v21,
    "V22": v22,
}
