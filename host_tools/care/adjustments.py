"""Adjustments that a module was ordered and has not made: money that must not go with it.

They cannot move by themselves. The old module may have made one and not told it yet, and those of
the host are what its own readings cost; so a person decides, by the command's number and amount.
"""

from host_tools import Refused
from host_tools.settlement import commands
from host_tools.settlement.common import decimal
from host_tools.store.database import Store
from host_tools.store.records import Order, Point
from protocol import codes


def waiting(store: Store, point: Point) -> list[Order]:
    """The open ones of a point, oldest first."""
    return store.payments.open_of(point.module, point.point, codes.ADJUST)


def amount_ncur(order: Order) -> int:
    return int(commands.args_of(order.args)[1])


def check(store: Store, point: Point) -> None:
    """Refused while one is open, naming it."""
    for order in waiting(store, point):
        amount = f"{decimal(amount_ncur(order))} {point.currency}"
        raise Refused(
            f"{point.module}/{point.point}: adjustment {order.id} of {amount} is {order.state};"
            " wait for it, or --despite-adjustments and order it again for the module that"
            " follows 调账尚未执行"
        )
