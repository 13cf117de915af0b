"""Receipts of payments: a gapless number, given out with the payment's own ledger entry.

Year and printed time are by the clock of the point's tariff; in UTC where it has none yet.
"""

from datetime import UTC, datetime

from host_tools.billing import printed
from host_tools.billing.words import cents, money, say
from host_tools.rating import calendar
from host_tools.store import bills
from host_tools.store.bills import Receipt
from host_tools.store.database import Store
from host_tools.store.records import Point, TopUp
from host_tools.validation import journal
from protocol import tariff
from protocol.tariff import Book
from protocol.units import Malformed

SERIES = "R"


def give(store: Store, point: Point, paid: TopUp) -> Receipt:
    """The receipt of a booked payment, inside its transaction; the one it has, if any."""
    kept = bills.of(store)
    known = kept.receipt(paid.reference)
    if known is not None:
        return known
    before_ncur = int(point.state.balance_ncur)
    content = {
        "module": point.module,
        "point": point.point,
        "label": point.label,
        "reference": paid.reference,
        "topup_number": paid.number,
        "amount_ncur": paid.amount_ncur,
        "currency": point.currency,
        "paid_s": paid.paid_s,
        "balance_before_ncur": before_ncur,
        "balance_after_ncur": before_ncur + paid.amount_ncur,
    }
    year = datetime.fromtimestamp(paid.paid_s, UTC).year
    book = _book(store, point)
    if book is not None:
        year = tariff.civil(tariff.local_day(book, paid.paid_s))[0]
        content["paid_local"] = calendar.local(book, paid.paid_s)
    return kept.add_receipt(SERIES, year, paid.reference, paid.paid_s, content)


def _book(store: Store, point: Point) -> Book | None:
    """The tariff of a point, settled or assigned; a damaged one holds up no payment."""
    try:
        return journal.book_of(store, point)
    except Malformed:
        return None


def text(receipt: Receipt, language: str) -> list[str]:
    told = receipt.told()
    in_utc = datetime.fromtimestamp(told["paid_s"], UTC).strftime("%Y-%m-%d %H:%MZ")
    amount = f"{cents(told['amount_ncur'])} {told['currency']}"
    facts = [
        ("point", f"{told['module']}/{told['point']} {told['label']}"),
        ("payment", told["reference"]),
        ("paid", told.get("paid_local", in_utc)),  # older ones do not say
        ("topup_number", str(told["topup_number"])),
        ("amount", amount),
        ("before", money(told["balance_before_ncur"])),
        ("after", money(told["balance_after_ncur"])),
        ("digest", receipt.digest.hex()),
    ]
    rows = [(say(key, language), value) for key, value in facts]
    title = f"{say('receipt', language)} {receipt.number}"
    return [title, *printed.columns(rows, (False, False))]
