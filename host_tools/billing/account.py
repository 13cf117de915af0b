"""What the store has of one account of a customer: the time of one module at a service point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from host_tools.billing import tenure
from host_tools.billing.tenure import ALONE, Tenure
from host_tools.rating.rerating import Standing
from host_tools.store import care, host_entries, tariff_files
from host_tools.store.database import Store
from host_tools.store.host_entries import HostEntry
from host_tools.store.records import Point, Settled
from host_tools.validation import accounts
from protocol import ledger, tariff
from protocol.tariff import Book


@dataclass(frozen=True, slots=True)
class Account:
    """Entries of a module from the first, `posted` the host's own, `contracts` (from_s,
    milliwatts) of its power, `stands` charges that exchanges and corrections have made others,
    `tenure` the days of the account."""

    entries: Sequence[Settled]
    posted: Sequence[HostEntry] = ()
    contracts: Sequence[tuple[int, int]] = ()
    stands: Mapping[int, Standing] = field(default_factory=dict)
    tenure: Tenure = ALONE

    @property
    def opening(self) -> Settled | None:
        return next((each for each in self.entries if each.kind == ledger.OPENING), None)

    def since_day(self, book: Book) -> int | None:
        """The first day that is the account's; None where it has always been."""
        opening = self.opening
        if opening is None:
            return None
        opened_day = int(tariff.local_day(book, opening.time_s))
        first_day = self.tenure.first_day
        return opened_day if first_day is None else min(opened_day, first_day)


def of(store: Store, point: Point) -> Account:
    """The account of a point, its days not asked for yet."""
    stood = accounts.of(store, point)
    return Account(
        list(store.ledgers.entries(point.id)),
        host_entries.of(store).all(point.id),
        tariff_files.of(store).contracts(point.id),
        {} if stood is None else {each.was.seq: each for each in stood.every()},
    )


def with_days(store: Store, point: Point, account: Account, book: Book) -> Account:
    """An account with its days, in the local time of a book."""
    return replace(account, tenure=tenure.of(store, point, book))


def points_before(store: Store, point: Point) -> list[Point]:
    """Those whose customer a point has taken over, the last one first."""
    known = care.of(store)
    out: list[Point] = []
    row = known.of_new(point.id)
    while row is not None:
        out.append(known.point(row.old_point))
        row = known.of_new(row.old_point)
    return out
