"""What a tariff's own terms owe beyond a module's charges, as adjustments that add up to the bill.

Works on running periods: each call owes the growth since the last, by cumulative floor, so that
adjustments and charges of a period together are its exact bill less a part of a nano-unit.
"""

from collections.abc import Sequence
from dataclasses import replace

from host_tools.rating import periods
from host_tools.rating.periods import Period, Use
from host_tools.rating.rerating import Adjustment
from host_tools.tariffs.terms import Document

TERMS = "terms of the tariff"


def running(document: Document) -> Document:
    """The document of a period that goes on: without its minimum and its whole total."""
    around = tuple(
        (from_s, replace(each, minimum=None, total_step_ncur=0)) for from_s, each in document.terms
    )
    return replace(document, terms=around)


def owed_ncur(document: Document, period: Period, uses: Sequence[Use], closed: bool) -> int:
    """The exact bill of a period until now, floored; whole and with its minimum when `closed`."""
    asked = document if closed else running(document)
    exact = periods.rate(asked, period, uses).exact_ncur
    return exact.numerator // exact.denominator


def due(
    document: Document,
    period: Period,
    uses: Sequence[Use],
    entered_ncur: int,
    closed: bool,
) -> Adjustment | None:
    """The adjustment that a point's ledger lacks, or None.

    `period` is whole days from the beginning of a bill, or of the tier period where the total
    chooses the prices. `entered_ncur` is what its ledger has of it: charges, daily charges and
    adjustments by these terms, positive when they are debits.
    """
    lacking_ncur = owed_ncur(document, period, uses, closed) - entered_ncur
    if lacking_ncur == 0:
        return None
    return Adjustment(
        TERMS,
        -lacking_ncur,
        0,
        0,
        period.from_s,
        period.to_s,
        len(uses),
        (document.book.version,),
        0,
    )
