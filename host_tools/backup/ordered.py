"""Whether what was entered, adjusted and paid is what was ordered for it.

Each entry of the host, each adjustment and each payment is held against the command that carries
it to the module and against what was noted with that command; adjustments that modules have made
are held against their commands too. A row and its command were written together, so one that was
changed alone is found. One pass over each table. Amounts are nano-currency.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from host_tools import Refused
from host_tools.backup.issued import ENTRY, TARIFF
from host_tools.ordering.amounts import money_ncur
from host_tools.ordering.kinds import ADJUSTMENTS, BY_HOST
from host_tools.settlement import commands, posting
from host_tools.store import host_entries
from host_tools.store.host_entries import HostEntry
from host_tools.store.orders import OF_POINT
from host_tools.store.sql import Connection, Database
from protocol import codes
from protocol.ledger import Entry
from protocol.units import Malformed

ADJUSTMENT, TOPUP = "adjustment", "top-up"
Wrong = Iterator[tuple[str, str, str]]

_ORDERS = (
    "SELECT c.module, c.target, c.id, p.id, c.args, c.issued_s, n.asked, n.why, n.reference"
    " FROM commands c LEFT JOIN points p ON p.module = c.module AND p.point = c.target"
    " LEFT JOIN command_notes n ON n.module = c.module AND n.id = c.id"
    " WHERE c.action = ? ORDER BY c.module, c.id"
)
_POINTS = "SELECT id, module, point FROM points"
_ENTRIES = (
    "SELECT point_id, class, from_s, to_s, version, rule, amount_ncur, command_id, posted_s,"
    " number FROM host_entries ORDER BY number"
)
_ADJUSTMENTS = (
    "SELECT point_id, number, command_id, version, tariffs, rule, first_seq, from_s, to_s,"
    " amount_ncur, at_s FROM vee_adjustments ORDER BY point_id, number"
)
_PAID = "SELECT point_id, generation, number, amount_ncur FROM topups"
_MOVED = "SELECT old_point, generation, number, amount_ncur FROM moved_topups"
_TAKEN_OVER = "SELECT old_point, new_point FROM replacements"
_BOOKS = "SELECT version, book FROM tariffs"
_GIVEN = "SELECT point_id, from_s, version FROM assignments"
_BY_HOST = {posting.REASON_TERMS, *(ADJUSTMENTS[name][0] for name in BY_HOST)}


@dataclass(slots=True)
class Journal:
    """What the entries of modules say of orders; those of `broken` points are not all here.

    `adjusted`: {(point, command, reason): amount}; `issued`: (point, sequence, command, reason,
    amount) of what the host has taken for its own; `adopted`: {point: (from, to, version)} of lost
    records, and `adopted_ncur` what they come to.
    """

    adjusted: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    issued: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    adopted: defaultdict[int, list[tuple[int, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    adopted_ncur: Counter[int] = field(default_factory=Counter)
    broken: set[int] = field(default_factory=set)

    def take(self, point_id: int, entry: Entry, issued: bool) -> None:
        """An adjustment; `issued` where it was taken for one that the host ordered."""
        what = entry.number, entry.channel, entry.amount_ncur
        self.adjusted[point_id, entry.number, entry.channel] += entry.amount_ncur
        if issued and entry.amount_ncur:
            self.issued.append((point_id, entry.seq, *what))


@dataclass(frozen=True, slots=True)
class _Order:
    """An adjustment in the queue; `args` are empty where they are none of an adjustment."""

    where: str
    module: str
    number: int
    target: int
    point_id: int | None
    args: tuple[int, ...]
    issued_s: int
    asked: dict[str, Any] | None
    why: str | None
    reference: str | None


@dataclass(slots=True)
class _Books:
    """What the checks of this module share; `claimed` are orders that a row has named,
    `taken_over` {point: the one that has its customer since}."""

    names: dict[int, tuple[str, int]]
    orders: dict[tuple[str, int], _Order]
    by_reference: dict[str, _Order]
    taken_over: dict[int, int]
    journal: Journal
    claimed: set[tuple[str, int]] = field(default_factory=set)

    def heirs(self) -> dict[tuple[str, int], list[_Order]]:
        """Orders by the point whose account they bring along to another module, and their id."""
        out: dict[tuple[str, int], list[_Order]] = {}
        for (_, command_id), order in self.orders.items():
            if order.asked and order.asked.get("kind") == "terms" and OF_POINT in order.asked:
                out.setdefault((str(order.asked[OF_POINT]), command_id), []).append(order)
        return out

    def name(self, point_id: int) -> str:
        module, point = self.names.get(point_id, ("?", point_id))
        return f"{module}/{point}"

    def of_readings(self, point_id: int, where: str, command_id: int) -> _Order | None:
        """The order of an adjustment, to its point or one that took over from it."""
        order = self.by_reference.get(f"readings {where}")
        if order is None or order.number != command_id:
            return None
        at: int | None = point_id
        while at is not None and at != order.point_id:
            at = self.taken_over.get(at)
        if at is None:
            return None
        self.claimed.add((order.module, order.number))
        return order

    def order(self, point_id: int, command_id: int) -> _Order | None:
        """The order that a row of a point names, which is of that point."""
        key = (self.names.get(point_id, ("", 0))[0], command_id)
        found = self.orders.get(key)
        if found is None or found.point_id != point_id:
            return None
        self.claimed.add(key)
        return found


def wrong(database: Database, journal: Journal) -> Wrong:
    """(kind, which, what) of everything that is not as it was ordered."""
    store = database.connection
    names = {row[0]: (row[1], row[2]) for row in store.execute(_POINTS).fetchall()}
    orders = dict(_orders(store))
    by_reference = {each.reference: each for each in orders.values() if each.reference}
    taken_over = dict(store.execute(_TAKEN_OVER).fetchall())
    books = _Books(names, orders, by_reference, taken_over, journal)
    yield from _entered(store, books)
    yield from _adjusted(store, books)
    yield from _unclaimed(books)
    yield from _made(books)
    yield from _paid(database, books)
    yield from _given(database)


def _orders(store: Connection) -> Iterator[tuple[tuple[str, int], _Order]]:
    for row in store.execute(_ORDERS, (codes.ADJUST,)).fetchall():
        module, target, number, point_id, args, issued_s, asked, why, reference = row
        where = f"{module}/{target} command {number}"
        told = (_args(args), issued_s, _json(asked), why, reference)
        yield (module, number), _Order(where, module, number, target, point_id, *told)


def _args(wire: bytes) -> tuple[int, ...]:
    try:
        args = commands.args_of(bytes(wire))
    except Malformed:
        return ()
    whole = isinstance(args, list) and all(isinstance(each, int) for each in args)
    return tuple(args) if whole else ()


def _json(asked: str | None) -> dict[str, Any] | None:
    try:
        told = json.loads(asked or "null")
    except ValueError:
        return {}
    return told if told is None or isinstance(told, dict) else {}


def _entered(store: Connection, books: _Books) -> Wrong:
    """Entries of the host: those of an order are what it says, others what was adopted."""
    groups: dict[tuple[int, int], list[HostEntry]] = {}
    heirs = books.heirs()
    for row in store.execute(_ENTRIES).fetchall():
        each = HostEntry(*row)
        groups.setdefault((each.point_id, each.command_id), []).append(each)
    for (point_id, command_id), rows in groups.items():
        for order in heirs.get((books.name(point_id), command_id), []):
            rows = _not_of(books, order, rows)
        if not rows:
            continue
        if command_id:
            what = _unlike_order(books, point_id, command_id, rows)
            if what:
                yield ENTRY, f"{books.name(point_id)} command {command_id}", what
    for point_id in {*books.journal.adopted_ncur, *(point_id for point_id, _ in groups)}:
        if point_id not in books.journal.broken:
            yield from _without_order(books, point_id, groups.get((point_id, 0), []))


def _not_of(books: _Books, order: _Order, rows: list[HostEntry]) -> list[HostEntry]:
    """The rows but for those of an order to the module that took over; all where one is unlike."""
    asked = dict(order.asked or {})
    span = asked.get("from_s"), asked.get("to_s"), order.issued_s
    its = [each for each in rows if (each.from_s, each.to_s, each.posted_s) == span]
    amount_ncur = sum(each.amount_ncur for each in its)
    alike = order.args == (posting.REASON_TERMS, amount_ncur)
    rules = {each.rule: -each.amount_ncur for each in its}
    if not its or not alike or asked.get("rules") != rules or len({e.version for e in its}) > 1:
        return rows
    if not (order.why or "").startswith(f"terms of tariff version {its[0].version}: "):
        return rows
    books.claimed.add((order.module, int(its[0].command_id)))
    return [each for each in rows if each not in its]


def _unlike_order(books: _Books, point_id: int, command_id: int, rows: list[HostEntry]) -> str:
    order = books.order(point_id, command_id)
    amount_ncur = sum(each.amount_ncur for each in rows)
    if order is None:  # given out by a store that was lost: known by what it did at the module
        made_ncur = books.journal.adjusted[point_id, command_id, posting.REASON_TERMS]
        known = (books.names.get(point_id, ("", 0))[0], command_id) in books.orders
        same = made_ncur == amount_ncur or point_id in books.journal.broken
        return "" if same and not known else "there is no order of its entries"
    if order.args != (posting.REASON_TERMS, amount_ncur):
        return "its entries do not come to what it orders"
    one = rows[0]
    rules = {each.rule: -each.amount_ncur for each in rows}
    asked = {"kind": "terms", "from_s": one.from_s, "to_s": one.to_s, "rules": rules}
    why = f"terms of tariff version {one.version}: "
    alike = (one.from_s, one.to_s, one.version, order.issued_s)
    if (
        any((each.from_s, each.to_s, each.version, each.posted_s) != alike for each in rows)
        or asked != order.asked
        or not (order.why or "").startswith(why)
    ):
        return "its entries have another rule, span, version or time than it was ordered for"
    return ""


def _without_order(books: _Books, point_id: int, rows: list[HostEntry]) -> Wrong:
    """Terms without an order cancel each other, or what lost records had of them."""
    adopted = books.journal.adopted.get(point_id, [])
    for each in rows:
        span = each.from_s, each.to_s, each.version
        if each.kind == host_entries.ROLLBACK and span not in adopted:
            yield ENTRY, f"{each.number}", "its span or version is of no adopted statement"
    if sum(each.amount_ncur for each in rows) != books.journal.adopted_ncur[point_id]:
        what = "its entries without an order do not come to what was adopted"
        yield ENTRY, books.name(point_id), what


def _adjusted(store: Connection, books: _Books) -> Wrong:
    """What corrected readings cost, against the order of it."""
    last: dict[int, int] = {}
    for row in store.execute(_ADJUSTMENTS).fetchall():
        point_id, number, command_id, version, tariffs, rule, first_seq, from_s, to_s = row[:9]
        amount_ncur, at_s = row[9:]
        where = f"{books.name(point_id)} {number}"
        if number != last.get(point_id, 0) + 1:
            yield ADJUSTMENT, where, "the adjustment before it is missing"
        last[point_id] = number
        order = books.of_readings(point_id, where, command_id)
        if order is None or order.asked is None:
            yield ADJUSTMENT, where, f"there is no order {command_id} of it"
            continue
        asked = {
            "kind": order.asked.get("kind"),
            "rule": rule,
            "readings_version": version,
            "tariff_versions": tariffs,
            "first_entry": first_seq,
            "from_s": from_s,
            "to_s": to_s,
        }
        if order.args != (_reason(order.asked.get("kind")), amount_ncur):
            yield ADJUSTMENT, where, f"is not what command {command_id} orders"
        elif (asked, at_s) != (order.asked, order.issued_s):
            yield (
                ADJUSTMENT,
                where,
                f"is of other readings than command {command_id} was ordered for",
            )


def _reason(name: object) -> int:
    return ADJUSTMENTS[name][0] if isinstance(name, str) and name in ADJUSTMENTS else -1


def _unclaimed(books: _Books) -> Wrong:
    """Orders of a person are what was asked; one of the host itself has a row that it is for."""
    for key, order in books.orders.items():
        if key in books.claimed:
            continue
        asked = order.asked
        if (order.args and order.args[0] in _BY_HOST) or (asked and not _by_person(asked)):
            yield ADJUSTMENT, order.where, "nothing was entered that it is for"
        elif asked is not None and not _as_asked(order, asked):
            yield ADJUSTMENT, order.where, "does not order what was asked for"


def _by_person(asked: dict[str, Any]) -> bool:
    return asked.get("kind") != "terms" and "readings_version" not in asked


def _as_asked(order: _Order, asked: dict[str, Any]) -> bool:
    try:
        amount_ncur = money_ncur("amount", str(asked.get("amount")))
    except Refused:
        return False
    where = asked.get("module"), asked.get("point")
    wanted = (_reason(asked.get("reason_class")), amount_ncur)
    return (where, wanted) == ((order.module, order.target), order.args)


def _made(books: _Books) -> Wrong:
    """Adjustments that modules have made on the host's order are what it ordered."""
    for point_id, seq, number, reason, amount_ncur in books.journal.issued:
        module, target = books.names.get(point_id, ("", 0))
        order = books.orders.get((module, number))
        if order is None or (order.target, order.args) != (target, (reason, amount_ncur)):
            where = f"{books.name(point_id)} entry {seq}"
            yield ADJUSTMENT, where, f"is not what command {number} orders"


def _paid(database: Database, books: _Books) -> Wrong:
    """Each payment has an order of its number and amount, and each such order a payment."""
    store = database.connection
    paid = {tuple(row[:3]): row[3] for row in store.execute(_PAID).fetchall()}
    moved = {tuple(row[:3]): row[3] for row in store.execute(_MOVED).fetchall()}
    ordered = set()
    for row in database.stream(_ORDERS, (codes.TOPUP,)):
        module, target, command_id, point_id, wire = row[:5]
        args = _args(wire)
        if len(args) == 3:
            number, generation, amount_ncur = args
            key = point_id, generation, number
            ordered.add(key)
            if amount_ncur in (paid.get(key), moved.get(key)):
                continue
        yield TOPUP, f"{module}/{target} command {command_id}", "does not order what was paid"
    for key in paid:
        if key not in ordered:
            yield TOPUP, books.name(key[0]), f"payment {key[2]} was never ordered"


def _given(database: Database) -> Wrong:
    """Each book that a point was sent is the one that it is charged by since then; the first one,
    from the beginning. Not one that was sent before another of the same or an earlier instant:
    the host's clock had stepped back, and the later decision is the one that stands."""
    store = database.connection
    # An order is a list of one book.
    versions = {
        b"\x81" + bytes(book): version for version, book in store.execute(_BOOKS).fetchall()
    }
    given = {tuple(row[:2]): row[2] for row in store.execute(_GIVEN).fetchall()}
    sent: defaultdict[int, dict[int, tuple[str, int]]] = defaultdict(dict)
    for row in database.stream(_ORDERS, (codes.TARIFF,)):
        module, target, command_id, point_id, wire, issued_s = row[:6]
        version = versions.get(bytes(wire))
        if point_id is not None and version is not None:  # another book: see issued.py
            books = sent[point_id]
            for later_s in [each_s for each_s in books if each_s >= issued_s]:
                del books[later_s]
            books[issued_s] = f"{module}/{target} command {command_id}", version
    for point_id, books in sent.items():
        for issued_s, (where, version) in books.items():
            if version not in (given.get((point_id, issued_s)), given.get((point_id, 0))):
                yield TARIFF, where, "is of another version or time than its point was given"
