"""What a person decides about an entry of the queue: new versions of its readings, and one order.

All of it is one transaction of the caller: the decision, the versions, the adjustment and its
command are there together or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from host_tools import Refused
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import adjusting, historic, historic_deciding, journal
from host_tools.validation.adjusting import RERATING, Cause, Ordered
from host_tools.validation.edits import edits
from host_tools.validation.estimating import estimate
from host_tools.validation.journal import Row
from host_tools.validation.meters import meter_at
from host_tools.validation.review import NOTHING, SET, VERIFY, Item, Queue
from host_tools.validation.series import (
    ACTUAL,
    ESTIMATED,
    MANUAL,
    MISSING,
    VERIFIED,
    Case,
    Interval,
)
from host_tools.validation.shapes import past_of
from host_tools.validation.sharing import cumulative_floor
from host_tools.validation.versions import Reading, Versions
from protocol import tariff
from protocol.tariff import Book
from protocol.units import DAY_S

EXAMPLE_DAYS = 28  # before the span, that an estimate may learn from


@dataclass(frozen=True, slots=True)
class Decided:
    """An entry after a decision: new readings, and the order that they cost, if any. `version` is
    that of the point's readings, or of its historic ones."""

    item: Item
    version: int
    readings: list[Reading]
    ordered: Ordered | None


def decide(
    store: Store,
    review: int,
    event: str,
    who: str,
    why: str,
    now_s: int,
    values_wh: Mapping[int, int] | None = None,
) -> Decided:
    """Accept, edit (with values by start), estimate or reopen an entry of the queue."""
    item, what = Queue(store).step(review, event, who, now_s, why)
    point = journal.point_of_row(store, item.point_id)
    versions = Versions(store)
    if what == NOTHING:
        return Decided(item, versions.number(point.id), [], None)
    if item.history:
        told = historic_deciding.decide(store, item, what, who, why, now_s, values_wh or {})
        return Decided(item, told[0], [historic.reading_of(each) for each in told[1]], None)
    rows = span_of(store, point, item.start_s, item.end_s)
    standing = versions.standing(point.id, rows[0].seq, rows[-1].seq) if rows else {}
    raw = [journal.reading_of(row) for row in rows]
    if what == VERIFY:
        made = [_verified(each, standing.get(each.seq)) for each in raw]
    elif what == SET:
        meter = meter_at(store, point, _book(store, point))
        made = [
            standing.get(own.seq, own)._replace(
                energy_wh=energy_wh, quality=MANUAL, origin="manual"
            )
            for own, energy_wh in edits(item, raw, values_wh or {}, meter)
        ]
    else:
        made = _guessed(store, point, rows, raw, standing)
    news = [each for each in made if _is_news(each, standing.get(each.seq))]
    if not news:
        return Decided(item, versions.number(point.id), [], None)
    version = versions.add(point.id, news, item.code, who, why, now_s)
    cause = Cause(item.code, RERATING, who, why)
    read = (news[0].seq, news[0].start_s, news[-1].end_s)
    order = adjusting.work_off(store, point, cause, now_s, read)
    return Decided(item, version, news, order)


def span_of(store: Store, point: Point, start_s: int, end_s: int) -> list[Row]:
    """The charges that share time with a span, by the instants that they were metered at."""
    rows = _rows_since(store, point, start_s)
    return [row for row in rows if row.is_charge() and row.from_s < end_s and start_s < row.time_s]


def _rows_since(store: Store, point: Point, start_s: int) -> list[Row]:
    book = _book(store, point)
    first_seq = journal.seq_before(store, point.id, tariff.local_day(book, start_s))
    return journal.rows_of(store, point.id, first_seq)


def _book(store: Store, point: Point) -> Book:
    book = journal.book_of(store, point)
    if book is None:
        raise Refused(
            f"{point.module}/{point.point}: its tariff is not in the store; restore a backup"
            " 电价不在库中，请恢复备份"
        )
    return book


def _verified(raw: Reading, stands: Reading | None) -> Reading:
    """The metered value, confirmed; an estimate or a manual value that is accepted stays one."""
    if stands is not None and stands.quality not in (ACTUAL, MISSING):
        return stands
    kept = stands or raw
    if kept.quality == MISSING:
        kept = kept._replace(energy_wh=raw.energy_wh)
    return kept._replace(quality=VERIFIED)


def _guessed(
    store: Store,
    point: Point,
    rows: Sequence[Row],
    raw: Sequence[Reading],
    standing: Mapping[int, Reading],
) -> list[Reading]:
    """Estimates in place of what was metered. The register is of the same metering: it does not
    tell their sum."""
    if not rows:
        return []
    meter = meter_at(store, point, _book(store, point))
    start_s, end_s = rows[0].from_s, rows[-1].time_s
    since_s = start_s - EXAMPLE_DAYS * DAY_S
    before = _rows_since(store, point, since_s)
    gone = {row.seq for row in rows}
    examples = (
        *historic.usable(store, point, since_s, start_s),
        *journal.intervals_of([row for row in before if row.seq not in gone]),
    )
    neighbours = tuple(each for each in examples if each.end_s == start_s or each.start_s == end_s)
    case = Case(meter.facts, start_s, end_s, end_s, neighbours, spans=meter.spans)
    past = past_of(meter.past, meter.facts.step_s, examples)
    filled = estimate(case, past, meter.limits)
    pieces = [each for each in filled.intervals if each not in neighbours]
    energies, methods = _shared(rows, pieces)
    return [
        standing.get(own.seq, own)._replace(
            energy_wh=energies[own.seq], quality=ESTIMATED, origin=methods
        )
        for own in raw
    ]


def _shared(rows: Sequence[Row], pieces: Sequence[Interval]) -> tuple[dict[int, int], str]:
    """Estimated pieces of the grid given to the charges by their common time; and the methods."""
    out = {row.seq: 0 for row in rows}
    methods: dict[str, None] = {}
    for piece in pieces:
        over = [row for row in rows if row.from_s < piece.end_s and piece.start_s < row.time_s]
        seconds = [min(row.time_s, piece.end_s) - max(row.from_s, piece.start_s) for row in over]
        if over:
            for row, part in zip(over, cumulative_floor(piece.energy_wh, seconds), strict=True):
                out[row.seq] += part
            methods[piece.origin] = None
    return out, " + ".join(methods) or "flat"


def _is_news(made: Reading, stands: Reading | None) -> bool:
    return stands is None or made != stands
