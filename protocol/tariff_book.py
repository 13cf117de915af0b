"""A tariff book: the versioned, dated tariff document of a service point, and its wire form.

Two dated sets of rates and of ladders at most. Every bound is checked on the way in; what
`from_wire` returned can be rated without another check. Never prices anything: see tariff.py.
"""

from protocol.tariff import BILLING_DAY, MONTH, Book, Ladder, Rates
from protocol.units import BAD_FIELD, Malformed, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from protocol.tariff import Dated

DATED_MAX = const(2)
RATES_MAX = const(8)
TIERS_MAX = const(6)
SLOTS_MAX = const(16)
SPECIAL_MAX = const(64)
PRICE_UCUR_PER_KWH_MAX = 1000000000000


def to_wire(book: Book) -> list[object]:
    """Book -> nested lists of integers and one text, ready for CBOR."""
    return [
        book.version,
        book.currency,
        [list(item) for item in book.zone],
        [[from_s, _rates_to_wire(rates)] for from_s, rates in book.rates],
        [[from_s, _ladder_to_wire(ladder)] for from_s, ladder in book.ladders],
    ]


def _rates_to_wire(rates: Rates) -> list[object]:
    return [
        [list(row) for row in rates.prices_ucur_per_kwh],
        rates.fixed_per_day_ncur,
        [list(item) for item in rates.seasons],
        list(rates.week),
        [list(item) for item in rates.special],
        [[[list(slot) for slot in slots] for slots in kinds] for kinds in rates.days],
    ]


def _ladder_to_wire(ladder: Ladder) -> list[object]:
    thresholds, adders = ladder.thresholds_wh, ladder.adders_ucur_per_kwh
    return [ladder.period, ladder.length, list(thresholds), list(adders)]


def _need(condition: bool, name: str) -> None:
    if not condition:
        raise Malformed(BAD_FIELD, "tariff " + name)


def _list(value: object, name: str, least: int, most: int) -> "list[Any]":
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise Malformed(BAD_FIELD, "tariff " + name)
    return value


def _int(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Malformed(BAD_FIELD, "tariff " + name)
    return value


def _pairs(
    value: object, name: str, most: int, lo: int, hi: int, second_lo: int, second_hi: int
) -> tuple[tuple[int, int], ...]:
    """A strictly ascending list of integer pairs."""
    out: list[tuple[int, int]] = []
    last = lo - 1
    for item in _list(value, name, 0, most):
        _list(item, name, 2, 2)
        first = _int(item[0], name, lo, hi)
        _need(first > last, name + " ascends")
        last = first
        out.append((first, _int(item[1], name, second_lo, second_hi)))
    return tuple(out)


def from_wire(wire: object) -> Book:
    """Nested lists -> Book, every bound checked. Malformed(BAD_FIELD, "tariff <name>")."""
    value = _list(wire, "book", 5, 5)
    version = _int(value[0], "version", 1, 4294967295)
    _need(isinstance(value[1], str) and len(value[1]) == 3, "currency")
    zone = _pairs(value[2], "zone", 64, 0, 1 << 40, -50400, 50400)
    _need(len(zone) > 0, "zone")
    rates = _dated(value[3], "rates", _rates_from_wire)
    ladders = _dated(value[4], "ladders", _ladder_from_wire)
    return Book(version, value[1], zone, rates, ladders)


def _dated(value: object, name: str, convert: "Callable[[object], object]") -> "Dated":
    out = []
    last = -1
    for item in _list(value, name, 1, DATED_MAX):
        _list(item, name, 2, 2)
        from_s = _int(item[0], name, last + 1, 1 << 40)
        last = from_s
        out.append((from_s, convert(item[1])))
    return tuple(out)


def _rates_from_wire(wire: object) -> Rates:
    value = _list(wire, "rates", 6, 6)
    rows = _list(value[0], "prices", 1, TIERS_MAX)
    width = len(_list(rows[0], "prices", 1, RATES_MAX))
    prices = []
    for row in rows:
        _list(row, "prices", width, width)
        prices.append(tuple([_int(p, "price", 0, PRICE_UCUR_PER_KWH_MAX) for p in row]))
    days = []
    kinds_most = 8
    for kinds in _list(value[5], "days", 1, 8):
        kinds = _list(kinds, "day types", 1, kinds_most)
        days.append(tuple([_slots(slots, width) for slots in kinds]))
        kinds_most = len(days[0])
        _need(len(days[-1]) == kinds_most, "day types")
    week = _list(value[3], "week", 7, 7)
    seasons = _pairs(value[2], "seasons", 8, 101, 1231, 0, len(days) - 1)
    _need(len(seasons) > 0, "seasons")
    return Rates(
        tuple(prices),
        _int(value[1], "fixed", 0, 1 << 56),
        seasons,
        tuple([_int(kind, "week", 0, kinds_most - 1) for kind in week]),
        _pairs(value[4], "special", SPECIAL_MAX, 0, 1 << 24, 0, kinds_most - 1),
        tuple(days),
    )


def _slots(value: object, width: int) -> tuple[tuple[int, int], ...]:
    slots = _pairs(value, "slots", SLOTS_MAX, 0, 1439, 0, width - 1)
    _need(len(slots) > 0 and slots[0][0] == 0, "slots start at 0")
    return slots


def _ladder_from_wire(wire: object) -> Ladder:
    value = _list(wire, "ladder", 4, 4)
    period = _int(value[0], "period", MONTH, BILLING_DAY)
    length = _int(value[1], "period length", 1, 28 if period == BILLING_DAY else 4000)
    thresholds: list[int] = []
    last = 0
    for item in _list(value[2], "thresholds", 0, TIERS_MAX - 1):
        last = _int(item, "threshold", last + 1, 1 << 50)
        thresholds.append(last)
    count = len(thresholds) + 1
    adders = [
        _int(item, "adder", 0, PRICE_UCUR_PER_KWH_MAX)
        for item in _list(value[3], "adders", count, count)
    ]
    return Ladder(period, length, tuple(thresholds), tuple(adders))
