"""Issued bills whose terms are others by now: readings under them were corrected, or came late.

A bill never changes: it is credited, and its month issued again. Reads only.
"""

from dataclasses import dataclass

from host_tools.billing import closing
from host_tools.billing.documents import Documents
from host_tools.settlement.common import decimal
from host_tools.store import bills, host_entries
from host_tools.store.bills import Issued
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import accounts
from protocol import tariff
from protocol.tariff import Book


@dataclass(frozen=True, slots=True)
class Amended:
    """A bill that stands, and what is owed beyond it in nano-currency."""

    number: str
    lacking_ncur: int

    def told(self) -> tuple[str, str]:
        """With the remedy, in English and in Chinese."""
        return (
            f"{self.number} lacks {decimal(self.lacking_ncur)} by its terms since a reading was"
            f" corrected or came late; `gridpurse bill credit {self.number}`, and issue its month"
            " again",
            f"读数更正或补到后账单 {self.number} 的条款有差额，请冲销后重开",
        )


def amended(store: Store, point: Point, documents: Documents) -> list[Amended]:
    """The bills of a point that corrections, or what an exchange has told since, have left behind,
    oldest first. Only those of the tier periods that these reach are worked out again."""
    spans = accounts.touched(store, point)
    posted, out = host_entries.of(store).all(point.id), []
    for bill in bills.of(store).bills(point.id) if spans else ():
        if bill.corrects is not None or bill.credited_by is not None:
            continue
        book = documents(bill.told()["tariff_version"]).book
        if not any(_reaches(book, bill, *span) for span in spans):
            continue
        day = tariff.local_day(book, (bill.from_s + bill.to_s) // 2)
        year, month, _ = tariff.civil(day)
        found = closing.of_month(store, point, documents, year, month)
        lacking = closing.own_lacking(posted, found)
        if lacking:
            out.append(Amended(bill.number, sum(lacking.values())))
    return out


def _reaches(book: Book, bill: Issued, from_s: int, to_s: int) -> bool:
    """Whether what changes in a span may change a bill: of its days, or behind them within a tier
    period."""
    if bill.to_s < from_s:
        return False
    ladder = tariff.in_force(book.ladders, bill.from_s)
    begun, ended = (
        tariff.period_of(ladder, tariff.local_day(book, at_s)) for at_s in (bill.from_s, to_s)
    )
    return bool(begun <= ended)
