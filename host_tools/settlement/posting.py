"""Which accounts an entry or a payment moves. Amounts are nano-currency, one transfer a row.

A debit raises an asset and lowers a liability. The customer's balance is the credit of
CUSTOMER; payments wait in IN_FLIGHT until the module's own entry shows that they arrived.
"""

from protocol import ledger
from protocol.ledger import Entry

CASH = "cash clearing"
IN_FLIGHT = "top-up in flight"
CUSTOMER = "customer prepaid"
ENERGY = "energy revenue"
FIXED = "fixed revenue"
ADJUSTMENTS = "adjustments"
DEBTS = "debts of customers"
SUSPENSE = "suspense"  # money on a module that the host never issued

_OF_ORDERS = {ledger.TOPUP: IN_FLIGHT, ledger.ADJUSTMENT: ADJUSTMENTS, ledger.DEBT: DEBTS}

Row = tuple[int, int, str, str, int, str, str, int]


def of_payment(point_id: int, time_s: int, amount_ncur: int, currency: str, number: int) -> Row:
    return (point_id, time_s, CASH, IN_FLIGHT, amount_ncur, currency, "payment", number)


def of_entry(point_id: int, entry: Entry, currency: str, issued: bool) -> list[Row]:
    """The transfer of a ledger entry; none for an amount of zero.

    `issued` tells whether the host itself ordered the top-up, adjustment or debt.
    """
    if entry.amount_ncur == 0:
        return []
    if entry.kind == ledger.CHARGE:
        other = ENERGY
    elif entry.kind == ledger.FIXED:
        other = FIXED
    elif not issued:
        other = SUSPENSE
    else:
        other = _OF_ORDERS[entry.kind]
    debit, credit = (other, CUSTOMER) if entry.amount_ncur > 0 else (CUSTOMER, other)
    amount = abs(entry.amount_ncur)
    return [(point_id, entry.time_s, debit, credit, amount, currency, "entry", entry.seq)]
