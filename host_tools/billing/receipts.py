"""Receipts of payments: a gapless number, given out with the payment's own ledger entry.

Year and printed time are by the clock of the point's tariff; in UTC where it has none yet.
"""

from datetime import UTC, datetime

from host_tools.billing import printed
from host_tools.billing.words import cents, kwh, money, say
from host_tools.rating import calendar
from host_tools.rating.affordable import affordable_wh
from host_tools.store import bills
from host_tools.store.bills import Receipt
from host_tools.store.database import Store
from host_tools.store.records import Point, TopUp
from host_tools.validation import journal
from protocol.ledger import State
from protocol.tariff import Book, Position
from protocol.units import Malformed

SERIES = "R"


def give(store: Store, point: Point, paid: TopUp) -> Receipt:
    """The receipt of a booked payment, inside its transaction; the one it has, if any."""
    kept = bills.of(store)
    known = kept.receipt(paid.reference)
    if known is not None:
        return known
    # What is on its way to the module is the customer's, too: this payment, and those before it.
    waiting_ncur = sum(each.amount_ncur for each in store.payments.uncredited(point.id))
    after_ncur = int(point.state.balance_ncur) + waiting_ncur
    before_ncur = after_ncur - paid.amount_ncur
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
        "balance_after_ncur": after_ncur,
    }
    year = datetime.fromtimestamp(paid.paid_s, UTC).year
    book = _book(store, point)
    if book is not None:
        year = calendar.year(book, paid.paid_s)
        content["paid_local"] = calendar.local(book, paid.paid_s)
        content["buys_wh"] = _buys_wh(book, point.state, paid.paid_s, before_ncur, after_ncur)
    return kept.add_receipt(SERIES, year, paid.reference, paid.paid_s, content)


def _book(store: Store, point: Point) -> Book | None:
    """The tariff of a point, settled or assigned; a damaged one holds up no payment."""
    try:
        return journal.book_of(store, point)
    except Malformed:
        return None


def _buys_wh(book: Book, state: State, at_s: int, *balances_ncur: int) -> int | None:
    """By the price of the moment, behind what was in hand before; None where energy is free."""
    position = Position(state.period, state.used_wh)
    before_wh, after_wh = (
        affordable_wh(book, position, at_s, balance_ncur)[0] for balance_ncur in balances_ncur
    )
    return None if before_wh is None or after_wh is None else after_wh - before_wh


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
    if told.get("buys_wh") is not None:
        about = f"{kwh(told['buys_wh'])} kWh {say('price_now', language)}"
        facts.insert(-1, ("buys", about))
    rows = [(say(key, language), value) for key, value in facts]
    title = f"{say('receipt', language)} {receipt.number}"
    return [title, *printed.columns(rows, (False, False))]
