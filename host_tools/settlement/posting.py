"""Which accounts an entry or a payment moves. Amounts are nano-currency, one transfer a row.

A debit raises an asset and lowers a liability. The customer's balance is the credit of
CUSTOMER; payments wait in IN_FLIGHT until the module's own entry shows that they arrived. Every
entry moves between CUSTOMER and one other account, its contra, which the journal keeps as a code.
"""

from protocol import ledger

CASH = "cash clearing"
IN_FLIGHT = "top-up in flight"
CUSTOMER = "customer prepaid"
ENERGY = "energy revenue"
FIXED = "fixed revenue"
ADJUSTMENTS = "adjustments"
DEBTS = "debts of customers"
SUSPENSE = "suspense"  # money on a module that the host never issued
TERMS = "terms of tariffs"  # what a tariff asks beyond its module's book
ROLLBACK = "storage rollback"  # of records that were lost, until each part has its account
TRANSFER = "transfer between modules"  # on its way to a new module; zero when all has arrived
WRITE_OFFS = "write-offs"

# As the table `accounts` of the store numbers them.
CODES = {
    CUSTOMER: 1,
    CASH: 2,
    IN_FLIGHT: 3,
    ENERGY: 4,
    FIXED: 5,
    ADJUSTMENTS: 6,
    DEBTS: 7,
    SUSPENSE: 8,
    TERMS: 21,
    ROLLBACK: 22,
    TRANSFER: 31,
    WRITE_OFFS: 32,
}
# Reason classes of adjustments that bring the host's own entries to a module. A person's are in
# host_tools/ordering.
REASON_TERMS = 16
# What the difference of lost records is made of: rules of the host's entries.
CHARGES, TOPUPS, OTHERS = "charges", "top-ups", "others"

_CONTRAS = {
    ledger.CHARGE: CODES[ENERGY],
    ledger.FIXED: CODES[FIXED],
    ledger.TOPUP: CODES[IN_FLIGHT],
    ledger.DEBT: CODES[DEBTS],
    ledger.ADJUSTMENT: CODES[ADJUSTMENTS],
    ledger.TRANSFER: CODES[TRANSFER],
    ledger.OPENING: CODES[ADJUSTMENTS],  # moves no money
}

Row = tuple[int, int, str, str, int, str, str, int]


def of_payment(point_id: int, time_s: int, amount_ncur: int, currency: str, number: int) -> Row:
    return (point_id, time_s, CASH, IN_FLIGHT, amount_ncur, currency, "payment", number)


def of_host(
    point_id: int, time_s: int, pair: tuple[str, str], amount_ncur: int, currency: str, number: int
) -> Row:
    """A host entry: a credit of the first account and a debit of the second, or with its sign
    turned the other way round."""
    to, by = pair if amount_ncur > 0 else pair[::-1]
    return (point_id, time_s, by, to, abs(amount_ncur), currency, "entry", number)


def moved(
    point_id: int, time_s: int, pair: tuple[str, str], amount_ncur: int, currency: str, number: int
) -> list[Row]:
    """An amount out of the first account into the second; a negative one goes the other way.

    `number` is what moved it: below 0 in the posting, because entries of the host count from 1.
    """
    if not amount_ncur:
        return []
    out, into = pair if amount_ncur > 0 else pair[::-1]
    return [(point_id, time_s, out, into, abs(amount_ncur), currency, "entry", -number)]


def contra(kind: int, issued: bool) -> int:
    """Code of the account opposite to CUSTOMER.

    `issued` tells whether the host itself ordered the top-up, adjustment or debt.
    """
    return _CONTRAS[kind] if issued else CODES[SUSPENSE]
