"""What the host mends by itself: the time of charges under an invalid clock, and a late tariff.

A charge without a known time keeps the instants of the module's false clock, and its price, until
the module tells when its clock was set: the run then moves by as much as the clock did. A charge
by another tariff than the assigned one is to be priced by that one. Both become versions of
readings.
"""

from collections.abc import Mapping, Sequence

from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import closing, journal
from host_tools.validation.adjusting import CLOCK, TARIFF, Cause
from host_tools.validation.journal import Row, Told
from host_tools.validation.versions import MACHINE, Reading, Versions
from protocol import codes
from protocol.units import DAY_S, INTERVAL_S, INVALID

NO_CLOCK = "clock invalid"  # a class of differences, beside those of settlement
CLOCK_RULE, TARIFF_RULE = "V03", "assigned tariff"


def note_no_clock(store: Store, point: Point, new: Sequence[Row], now_s: int) -> None:
    """Opens the difference of charges whose time nobody knows."""
    first = next((row for row in new if row.is_charge() and row.clock == INVALID), None)
    if first is None or NO_CLOCK in closing.open_at(store, point.id):
        return
    values = first.time_s, "not known yet"
    store.ledgers.differ(point.id, NO_CLOCK, "charges", first.seq, values, now_s)


def mend_clock(store: Store, point: Point, events: Sequence[Told], now_s: int) -> Cause | None:
    """Moves a run of charges under an invalid clock to when they were, once that is known."""
    first_seq = closing.open_at(store, point.id).get(NO_CLOCK)
    if first_seq is None:
        return None
    charges = [row for row in journal.rows_of(store, point.id, first_seq) if row.is_charge()]
    run = [row for row in charges if row.clock == INVALID]
    later = (row for row in charges if row.clock != INVALID)
    after = next(later, None)
    if after is None or not run:
        return None
    later_ones = [row for row in charges if row.seq > after.seq]
    run = [row for row in run if row.seq < after.seq]
    told = _set_at(events, run[-1], after)
    if told is None:
        if now_s < after.arrived_s + DAY_S:
            return None  # its event may still be on the way
        _closed(store, point, "priced as metered: no record of when its clock was set", now_s)
        note_no_clock(store, point, later_ones, now_s)
        return None
    old_s, new_s = told
    boots = [
        each.time_s
        for each in events
        if each.code == codes.BOOT and each.clock == INVALID and run[0].from_s <= each.time_s
        if each.time_s <= old_s
    ]
    since_s = max(boots) if len(boots) > 1 else 0  # of lives before the last one nothing is known
    by_s = new_s - old_s
    known = Versions(store).standing(point.id, run[0].seq, after.seq)
    rows = [row for row in run if row.from_s >= since_s]
    if rows:
        # A clock that was fast moves no charge into the one before the run, or behind it.
        ends_s = rows[0].from_s, after.time_s
        moved = []
        for row in rows:
            from_s, to_s = (_within(at_s + by_s, *ends_s) for at_s in (row.from_s, row.time_s))
            moved.append(_moved(store, point, known, row, (from_s, to_s)))
        moved.append(_moved(store, point, known, after, (to_s, after.time_s)))
        why = f"clock set {old_s} -> {new_s}"
        _add(store, point, moved, CLOCK_RULE, why, now_s)
    _closed(store, point, f"clock set {old_s} -> {new_s}", now_s)
    note_no_clock(store, point, later_ones, now_s)  # the clock may have been lost again
    return Cause(CLOCK_RULE, CLOCK, MACHINE, f"clock set {old_s} -> {new_s}")


def _within(at_s: int, from_s: int, to_s: int) -> int:
    return min(max(at_s, from_s), to_s)


def _set_at(events: Sequence[Told], last: Row, after: Row) -> tuple[int, int] | None:
    """(false time, true time) of the setting of the clock between two charges."""
    for each in reversed(events):
        if each.code != codes.CLOCK_SET or len(each.args) != 2:
            continue
        old_s, new_s = each.args
        if old_s >= last.time_s and abs(new_s - after.time_s) <= INTERVAL_S:
            return old_s, new_s
    return None


def _moved(
    store: Store,
    point: Point,
    known: Mapping[int, Reading],
    row: Row,
    instants: tuple[int, int],
) -> Reading:
    """What stands of a charge at other instants, by the tariff of that time: energy and quality
    are as they were decided."""
    stands = known.get(row.seq) or journal.reading_of(row)
    start_s, end_s = instants
    failed = stands.failed
    if row.clock == INVALID and CLOCK_RULE not in failed:
        failed = tuple(sorted((*failed, CLOCK_RULE)))
    return stands._replace(
        start_s=start_s,
        end_s=end_s,
        tariff=_assigned(store, point, row, start_s),
        origin=stands.origin or "clock set",
        failed=failed,
    )


def mend_tariff(
    store: Store, point: Point, rows: Sequence[Row], after_seq: int, now_s: int
) -> Cause | None:
    """Prices charges behind a sequence by their assigned tariff; a cause once the module has it.

    `rows` begin a little before, so that the module is seen to take it.
    """
    charges = [row for row in rows if row.is_charge()]
    ends = (charges[0].seq, charges[-1].seq) if charges else (0, -1)
    known = Versions(store).standing(point.id, *ends)
    late: list[Reading] = []
    was_late = taken = False
    for row in charges:
        stands = known.get(row.seq) or journal.reading_of(row)
        wanted = _assigned(store, point, row, stands.start_s)
        if row.seq > after_seq:
            if stands.tariff != wanted:
                late.append(stands._replace(tariff=wanted))
            taken = taken or (was_late and wanted is None)
        was_late = wanted is not None
    if late:
        named = sorted({each.tariff for each in late if each.tariff is not None})
        why = f"assigned tariff {', '.join(map(str, named)) or 'as charged'}"
        _add(store, point, late, TARIFF_RULE, why, now_s)
    if not taken:
        return None
    return Cause(TARIFF_RULE, TARIFF, MACHINE, "charged by another tariff than the assigned one")


def _assigned(store: Store, point: Point, row: Row, start_s: int) -> int | None:
    """The tariff that a charge from an instant on is to be priced by, where it is another one."""
    assigned = store.fleet.assigned(point.id, start_s)
    if assigned is None or assigned == row.version:
        return None
    book = store.fleet.book(assigned)
    return assigned if book is not None and book.currency == point.currency else None


def _add(
    store: Store, point: Point, readings: list[Reading], rule: str, why: str, now_s: int
) -> None:
    Versions(store).add(point.id, readings, rule, MACHINE, why, now_s)


def _closed(store: Store, point: Point, why: str, now_s: int) -> None:
    closing.close_kind(store, point.id, NO_CLOCK, MACHINE, why, now_s)
