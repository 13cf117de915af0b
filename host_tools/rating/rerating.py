"""A corrected reading re-rates the rest of its tier period, and gives one adjustment.

Where a point stands in its tiers depends on every reading before, so the corrected interval alone
must never be priced again. Pure: what was charged, what is read now and the books are arguments.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from host_tools import Refused
from host_tools.store.records import Settled
from protocol import ledger, tariff
from protocol.tariff import Book, Position
from protocol.units import NCUR_MAX

CORRECTED = "corrected reading"
PRICED_ANEW = "other prices"


@dataclass(frozen=True, slots=True)
class Charge:
    """One settled charge: energy between two instants, and what was asked for it by a book.

    `amount_ncur` is positive; `before` and `after` are the tier positions that the ledger has
    around it. Entries between two charges may move it: a transfer, an opening.
    """

    seq: int
    from_s: int
    to_s: int
    energy_wh: int
    version: int
    amount_ncur: int
    before: Position
    after: Position


@dataclass(frozen=True, slots=True)
class Correction:
    """Other energy for a settled charge, and the version of the readings that says so.

    `instants` are others than it was charged for, where the module's clock was wrong.
    """

    seq: int
    energy_wh: int
    reading_version: int = 0
    instants: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A charge as it stands: what it is priced by, and the positions around it.

    `again` when it was priced anew, which may come to the same.
    """

    was: Charge
    from_s: int
    to_s: int
    energy_wh: int
    version: int
    amount_ncur: int
    before: Position
    after: Position
    again: bool


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The one entry that makes right what was charged. `amount_ncur` is its effect on a balance.

    `charges` were priced again, from `first_seq` on and in these instants; `versions` are the
    tariffs that priced them.
    """

    reason: str
    amount_ncur: int
    energy_wh: int
    first_seq: int
    from_s: int
    to_s: int
    charges: int
    versions: tuple[int, ...]
    reading_version: int


def charges_of(entries: Iterable[Settled]) -> list[Charge]:
    """The charges among a point's settled entries, which come in order from an opening on.

    Where only later ones are wanted, `rerate` starts from the `after` of the one before them.
    """
    out = []
    metered_s = 0
    before = Position(0, 0)
    for entry in entries:
        after = Position(entry.period, entry.used_wh)
        if entry.kind == ledger.CHARGE:
            out.append(
                Charge(
                    entry.seq,
                    metered_s,
                    entry.time_s,
                    entry.energy_wh,
                    entry.version,
                    -entry.amount_ncur,
                    before,
                    after,
                )
            )
        before = after
        if entry.kind in (ledger.CHARGE, ledger.OPENING):
            metered_s = entry.time_s
    return out


def _counts_as(book: Book | None, now: Position, was: Position, at_s: int) -> bool:
    """True when two positions are one at an instant: alike, or both of periods that are over."""
    if now == was or book is None:
        return now == was
    begun, had = (tariff.position_at(book, position, at_s) for position in (now, was))
    return bool(begun == had)


def moved_as(position: Position, was: Position, now: Position) -> Position:
    """A position moved as the ledger's was, by what is no charge, from `was` to `now`."""
    if now == was:
        return position
    begun = now.period != was.period
    if now.used_wh == 0 or (begun and position.period == was.period):
        return now  # an opening, or a transfer into a period that nothing was charged in
    moved_wh = now.used_wh - (0 if begun else was.used_wh)
    return Position(position.period, max(0, position.used_wh + moved_wh))


def standing(
    start: Position,
    charges: Sequence[Charge],
    corrections: Sequence[Correction],
    books: Mapping[int, Book],
    version_of: Callable[[Charge], int] = lambda each: each.version,
    was: Position | None = None,
) -> list[Standing]:
    """Every charge as it stands, one after the other.

    `start` is the position before the first of `charges`, which follow each other; `was` the one
    that the ledger has there, where that is another. `version_of` prices a charge by another
    tariff than the one it had. Once the position is what the ledger has, the rest is as it was:
    at the next reset at the latest.
    """
    given = {correction.seq: correction for correction in corrections}
    unknown = sorted(set(given) - {charge.seq for charge in charges})
    if unknown or len(given) != len(corrections):
        seq = unknown[0] if unknown else corrections[0].seq
        raise Refused(f"correction of {seq}: no such charge, or corrected twice; give each once")
    position = start
    was = start if was is None else was
    out: list[Standing] = []
    for charge in charges:
        position, was = moved_as(position, was, charge.before), charge.before
        correction = given.get(charge.seq)
        version = version_of(charge)
        same = correction is None and version == charge.version
        untouched = same and _counts_as(books.get(version), position, was, charge.from_s)
        was = charge.after
        if untouched:
            out.append(as_charged(charge))
            position = charge.after
            continue
        now_wh = charge.energy_wh if correction is None else correction.energy_wh
        instants = (correction.instants if correction else None) or (charge.from_s, charge.to_s)
        book = books.get(version)
        if book is None:
            raise Refused(f"tariff version {version}: is not in the store; store it first")
        before = position
        amount_ncur, position, _ = tariff.charge(book, before, *instants, now_wh)
        made = now_wh, version, amount_ncur
        out.append(Standing(charge, *instants, *made, before, position, again=True))
    return out


def as_charged(was: Charge) -> Standing:
    """A charge that stands as the ledger has it."""
    metered = was.from_s, was.to_s, was.energy_wh, was.version
    positions = was.before, was.after
    return Standing(was, *metered, was.amount_ncur, *positions, again=False)


def adjustment(stands: Sequence[Standing], corrections: Sequence[Correction]) -> Adjustment | None:
    """What charges as they stand cost beyond what was charged; None when that is nothing."""
    again = [each for each in stands if each.again]
    owed_ncur = sum(each.amount_ncur - each.was.amount_ncur for each in again)
    energy_wh = sum(each.energy_wh - each.was.energy_wh for each in again)
    if owed_ncur == 0 and energy_wh == 0:
        return None
    if abs(owed_ncur) > NCUR_MAX:
        raise Refused("adjustment: leaves 64 bits; look at the corrected readings")
    return Adjustment(
        CORRECTED if corrections else PRICED_ANEW,
        -owed_ncur,
        energy_wh,
        again[0].was.seq,
        again[0].was.from_s,
        again[-1].was.to_s,
        len(again),
        tuple(sorted({each.version for each in again})),
        max((correction.reading_version for correction in corrections), default=0),
    )


def rerate(
    start: Position,
    charges: Sequence[Charge],
    corrections: Sequence[Correction],
    books: Mapping[int, Book],
    version_of: Callable[[Charge], int] = lambda each: each.version,
) -> Adjustment | None:
    """The adjustment of a point, or None when nothing that is owed changes."""
    return adjustment(standing(start, charges, corrections, books, version_of), corrections)
