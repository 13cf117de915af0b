"""What was issued, added or entered for good: bills and receipts with their numbers, tariff files,
entries of the host with their postings."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from typing import Any

from host_tools import Refused, tariffs
from host_tools.settlement import posting
from host_tools.store import host_entries
from host_tools.store.sql import Connection
from protocol import cbor, codes, tariff_book
from protocol.tariff import Book
from protocol.units import Malformed

BILL, TARIFF, ENTRY = "bill", "tariff", "host entry"
_ALL = (
    "SELECT 'bill', b.number, b.series, b.year, b.place, b.content, b.digest,"
    " p.module, p.point, b.from_s, b.to_s, b.issued_s, b.corrects"
    " FROM bills b LEFT JOIN points p ON p.id = b.point_id UNION ALL"
    " SELECT 'receipt', r.number, r.series, r.year, r.place, r.content, r.digest,"
    " r.reference, t.amount_ncur, t.paid_s, NULL, r.issued_s, NULL"
    " FROM receipts r LEFT JOIN topups t ON t.reference = r.reference"
)
# What the columns beside a content are called in it.
_BESIDE = {
    "bill": ("module", "point", "from_s", "to_s", "issued_s", "corrects"),
    "receipt": ("reference", "amount_ncur", "paid_s", None, "paid_s", None),
}
_ENTRIES = (
    "SELECT number, point_id, class, rule, amount_ncur, to_s, posted_s FROM host_entries"
    " ORDER BY number"
)
_POSTINGS = (
    "SELECT id, number, point_id, debit, credit, amount_ncur, time_s FROM postings"
    " WHERE source = 'entry' AND number > 0 ORDER BY id"
)
_TARIFFS = (
    "SELECT t.version, t.currency, t.book, d.text, d.digest FROM tariffs t"
    " LEFT JOIN tariff_documents d ON d.version = t.version ORDER BY t.version"
)
# Of entries of the host, what their tariff cannot be applied without.
_UNFILED = (
    "SELECT DISTINCT version FROM host_entries h WHERE class = 'terms' AND NOT EXISTS"
    " (SELECT 1 FROM tariff_documents d WHERE d.version = h.version) ORDER BY version"
)
_UNCONTRACTED = (
    "SELECT h.number FROM host_entries h WHERE class = 'terms'"
    " AND substr(h.rule, 1, 7) = 'per_kw_' AND NOT EXISTS (SELECT 1 FROM contracts c"
    " WHERE c.point_id = h.point_id AND c.from_s <= h.from_s) ORDER BY h.number"
)
# Which accounts the parts of lost records go to, by rule.
_BY_RULE = {
    posting.CHARGES: (posting.ENERGY,),
    posting.TOPUPS: (posting.IN_FLIGHT, posting.SUSPENSE),
    posting.OTHERS: (posting.ADJUSTMENTS,),
}


def wrong(store: Connection) -> Iterator[tuple[str, str, str]]:
    """(kind, which, what) of everything that is not as it was."""
    yield from _numbered(store)
    yield from _tariffs(store)
    yield from _posted(store)
    for (version,) in store.execute(_UNFILED).fetchall():
        yield TARIFF, f"version {version}", "its file is not there, by which terms were entered"
    for (number,) in store.execute(_UNCONTRACTED).fetchall():
        yield ENTRY, f"{number}", "the contracted power that it is for is not there"


def _posted(store: Connection) -> Iterator[tuple[str, str, str]]:
    """Entries of the host that have no posting of theirs, and postings of no entry."""
    entries = {row[0]: row[1:] for row in store.execute(_ENTRIES).fetchall()}
    found = set()
    for row_id, number, point_id, *moved in store.execute(_POSTINGS):
        entry = entries.get(number)
        if entry is None or entry[0] != point_id:
            yield ENTRY, f"posting {row_id}", "its entry is not there"
        elif _fits(entry[1:], moved):
            found.add(number)
    for number in entries:
        if number not in found:
            yield ENTRY, f"{number}", "has no posting of its amount, class, rule and time"


def _fits(entry: tuple[Any, ...], moved: list[Any]) -> bool:
    kind, rule, amount_ncur, to_s, posted_s = entry
    debit, credit, posted_ncur, time_s = moved
    to, by = (credit, debit) if amount_ncur > 0 else (debit, credit)
    if posted_ncur != abs(amount_ncur):
        return False
    if kind == host_entries.TERMS:
        return bool(by == posting.TERMS and time_s == to_s - 1)
    # What was adopted is posted when it is; what turns it round, at the end of its time.
    between = to == posting.ROLLBACK and by in _BY_RULE.get(rule, ())
    return between and time_s in (posted_s, to_s - 1)


def _tariffs(store: Connection) -> Iterator[tuple[str, str, str]]:
    """Books are those of their files, and those that modules were sent."""
    books = set()
    for version, currency, wire, text, digest in store.execute(_TARIFFS).fetchall():
        where = f"version {version}"
        same = digest is None or hashlib.sha256(text.encode()).digest() == digest
        if not same:
            yield TARIFF, where, "its file is not what was added"
        book = _book(bytes(wire))
        if book is None or (book.version, book.currency) != (version, currency):
            yield TARIFF, where, "its book is not one of its version and currency"
        elif digest is not None and same and not _compiled(book, text):
            yield TARIFF, where, "its book is not that of its file"
        books.add(bytes(wire))
    sent = store.execute("SELECT DISTINCT args FROM commands WHERE action = ?", (codes.TARIFF,))
    for row in sent.fetchall():
        wire = bytes(row[0])[1:]  # behind the head of a list of one
        if wire not in books:
            yield TARIFF, f"version {_version(wire)}", "a command has another book"


def _book(wire: bytes) -> Book | None:
    try:
        book = tariff_book.from_wire(cbor.decode(wire))
    except Malformed:
        return None
    return book if cbor.encode(tariff_book.to_wire(book)) == wire else None


def _compiled(book: Book, text: str) -> bool:
    """Whether a file makes this book; instants may be others by newer data of time zones."""
    try:
        made = tariffs.book_of(tomllib.loads(text), "")
    except Refused:  # by a rule that is newer than the file: no judge of it
        return True
    return _priced(made) == _priced(book)


def _priced(book: Book) -> tuple[object, ...]:
    dated = (*book.rates, *book.ladders)
    return book.version, book.currency, len(book.rates), [each for _, each in dated]


def _version(wire: bytes) -> int | str:
    book = _book(wire)
    return "?" if book is None else int(book.version)


def _numbered(store: Connection) -> Iterator[tuple[str, str, str]]:
    places: dict[tuple[str, int], list[int]] = {}
    for row in store.execute(_ALL):
        kind, number, series, year, place, content, digest, *beside = row
        places.setdefault((series, year), []).append(place)
        if hashlib.sha256(content.encode()).digest() != digest:
            yield BILL, f"{kind} {number}", "its content is not what was issued"
            continue
        told = json.loads(content)
        if told["number"] != number:
            yield BILL, f"{kind} {number}", "its content has another number"
        elif f"{series}-{year}-{place:06d}" != number:
            yield BILL, f"{kind} {number}", "its place in its series is another"
        elif [told.get(name) if name else None for name in _BESIDE[kind]] != beside:
            yield BILL, f"{kind} {number}", "its content is of another point, period or time"
    for series, year, first, upto in store.execute(
        "SELECT name, year, first, last FROM lost_numbers"
    ).fetchall():
        places.setdefault((series, year), []).extend(range(first, upto + 1))
    rows = store.execute("SELECT name, year, last FROM series").fetchall()
    last = {(name, year): place for name, year, place in rows}
    for key in sorted({*places, *last}):
        if sorted(places.get(key, [])) != list(range(1, last.get(key, 0) + 1)):
            yield BILL, f"series {key[0]}-{key[1]}", "a number is missing or was given twice"
