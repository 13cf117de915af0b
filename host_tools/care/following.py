"""Keeps a new module's ledger in step with the one before it, however late that one tells.

Each look works out from the journals alone what has to have moved in altogether, takes off what
was ordered before, and orders the rest by one signed command. So it does not matter when it runs,
how often, or where it was killed; what the old module tells months later is moved once. Runs
inside the caller's transaction, of the owner of the new module's shard or of a person's command.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from host_tools.care import ideal
from host_tools.care.ideal import HandOver, Standing, Unclear
from host_tools.settlement import commands, posting
from host_tools.store import care, host_entries, orders
from host_tools.store.care import Care, Replacement
from host_tools.store.database import Store
from host_tools.store.orders import Record
from host_tools.store.records import Point, Settled
from host_tools.validation.journal import adopted
from protocol import cbor, codes, ledger, tariff
from protocol.tariff import Book, Position
from protocol.units import DAY_S

LIFE_S = 365 * DAY_S  # its id protects it, not its age
WINDOW = 64  # entries of the old ledger that are looked at first
SWAP = "meter swap or rollover"
REFUSED = "refused by the new module"
OPENING_LOST = "the opening of the new ledger is lost"
TRANSFER_LOST = "lost records of the new ledger may have a transfer"
DEBTS = (1, 2, 3)


def look(store: Store, shards: Collection[int], now_s: int) -> None:
    """Every replacement into our shards, as far as there is something new."""
    known = care.of(store)
    for row in known.told_more():
        new = known.point(row.new_point)
        if store.fleet.module_known(new.module).shard in shards:
            follow(store, row, now_s)


def due(store: Store) -> bool:
    """Whether any journal has told something new; one question to the store."""
    return bool(care.of(store).told_more())


def follow(store: Store, row: Replacement, now_s: int, anew: bool = False) -> Replacement:
    """Brings one replacement up to date; `anew` also after the module has refused an order."""
    known = care.of(store)
    old, new = known.point(row.old_point), known.point(row.new_point)
    seqs = old.state.seq, new.state.seq
    told = row.old_seq != seqs[0]
    if not anew and not told and (row.quiet or row.new_seq == seqs[1]):
        return row
    row = _debts(store, row, old, new, now_s)
    if not new.state.time_s:
        row = replace(row, old_seq=seqs[0], new_seq=seqs[1])
        return known.keep(row)  # its opening says from where it charges
    if opening_of(store, new) is None:
        row = replace(row, old_seq=seqs[0], new_seq=seqs[1], held=OPENING_LOST)
        return known.keep(row)
    moved = _ordered(store, new)
    if moved.refused and not anew:
        row = replace(row, old_seq=seqs[0], new_seq=seqs[1], held=REFUSED)
        return known.keep(row)
    taken = taken_over(store, row, old, new)
    wanted, held = taken.standing, taken.held
    if held:
        values = (old.state.register_wh, new.state.register_wh)
        store.ledgers.differ(new.id, SWAP, "replacement", new.state.seq, values, now_s)
    else:
        store.ledgers.agree(new.id, SWAP, now_s, "replacement")
    twice_ncur = known.credited_twice_ncur(old.id)
    energy_ncur, fixed_ncur = wanted.energy_ncur, wanted.fixed_ncur
    total_ncur = old.state.balance_ncur - twice_ncur + energy_ncur + fixed_ncur
    more_ncur = total_ncur - moved.amount_ncur
    lost_ncur = _lost_ncur(store, new)
    if lost_ncur and more_ncur:  # ordered once and forgotten, or something else
        held = held if more_ncur == lost_ncur else TRANSFER_LOST
        more_ncur = 0
    more_wh = _used(store, new, wanted.position, moved.pending)
    _book(store, row, old, new, wanted, now_s)
    if more_ncur or more_wh:
        period = wanted.position.period
        args: list[object] = [more_ncur, period, more_wh]
        commands.issue(store, new.module, new.point, codes.TRANSFER, args, now_s, LIFE_S)
    row = replace(
        row,
        out_ncur=old.state.balance_ncur,
        energy_ncur=energy_ncur,
        fixed_ncur=fixed_ncur,
        old_seq=seqs[0],
        new_seq=seqs[1],
        quiet=int(not (more_ncur or more_wh or moved.pending)),
        held=held,
    )
    return known.keep(row)


class _Moved:
    """What was ordered so far: applied or under way; `pending` are those without an entry yet."""

    def __init__(self, amount_ncur: int, pending: list[Record], refused: bool) -> None:
        self.amount_ncur = amount_ncur
        self.pending = pending
        self.refused = refused


def _ordered(store: Store, new: Point) -> _Moved:
    sent = orders.of(store).of_action(new.module, new.point, codes.TRANSFER)
    entries = {
        entry.number: entry.amount_ncur
        for entry in store.ledgers.entries(new.id)
        if entry.kind == ledger.TRANSFER and not adopted(entry.kind, entry.number)
    }
    under_way = ("queued", "sent", "done")
    pending = [each for each in sent if each.id not in entries and each.state in under_way]
    amount_ncur = sum(entries.values()) + sum(_args(each)[0] for each in pending)
    refused = bool(sent) and sent[-1].state == "refused" and sent[-1].id not in entries
    return _Moved(amount_ncur, pending, refused)


def opening_of(store: Store, point: Point) -> Settled | None:
    """Of a ledger; one that goes on from an adopted statement may have none."""
    entries = store.ledgers.entries(point.id)
    return next((entry for entry in entries if entry.kind == ledger.OPENING), None)


def _lost_ncur(store: Store, new: Point) -> int:
    """What records that were lost in a restored store had besides charges and payments."""
    lost = host_entries.of(store).of_rule(new.id, host_entries.ROLLBACK, posting.OTHERS)
    return sum(each.amount_ncur for each in lost)


def _args(record: Record) -> list[int]:
    return [int(value) for value in commands.args_of(record.args)]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one account has of two ledgers: entries of the old one up to `upto_seq` as they are,
    which leave the tiers at `position`; the rest as `standing` has it. `held`: why a person has to
    look."""

    upto_seq: int
    position: Position
    standing: Standing
    held: str = ""


def taken_over(store: Store, row: Replacement, old: Point, new: Point) -> Taken:
    """What should be in the new ledger, which has opened, beyond the old balance.

    While the registers are unclear, nothing is guessed: the balance and the position move, no gap.
    """
    entries = list(store.ledgers.entries(new.id))
    place = next(n for n, entry in enumerate(entries) if entry.kind == ledger.OPENING)
    opening, rest = entries[place], entries[place:]
    books = _books(store)
    book = books(opening.version)
    at = _hand_over(store, row, old, opening)
    if not old.state.time_s:
        # The old ledger never opened: nothing was metered before.
        day = opening.number
        position = Position(opening.period, 0)
        now = Standing(opening.time_s, opening.register_wh, day, position, 0, 0)
        return Taken(0, position, ideal.priced_again(now, rest, books))
    try:
        upto_seq, before, beyond = _end_of(store, old, at)
        now = ideal.gap(ideal.counted(before, beyond, at, books), at, book)
        return Taken(upto_seq, before.position, ideal.priced_again(now, rest, books))
    except Unclear as error:
        state = old.state
        left = Position(state.period, state.used_wh)
        position = tariff.position_at(book, left, max(state.time_s, at.opened_s))
        now = Standing(at.opened_s, at.opened_wh, state.day, position, 0, 0)
        return Taken(state.seq, left, ideal.priced_again(now, rest, books), str(error))


def _books(store: Store) -> ideal.Books:
    def of(version: int) -> Book:
        book = store.fleet.book(version)
        if book is None:
            raise LookupError(f"tariff {version}")  # nothing is settled without its book
        return book

    return of


def _hand_over(store: Store, row: Replacement, old: Point, opening: Settled) -> HandOver:
    """In ledger registers: the old meter's reading and the offset that its ledger has to it."""
    told = care.of(store).told(old.module, old.point, codes.METER_REBASED)
    figures = cbor.decode(told[-1][1]) if told else None
    offset_wh = figures[3] if isinstance(figures, list) and len(figures) == 4 else 0
    sure = row.old_end_wh is not None and row.new_start_wh is not None
    old_wh = opening.register_wh if row.old_end_wh is None else row.old_end_wh
    new_wh = opening.register_wh if row.new_start_wh is None else row.new_start_wh
    where = opening.time_s, opening.register_wh, opening.number
    return HandOver(*where, int(old_wh) + int(offset_wh), new_wh, sure)


def _end_of(store: Store, old: Point, at: HandOver) -> tuple[int, Standing, list[Settled]]:
    """The last entry of the old ledger before one that may lie beyond the hand-over, what stands
    behind it, and what comes from there on."""
    state = old.state
    if state.register_wh > at.old_end_wh and state.time_s <= at.opened_s - ideal.OVERLAP_S:
        raise Unclear(f"old {state.register_wh} Wh, new {at.old_end_wh} Wh")
    window = WINDOW
    while True:
        first_seq = max(1, state.seq - window)
        entries = list(store.ledgers.entries(old.id, first_seq))
        if first_seq == 1 or not ideal.is_beyond(entries[0], at):
            break
        window *= 4
    place = next(
        (n for n, entry in enumerate(entries) if ideal.is_beyond(entry, at)), len(entries)
    )
    if not place:
        raise Unclear("the old ledger begins behind the new one")
    before = entries[place - 1]
    beyond = entries[place:]
    later = store.ledgers.since(old, before.seq + 1, 1)
    metered = later[0].from_s if later else int(old.state.time_s)
    day = state.day
    for entry in beyond:
        if entry.kind == ledger.FIXED:
            day = min(day, entry.number - 1)
    position = Position(before.period, before.used_wh)
    return before.seq, Standing(metered, before.register_wh, day, position, 0, 0), beyond


def _used(store: Store, new: Point, wanted: Position, pending: list[Record]) -> int:
    """Watt-hours by which the new module's tier position is short in the present period."""
    state = new.state
    book = store.fleet.book(state.version)
    if book is None:
        return 0
    now = tariff.position_at(book, Position(state.period, state.used_wh), state.time_s)
    should = tariff.position_at(book, wanted, state.time_s)
    under_way = sum(_args(each)[2] for each in pending if _args(each)[1] == now.period)
    return int(should.used_wh - now.used_wh - under_way)


def _book(
    store: Store, row: Replacement, old: Point, new: Point, wanted: Standing, now_s: int
) -> None:
    """The other half of what moves in: out of the old account, and into or out of the revenue."""
    currency, seq = new.currency, old.state.seq
    out_ncur = old.state.balance_ncur - row.out_ncur
    pair = posting.CUSTOMER, posting.TRANSFER
    rows = posting.moved(old.id, now_s, pair, out_ncur, currency, seq)
    for account, amount_ncur in (
        (posting.ENERGY, wanted.energy_ncur - row.energy_ncur),
        (posting.FIXED, wanted.fixed_ncur - row.fixed_ncur),
    ):
        pair = account, posting.TRANSFER
        rows += posting.moved(new.id, now_s, pair, amount_ncur, currency, seq)
    store.ledgers.post(rows)


def _debts(store: Store, row: Replacement, old: Point, new: Point, now_s: int) -> Replacement:
    """What is left of the old module's debts is agreed with the new one, and lowered when the old
    one turns out to have recovered more."""
    known = care.of(store)
    left = list(_left(store, known, old))
    before = cbor.decode(row.debts)
    if left == before or not isinstance(before, list):
        return row
    for which, (was_ncur, now_ncur) in enumerate(zip(before, left, strict=True), 1):
        if was_ncur == now_ncur:
            continue
        sent = orders.of(store).of_action(old.module, old.point, codes.DEBT)
        terms = [_args(each) for each in sent if _args(each)[0] == which]
        if not terms:  # ordered by a store that was lost: a person agrees it anew
            continue
        owed_ncur = max(0, now_ncur + store.ledgers.recovered(new.id, which))
        args: list[object] = [which, owed_ncur, *terms[-1][2:]]
        commands.issue(store, new.module, new.point, codes.DEBT, args, now_s, LIFE_S)
    return known.keep(replace(row, debts=cbor.encode(left)))


def _left(store: Store, known: Care, old: Point) -> Iterator[int]:
    """What was left of each debt when the module told it last, less what it recovered since."""
    told = known.told(old.module, old.point, codes.DEBT_LEFT)
    figures = [
        (time_s, args) for time_s, wire in told if isinstance(args := cbor.decode(wire), list)
    ]
    for which in DEBTS:
        mine = [(time_s, args[1]) for time_s, args in figures if args[0] == which]
        if not mine:
            yield 0
            continue
        since_s, left_ncur = mine[-1]
        yield int(left_ncur) - sum(
            -entry.amount_ncur
            for entry in store.ledgers.entries(old.id)
            if entry.kind == ledger.DEBT and entry.number == which and entry.time_s > since_s
        )
