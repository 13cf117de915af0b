"""Issued bills whose terms are others by now, because readings under them were corrected.

A bill never changes: it is credited, and its month issued again. Reads only.
"""

from dataclasses import dataclass

from host_tools.billing import closing
from host_tools.billing.documents import Documents
from host_tools.settlement.common import decimal
from host_tools.store import bills, care, host_entries
from host_tools.store.bills import Issued
from host_tools.store.database import Store
from host_tools.store.records import Point
from host_tools.validation import accounts
from host_tools.validation.versions import Versions
from protocol import tariff


@dataclass(frozen=True, slots=True)
class Amended:
    """A bill that stands, and what is owed beyond it in nano-currency."""

    number: str
    lacking_ncur: int

    def told(self) -> tuple[str, str]:
        """With the remedy, in English and in Chinese."""
        return (
            f"{self.number} lacks {decimal(self.lacking_ncur)} by its terms since a reading was"
            f" corrected; `gridpurse bill credit {self.number}`, and issue its month again",
            f"读数更正后账单 {self.number} 的条款有差额，请冲销后重开",
        )


def amended(store: Store, point: Point, documents: Documents) -> list[Amended]:
    """The bills of a point that corrections have left behind, oldest first."""
    if not accounts.changed(store, point):
        return []
    posted = host_entries.of(store).all(point.id)
    out = []
    for bill in bills.of(store).bills(point.id):
        stands = bill.corrects is None and bill.credited_by is None
        if not stands or not _corrected_since(store, point, bill):
            continue
        book = documents(bill.told()["tariff_version"]).book
        day = tariff.local_day(book, (bill.from_s + bill.to_s) // 2)
        year, month, _ = tariff.civil(day)
        found = closing.of_month(store, point, documents, year, month)
        lacking = closing.own_lacking(posted, found)
        if lacking:
            out.append(Amended(bill.number, sum(lacking.values())))
    return out


def _corrected_since(store: Store, point: Point, bill: Issued) -> bool:
    """Whether a bill may be another by now: a reading of its time or before, of this account or
    of one before it, was corrected after it was issued."""
    if care.of(store).of_new(point.id) is not None:
        return True
    later = Versions(store).changed_since(point.id, bill.told().get("readings_version", 0))
    if later is None:
        return False
    seq, start_s = later
    metered = store.ledgers.entry(point.id, seq - 1)
    return bill.to_s > min(start_s, metered.time_s if metered is not None else start_s)
