"""The heart: a batch of facts becomes entries priced by our own book, postings and a new state.

Everything is worked out before anything is written, so a batch that is refused leaves no trace.
Runs inside the caller's transaction. Never believes a figure of the module; it compares.
"""

from typing import cast

from host_tools.settlement import commands, figures, plain, posting, pricing, screening
from host_tools.settlement.pricing import Prices
from host_tools.store import care, orders
from host_tools.store.database import Store
from host_tools.store.records import Module, Point, Repeated, Said
from protocol import cbor, codes, ledger, tariff
from protocol.facts import Fact, rebuild
from protocol.ledger import Entry, State
from protocol.messages import Readings, Statement
from protocol.units import CONTRADICTORY, INTERVAL_S, INVALID, REPLAYED, UNKNOWN_POINT, Malformed

# Classes of differences, as two-ledgers.md lists them.
ROLLBACK = "storage rollback"
VERSION = "tariff version behind"
TAMPER = "tamper"
SWAP = "meter swap or rollover"
UNEXPLAINED = "unexplained"
MISSING = "records missing"  # a gap that lasts, or is in a restored store

STATEMENT_LIFE_S = 86400
LOOKED_BACK_MAX = 20000  # rows of a transaction, and then one history more

_PRICED = (ledger.CHARGE, ledger.FIXED, ledger.TRANSFER, ledger.OPENING)


def point_of(store: Store, module: Module, number: int) -> Point:
    point = store.fleet.point(module.id, number)
    if point is None:
        raise Malformed(UNKNOWN_POINT, f"point {number}")
    return point


def settle(store: Store, prices: Prices, point: Point, batch: Readings, now_s: int) -> Point:
    """Settles what is new in a batch that begins at or below the settled sequence + 1.

    What was settled before must say the same again. Malformed when the batch cannot be settled;
    nothing was written then.
    """
    repeated = _repeated(store, point, batch)
    if not repeated:
        usual = plain.settle(store, prices, point, batch, now_s)
        if usual is not None:
            store.ledgers.agree(point.id, VERSION, now_s)
            return usual
    base_s = repeated[0].from_s if repeated else point.state.time_s
    facts = screening.facts_of(batch, base_s, now_s)
    known = len(repeated)
    new = facts[known:]
    check_repeated(facts, repeated)
    check_begun(point.state, new)
    book = store.fleet.book(batch.version)
    if book is not None and book.currency != point.currency:
        book = None
    priceless = book is None and any(fact.kind in _PRICED for fact in new)
    folded = [] if priceless else fold(point.state, prices, book, new)
    if known:
        point = store.ledgers.count_duplicates(point, known)
    if priceless:
        # Without the book nothing can be owed; the module keeps what we do not acknowledge.
        values = batch.version, store.fleet.assigned(point.id, now_s)
        store.ledgers.differ(point.id, VERSION, "unknown version", batch.first_seq, values, now_s)
    if folded:
        contras = _contras(store, point, folded, now_s)
        after = store.ledgers.append(point, folded, contras, batch.epoch, batch.head, now_s)
        _compare_batch(store, point, after, batch, now_s)
        return after
    return point


def fold(
    state: State, prices: Prices, book: tariff.Book | None, facts: list[Fact]
) -> list[tuple[Entry, State]]:
    """(entry, state after it) of each fact. `book` may be None when no fact needs a price."""
    out = []
    for fact in facts:
        if fact.kind == ledger.CHARGE:
            entry = prices.charge(cast(tariff.Book, book), state, fact)
        else:
            entry = rebuild(state, cast(tariff.Book, book), fact)
        screening.bounded(entry)
        state = pricing.apply(state, entry)
        out.append((entry, state))
    return out


def check_begun(state: State, new: list[Fact]) -> None:
    """Energy before the opening has no register to count from."""
    if new and new[0].kind == ledger.CHARGE and state.time_s == 0:
        raise Malformed(CONTRADICTORY, "charge before the opening")


def _repeated(store: Store, point: Point, batch: Readings) -> list[Repeated]:
    """What was settled already of the sequences of a batch.

    Looking for old entries is bounded, so that their repetition keeps no new ones waiting.
    """
    if batch.first_seq > point.state.seq:
        return []
    if store.ledgers.looked_back > LOOKED_BACK_MAX:
        raise Malformed(REPLAYED, "too much was repeated at once")
    return store.ledgers.since(point, batch.first_seq, len(batch.items))


def check_repeated(facts: list[Fact], repeated: list[Repeated]) -> None:
    """Facts of settled sequences must be the ones that were settled."""
    for fact, entry in zip(facts[: len(repeated)], repeated, strict=True):
        if not same(fact, entry):
            raise Malformed(CONTRADICTORY, f"entry {entry.seq} was settled differently")


def same(fact: Fact, entry: Repeated) -> bool:
    """True when a fact is what was settled under its sequence."""
    if (fact.kind, fact.time_s, fact.quality) != (entry.kind, entry.time_s, entry.quality):
        return False
    if fact.version != entry.version:
        return False
    if fact.kind == ledger.CHARGE:
        return bool(fact.energy_wh == entry.energy_wh)
    if fact.kind == ledger.OPENING:
        return bool(fact.register_wh == entry.register_wh)
    if fact.kind == ledger.FIXED:
        return bool(fact.number == entry.number)
    if fact.kind == ledger.TRANSFER and fact.energy_wh != entry.used_wh:
        return False
    ours = entry.number, entry.channel, entry.amount_ncur
    return (fact.number, fact.channel, fact.amount_ncur) == ours


def _contras(
    store: Store, point: Point, folded: list[tuple[Entry, State]], now_s: int
) -> list[int]:
    """The accounts opposite to the customer's; flags entries that nobody here ordered."""
    out = []
    before = point.state
    for entry, state in folded:
        kind = entry.kind
        if kind == ledger.TOPUP and _has_moved(store, point, before, entry):
            kind, issued = ledger.TRANSFER, True
        else:
            issued = kind == ledger.CHARGE or _check_entry(store, point, before, entry, now_s)
        out.append(posting.contra(kind, issued))
        before = state
    return out


def _has_moved(store: Store, point: Point, before: State, entry: Entry) -> bool:
    """A payment that went on to the next module and was credited by this one all the same."""
    what = point.id, before.mark.generation, entry.number
    amount_ncur = care.of(store).credited_there(*what, entry.seq)
    return amount_ncur is not None and amount_ncur == int(entry.amount_ncur)


def _check_entry(store: Store, point: Point, before: State, entry: Entry, now_s: int) -> bool:
    """Flags an entry the host has no reason for; False for money that it never ordered."""
    if entry.kind == ledger.TOPUP:
        return _arrived(store, point, before, entry, now_s)
    if entry.kind == ledger.ADJUSTMENT:
        return _adjusted(store, point, entry, now_s)
    if entry.kind == ledger.TRANSFER:
        return _transferred(store, point, entry, now_s)
    if entry.kind == ledger.DEBT:
        return _recovered(store, point, entry, now_s)
    if entry.kind == ledger.OPENING and before.time_s:
        values = entry.register_wh, before.register_wh
        store.ledgers.differ(point.id, SWAP, f"opening {entry.seq}", entry.seq, values, now_s)
    if entry.kind == ledger.FIXED and entry.number <= before.day:
        values = entry.number, before.day
        detail = f"day {entry.number} charged again"
        store.ledgers.differ(point.id, UNEXPLAINED, detail, entry.seq, values, now_s)
    return True


def _arrived(store: Store, point: Point, before: State, entry: Entry, now_s: int) -> bool:
    """A top-up entry against the payment of its number."""
    given = store.payments.topup(point.id, before.mark.generation, entry.number)
    if given is None or given.amount_ncur != entry.amount_ncur:
        ours = given.amount_ncur if given else "never issued"
        detail = f"top-up {entry.number}"
        values = entry.amount_ncur, ours
        store.ledgers.differ(point.id, TAMPER, detail, entry.seq, values, now_s)
        return False
    store.payments.topup_became(given, "credited", entry.seq)
    commands.topup_arrived(store, point.module, point.point, given, now_s)
    return True


def _adjusted(store: Store, point: Point, entry: Entry, now_s: int) -> bool:
    """An adjustment entry against the command that ordered it; we issue no token that sets."""
    order = store.payments.command(point.module, entry.number)
    wanted = cbor.encode([entry.channel, entry.amount_ncur])
    if (
        order is None
        or (order.target, order.action) != (point.point, codes.ADJUST)
        or order.args != wanted
    ):
        values = entry.amount_ncur, "never ordered"
        what = "set token" if entry.channel == ledger.SET_BY_TOKEN else "adjustment"
        detail = f"{what} {entry.number}"
        store.ledgers.differ(point.id, TAMPER, detail, entry.seq, values, now_s)
        return False
    if order.state in ("queued", "sent"):
        store.payments.command_ended(order, "done", codes.DONE, 0, now_s)
    return True


def _transferred(store: Store, point: Point, entry: Entry, now_s: int) -> bool:
    """A transfer entry against the command that ordered it."""
    order = store.payments.command(point.module, entry.number)
    what = (point.point, codes.TRANSFER)
    if (
        order is None
        or (order.target, order.action) != what
        or commands.args_of(order.args)[0] != entry.amount_ncur
    ):
        values = entry.amount_ncur, "never ordered"
        detail = f"transfer {entry.number}"
        store.ledgers.differ(point.id, TAMPER, detail, entry.seq, values, now_s)
        return False
    if order.state in ("queued", "sent"):
        store.payments.command_ended(order, "done", codes.DONE, 0, now_s)
    return True


def _recovered(store: Store, point: Point, entry: Entry, now_s: int) -> bool:
    """A recovered debt against the orders of that debt and what was recovered before."""
    given = orders.of(store).of_action(point.module, point.point, codes.DEBT)
    terms: list[list[int]] = [
        cbor.decode(order.args)  # type: ignore[misc]
        for order in given
        # One that was sent and never answered may have been carried out all the same.
        if order.state != "refused"
        if order.state != "expired" or (order.sent and order.status is None)
    ]
    owed_ncur = sum(owed for which, owed, *_ in terms if which == entry.number)
    taken_ncur = -store.ledgers.recovered(point.id, entry.number) - entry.amount_ncur
    if entry.amount_ncur >= 0 or taken_ncur > owed_ncur:
        detail = f"debt {entry.number}"
        values = taken_ncur, owed_ncur
        store.ledgers.differ(point.id, TAMPER, detail, entry.seq, values, now_s)
        return False
    return True


def _compare_batch(store: Store, before: Point, point: Point, batch: Readings, now_s: int) -> None:
    """The chain head that ends a batch against ours: it pins every figure up to there."""
    state = point.state
    assigned = store.fleet.assigned(point.id, state.time_s)
    behind = bool(batch.version and assigned is not None and batch.version != assigned)
    if behind:
        values = batch.version, assigned
        store.ledgers.differ(point.id, VERSION, "assigned version", state.seq, values, now_s)
    elif batch.version:
        store.ledgers.agree(point.id, VERSION, now_s)
    if batch.head != state.head:
        kind = VERSION if behind else UNEXPLAINED
        heads = batch.head.hex(), state.head.hex()
        store.ledgers.differ(point.id, kind, "chain head of a batch", state.seq, heads, now_s)
        _ask(store, point, now_s)
    pending = point.statement
    if pending is not None and before.state.seq < pending.seq <= state.seq:
        _compare_message(store, point, pending, now_s)


def _ask(store: Store, point: Point, now_s: int) -> None:
    """Orders the statement that spells out what a chain head only pins; one at a time."""
    if store.payments.open_of(point.module, point.point, codes.STATE):
        return
    commands.issue(store, point.module, point.point, codes.STATE, [], now_s, STATEMENT_LIFE_S)


def state_statement(store: Store, module: Module, said: Statement, now_s: int) -> None:
    """Keeps and compares a statement message; an older one than the one kept says nothing new."""
    point = point_of(store, module, said.point)
    head_of = screening.statement_of(said.state, said.seq)
    screening.in_time(said.time_s, said.quality, now_s)
    time_s = None if said.quality == INVALID else said.time_s  # an unset clock says nothing
    if point.statement is not None and _older(said.seq, time_s, point.statement, now_s):
        return
    figures_said = Said(
        said.seq,
        said.balance_ncur,
        head_of.head,
        time_s,
        said.register_wh,
        said.version,
        said.charged_ncur,
        said.topups_ncur,
    )
    point = store.ledgers.stated(point, figures_said)
    point = store.ledgers.heard(point, said.seq)
    if said.seq < point.state.seq:
        later = store.ledgers.entry(point.id, said.seq + 1)
        if later and time_s is not None and time_s > later.time_s + INTERVAL_S:
            values = said.seq, point.state.seq
            store.ledgers.differ(point.id, ROLLBACK, "statement", said.seq, values, now_s)
    else:
        store.ledgers.agree(point.id, ROLLBACK, now_s)
    _compare_message(store, point, figures_said, now_s)


def _older(seq: int, time_s: int | None, kept: Said, now_s: int) -> bool:
    """Whether a statement was made before the one kept: by time where both clocks were good, so
    that a ledger that went back is heard; else by sequence."""
    if time_s is None or kept.time_s is None or kept.time_s > now_s + screening.AHEAD_S_MAX:
        return seq < kept.seq
    return time_s < kept.time_s


def _compare_message(store: Store, point: Point, said: Said, now_s: int) -> None:
    own = figures.at(store, point, said.seq)
    if own is None:
        return
    unlike = figures.unlike(said, own)
    if not unlike:
        return
    names = [name for name, _, _ in unlike]
    kind = VERSION if "version" in names else UNEXPLAINED
    detail = f"statement: {', '.join(names)}"
    store.ledgers.differ(point.id, kind, detail, said.seq, unlike[0][1:], now_s)
