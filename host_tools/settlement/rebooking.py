"""Payments in a restored store: one from before the loss keeps the number that it had, a new one
gets a number that no module has used. So none is credited twice and none is lost.

The watermark of a module's statement tells which numbers are used, also those of payments that the
store has forgotten.
"""

from dataclasses import replace

from host_tools import Refused
from host_tools.settlement import adoption, commands, posting, settle
from host_tools.settlement.common import decimal
from host_tools.store import adoptions, host_entries
from host_tools.store.database import Store
from host_tools.store.records import Point, TopUp
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
        return _again(store, point, reference, amount_ncur, mark, heard, lost_ncur, now_s)
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
    heard: bool,
    lost_ncur: int,
    now_s: int,
) -> TopUp:
    """The number that the payment had: before a statement is heard the next one, since payments
    are booked in their order; then the lowest that the module used and no payment has."""
    if not heard:
        return commands.pay(store, point, reference, amount_ncur, now_s)
    known = adoptions.of(store).numbers(point.id, mark.generation)
    free = [
        number
        for number in range(2, mark.highest + 1, 2)
        if number not in known and adoption.used(mark, mark.generation, number)
    ]
    if not free:  # it never reached the module
        return commands.pay(store, _beyond(point, mark), reference, amount_ncur, now_s)
    adopted = adoptions.of(store).last(point.id)
    if adopted is None or mark != point.state.mark:  # adopting the statement will credit it
        return commands.pay(store, point, reference, amount_ncur, now_s, free[0])
    if amount_ncur > lost_ncur:
        raise Refused(
            f"{reference}: the module has credited {decimal(lost_ncur)} that nobody has booked"
            " again, which is less; check amount and point 金额不符"
        )
    given = commands.pay(store, point, reference, amount_ncur, now_s, free[0])
    store.payments.topup_became(given, "credited", adopted.seq)
    commands.topup_arrived(store, point.module, point.point, given, now_s)
    number = max(
        each.number
        for each in host_entries.of(store).all(point.id)
        if (each.kind, each.rule) == (host_entries.ROLLBACK, posting.TOPUPS)
    )
    what = (posting.IN_FLIGHT, posting.SUSPENSE, amount_ncur, point.currency, "entry", number)
    store.ledgers.post([(point.id, now_s, *what)])
    return replace(given, state="credited", credited_seq=adopted.seq)
