"""Payments in a restored store: one from before the loss keeps the number that it had, a new one
gets a number that no module has used. So none is credited twice and none is lost.

The watermark of a module's statement tells which numbers are used, also those of payments that the
store has forgotten.
"""

from dataclasses import replace
from typing import cast

from host_tools import Refused
from host_tools.settlement import adoption, commands, posting, settle
from host_tools.settlement.common import decimal
from host_tools.store import adoptions, host_entries
from host_tools.store.adoptions import Adoption
from host_tools.store.database import Store
from host_tools.store.records import Point, Settled, TopUp
from protocol import ledger
from protocol.topup import Mark


def pay(
    store: Store, point: Point, reference: str, amount_ncur: int, again: bool | None, now_s: int
) -> TopUp:
    """Books a payment, inside the caller's transaction. Refused where `again` has to be said: it
    is True when it was booked before the loss, False when it is new."""
    reference = commands.reference_of(store, reference)
    kept = adoptions.of(store)
    restored_s = kept.restored_s()
    if store.payments.topup_by_reference(reference) is not None or restored_s is None:
        if again:
            _refuse_again(store, reference)
        return commands.pay(store, point, reference, amount_ncur, now_s)
    mark, heard = _watermark(store, point, restored_s)
    lost_ncur = kept.suspended_ncur(point.id)
    where = f"{point.module}/{point.point}"
    if again is None and (not heard or lost_ncur or _missing(store, point)):
        raise Refused(
            f"{where}: the store was restored and this point is not settled since; add --again for"
            " a payment from before the loss, --new for one made since 恢复后须注明新旧缴费"
        )
    if again:
        return _again(store, point, reference, amount_ncur, mark, lost_ncur, now_s)
    if not heard:
        raise Refused(
            f"{where}: its module has made no statement since the restore, which tells the numbers"
            " used; order one with `gridpurse command state` and wait 请先取得模块申报"
        )
    return commands.pay(store, _beyond(point, mark), reference, amount_ncur, now_s)


def _refuse_again(store: Store, reference: str) -> None:
    if store.payments.topup_by_reference(reference) is None:
        raise Refused("--again: this store was never restored; leave it out 该库未经恢复")


def _watermark(store: Store, point: Point, restored_s: int) -> tuple[Mark, bool]:
    """The newest mark that is known of the module, and whether it was told since the restore."""
    ahead = adoptions.of(store).ahead(point.id)
    said = adoption.statement_of(ahead[0]) if ahead else None
    since = ahead is not None and ahead[1] >= restored_s
    if said is not None and said.seq > point.state.seq:
        return adoption.state_of(said, 0).mark, since
    stated = point.statement
    return point.state.mark, since or (stated is not None and (stated.time_s or 0) >= restored_s)


def _missing(store: Store, point: Point) -> bool:
    return any(each.kind == settle.MISSING for each in store.ledgers.differences(point.id))


def _beyond(point: Point, mark: Mark) -> Point:
    """The point for numbers behind everything that its module has used."""
    own = point.state.mark
    if mark.generation != own.generation:
        return point._replace(state=point.state._replace(mark=mark))
    highest = max(own.highest, mark.highest)
    return point._replace(state=point.state._replace(mark=own._replace(highest=highest)))


def _again(
    store: Store,
    point: Point,
    reference: str,
    amount_ncur: int,
    mark: Mark,
    lost_ncur: int,
    now_s: int,
) -> TopUp:
    """The number that the payment had. Payments are booked in their order, so it is the lowest up
    to the watermark that no payment has, else the next one; whether the module has used it tells
    whether it has the money already."""
    number = forgotten_number(store, point, mark)
    if number is None:
        return commands.pay(store, _beyond(point, mark), reference, amount_ncur, now_s)
    adopted = adoptions.of(store).last(point.id)
    entry = entry_of(store, point, number)
    used = adoption.used(mark, mark.generation, number)
    if entry is None and (not used or adopted is None or mark != point.state.mark):
        # The module hears of it again, or adopting the statement will credit it.
        return commands.pay(store, point, reference, amount_ncur, now_s, number)
    credited_ncur = lost_ncur if entry is None else entry.amount_ncur
    if amount_ncur > credited_ncur or (entry is not None and amount_ncur != credited_ncur):
        raise Refused(
            f"{reference}: the module has credited {decimal(credited_ncur)} that nobody has booked"
            f" again, which is {'less' if amount_ncur > credited_ncur else 'more'}; check amount,"
            " point and order 金额或顺序不符"
        )
    given = commands.pay(store, point, reference, amount_ncur, now_s, number)
    if entry is not None:
        return told_before(store, point, given, entry, now_s)
    seq = cast(Adoption, adopted).seq
    lost = host_entries.of(store).of_rule(point.id, host_entries.ROLLBACK, posting.TOPUPS)
    of_lost = lost[-1].number
    what = (posting.IN_FLIGHT, posting.SUSPENSE, amount_ncur, point.currency, "entry", of_lost)
    return _credited(store, point, given, seq, [(point.id, now_s, *what)], now_s)


def forgotten_number(store: Store, point: Point, mark: Mark) -> int | None:
    """The lowest one up to a watermark that no payment has."""
    known = adoptions.of(store).numbers(point.id, mark.generation)
    return next((each for each in range(2, mark.highest + 1, 2) if each not in known), None)


def told_before(store: Store, point: Point, given: TopUp, entry: Settled, now_s: int) -> TopUp:
    """Credits a payment by the entry that its module has told of it, out of suspense."""
    pair = posting.IN_FLIGHT, posting.SUSPENSE
    what = (pair, given.amount_ncur, point.currency, entry.seq)
    rows = posting.moved(point.id, now_s, *what)
    store.ledgers.agree(point.id, settle.TAMPER, now_s, f"top-up {given.number}")
    return _credited(store, point, given, entry.seq, rows, now_s)


def _credited(
    store: Store, point: Point, given: TopUp, seq: int, rows: list[posting.Row], now_s: int
) -> TopUp:
    store.payments.topup_became(given, "credited", seq)
    commands.topup_arrived(store, point.module, point.point, given, now_s)
    store.ledgers.post(rows)
    return replace(given, state="credited", credited_seq=seq)


def entry_of(store: Store, point: Point, number: int) -> Settled | None:
    """What the module has told of a top-up whose payment was forgotten: it lies in suspense."""
    entries = list(store.ledgers.entries(point.id))
    found = (each for each in reversed(entries) if each.kind == ledger.TOPUP)
    return next((each for each in found if each.number == number), None)
