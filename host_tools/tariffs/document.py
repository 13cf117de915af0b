"""A tariff file becomes a `Document`: the book that module and host compute with, and its terms.

A module keeps two dated sets; a document may go back further, for bills of the past.
"""

from pathlib import Path

from host_tools import Refused
from host_tools.config import read_toml
from host_tools.tariffs import rules, sets
from host_tools.tariffs.keys import Keys
from host_tools.tariffs.terms import Document, Terms
from host_tools.tariffs.zones import midnight_s, offsets, zone_of
from protocol import cbor, tariff, tariff_book
from protocol.tariff_book import DATED_MAX
from protocol.units import MESSAGE_BYTES_MAX, Malformed

BOOK_BYTES_MAX = MESSAGE_BYTES_MAX - 256  # the rest of the command and its seal
SETS_MAX = 64
FIRST_YEAR_DEFAULT = 2020
FIRST_YEAR_MIN, FIRST_YEAR_MAX = 1971, 2200


def read_document(path: Path) -> Document:
    """The document of a tariff file, held to rules.py too. Refused with file, key and remedy."""
    return rules.held(document_of(read_toml(path), str(path)), str(path))


def read_book(path: Path) -> tariff.Book:
    """The book of a tariff file, as a module takes it. Refused with file, key and remedy."""
    return _kept(read_document(path), str(path))


def document_of(values: dict[str, object], where: str) -> Document:
    """The document, every key checked; each set of it would fit a module's book.

    What is in a store already is read by this; a new file is held to rules.py besides.
    """
    top = Keys(values, f"{where}: ")
    version = top.whole("version", 1, 0xFFFFFFFF)
    currency = top.text("currency")
    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise Refused(f"{where}: currency: {currency!r} must be three letters such as CNY")
    name, origin = top.text("name"), top.text("origin")
    customers = top.text("customers", "-")
    names_zh = top.table("names_zh", {})
    zone_name = top.text("zone")
    zone = zone_of(zone_name, f"{where}: zone")
    tables = top.tables("set", SETS_MAX)
    top.finish()
    first = tables[0].date("from")
    starts = [first] + [item.date("from") for item in tables[1:]]
    for item, start in zip(tables, starts, strict=True):
        if start and not FIRST_YEAR_MIN <= start.year <= FIRST_YEAR_MAX:
            raise Refused(f"{item.where}from: must lie in {FIRST_YEAR_MIN} to {FIRST_YEAR_MAX}")
    zone_offsets = offsets(zone, first.year if first else FIRST_YEAR_DEFAULT)
    rates: list[tuple[int, tariff.Rates]] = []
    ladders: list[tuple[int, tariff.Ladder]] = []
    terms: list[tuple[int, Terms]] = []
    for item, start in zip(tables, starts, strict=True):
        from_s = midnight_s(zone, start) if start else 0
        if rates and from_s <= rates[-1][0]:
            raise Refused(f"{item.where}from: must be a date after the set before it")
        one_rates, one_ladder, one_terms = sets.compiled(item)
        rates.append((from_s, one_rates))
        ladders.append((from_s, one_ladder))
        terms.append((from_s, one_terms))
        for schedule in one_terms.schedules:
            _checked(currency, zone_offsets, from_s, schedule.rates, schedule.ladder, where)
        _checked(currency, zone_offsets, from_s, one_rates, one_ladder, where)
    book = tariff.Book(version, currency, zone_offsets, tuple(rates), tuple(ladders))
    words = {key: str(value) for key, value in names_zh.items()}
    return Document(name, origin, customers, zone_name, words, book, tuple(terms))


def book_of(values: dict[str, object], where: str) -> tariff.Book:
    """The book of a tariff document; the same document gives the same bytes on any day."""
    return _kept(document_of(values, where), where)


def _kept(document: Document, where: str) -> tariff.Book:
    """The book of a document that a module has room for."""
    book = document.book
    if len(book.rates) > DATED_MAX:
        raise Refused(
            f"{where}: set: a module keeps {DATED_MAX} dated sets, not {len(book.rates)};"
            " give it a file with the set in force and the next one"
        )
    return _passed(book, where)


def _checked(
    currency: str,
    zone_offsets: tuple[tuple[int, int], ...],
    from_s: int,
    rates: tariff.Rates,
    ladder: tariff.Ladder,
    where: str,
) -> None:
    """Holds one set to the bounds of a module's book."""
    alone = tariff.Book(1, currency, zone_offsets, ((from_s, rates),), ((from_s, ladder),))
    _passed(alone, where)


def _passed(book: tariff.Book, where: str) -> tariff.Book:
    """The book after a journey over the wire."""
    wire = cbor.encode(tariff_book.to_wire(book))
    if len(wire) > BOOK_BYTES_MAX:
        raise Refused(f"{where}: {len(wire)} bytes are too many for one command; use fewer bands")
    try:
        return tariff_book.from_wire(cbor.decode(wire))
    except Malformed as error:
        raise Refused(f"{where}: {error.detail}: out of range; see protocol/tariff.py") from error
