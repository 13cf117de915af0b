"""Historic readings of a point into the store: from before its module's first record, once.

A line that is in the store already with the same value is a repeat; one that contradicts it, or
what the module metered, is refused alone. What is new is checked together with all that files told
of the point before, so that the order of files makes no difference, and kept with everything the
checks made of it in one transaction: whatever ends it half way, the next run begins anew. No
ledger is touched.
"""

import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from host_tools import Refused
from host_tools.config import toml_text
from host_tools.exchange import obis
from host_tools.exchange.historic_changes import Changes
from host_tools.exchange.meter_file import MeterFile, meter_of, read_meter
from host_tools.exchange.readings_csv import DURATION_S_MAX, RefusedLine, utc
from host_tools.exchange.records import Record
from host_tools.exchange.series_of import case_of
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import journal
from host_tools.validation.historic import CHECKED, IMPORTED, MAIN, Historic, Value
from host_tools.validation.historic import Version as Made
from host_tools.validation.meters import kept_document
from host_tools.validation.processing import Outcome, process
from host_tools.validation.review import Queue
from host_tools.validation.series import ACTUAL, MISSING
from host_tools.validation.versions import Versions, person
from protocol import ledger

READINGS_MAX = 400_000  # of one file, and of one point
SLOTS_MAX = 5 * 366 * 96  # five years of quarter-hours: each one missing would be estimated
_METERED = (ledger.CHARGE, ledger.OPENING, ledger.TRANSFER)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where readings come from: who says so, the file, and the meter file that checks them."""

    who: str
    why: str
    file: str
    digest: bytes
    document: str


@dataclass(frozen=True, slots=True)
class Sorted:
    fresh: tuple[Value, ...]
    repeats: int
    refused: tuple[RefusedLine, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """`version` of the point's historic readings after it; `outcome` None: nothing to check."""

    sorted: Sorted
    outcome: Outcome | None
    version: int
    reviews: int


def master_data(store: Store, point: Point, path: Path | None) -> tuple[str, MeterFile]:
    """(text, what it says) of the meter file given, or of the one on file of the point. Refused
    where there is none, and where it is of another usage point than what is there already."""
    where = f"{point.module}/{point.point}"
    kept = [each.document for each in Historic(store).versions(point.id) if each.document]
    on_file = kept_document(store, point)
    if path is not None:
        meter = read_meter(path)
        text = toml_text(path)
    elif on_file is not None:
        text = on_file
        meter = meter_of(tomllib.loads(text), f"meter file of {where}")
    else:
        raise Refused(f"--meter: {where} has no meter file on file; name one 请指定计量点档案文件")
    for document in (*kept[-1:], *([on_file] if on_file else [])):
        name = meter_of(tomllib.loads(document), f"meter file of {where}").usage_point
        if name != meter.usage_point:
            raise Refused(
                f"{where}: is usage point {name} on file, not {meter.usage_point}; name the right"
                " point or meter file 用电点与档案不符"
            )
    return text, meter


def take(
    store: Store,
    point: Point,
    meter: MeterFile,
    origin: Origin,
    records: Sequence[Record],
    lines: Sequence[int],
    now_s: int,
) -> Taken:
    """Keeps what is new of a file, whose records have their lines beside them. Refused when it is
    more, or of a longer time, than a point may have."""
    person(origin.who, origin.why)
    historic = Historic(store)
    known, first_s = historic.number(point.id), journal.first_s(store, point.id)
    sort = _Sorting(store, point, records, lines, first_s, now_s + meter.limits.future_s).sorted()
    told = [*historic.imported(point.id), *sort.fresh]
    _bounded(told, meter.facts.step_s, origin.file)
    case = case_of(meter, [record_of(meter.usage_point, each) for each in told], now_s)
    outcome = None
    if case.intervals or case.registers:
        outcome = process(case, meter.past, meter.limits)
    changes = Changes(historic, point, case, outcome, sort.fresh)
    with store.transaction():
        if (historic.number(point.id), journal.first_s(store, point.id)) != (known, first_s):
            raise Refused(
                f"{point.module}/{point.point}: its readings have changed meanwhile; run it again"
                " 读数已变更，请重新执行"
            )
        version = _kept(historic, point, origin, changes, now_s)
        held = outcome.held if outcome else ()
        reviews = Queue(store).open_historic(point.id, held, now_s)
    return Taken(sort, outcome, version, reviews)


def _bounded(told: Sequence[Value], step_s: int, file: str) -> None:
    """Refused where all of a point's historic readings would be more than a run can hold."""
    if len(told) > READINGS_MAX:
        raise Refused(
            f"{file}: the point would have {len(told)} historic readings, at most"
            f" {READINGS_MAX}; import what is newest 历史读数过多，请只导入较新部分"
        )
    ends = [at_s for each in told for at_s in (each.start_s, each.end_s)]
    slots = (max(ends, default=0) - min(ends, default=0)) // step_s
    if slots > SLOTS_MAX:
        raise Refused(
            f"{file}: the point's historic readings would span {slots} intervals, at most"
            f" {SLOTS_MAX}; import what is newest 历史读数跨度过长，请只导入较新部分"
        )


def _kept(historic: Historic, point: Point, origin: Origin, changes: Changes, now_s: int) -> int:
    """Adds what the file said as one version, and what the checks made of it as the next one."""
    version = historic.number(point.id)
    for kind, values in ((IMPORTED, changes.said), (CHECKED, changes.checked)):
        if values:
            codes = {code for each in values for code in each.failed}
            made = Made(
                kind, " ".join(sorted(codes)), origin.who, origin.why, now_s, origin.file,
                origin.digest, origin.document,
            )  # fmt: skip
            version = historic.add(point.id, made, values)
    return version


def _span(records: Iterable[Record]) -> tuple[int, int] | None:
    ends = [at_s for each in records for at_s in (each.start_s, each.end_s)]
    return (min(ends), max(ends)) if ends else None


@lru_cache(maxsize=64)
def _code(text: str) -> obis.Obis:
    return obis.parse(text)


def record_of(usage_point: str, each: Value) -> Record:
    """As a file has it: how an estimate of somebody else was made is not known."""
    return Record(
        usage_point, _code(each.obis), each.start_s, each.end_s, each.value, each.unit,
        each.quality,
    )  # fmt: skip


class _Sorting:
    """Tells new lines, repeats, and lines that contradict something."""

    def __init__(
        self,
        store: Store,
        point: Point,
        records: Sequence[Record],
        lines: Sequence[int],
        first_s: int | None,
        now_s: int,
    ) -> None:
        self._store = store
        self._point = point
        self._rows = list(zip(lines, map(_value, records), records, strict=True))
        self._first_s = first_s
        self._now_s = now_s

    def sorted(self) -> Sorted:
        fresh: dict[tuple[str, int, int], Value] = {}
        repeats = 0
        refused: list[RefusedLine] = []
        span = _span(record for _, _, record in self._rows)
        stored = Historic(self._store).imported(self._point.id, *span) if span else []
        known = {each.key: each.value for each in stored}
        taken = _Taken(stored)
        own = self._own(span)
        twice = self._contradictory()
        for number, each, record in self._rows:
            if record.quality == MISSING:
                continue
            unit = obis.KNOWN[record.obis][0] if record.obis in obis.KNOWN else record.unit
            if record.unit != unit:
                why = f"unit: {each.obis} is in {unit}, not in {record.unit}"
                refused.append(RefusedLine(number, why))
            elif each.value == known.get(each.key) or each.value in own.get(each.key, ()):
                repeats += 1
            elif why := self._why(each, known, own, taken, twice):
                refused.append(RefusedLine(number, why))
            elif each.key in fresh:
                repeats += 1
            else:
                fresh[each.key] = each
        return Sorted(tuple(fresh.values()), repeats, tuple(refused))

    def _why(
        self,
        each: Value,
        known: dict[tuple[str, int, int], int],
        own: dict[tuple[str, int, int], list[int]],
        taken: "_Taken",
        twice: dict[tuple[str, int, int], list[int]],
    ) -> str:
        """Why a line is refused, or ""."""
        if each.end_s - each.start_s > DURATION_S_MAX:
            return f"duration_s: must lie between 0 and {DURATION_S_MAX}"
        if self._first_s is not None and each.end_s > self._first_s:
            if each.key in own:
                value = own[each.key][-1]
                return f"contradicts the module's own reading: {value} {each.unit} there"
            return f"ends after the module's first record at {utc(self._first_s)}"
        if each.end_s > self._now_s:
            return "ends in the future"
        if each.key in twice:
            return f"contradicts another line of the file: {twice[each.key]} {each.unit}"
        if each.key in known:
            return f"contradicts an earlier import: {known[each.key]} {each.unit} there"
        over = taken.over(each)
        if over:
            return f"overlaps an earlier import from {utc(over[0])} to {utc(over[1])}"
        return ""

    def _contradictory(self) -> dict[tuple[str, int, int], list[int]]:
        """Values of what the file tells more than once and not the same: none of them counts."""
        told: dict[tuple[str, int, int], set[int]] = {}
        for _, each, record in self._rows:
            if record.quality != MISSING:
                told.setdefault(each.key, set()).add(each.value)
        return {key: sorted(values) for key, values in told.items() if len(values) > 1}

    def _own(self, span: tuple[int, int] | None) -> dict[tuple[str, int, int], list[int]]:
        """The module's own readings and registers, where the file has any of that time; of a
        corrected one both values."""
        if span is None or self._first_s is None or span[1] < self._first_s:
            return {}
        rows = journal.rows_of(self._store, self._point.id, 1)
        standing = Versions(self._store).standing(self._point.id)
        out: dict[tuple[str, int, int], list[int]] = {}
        for row in rows:
            if row.kind in _METERED:
                out.setdefault((MAIN, row.time_s, row.time_s), []).append(row.register_wh)
            if row.is_charge() and row.from_s < row.time_s:
                own = journal.reading_of(row)
                for each in (own, standing.get(row.seq, own)):
                    key = MAIN, each.start_s, each.end_s
                    out.setdefault(key, []).append(each.energy_wh)
        return out


class _Taken:
    """The time that intervals of earlier imports take, by their code."""

    def __init__(self, stored: Iterable[Value]) -> None:
        self._spans: dict[str, list[tuple[int, int]]] = {}
        for each in stored:  # in order of their start
            if each.start_s == each.end_s:
                continue
            spans = self._spans.setdefault(each.obis, [])
            if spans and each.start_s < spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], each.end_s)
            else:
                spans.append((each.start_s, each.end_s))

    def over(self, each: Value) -> tuple[int, int] | None:
        """What an interval shares time with."""
        spans = self._spans.get(each.obis, [])
        place = bisect_right(spans, (each.end_s - 1, 1 << 62)) - 1
        if each.start_s == each.end_s or place < 0 or spans[place][1] <= each.start_s:
            return None
        return spans[place]


def _value(record: Record) -> Value:
    quality = record.quality
    if record.obis == obis.IMPORT and not record.is_register():
        quality = quality or ACTUAL  # until a check says otherwise
    return Value(
        str(record.obis), record.start_s, record.end_s, record.value, quality, unit=record.unit
    )
