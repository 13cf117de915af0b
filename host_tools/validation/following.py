"""Validation behind settlement: what is settled is checked, marked, queued and mended.

Money is taken by what the module metered; this decides afterwards what that was worth. How far it
is stands in the store, of each point apart, and moves in the transaction of what came of it: after
a crash, an outage or a backup it goes on where it was, and several may run at once.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from host_tools import Refused
from host_tools.store import care
from host_tools.store.database import Store
from host_tools.store.held import Overtaken
from host_tools.store.records import Point
from host_tools.validation import accounts, adjusting, journal, mending, months
from host_tools.validation.adjusting import RERATING, Cause
from host_tools.validation.checking import Report, check, marked
from host_tools.validation.days import Day, keep_day, summary
from host_tools.validation.findings import ESTIMATE, FLAG, HOLD, TAMPER, UNUSABLE, Finding
from host_tools.validation.journal import Row, Told
from host_tools.validation.meters import Meter, meter_at
from host_tools.validation.review import Queue
from host_tools.validation.series import ACTUAL, MISSING, Case
from host_tools.validation.versions import MACHINE, Reading, Versions, connection_of
from protocol import codes
from protocol.units import INVALID, Malformed

CONTEXT = 8  # entries before those of the day, to see what they follow
TURN_POINTS_MAX = 200  # of one transaction
POINTS_MAX = 10_000  # found by one look
# While a day goes on only these go to the queue: nothing that comes later can change them.
_AT_ONCE = frozenset(
    [("V11", ESTIMATE), ("V09", TAMPER), ("V06", HOLD), ("V07", HOLD), ("V08", HOLD)]
)

log = logging.getLogger(__name__)

_SEEN = "SELECT COALESCE(SUM(last_id % 1000003), 0) FROM points"
_WAITING = (
    "SELECT p.module, p.point FROM points p JOIN modules m ON m.id = p.module"
    " JOIN entries e ON e.id = p.last_id LEFT JOIN vee_marks v ON v.point_id = p.id"
    " WHERE e.seq > COALESCE(v.seq, 0)"
)


@dataclass(slots=True)
class Done:
    """What a run has done."""

    points: int = 0
    entries: int = 0
    days: int = 0
    readings: int = 0  # that got another quality or mark than they had
    reviews: int = 0
    adjustments: int = 0

    def add(self, other: "Done") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Follower:
    """Follows the points of some shards; `shards` None: of all of them. `confirm` is called in
    every transaction of an owner of shards, who may have been overtaken."""

    def __init__(
        self,
        store: Store,
        now_s: Callable[[], int],
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._now_s = now_s
        self._confirm = confirm
        self._seen: object = None  # last rows and shards for which nothing waited
        self._waiting: deque[tuple[str, int]] = deque()  # (module, point), as last looked for
        self.refused: dict[tuple[str, int], str] = {}  # points that wait for a person, and why

    @property
    def left(self) -> int:
        """Points that are known to wait."""
        return len(self._waiting)

    def _look(self, shards: Collection[int] | None, module: str | None) -> None:
        """Finds points with entries that are not validated yet."""
        connection = connection_of(self._store)
        # Not the newest row of all: workers number theirs in blocks, so it may be another's.
        looked_for = connection.execute(_SEEN).fetchall()[0][0], frozenset(shards or ())
        if looked_for == self._seen or (shards is not None and not shards):
            return
        where, values = "", []
        if shards is not None:
            where = f" AND m.shard IN ({', '.join('?' * len(shards))})"
            values += list(shards)
        if module is not None:
            where += " AND p.module = ?"
            values.append(module)  # type: ignore[arg-type]
        rows = connection.execute(f"{_WAITING}{where} LIMIT ?", (*values, POINTS_MAX))
        found = ((row[0], row[1]) for row in rows.fetchall())
        self._waiting.extend(each for each in found if each not in self.refused)
        if not self._waiting:
            self._seen = looked_for

    def turn(
        self,
        over: Callable[[], bool],
        shards: Collection[int] | None = None,
        module: str | None = None,
    ) -> Done:
        """One transaction of work, until `over`; nothing done where nothing waits."""
        done = Done()
        if not self._waiting:
            self._look(shards, module)
        if not self._waiting:
            return done
        try:
            with self._store.transaction():
                self._confirm()
                for _ in range(min(len(self._waiting), TURN_POINTS_MAX)):
                    done.add(self._apart(*self._waiting.popleft(), over))
                    if over():
                        break
        except Overtaken as error:
            log.info("%s", error)  # what it does is done
            return Done()
        return done

    def _apart(self, module: str, number: int, over: Callable[[], bool]) -> Done:
        """A visit that is undone alone when it is refused: no point keeps the others waiting."""
        try:
            with self._store.step():
                return self._visit(self._store.fleet.point_known(module, number), over)
        except (Refused, Malformed) as error:
            line = f"{module}/{number}: not validated: {error} 未能审核"
            self.refused[module, number] = line
            log.error("%s", line)
            return Done()

    def again(self, point: Point, day: int) -> Done:
        """Checks a local day that is over once more, with what is known by now.

        A tariff that was assigned since for a time that is past is to be priced by, too.
        """
        store, done = self._store, Done()
        book = journal.book_of(store, point)
        if book is None:
            return done
        rows = journal.rows_of(store, point.id, journal.seq_before(store, point.id, day))
        upto_seq, _ = journal.mark_of(store, point.id)
        days = journal.by_day(book, [row for row in rows if row.seq <= upto_seq])
        meter, events = meter_at(store, point, book), journal.told(store, point)
        for each, group in days[:-1]:
            if each == day:
                _Day(store, point, meter, events, day, group, closed=True).check(
                    done, self._now_s()
                )
                mending.mend_tariff(store, point, group, group[0].seq - 1, self._now_s())
        return done

    def _visit(self, point: Point, over: Callable[[], bool]) -> Done:
        """Everything new of one point, day by day; at least one day of it."""
        store, now_s = self._store, self._now_s()
        mark = journal.mark_of(store, point.id)
        rows = journal.rows_of(store, point.id, max(1, mark[1] - CONTEXT))
        new = [row for row in rows if row.seq > mark[0]]
        book = journal.book_of(store, point, new[-1].version) if new else None
        if book is None:
            return Done()  # another one was quicker, or the tariff is gone: told by settlement
        done = Done(points=1)
        meter = meter_at(store, point, book)
        events = journal.told(store, point)
        days = journal.by_day(book, [row for row in rows if row.seq >= mark[1]])
        at_seq, day_seq = mark
        for place, (day, group) in enumerate(days):
            closed = place + 1 < len(days)
            one = _Day(store, point, meter, events, day, group, closed)
            one.check(done, now_s)
            if closed and months.over(day, days[place + 1][0]):
                found = months.of_month(store, point, meter, book, day)
                done.reviews += Queue(store).open(point.id, found, now_s)
            at_seq = group[-1].seq
            day_seq = days[place + 1][1][0].seq if closed else group[0].seq
            if closed and over():
                self._waiting.append((point.module, point.point))
                break
        new = [row for row in new if row.seq <= at_seq]
        known = [row for row in rows if row.seq <= at_seq]
        done.entries += len(new)
        if new:  # else a day that was looked at to its end is over now
            self._mend(point, known, new, events, done, now_s)
        _move(store, point.id, mark, (at_seq, day_seq))
        return done

    def _mend(
        self,
        point: Point,
        rows: Sequence[Row],
        new: Sequence[Row],
        events: Sequence[Told],
        done: Done,
        now_s: int,
    ) -> None:
        """What is put right without a person, and what it costs, as one order for each cause."""
        store = self._store
        mending.note_no_clock(store, point, new, now_s)
        causes = [
            mending.mend_clock(store, point, events, now_s),
            mending.mend_tariff(store, point, rows, new[0].seq - 1, now_s),
            _period_over(store, point, rows, new[0].seq),
        ]
        read = (new[0].seq, new[0].from_s, new[-1].time_s)
        for cause in causes:
            if cause is not None and adjusting.work_off(store, point, cause, now_s, read):
                done.adjustments += 1


class _Day:
    """One local day of a point; `closed` once a later one has begun."""

    def __init__(
        self,
        store: Store,
        point: Point,
        meter: Meter,
        events: Sequence[Told],
        day: int,
        rows: Sequence[Row],
        closed: bool,
    ) -> None:
        self._store = store
        self._point = point
        self._meter = meter
        self._events = events
        self._day = day
        self._rows = rows
        self._closed = closed

    def check(self, done: Done, now_s: int) -> None:
        """Verdicts of its readings, entries of the queue, and at its end the day's own row."""
        report = self._report()
        raw = {row.seq: journal.reading_of(row) for row in self._rows if row.is_charge()}
        done.readings += Versions(self._store).keep(
            self._point.id, verdicts(raw, report), raw, now_s
        )
        found = [
            each
            for each in report.findings
            if self._closed or (each.code, each.action) in _AT_ONCE
        ]
        done.reviews += Queue(self._store).open(self._point.id, found, now_s)
        if self._closed:
            day = Day(self._day, self._rows, report.not_run)
            if keep_day(self._store, self._point, summary(self._store, self._point, day), now_s):
                done.days += 1

    def _report(self) -> Report:
        intervals = journal.intervals_of(self._rows)
        if not intervals:
            return Report((), ())
        meter = self._meter
        start_s, end_s = intervals[0].start_s, intervals[-1].end_s
        case = Case(
            meter.facts,
            start_s,
            end_s,
            end_s,
            intervals,
            registers=journal.registers_of(self._rows, meter.facts.device),
            spans=(*meter.spans, *journal.spans_of(self._events, end_s)),
            exchanges=meter.exchanges,
        )
        report = check(case, meter.limits)
        findings = [*report.findings, *self._told(start_s, end_s)]
        return replace(report, findings=tuple(sorted(findings)))

    def _told(self, start_s: int, end_s: int) -> list[Finding]:
        """What the module itself found: an invalid clock, another meter."""
        out = [
            Finding("V03", row.from_s, row.time_s, FLAG, "clock invalid")
            for row in self._rows
            if row.is_charge() and row.clock == INVALID
        ]
        for each in self._events:
            if each.code == codes.METER_IDENTITY and start_s <= each.time_s < end_s:
                detail = " ".join(str(number) for number in each.args)
                out.append(Finding("V01", each.time_s, each.time_s + 1, HOLD, detail))
        return out


def verdicts(raw: dict[int, Reading], report: Report) -> dict[int, Reading]:
    """The readings that failed something: unusable ones are missing, the others bear a mark."""
    if not report.findings:
        return {}
    spans = sorted(raw.values(), key=lambda each: (each.start_s, each.seq))
    as_intervals = [journal.interval_of(each) for each in spans]
    refused = [each for each in report.findings if each.action in UNUSABLE]
    out = {}
    for each, interval in zip(spans, marked(as_intervals, report), strict=True):
        if interval.failed:
            taken = any(
                finding.start_s < each.end_s and each.start_s < finding.end_s
                for finding in refused
            )
            quality = MISSING if taken else ACTUAL
            out[each.seq] = each._replace(quality=quality, failed=interval.failed)
    return out


def _period_over(store: Store, point: Point, rows: Sequence[Row], first_seq: int) -> Cause | None:
    """What came after a correction was charged from the module's own place in the tiers: the rest
    is ordered once the tier period is over, or an old module tells more."""
    charges = [row for row in rows if row.is_charge()]
    ended = any(
        after.seq >= first_seq and after.period != before.period
        for before, after in pairwise(charges)
    )
    late = care.of(store).of_old(point.id) is not None  # what an old module still had to tell
    if not (ended or late) or not accounts.changed(store, point):
        return None
    return Cause("tier period over", RERATING, MACHINE, "corrected before in this tier period")


def _move(store: Store, point_id: int, was: tuple[int, int], now: tuple[int, int]) -> None:
    """Moves the mark of a point. Overtaken when another one did so meanwhile."""
    connection = connection_of(store)
    connection.execute(
        "INSERT INTO vee_marks (point_id, seq, day_seq) VALUES (?, 0, 1) ON CONFLICT DO NOTHING",
        (point_id,),
    )
    moved = connection.execute(
        "UPDATE vee_marks SET seq = ?, day_seq = ? WHERE point_id = ? AND seq = ? RETURNING seq",
        (*now, point_id, was[0]),
    ).fetchall()
    if not moved:
        raise Overtaken(f"point {point_id} is validated by another program")
