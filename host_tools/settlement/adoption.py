"""Going on behind records that were lost, from what the module itself stated after them.

A store that was restored from an older backup has forgotten what it acknowledged, and modules have
trimmed it. The module's authenticated statement says where it stands: register, balance, tier
position, top-up watermark and chain head. It is believed only when the module's next batch goes
on from it to the batch's own chain head, which pins register, balance, version and tier position;
sums and watermark stand under the module's key. The whole difference then becomes one entry of the
journal and is divided by account in entries of the host, class "storage rollback": every watt-hour
and every top-up of the lost records is counted once. Nothing is estimated.
"""

from dataclasses import dataclass
from typing import cast

from host_tools import Refused
from host_tools.settlement import commands, posting, screening, settle
from host_tools.settlement.pricing import Prices
from host_tools.store import adoptions, host_entries
from host_tools.store.adoptions import Adoption
from host_tools.store.database import Store
from host_tools.store.host_entries import HostEntry
from host_tools.store.records import Module, Point, TopUp
from protocol import ledger, messages, topup
from protocol.ledger import Entry, State
from protocol.messages import Readings, Statement
from protocol.topup import Mark
from protocol.units import CONTRADICTORY, INTERVAL_S, Malformed

BACK_S = 3 * 86400  # how long before a statement the register may have been read last
SECONDS_BACK = 3600  # the same for one that was not read at a boundary


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was adopted; `entries` divide the difference by account."""

    point: Point
    adoption: Adoption
    lost_wh: int
    amount_ncur: int
    entries: tuple[HostEntry, ...]


def keep(store: Store, module: Module, said: Statement, now_s: int) -> None:
    """Keeps the first statement past what is settled, while that may have been lost."""
    point = settle.point_of(store, module, said.point)
    if said.seq <= point.state.seq:
        return
    kept = adoptions.of(store)
    restored_s = kept.restored_s()
    if not store.intake.waits(module.id, said.point) and restored_s is None:
        return
    before = kept.ahead(point.id)
    if before is None or statement_of(before[0]).seq <= point.state.seq:
        # Heard since the restore, though the clock may have stepped back behind it.
        kept.keep_ahead(point.id, messages.pack(said), max(now_s, restored_s or 0))


def statement_of(payload: bytes) -> Statement:
    return cast(Statement, messages.unpack(payload))


def rest(store: Store, point: Point, batch: Readings) -> Readings:
    """What of a batch is not before an adopted statement; the items before it cannot be held
    against anything and are counted in it."""
    if point.id not in store.fleet.adopted():
        return batch
    adopted = adoptions.of(store).last(point.id)
    if adopted is None or batch.first_seq > adopted.seq:
        return batch
    items = batch.items[adopted.seq + 1 - batch.first_seq :]
    return batch._replace(first_seq=adopted.seq + 1, items=items)


def state_of(said: Statement, time_s: int) -> State:
    """The state of a statement; the instant of its register is not in it."""
    balance_ncur, period, used_wh, day, *mark, head = cast(list[int], said.state)
    return State(
        said.seq,
        time_s,
        said.register_wh,
        balance_ncur,
        period,
        used_wh,
        day,
        said.version,
        Mark(*mark),
        said.charged_ncur,
        said.topups_ncur,
        head,
    )


def restated(before: State, entry: Entry, payload: bytes) -> State:
    """The state after the entry that stands for an adopted statement. Malformed when it is not
    what the statement says."""
    said = statement_of(payload)
    state = state_of(said, entry.time_s)
    if entry != _entry(before, state, said.quality):
        raise Malformed(CONTRADICTORY, "not the statement that was adopted")
    return state


def adopt(store: Store, point: Point, who: str, why: str, now_s: int) -> Adopted:
    """Adopts the kept statement of a point, inside the caller's transaction.

    Refused when nothing is missing, when there is no statement, or when it is not proven yet.
    """
    where = f"{point.module}/{point.point}"
    kept = adoptions.of(store)
    ahead = kept.ahead(point.id)
    said = statement_of(ahead[0]) if ahead else None
    if ahead is None or said is None or said.seq <= point.state.seq:
        raise Refused(
            f"{where}: its module has made no statement past what is settled; order one with"
            " `gridpurse command state` 模块尚无更新的申报"
        )
    module = store.fleet.module_known(point.module)
    if said.epoch != module.epoch:
        raise Refused(f"{where}: the statement is of epoch {said.epoch}, not {module.epoch}")
    before, book = point.state, store.fleet.book(said.version)
    if book is None or book.currency != point.currency:
        raise Refused(
            f"{where}: tariff version {said.version} is not in the store; add its file with"
            " `gridpurse tariff add`"
        )
    sums = (said.register_wh, said.charged_ncur, said.topups_ncur)
    if any(new < old for new, old in zip(sums, (before.register_wh, *before[9:11]), strict=True)):
        raise Refused(f"{where}: the statement takes back what is settled; reconcile it by hand")
    state = _proven(store, point, said, now_s)
    if state is None:
        raise Refused(
            f"{where}: no batch here goes on from the statement of {said.seq}; wait for the"
            " module's next reading, which proves it 等待模块下一次读数以验证申报"
        )
    amount_ncur = said.balance_ncur - before.balance_ncur
    adopted = Adoption(point.id, said.seq, before.seq + 1, ahead[0], who, why, now_s)
    # The register is as old as the statement's: what follows is counted from there.
    at = point._replace(state=before._replace(time_s=state.time_s))
    folded = [(_entry(before, state, said.quality), state)]
    contras = [posting.CODES[posting.ROLLBACK]]
    store.ledgers.append(at, folded, contras, said.epoch, state.head, now_s)
    kept.add(adopted)
    store.fleet.restated()
    entries = _divided(store, point, state, now_s)
    told = f"records {before.seq + 1} to {said.seq}"
    store.ledgers.differ(point.id, settle.ROLLBACK, told, said.seq, ("lost", "adopted"), now_s)
    store.ledgers.agree(point.id, settle.ROLLBACK, now_s, told)
    store.ledgers.agree(point.id, settle.MISSING, now_s, "readings")
    lost_wh = folded[0][0].energy_wh
    return Adopted(point, adopted, lost_wh, amount_ncur, tuple(entries))


def _proven(store: Store, point: Point, said: Statement, now_s: int) -> State | None:
    """The state from which a batch that waits goes on to its own chain head, or None."""
    prices = Prices()
    for parked in adoptions.of(store).parked(point.module, point.point):
        batch = cast(Readings, messages.unpack(parked.payload))
        skipped = said.seq + 1 - batch.first_seq
        if not 0 <= skipped < len(batch.items):
            continue
        after = batch._replace(first_seq=said.seq + 1, items=batch.items[skipped:])
        for time_s in _instants(said.time_s):
            if _continues(store, prices, state_of(said, time_s), after, now_s):
                return state_of(said, time_s)
    return None


def _instants(time_s: int) -> list[int]:
    """When the register of a statement may have been read: at a boundary, else at any second."""
    boundary_s = time_s // INTERVAL_S * INTERVAL_S
    boundaries = range(boundary_s, boundary_s - BACK_S, -INTERVAL_S)
    return [*boundaries, *range(time_s, time_s - SECONDS_BACK, -1)]


def _continues(store: Store, prices: Prices, state: State, batch: Readings, now_s: int) -> bool:
    book = store.fleet.book(batch.version)
    try:
        facts = screening.facts_of(batch, state.time_s, now_s)
        folded = settle.fold(state, prices, book, facts) if book else []
    except Malformed:
        return False
    return bool(folded) and folded[-1][1].head == batch.head


def _entry(before: State, state: State, quality: int) -> Entry:
    """Of a point without any entry the register before its opening is unknown: its energy is left
    out, its money is not."""
    energy_wh = state.register_wh - before.register_wh if before.time_s else 0
    return Entry(
        state.seq,
        ledger.TRANSFER,
        state.time_s,
        quality,
        state.register_wh,
        energy_wh,
        state.version,
        state.period,
        state.used_wh,
        state.balance_ncur - before.balance_ncur,
        0,
        0,
        state.balance_ncur,
    )


def _divided(store: Store, point: Point, state: State, now_s: int) -> list[HostEntry]:
    """The difference by account: charges, payments that are booked here, others, adjustments."""
    before = point.state
    charged_ncur = before.charged_ncur - state.charged_ncur
    topped_ncur = state.topups_ncur - before.topups_ncur
    arrived_ncur = 0
    for given in _arrived(store, point, state.mark):
        store.payments.topup_became(given, "credited", state.seq)
        commands.topup_arrived(store, point.module, point.point, given, now_s)
        arrived_ncur += given.amount_ncur
    others_ncur = state.balance_ncur - before.balance_ncur - charged_ncur - topped_ncur
    parts = (
        (posting.CHARGES, posting.ENERGY, charged_ncur),
        (posting.TOPUPS, posting.IN_FLIGHT, arrived_ncur),
        (posting.TOPUPS, posting.SUSPENSE, topped_ncur - arrived_ncur),
        (posting.OTHERS, posting.ADJUSTMENTS, others_ncur),
    )
    kept = host_entries.of(store)
    out = []
    for rule, account, amount_ncur in parts:
        if not amount_ncur:
            continue
        span = before.time_s, state.time_s
        what = (point.id, host_entries.ROLLBACK, *span, state.version, rule)
        entry = HostEntry(*what, amount_ncur, 0, now_s)
        number = kept.add(entry)
        pair = (posting.ROLLBACK, account)
        row = posting.of_host(point.id, now_s, pair, amount_ncur, point.currency, number)
        store.ledgers.post([row])
        out.append(entry)
    return out


def _arrived(store: Store, point: Point, mark: Mark) -> list[TopUp]:
    """Payments of this store that the module has credited among the lost records."""
    waiting = store.payments.uncredited(point.id)
    return [given for given in waiting if used(mark, given.generation, given.number)]


def used(mark: Mark, generation: int, number: int) -> bool:
    """True when a watermark says that a number was credited.

    One that has left its window was, too: the host sends none beyond an older one that is owed.
    """
    return generation == mark.generation and topup.check(mark, number) != topup.FRESH
