"""A month by all terms of its tariff, beside what the ledger has of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from host_tools import Refused
from host_tools.billing.account import Account
from host_tools.billing.month import Month, Priced, charges_of
from host_tools.rating import accrual, calendar, households, periods
from host_tools.rating.calendar import Stint
from host_tools.rating.lines import TIER, Bill, BillLine
from host_tools.rating.periods import Period, Use
from host_tools.store.host_entries import TERMS, HostEntry
from host_tools.tariffs import terms
from host_tools.tariffs.terms import Document
from protocol import tariff
from protocol.tariff import Book


@dataclass(frozen=True, slots=True)
class Beyond:
    """Days by all terms of their tariff, and what the ledger has of it; or why that is unsaid.

    The days are those that are settled, of the month or of the tier period until its end.
    `entered` is by rule, in nano-currency: what modules and host have entered, with what
    exchanges and corrections have made of it. `as_charged`: they have made nothing of it.
    `accounts`: how many of the customer's the days are of, this one and those right before it.
    """

    span: Stint
    bill: Bill | None
    entered: dict[str, Fraction]
    unsaid: str
    as_charged: bool
    accounts: int

    @property
    def lacking_ncur(self) -> int:
        """What is owed and not entered, by cumulative floor; 0 where that is unsaid."""
        return sum(self.lacking().values())

    def lacking(self) -> dict[str, int]:
        """The same by rule; together they are the floor of the whole."""
        if self.bill is None:
            return {}
        owed = _by_rule(self.bill.lines)
        out = {}
        exact, done_ncur = Fraction(0), 0
        for rule in sorted({*owed, *self.entered}):
            exact += owed.get(rule, Fraction(0)) - self.entered.get(rule, Fraction(0))
            upto_ncur = exact.numerator // exact.denominator
            if upto_ncur != done_ncur:
                out[rule] = upto_ncur - done_ncur
            done_ncur = upto_ncur
        return out


def beyond(
    documents: Callable[[int], Document],
    current: Document,
    accounts: Sequence[Account],
    span: Stint,
    taken: Month,
) -> Beyond | None:
    """What all terms of the tariff make of the month, or of its tier period until the month's end
    where the total chooses the prices; None where a module charges by all terms.

    `accounts` are the customer's, whose last one the month is of.
    """
    own = accounts[-1]
    tenure = own.tenure
    last_day = span.after_day - 1
    over_day = last_day if tenure.last_day is None else tenure.last_day
    # Its module may go on beside the next one, whose the days are since.
    ended = tenure.last_day is not None and (not taken.settled or over_day < last_day)
    if ended:
        last_day = min(last_day, over_day)
    elif not taken.settled:
        last_day = min(last_day, tariff.local_day(current.book, taken.last_reading[0] - 1))
    versions = {priced.version for priced in taken.charges}
    versions |= {e.version for e in own.stands.values() if span.from_s < e.to_s <= span.to_s}
    if taken.settled or ended:  # a month of an outage has days, and no reading
        versions |= {entry.version for entry in taken.days}
    if not any(around.extra() for v in versions for _, around in documents(v).terms):
        return None
    book = current.book
    first_day, sharing = span.first_day, [own]
    if ended and last_day < max(first_day, own.since_day(book) or first_day):
        entered = _entered(own.posted, span.from_s, span.to_s)
        return Beyond(span, Bill((), book.currency), entered, "", as_charged=False, accounts=1)
    if tariff.in_force(current.terms, span.from_s).schedules:
        first_day = _tier_begins(book, span.from_s, last_day)
        sharing = _sharing(accounts, calendar.midnight_s(book, first_day))
    since_day = sharing[0].since_day(book)
    if since_day is not None:  # a first month has the days since, that of the opening in full
        first_day = max(first_day, since_day)
    edges = [calendar.midnight_s(book, day) for day in (first_day, last_day + 1)]
    wide = Stint(0, edges[0], edges[1], first_day, last_day + 1)
    whole = _together(documents, wide, sharing)
    by_rule = _by_rule(charges_of(documents, whole))
    # The month may have been closed before its account was known to have ended.
    posted = [each for account in sharing for each in account.posted]
    for rule, exact in _entered(posted, edges[0], max(edges[1], span.to_s)).items():
        by_rule[rule] = by_rule.get(rule, Fraction(0)) + exact
    bill, unsaid = None, _unsaid(documents, current, whole)
    contract_mw = 0
    if not unsaid and households.by_contract(current):
        contracts = [each for account in accounts for each in account.contracts]
        contract_mw, unsaid = _contracted(sorted(contracts), wide)
    if not unsaid:
        uses = [Use(one.from_s, one.time_s, one.energy_wh) for one in whole.charges]
        over = ended or last_day + 1 == span.after_day
        asked = current if over else accrual.running(current)
        first = sharing[0].tenure
        fixed = first.fixed[0], tenure.fixed[1]
        what = (whole.begun, contract_mw, first.first_day or 0, fixed)
        try:
            bill = periods.rate(asked, Period(edges[0], edges[1], *what), uses)
        except Refused as error:
            unsaid = str(error)
    within = all(each.number <= last_day for each in taken.days)
    return Beyond(wide, bill, by_rule, unsaid, whole.as_charged and within, len(sharing))


def _sharing(accounts: Sequence[Account], begins_s: int) -> list[Account]:
    """The accounts that have a part of what begins at an instant and lasts to the last one."""
    out = list(accounts[-1:])
    for account in reversed(accounts[:-1]):
        opening = out[0].opening
        if opening is None or opening.time_s <= begins_s:
            break
        out.insert(0, account)
    return out


def _together(documents: Callable[[int], Document], wide: Stint, sharing: list[Account]) -> Month:
    """A span of days of several accounts as if they were one."""
    whole = Month(documents, wide, sharing[0].stands)
    whole.take_all(sharing[0].entries, sharing[0].posted)
    for account in sharing[1:]:
        more = Month(documents, wide, account.stands)
        more.take_all(account.entries, account.posted)
        whole.join(more, account.opening)
    return whole


def _entered(posted: Sequence[HostEntry], from_s: int, to_s: int) -> dict[str, Fraction]:
    """What the host has entered by terms of a span, by rule."""
    out: dict[str, Fraction] = {}
    for each in posted:
        if each.kind == TERMS and from_s < each.to_s <= to_s:
            out[each.rule] = out.get(each.rule, Fraction(0)) - each.amount_ncur
    return out


def _unsaid(documents: Callable[[int], Document], current: Document, whole: Month) -> str:
    """Why all terms of the newest version cannot be applied, or ""."""
    if not all(_alike(documents, current, priced) for priced in whole.charges):
        return (
            "several tariff versions that differ; write the older as a dated set of the newer"
            " 账期内各版本条款不同，请将旧版本写入新版本的分期"
        )
    if whole.lost_wh:
        return "records of the period are lost; correct it by an adjustment 记录缺失，请调账更正"
    return ""


def _contracted(contracts: Sequence[tuple[int, int]], span: Stint) -> tuple[int, str]:
    """(contracted power of a span in milliwatts, or why that is not said)."""
    begun = [power_mw for from_s, power_mw in contracts if from_s <= span.from_s]
    if not begun:
        return 0, (
            "its contracted power is not on file; add it with gridpurse tariff contract"
            " 合同容量未登记"
        )
    within = [mw for from_s, mw in contracts if span.from_s < from_s < span.to_s]
    if any(power_mw != begun[-1] for power_mw in within):
        return 0, (
            "its contracted power changes in the period; let it begin with one"
            " 账期内合同容量变更，须自账期首日起变更"
        )
    return begun[-1], ""


def _alike(documents: Callable[[int], Document], current: Document, priced: Priced) -> bool:
    """True when a charge of an older version is what the newest one asks, by the same terms."""
    if priced.version == current.book.version:
        return True
    own = tariff.in_force(documents(priced.version).terms, priced.from_s)
    if own != tariff.in_force(current.terms, priced.from_s):
        return False
    metered = priced.from_s, priced.time_s, priced.energy_wh
    asked = tariff.charge(current.book, priced.before, *metered)
    return bool(asked[0] == priced.amount_ncur)


def rule_of(line: BillLine) -> str:
    """The rule of a tariff that a line comes from."""
    if line.kind in (terms.ENERGY, TIER):
        return terms.ENERGY
    return line.kind if line.name == line.kind else f"{line.kind} {line.name}"


def _by_rule(lines: Sequence[BillLine]) -> dict[str, Fraction]:
    out: dict[str, Fraction] = {}
    for line in lines:
        out[rule_of(line)] = out.get(rule_of(line), Fraction(0)) + line.exact_ncur
    return out


def _tier_begins(book: Book, at_s: int, day: int) -> int:
    """The first day of the tier period of a day."""
    ladder = tariff.in_force(book.ladders, at_s)
    period = tariff.period_of(ladder, day)
    while tariff.period_of(ladder, day - 1) == period:
        day -= 1
    return day
