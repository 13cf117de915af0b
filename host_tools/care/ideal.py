"""What a new module's ledger should hold, had one module metered all along. Pure sums.

One customer, two ledgers: the old module's up to where its meter stood when the new one began,
the energy in between, then the new module's own. Here the old entries that lie beyond the
hand-over are taken back, the gap is priced, and the new module's charges are priced again from the
tier position that they should have had. Watt-hours, nano-currency; corrections are credits of the
customer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from host_tools.rating import rerating
from host_tools.rating.rerating import Charge
from host_tools.store.records import Settled
from host_tools.validation.journal import adopted
from protocol import ledger, tariff
from protocol.tariff import Book, Position

# More than a household's connection carries: then it is not the same meter.
GAP_W_MAX = 23_000
UNUSED = Position(0, 0)
GAP = 0  # in place of a sequence
RECORDS_LOST = "lost records of the old module"
OVERLAP_S = 900  # by how much two clocks may disagree about who read the meter first


class Unclear(Exception):
    """The registers do not fit together; the text says how."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Where the new ledger begins, and what the meters showed, in the registers of the ledgers.

    `sure` when a person has read both meters; otherwise the meter stayed.
    """

    opened_s: int
    opened_wh: int  # register of the new ledger's opening
    day: int  # last local day whose fixed charge is not the new module's
    old_end_wh: int
    new_start_wh: int
    sure: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The old ledger as far as it counts, and what is to be corrected.

    `charges` are the energy that was priced here, one after the other, as it counts: by the
    sequence of the entry that it comes from, GAP for what no module metered.
    """

    time_s: int
    register_wh: int
    day: int
    position: Position
    energy_ncur: int
    fixed_ncur: int
    charges: tuple[Charge, ...] = ()


Books = Callable[[int], Book]


def metered_s(before_s: int, entry: Settled) -> int:
    """The metered instant after an entry: only energy moves it."""
    return entry.time_s if entry.kind in (ledger.CHARGE, ledger.OPENING) else before_s


def is_beyond(entry: Settled, at: HandOver) -> bool:
    """Whether an entry of the old ledger may be of a time that is the new module's."""
    return entry.register_wh > at.old_end_wh or entry.time_s > at.opened_s


def counted(before: Standing, beyond: Iterable[Settled], at: HandOver, books: Books) -> Standing:
    """The old ledger with its last entries cut off where the new one begins.

    Unclear when the old module had charged beyond the new one's register before that began, and
    where records are lost that may lie on both sides of the hand-over.
    """
    now = before
    made: list[Charge] = []
    seen_wh, seen_s = before.register_wh, before.time_s
    for entry in beyond:
        if entry.kind == ledger.FIXED:
            if entry.number > at.day:
                now = replace(now, fixed_ncur=now.fixed_ncur - entry.amount_ncur)
            else:
                now = replace(now, day=max(now.day, entry.number))
            continue
        if adopted(entry.kind, entry.number):
            raise Unclear(f"{RECORDS_LOST} up to {entry.register_wh} Wh")
        if entry.kind != ledger.CHARGE:
            continue
        if entry.register_wh > at.old_end_wh and entry.time_s <= at.opened_s - OVERLAP_S:
            raise Unclear(f"old {entry.register_wh} Wh, new {at.old_end_wh} Wh")
        energy_wh = max(0, min(entry.register_wh, at.old_end_wh) - seen_wh)
        # What of it counts was used before the new one began, in whose tier period it stays.
        from_s, end_s = (min(at_s, at.opened_s) for at_s in (seen_s, entry.time_s))
        book = books(entry.version)
        cost_ncur, position, _ = tariff.charge(book, now.position, from_s, end_s, energy_wh)
        refund_ncur = -entry.amount_ncur - cost_ncur
        metered = from_s, end_s, energy_wh, entry.version
        made.append(Charge(entry.seq, *metered, cost_ncur, now.position, position))
        now = Standing(
            max(now.time_s, end_s),
            now.register_wh + energy_wh,
            now.day,
            position,
            now.energy_ncur + refund_ncur,
            now.fixed_ncur,
        )
        seen_wh, seen_s = entry.register_wh, entry.time_s
    return replace(now, charges=tuple(made))


def gap(now: Standing, at: HandOver, book: Book) -> Standing:
    """The energy and the days between the two ledgers, priced by the new one's tariff."""
    gap_wh = at.old_end_wh - now.register_wh + at.opened_wh - at.new_start_wh
    from_s = min(now.time_s, at.opened_s)
    if gap_wh < 0:
        raise Unclear(f"the registers leave {gap_wh} Wh between the two ledgers")
    most_wh = GAP_W_MAX * (at.opened_s - from_s + OVERLAP_S) // 3600
    if not at.sure and gap_wh > most_wh:
        raise Unclear(f"{gap_wh} Wh between the two ledgers, more than the wires carry")
    cost_ncur, position, _ = tariff.charge(book, now.position, from_s, at.opened_s, gap_wh)
    metered = from_s, at.opened_s, gap_wh, book.version
    filled = Charge(GAP, *metered, cost_ncur, now.position, position)
    first = max(now.day + 1, at.day + 1 - ledger.DAYS_DUE_MAX)
    fixed_ncur = sum(tariff.fixed_ncur(book, day) for day in range(first, at.day + 1))
    return Standing(
        at.opened_s,
        at.opened_wh,
        max(now.day, at.day),
        tariff.position_at(book, position, at.opened_s),
        now.energy_ncur - cost_ncur,
        now.fixed_ncur - fixed_ncur,
        (*now.charges, filled),
    )


def priced_again(now: Standing, entries: Iterable[Settled], books: Books) -> Standing:
    """The new module's entries from its opening on, by the position that they should have had.

    What stands for lost records cost what it did, and moves the position as it did the module's.
    """
    position, at_s, more_ncur = now.position, now.time_s, 0
    made: list[Charge] = []
    was = UNUSED
    for entry in entries:
        before_entry, was = was, Position(entry.period, entry.used_wh)
        if adopted(entry.kind, entry.number):
            position, at_s = rerating.moved_as(position, before_entry, was), entry.time_s
        if entry.kind == ledger.CHARGE:
            book, before = books(entry.version), position
            metered = at_s, entry.time_s, entry.energy_wh
            cost_ncur, position, _ = tariff.charge(book, before, *metered)
            made.append(Charge(entry.seq, *metered, entry.version, cost_ncur, before, position))
            more_ncur += -entry.amount_ncur - cost_ncur
            at_s = entry.time_s
    return replace(
        now,
        position=position,
        time_s=at_s,
        energy_ncur=now.energy_ncur + more_ncur,
        charges=(*now.charges, *made),
    )
