"""Commands to modules: given an id in the transaction of their cause, repeated until answered.

A payment and its top-up number are one transaction; the same payment reference is paid in once.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

from host_tools import Refused
from host_tools.settlement import posting
from host_tools.store import care
from host_tools.store.database import Store
from host_tools.store.records import Order, Point, TopUp
from protocol import cbor, codes, tariff, tariff_book, topup
from protocol.messages import Command
from protocol.units import DAY_S, MODULE_TARGET, NCUR_MAX

TOPUP_LIFE_S = 365 * DAY_S  # its number protects it, not its age
TARIFF_LIFE_S = 365 * DAY_S
ARGS_DEPTH_MAX = 9  # of the slots of a tariff
OPEN_MAX = 8  # commands of a module under way at once: its window of applied ids is no wider
IDS_MAX = 32  # that a module remembers behind its newest: an older one counts as applied
REFERENCE_CHARACTERS_MAX = 64
RETRY_MS = 15000
RETRY_MS_MAX = 3600000

_ENDS = {
    codes.DONE: "done",
    codes.ALREADY: "done",
    codes.REFUSED_EXPIRED: "expired",
}


def issue(
    store: Store,
    module: str,
    target: int,
    action: int,
    args: list[object],
    now_s: int,
    life_s: int,
) -> int:
    """Queues a command; its id."""
    wire = cbor.encode(args)
    return store.payments.add_command(module, target, action, wire, now_s, now_s + life_s)


def unheard(store: Store, module: str, command_id: int, now_s: int) -> bool:
    """Ends a command to a module that is retired and hears nothing: a person has to settle it."""
    order = store.payments.command(module, command_id)
    if order is None or store.fleet.module_known(module).retired_s is None:
        return False
    store.payments.command_ended(order, "expired", None, None, now_s)
    return True


def one_line(told: str) -> str:
    """A reference without the blanks around it; "" for an empty, long or unprintable one."""
    fits = len(told) <= REFERENCE_CHARACTERS_MAX and told.isprintable()
    return told.strip() if fits else ""


def reference_of(store: Store, told: str) -> str:
    """The reference of a payment without the blanks around it, or as one is stored. Refused for
    what is empty, long or not one printable line."""
    if store.payments.topup_by_reference(told) is not None:
        return told  # stored as it is, by a program of before
    reference = one_line(told)
    if not reference:
        raise Refused(
            f"reference: must name the payment in 1 to {REFERENCE_CHARACTERS_MAX} printable"
            " characters 缴费凭证号须为可见字符"
        )
    return reference


def pay(
    store: Store, point: Point, reference: str, amount_ncur: int, now_s: int, number: int = 0
) -> TopUp:
    """A payment becomes a numbered top-up, its posting and its command, or the one it was before.

    One that is not credited and that no open command carries, because the module refused it or
    the command has ended, is sent again under the same number. `number` is the one that the
    payment had in a store that was lost.
    """
    if not 0 < amount_ncur <= NCUR_MAX:
        raise Refused("amount: must be more than zero and within the ledger's range")
    reference = reference_of(store, reference)
    known = store.payments.topup_by_reference(reference)
    elsewhere = care.of(store).successor(point)
    if elsewhere is not None:
        raise Refused(f"{point.module}/{point.point}: {elsewhere}")
    if known is None:
        mark = point.state.mark
        what = (point.id, mark, reference, amount_ncur, now_s, number)
        known = store.payments.add_topup(*what)
        row = posting.of_payment(point.id, now_s, amount_ncur, point.currency, known.number)
        store.ledgers.post([row])
    elif (known.point_id, known.amount_ncur) != (point.id, amount_ncur):
        raise Refused(f"reference {reference}: it is another payment already; use its own one")
    elif known.state == "credited":
        return known
    elif known.state == "refused":
        store.payments.topup_became(known, "in flight", None)
        known = replace(known, state="in flight")
    if not _carrying(store, point.module, point.point, known):
        args = _carried(known)
        issue(store, point.module, point.point, codes.TOPUP, args, now_s, TOPUP_LIFE_S)
    return known


def _carried(given: TopUp) -> list[object]:
    """The arguments of the command that carries a top-up."""
    return [given.number, given.generation, given.amount_ncur]


def _carrying(store: Store, module: str, point: int, given: TopUp) -> list[Order]:
    """The open commands of a top-up."""
    args = cbor.encode(_carried(given))
    orders = store.payments.open_of(module, point, codes.TOPUP)
    return [order for order in orders if order.args == args]


def set_tariff(store: Store, point: Point, book: tariff.Book, now_s: int) -> int:
    """Assigns a stored book to a point from now on and orders the module to use it.

    Assignment and order have one instant, by which `gridpurse verify` knows them.
    """
    if book.currency != point.currency:
        raise Refused(f"tariff {book.version}: it is in {book.currency}, not {point.currency}")
    from_s = store.fleet.assign_next(point, book.version, now_s)
    return order_tariff(store, point.module, point.point, book, from_s)


def order_tariff(store: Store, module: str, point: int, book: tariff.Book, now_s: int) -> int:
    """Queues the book for a point; the command's id."""
    return issue(store, module, point, codes.TARIFF, tariff_args(book), now_s, TARIFF_LIFE_S)


def tariff_args(book: tariff.Book) -> list[object]:
    return [tariff_book.to_wire(book)]


def topup_arrived(store: Store, module: str, point: int, given: TopUp, now_s: int) -> None:
    """The ledger entry of a top-up answers the command that carried it."""
    for order in _carrying(store, module, point, given):
        store.payments.command_ended(order, "done", codes.DONE, 0, now_s)


def answered(
    store: Store, module: str, command_id: int, status: int, detail: int, now_s: int
) -> None:
    """A command result. A refused top-up waits for a person; an arrived one is never undone.

    An answer that comes after we gave up is still what happened.
    """
    order = store.payments.command(module, command_id)
    if order is None or order.state in ("done", "refused"):
        return
    state = _ENDS.get(status, "refused")
    store.payments.command_ended(order, state, status, detail, now_s)
    if state != "done" and order.action == codes.TOPUP:
        given = _topup_of(store, order)
        if given is None or given.state != "in flight":
            return
        # A copy of a command may be refused once more, long after its payment was sent again.
        if not _carrying(store, module, order.target, given):
            store.payments.topup_became(given, "refused", None)


def _topup_of(store: Store, order: Order) -> TopUp | None:
    point = store.fleet.point(order.module, order.target)
    args = cbor.decode(order.args, ARGS_DEPTH_MAX)
    if point is None or not isinstance(args, list):
        return None
    return store.payments.topup(point.id, args[1], args[0])


def args_of(wire: bytes) -> list[Any]:
    """The arguments of a command that lies in the store."""
    return cast(list[Any], cbor.decode(wire, ARGS_DEPTH_MAX))


def to_wire(order: Order) -> Command:
    args = args_of(order.args)
    return Command(order.id, order.target, order.action, order.issued_s, order.expires_s, args)


class Dispatch:
    """When each open command is due. Pauses double from RETRY_MS; a hello makes all due at once.

    Kept in memory only: after a restart everything open is due, and a repetition does no harm.
    """

    def __init__(self) -> None:
        self._next_ms: dict[tuple[str, int], tuple[int, int]] = {}

    def module_is_back(self, module: str) -> None:
        for key in [key for key in self._next_ms if key[0] == module]:
            del self._next_ms[key]

    def due(self, store: Store, shards: Collection[int], now_s: int, ticks_ms: int) -> list[Order]:
        """Open commands to send now; those past their expiry are closed instead, but for top-ups.

        A top-up is money that is paid: one moment of a wrong host clock must not end it, and its
        number keeps it from being credited twice, however late it arrives. Only of modules of our
        shards: rows of other points are not ours to keep.
        """
        out = []
        oldest: dict[tuple[str, int], int] = {}
        under_way: dict[str, int] = {}
        pending = [
            order
            for order in store.payments.open_commands()
            if store.fleet.module_known(order.module).shard in shards
        ]
        for order in pending:
            if order.expires_s <= now_s and order.action != codes.TOPUP:
                store.payments.command_ended(order, "expired", None, None, now_s)
                continue
            count = under_way[order.module] = under_way.get(order.module, 0) + 1
            oldest_id = oldest.setdefault((order.module, order.target), order.id)
            remembered = order.id < oldest_id + IDS_MAX
            if count > OPEN_MAX or not remembered or not self._in_window(store, order):
                continue
            key = (order.module, order.id)
            at_ms, pause_ms = self._next_ms.get(key, (ticks_ms, RETRY_MS))
            if at_ms <= ticks_ms:
                self._next_ms[key] = (ticks_ms + pause_ms, min(2 * pause_ms, RETRY_MS_MAX))
                out.append(order)
        keys = {(order.module, order.id) for order in pending}
        self._next_ms = {key: value for key, value in self._next_ms.items() if key in keys}
        return out

    def _in_window(self, store: Store, order: Order) -> bool:
        """A top-up waits while an older one could still fall out of the module's window."""
        if order.action != codes.TOPUP or order.target == MODULE_TARGET:
            return True
        point = store.fleet.point(order.module, order.target)
        given = _topup_of(store, order)
        if point is None or given is None:
            return True
        oldest = store.payments.oldest_owed(point.id, given.generation)
        return oldest is None or given.number < oldest + topup.WINDOW
