"""Closing a month of a service point: what its tariff asks beyond the module's book is entered.

Minimum bills, percentages, other lines, and the prices that a period's total chooses become
entries of the host, a rule each, and one order that brings their sum to the module's balance.
What is entered already is never entered again: closing twice, or after a kill, enters nothing. A
corrected reading is an adjustment of its own in the price of its energy; what the terms of its
month make of it is lacking until that is closed again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from host_tools import Refused
from host_tools.billing import account, tenure
from host_tools.billing.account import Account
from host_tools.billing.documents import Documents
from host_tools.billing.month import Nameless
from host_tools.billing.statement import Statement, statement
from host_tools.rating import calendar
from host_tools.settlement import commands, inbox, posting, settle
from host_tools.settlement.common import decimal
from host_tools.store import adoptions, bills, care, host_entries, orders
from host_tools.store.database import Store
from host_tools.store.host_entries import HostEntry
from host_tools.store.records import Point
from host_tools.tariffs.terms import Document
from protocol import codes, ledger, tariff
from protocol.units import DAY_S

ADJUST_LIFE_S = 365 * DAY_S
# What is known to be wrong with the ledger of a point has to be settled before it is closed.
_OPEN = (inbox.MISSING, settle.ROLLBACK, settle.UNEXPLAINED)


def of_month(store: Store, point: Point, documents: Documents, year: int, month: int) -> Statement:
    """The statement of a point by the tariff of the month. Refused when it has none."""
    if not point.state.version:
        raise Refused(
            f"{point.module}/{point.point}: it has no entry yet; wait for its module"
            " 尚无账目，请等待模块上报"
        )
    own = account.of(store, point)
    current, from_s = _tariff_of(documents, own, point.state.version, year, month)
    own = account.with_days(store, point, own, current.book)
    before = [
        account.with_days(store, each, account.of(store, each), current.book)
        for each in reversed(account.points_before(store, point))
    ]
    return statement(documents, current, own, year, month, from_s, before)


def _tariff_of(
    documents: Documents, own: Account, newest: int, year: int, month: int
) -> tuple[Document, int]:
    """(the tariff of a month, its first instant).

    That of its last charge, else of its last daily charge, else the newest; the month begins
    where the one before ends by the clock of its own, so that months add up.
    """
    first_day, after_day = calendar.month_days(year, month)
    edges_s: dict[int, tuple[int, int]] = {}
    before = charged = daily = 0
    for entry in own.entries:
        each = own.stands.get(entry.seq)
        version = entry.version if each is None else each.version
        at_s = entry.time_s if each is None else each.to_s
        if entry.kind == ledger.FIXED and first_day <= entry.number < after_day:
            daily = version
        if entry.kind != ledger.CHARGE:
            continue
        if version not in edges_s:
            edges_s[version] = calendar.month_s(documents(version).book, year, month)
        from_s, to_s = edges_s[version]
        if at_s <= from_s:  # a reading at midnight ends the day before
            before = version
        elif at_s <= to_s:
            charged = version
    current = documents(charged or daily or newest)
    ends = documents(before) if before else current
    return current, calendar.midnight_s(ends.book, first_day)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a restored store does not know: terms that were entered, and ordered, after its backup.

    `orders` are adjustments of modules by their amount; `others` what lost records contain besides
    charges and payments. Terms of the same sum are these, and are not ordered again.
    """

    orders: dict[int, int]
    others: tuple[HostEntry, ...]

    @property
    def others_ncur(self) -> int:
        return sum(each.amount_ncur for each in self.others)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A month worked out at one instant; `basis` is what it rests on."""

    point: Point
    basis: tuple[int, int]
    found: Statement
    forgotten: Forgotten

    def lacking(self) -> dict[str, int]:
        """What is owed by rule and not entered."""
        return _lacking(self.found)


def _lacking(found: Statement) -> dict[str, int]:
    return {} if found.beyond is None else found.beyond.lacking()


def basis_of(store: Store, point: Point) -> tuple[int, int]:
    """Changes with every entry of a point, the module's or the host's."""
    own = host_entries.of(store).all(point.id)
    return int(point.last_id), own[-1].number if own else 0


def close(
    store: Store,
    place: Point,
    documents: Documents,
    year: int,
    month: int,
    now_s: int,
    despite_loss: bool = False,
) -> tuple[Prepared, list[HostEntry]]:
    """The month as it is closed, and what had to be entered.

    Settlement waits only while it is written: a month that has changed since is worked out again.
    Refused while the month is not settled in full, or something is wrong with the point, and
    when something is lacking that a bill which stands does not have.
    """
    entered: list[HostEntry] = []
    while True:
        with store.instant():
            prepared = prepare(store, place, documents, year, month)
        if not prepared.lacking():
            return prepared, entered
        with store.transaction():
            point = store.fleet.point_known(place.module, place.point)
            if basis_of(store, point) == prepared.basis:
                _check_billed(store, prepared, calendar.middle_s(year, month))
                if not despite_loss:
                    _check_forgotten(prepared)
                entered += enter_terms(store, prepared, now_s)


def prepare(store: Store, place: Point, documents: Documents, year: int, month: int) -> Prepared:
    """The month as the store has it now. Refused when it cannot be closed."""
    point = store.fleet.point_known(place.module, place.point)
    where = f"{point.module}/{point.point}"
    for difference in store.ledgers.differences(point.id):
        if difference.kind in _OPEN:
            raise Refused(
                f"{where}: {difference.kind} ({difference.detail}) is open; work it off first, see"
                " `gridpurse reconcile` 存在未处理差异"
            )
    found = of_month(store, point, documents, year, month)
    if not found.settled:
        raise Refused(
            f"{where} {year}-{month:02}: is not settled to its end; wait for the module's readings"
            " 该月尚未全部结算"
        )
    if found.beyond is not None and found.beyond.bill is None:
        raise Refused(f"{where} {year}-{month:02}: {found.beyond.unsaid}")
    _check_order(store, point, documents, found, year, month)
    return Prepared(point, basis_of(store, point), found, forgotten_of(store, point))


def forgotten_of(store: Store, point: Point) -> Forgotten:
    if adoptions.of(store).restored_s() is None:
        return Forgotten({}, ())
    own = host_entries.of(store).all(point.id)
    known = {each.command_id for each in own} | tenure.inherited(store, point)
    orders = {
        entry.amount_ncur: entry.number
        for entry in store.ledgers.entries(point.id)
        if (entry.kind, entry.channel) == (ledger.ADJUSTMENT, posting.REASON_TERMS)
        and entry.number not in known
    }
    others = host_entries.of(store).of_rule(point.id, host_entries.ROLLBACK, posting.OTHERS)
    return Forgotten(orders, tuple(others))


def _check_order(
    store: Store, point: Point, documents: Documents, found: Statement, year: int, month: int
) -> None:
    """Refused where the terms of a tier period would be entered twice.

    The month whose total chooses the prices has its tier period from the beginning: what an
    earlier month lacks would be entered in it, and once more in the earlier one.
    """
    posted = host_entries.of(store).all(point.id)
    lacking, where = _lacking(found), f"{point.module}/{point.point} {year}-{month:02}"
    later = _containing(posted, found)
    if later is not None and lacking:
        book = documents(found.version).book
        told = "{}-{:02}".format(*tariff.civil(tariff.local_day(book, later.to_s - 1))[:2])
        raise Refused(
            f"{where}: its terms are in the closing of {told}, which has the tier period from its"
            f" beginning; bill {told} instead 本月条款已并入 {told} 结账，请开具该月账单"
        )
    to_s = found.to_s if found.beyond is None else found.beyond.span.to_s
    ends = any(each.kind == host_entries.TERMS and each.to_s == to_s for each in posted)
    closed = ends or bills.of(store).standing(point.id, calendar.middle_s(year, month)) is not None
    if closed and not lacking:
        return
    from_day = found.beyond.span.first_day if found.beyond is not None else 1 << 30
    this_day = calendar.month_days(year, month)[0]
    sharing = 0 if found.beyond is None else found.beyond.accounts - 1
    # An account before this one may have a part of the month itself.
    earlier = [(each, this_day + 1) for each in account.points_before(store, point)[:sharing]]
    for each, until_day in reversed([(point, this_day), *earlier]):
        first = _open_before(store, each, documents, from_day, until_day)
        if first:
            which = "" if each.id == point.id else f" of {each.module}/{each.point}"
            raise Refused(
                f"{where}: {first}{which} is of the same tier period and lacks terms; close it"
                f" first, `gridpurse bill close {each.module} {each.point} --month {first}`"
                f" 请先结清同一阶梯周期的 {first}"
            )


def own_lacking(posted: Sequence[HostEntry], found: Statement) -> dict[str, int]:
    """What only a month's own closing enters: nothing where a later one has its tier period."""
    return {} if _containing(posted, found) else _lacking(found)


def _containing(posted: Sequence[HostEntry], found: Statement) -> HostEntry | None:
    """Terms of a later month that were entered for the days of this one, too."""
    more = found.beyond
    if more is None:
        return None
    from_s = max(more.span.from_s, found.from_s)
    for each in posted:
        if each.kind == host_entries.TERMS and each.from_s <= from_s and each.to_s > found.to_s:
            return each
    return None


def _open_before(
    store: Store,
    point: Point,
    documents: Documents,
    from_day: int,
    until_day: int,
) -> str:
    """The first month from a day on that lacks what only its own closing enters."""
    posted, day = host_entries.of(store).all(point.id), from_day
    while day < until_day:
        year, month, _ = tariff.civil(day)
        day = calendar.month_days(year, month)[1]
        try:
            earlier = of_month(store, point, documents, year, month)
        except Nameless:  # nothing is settled in it
            continue
        if earlier.settled and own_lacking(posted, earlier):
            return f"{year}-{month:02}"
    return ""


def _check_billed(store: Store, prepared: Prepared, middle_s: int) -> None:
    """Refused where a bill has gone out without what is lacking: the two would differ."""
    point = prepared.point
    stands = bills.of(store).standing(point.id, middle_s)
    if stands is not None:
        owed = decimal(sum(prepared.lacking().values()))
        raise Refused(
            f"{point.module}/{point.point}: {owed} is lacking that {stands.number} does not have;"
            f" credit it first, `gridpurse bill credit {stands.number}` 请先冲销该账单再结账"
        )


def _check_forgotten(prepared: Prepared) -> None:
    """Refused where terms that are lacking may be there already under another sum."""
    forgotten, owed_ncur = prepared.forgotten, sum(prepared.lacking().values())
    if -owed_ncur in forgotten.orders or -owed_ncur == forgotten.others_ncur:
        return
    amounts = [*forgotten.orders, *([forgotten.others_ncur] if forgotten.others_ncur else [])]
    if amounts:
        point = prepared.point
        told = ", ".join(decimal(amount_ncur) for amount_ncur in amounts)
        raise Refused(
            f"{point.module}/{point.point}: {decimal(-owed_ncur)} is lacking, and the restored"
            f" store has forgotten what adjusted {told}; if that was not this month, add"
            " --despite-loss 恢复前的调账不明"
        )


def enter_terms(store: Store, prepared: Prepared, now_s: int) -> list[HostEntry]:
    """Enters what is lacking and orders its sum, inside the caller's transaction."""
    point, lacking, more = prepared.point, prepared.lacking(), prepared.found.beyond
    if more is None or not lacking:
        return []
    version = prepared.found.version
    span = more.span.from_s, more.span.to_s  # within the month, so that the next closing knows it
    owed_ncur = sum(lacking.values())
    command_id, pair = 0, (posting.ADJUSTMENTS, posting.TERMS)
    forgotten = prepared.forgotten
    if -owed_ncur in forgotten.orders:
        command_id, pair = forgotten.orders[-owed_ncur], (posting.SUSPENSE, posting.TERMS)
        store.ledgers.agree(point.id, settle.TAMPER, now_s, f"adjustment {command_id}")
    elif owed_ncur and -owed_ncur == forgotten.others_ncur:
        pair = (posting.ROLLBACK, posting.TERMS)
        turned = [
            replace(each, amount_ncur=-each.amount_ncur, posted_s=now_s)
            for each in forgotten.others
        ]
        enter(store, point, turned, (posting.ROLLBACK, posting.ADJUSTMENTS))
    elif owed_ncur:
        command_id = _order(store, point, -owed_ncur, version, lacking, span, now_s)
    what = (point.id, host_entries.TERMS, *span, version)
    entries = [
        HostEntry(*what, rule, -amount_ncur, command_id, now_s)
        for rule, amount_ncur in lacking.items()
    ]
    enter(store, point, entries, pair)
    return entries


def enter(store: Store, point: Point, entries: list[HostEntry], pair: tuple[str, str]) -> None:
    """Keeps entries of the host with their postings: a credit of the customer credits the first
    account, from which the module's own entry takes it."""
    kept = host_entries.of(store)
    for entry in entries:
        number = kept.add(entry)
        amount_ncur = entry.amount_ncur
        row = posting.of_host(point.id, entry.to_s - 1, pair, amount_ncur, point.currency, number)
        store.ledgers.post([row])


def _order(
    store: Store,
    point: Point,
    amount_ncur: int,
    version: int,
    lacking: dict[str, int],
    span: tuple[int, int],
    now_s: int,
) -> int:
    """Queues the adjustment of the balance at the module that has the customer now; its id, once
    in this transaction. One that is retired hears nothing: that order has ended."""
    at = care.of(store).heir(point)
    args: list[object] = [posting.REASON_TERMS, amount_ncur]
    what = (at.module, at.point, codes.ADJUST, args)
    command_id = commands.issue(store, *what, now_s, ADJUST_LIFE_S)
    asked: dict[str, object] = {
        "kind": "terms",
        "from_s": span[0],
        "to_s": span[1],
        "rules": lacking,
    }
    if at.id != point.id:
        asked[orders.OF_POINT] = f"{point.module}/{point.point}"
    why = f"terms of tariff version {version}: {', '.join(lacking)}"
    note = orders.Note(at.module, command_id, json.dumps(asked), "gridpurse bill", why, None)
    orders.of(store).note(note)
    commands.unheard(store, at.module, command_id, now_s)
    return command_id
