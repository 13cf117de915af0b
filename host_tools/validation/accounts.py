"""The charges of an account as they stand: what exchanges of modules and corrections made of them.

One customer may have had several modules, each with a ledger of its own. An account's charges are
then what one module would have charged in its time, which is what the exchange has made them cost;
a correction in an earlier account moves the tier position that a later one begins with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from host_tools.care import following, ideal
from host_tools.rating import calendar, rerating
from host_tools.rating.rerating import Charge, Correction, Standing
from host_tools.store import care
from host_tools.store.care import Care, Replacement
from host_tools.store.database import Store
from host_tools.store.records import Point, Settled
from host_tools.validation import journal
from host_tools.validation.journal import Row
from host_tools.validation.series import MISSING
from host_tools.validation.versions import Versions
from protocol import ledger, tariff
from protocol.tariff import Book, Position

UNUSED = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Account:
    """Charges that follow each other, from the first that is otherwise than the ledger has it.

    `begun` are the positions before them, as charged and as it stands; `days` are daily charges
    that stand by another tariff than their module knew.
    """

    begun: tuple[Position, Position]
    stands: tuple[Standing, ...]
    corrections: tuple[Correction, ...]
    days: tuple[Standing, ...] = ()

    def every(self) -> list[Standing]:
        return sorted((*self.stands, *self.days), key=lambda each: each.was.seq)

    @property
    def ended(self) -> tuple[Position, Position]:
        """The positions behind them, as charged and as it stands."""
        if not self.stands:
            return self.begun
        return self.stands[-1].was.after, self.stands[-1].after


def changed(store: Store, point: Point) -> bool:
    """Whether a reading of the customer, of this account or one before it, was ever corrected."""
    known, versions = care.of(store), Versions(store)
    at: int | None = point.id
    while at is not None:
        if versions.first_change(at) is not None:
            return True
        row = known.of_new(at)
        at = None if row is None else row.old_point
    return False


def touched(store: Store, point: Point) -> list[tuple[int, int]]:
    """Spans in which charges of an account may count otherwise than they once did; what follows
    one may, to the end of its tier period."""
    known, versions, out = care.of(store), Versions(store), []
    changes = versions.changes(point.id)
    if changes is not None:
        first_seq, last_seq, from_s, to_s = changes
        charged = [store.ledgers.since(point, seq, 1)[0] for seq in (first_seq, last_seq)]
        out.append((min(from_s, charged[0].from_s), max(to_s, charged[1].time_s)))
    before = known.of_new(point.id)
    opening = None if before is None else following.opening_of(store, point)
    if opening is not None:
        out.append((opening.time_s, opening.time_s))
    opening = _next_opening(store, known, point)
    if opening is not None:
        ended_s = opening.time_s
        out.append((ended_s - ideal.OVERLAP_S, max(ended_s, int(point.state.time_s))))
    return out


def _next_opening(store: Store, known: Care, point: Point) -> Settled | None:
    """Of the module that took over from a point; None while there is none."""
    row = known.of_old(point.id)
    return None if row is None else following.opening_of(store, known.point(row.new_point))


def of(store: Store, point: Point) -> Account | None:
    """An account as it stands; None where each charge is what the ledger says."""
    known = care.of(store)
    before, after = known.of_new(point.id), known.of_old(point.id)
    if before is not None and following.opening_of(store, point) is None:
        before = None
    if after is not None and following.opening_of(store, known.point(after.new_point)) is None:
        after = None
    if before is None and after is None:
        return _own(store, point)
    begun = UNUSED, UNUSED
    if before is None:
        charges = _metered(store, point, 1)[1]
    else:
        begun, charges = _taken_over(store, known, before, point)
    if after is None:
        return _standing(store, point, begun, charges, charges)
    counted = _handed_on(store, known, after, point, charges)
    return _standing(store, point, begun, counted, charges)


def _own(store: Store, point: Point) -> Account | None:
    """Of a module that is alone, from the first reading that was ever corrected."""
    first_seq = Versions(store).first_change(point.id)
    if first_seq is None:
        return None
    start, charges = _metered(store, point, first_seq)
    return _standing(store, point, (start, start), charges, charges)


def _metered(store: Store, point: Point, first_seq: int) -> tuple[Position, list[Charge]]:
    """(the position before a sequence, the charges of the ledger from there on)."""
    rows = journal.rows_of(store, point.id, max(1, first_seq - 1))
    start = _position(rows.pop(0)) if rows and rows[0].seq < first_seq else UNUSED
    befores = [start, *map(_position, rows)]
    return start, [
        _charge(row, was) for row, was in zip(rows, befores, strict=False) if row.is_charge()
    ]


def _taken_over(
    store: Store, known: Care, row: Replacement, point: Point
) -> tuple[tuple[Position, Position], list[Charge]]:
    """The positions that an account begins with, and its charges: the energy in between first."""
    old = known.point(row.old_point)
    taken = following.taken_over(store, row, old, point)
    earlier = of(store, old)
    begun = (UNUSED, UNUSED) if earlier is None else earlier.ended
    charges = list(taken.standing.charges)
    _, own = _split(charges)
    start = own[0].before if own else taken.standing.position
    return (start, rerating.moved_as(begun[1], begun[0], start)), own


def _handed_on(
    store: Store, known: Care, row: Replacement, point: Point, charges: list[Charge]
) -> list[Charge]:
    """Charges without what the next module has charged in their place."""
    taken = following.taken_over(store, row, point, known.point(row.new_point))
    cut, _ = _split(list(taken.standing.charges))
    return [each for each in charges if each.seq <= taken.upto_seq] + cut


def _split(charges: list[Charge]) -> tuple[list[Charge], list[Charge]]:
    """What one module metered, and what came behind it."""
    place = next((n for n, each in enumerate(charges) if each.seq == ideal.GAP), 0)
    return charges[:place], charges[place:]


def _standing(
    store: Store,
    point: Point,
    begun: tuple[Position, Position],
    charges: Sequence[Charge],
    metered: Sequence[Charge],
) -> Account:
    """What was cut off at the end of an account stays as the exchange has settled it."""
    whole = {each.seq: (each.from_s, each.to_s, each.energy_wh) for each in metered}
    seqs = [each.seq for each in charges if each.seq != ideal.GAP]
    known = Versions(store).standing(point.id, seqs[0], seqs[-1]) if seqs else {}
    corrections = []
    tariffs: dict[int, int] = {}
    for charge in charges:
        stands, was = known.get(charge.seq), whole.get(charge.seq)
        if stands is None or was is None or stands.quality == MISSING:
            continue  # what has no value yet stays as it was charged
        if (charge.from_s, charge.energy_wh) != (was[0], was[2]):
            continue
        if stands.tariff is not None:
            tariffs[charge.seq] = stands.tariff
        instants = stands.start_s, stands.end_s
        if (*instants, stands.energy_wh) != was:
            moved = None if instants == was[:2] else instants
            what = charge.seq, stands.energy_wh, stands.version, moved
            corrections.append(Correction(*what))
    versions = {each.version for each in charges} | set(tariffs.values())
    stands_ = rerating.standing(
        begun[1],
        charges,
        corrections,
        _books(store, versions),
        lambda each: tariffs.get(each.seq, each.version),
        begun[0],
    )
    days = _days(store, point) if Versions(store).priced_otherwise(point.id) else []
    return Account(begun, tuple(stands_), tuple(corrections), tuple(days))


def _days(store: Store, point: Point) -> list[Standing]:
    """Daily charges by the tariff that was assigned when their day began, where the module took it
    later. None beyond an exchange, which has settled those itself."""
    opening = _next_opening(store, care.of(store), point)
    out = []
    for row in journal.rows_of(store, point.id, 1):
        if row.kind != ledger.FIXED or (opening is not None and row.number > opening.number):
            continue
        own = store.fleet.book(row.version)
        begun_s = 0 if own is None else calendar.midnight_s(own, row.number)
        version = store.fleet.assigned(point.id, begun_s)
        book = None if version is None else store.fleet.book(version)
        if book is None or book.version == row.version or book.currency != point.currency:
            continue
        position = _position(row)
        what = (row.version, -row.amount_ncur, position, position)
        was = Charge(row.seq, begun_s, begun_s, 0, *what)
        amount_ncur = tariff.fixed_ncur(book, row.number)
        made = book.version, amount_ncur, position, position
        out.append(Standing(was, begun_s, begun_s, 0, *made, again=True))
    return out


def _books(store: Store, versions: set[int]) -> dict[int, Book]:
    found = {version: store.fleet.book(version) for version in versions}
    return {version: book for version, book in found.items() if book is not None}


def _charge(row: Row, before: Position) -> Charge:
    metered = row.from_s, row.time_s, row.energy_wh
    return Charge(row.seq, *metered, row.version, -row.amount_ncur, before, _position(row))


def _position(row: Row) -> Position:
    return Position(row.period, row.used_wh)
