"""Rating: watt-hours between two instants become integer nano-currency, the same on both sides.

A book is one versioned tariff document of a service point: dated rates and dated ladders (two of
each at most), cut at local midnights, time-of-use boundaries, switch instants and clock changes.
Nothing is rounded: micro-currency per kWh times watt-hours is exact nano-currency. Never reads a
clock.
"""

from collections import namedtuple

from protocol.units import BAD_FIELD, DAY_S, Malformed, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Dated = tuple[tuple[int, Any], ...]

# zone: ((from_s, utc_offset_s), ...); rates, ladders: ((from_s, Rates | Ladder), ...), ascending.
Book = namedtuple("Book", "version currency zone rates ladders")
# prices: one row a tier (or one row for all tiers), one price a rate, in micro-currency per kWh.
# seasons: ((month * 100 + day, season), ...) ascending; week: 7 day types from Monday;
# special: ((local day number, day type), ...); days[season][day type]: ((minute, rate), ...).
Rates = namedtuple("Rates", "prices_ucur_per_kwh fixed_per_day_ncur seasons week special days")
# adders: one a tier, on top of the rate's price; thresholds: upper bounds of all but the last.
Ladder = namedtuple("Ladder", "period length thresholds_wh adders_ucur_per_kwh")
# Where a point stands in its ladder: which tier period, and how much it used in it.
Position = namedtuple("Position", "period used_wh")
# One priced piece: rate and tier index, energy, price, amount. Bill lines are sums of these.
Part = namedtuple("Part", "rate tier energy_wh price_ucur_per_kwh amount_ncur")

MONTH = const(1)
YEAR = const(2)
MONTHS = const(3)  # `length` calendar months, counted from January of year 0
DAYS = const(4)  # `length` days, counted from 1970-01-01
BILLING_DAY = const(5)  # a month that begins on day `length`, 1 to 28

DATED_MAX = const(2)
RATES_MAX = const(8)
TIERS_MAX = const(6)
SLOTS_MAX = const(16)
SPECIAL_MAX = const(64)
PRICE_UCUR_PER_KWH_MAX = 1000000000000
# Energy of a longer gap is spread over its last part only, so that rating stays bounded.
GAP_S_MAX = const(93 * 86400)


def civil(day: int) -> tuple[int, int, int]:
    """Day number since 1970-01-01 -> (year, month, day), proleptic Gregorian."""
    z = day + 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (1 if month <= 2 else 0), month, doy - (153 * mp + 2) // 5 + 1


def in_force(dated: "Dated", at_s: int) -> "Any":
    """The last of ((from_s, value), ...) whose instant has come; the first one before that."""
    found = dated[0][1]
    for from_s, value in dated:
        if from_s <= at_s:
            found = value
    return found


def local_day(book: Book, at_s: int) -> int:
    """Number of the local calendar day that contains an instant."""
    return (at_s + in_force(book.zone, at_s)) // DAY_S


def period_of(ladder: Ladder, day: int) -> int:
    """The tier period a local day belongs to, as one integer that changes at each reset."""
    if ladder.period == DAYS:
        return day // ladder.length
    year, month, date = civil(day)
    if ladder.period == YEAR:
        return year
    if ladder.period == MONTHS:
        return (year * 12 + month - 1) // ladder.length
    if ladder.period == BILLING_DAY and date < ladder.length:
        return year * 12 + month - 2
    return year * 12 + month - 1


def slots_of(rates: Rates, day: int) -> tuple[tuple[int, int], ...]:
    """The ((minute, rate), ...) of one local day."""
    _, month, date = civil(day)
    season = rates.seasons[-1][1]  # before the first start it is still last year's last season
    for start, number in rates.seasons:
        if start <= month * 100 + date:
            season = number
    kind = rates.week[(day + 3) % 7]  # 1970-01-01 was a Thursday
    for special, number in rates.special:
        if special == day:
            kind = number
    return rates.days[season][kind]


def rate_at(book: Book, at_s: int) -> tuple[int, int]:
    """(rate index, end of the stretch of constant price in Unix seconds) at an instant."""
    offset = in_force(book.zone, at_s)
    local = at_s + offset
    day = local // DAY_S
    minute = (local - day * DAY_S) // 60
    end_s = (day + 1) * DAY_S - offset
    rate = 0
    for start, number in slots_of(in_force(book.rates, at_s), day):
        if start <= minute:
            rate = number
        else:
            end_s = day * DAY_S + start * 60 - offset
            break
    for dated in (book.zone, book.rates, book.ladders):
        for from_s, _ in dated:
            if at_s < from_s < end_s:
                end_s = from_s
    return rate, end_s


def price_ucur_per_kwh(book: Book, at_s: int, rate: int, tier: int) -> int:
    rates = in_force(book.rates, at_s)
    rows = rates.prices_ucur_per_kwh
    row = rows[tier] if tier < len(rows) else rows[-1]
    return row[rate] + in_force(book.ladders, at_s).adders_ucur_per_kwh[tier]


def position_at(book: Book, position: Position, at_s: int) -> Position:
    """The position as it counts at an instant: reset when a new tier period has begun."""
    period = period_of(in_force(book.ladders, at_s), local_day(book, at_s))
    return position if period == position.period else Position(period, 0)


def _climb(
    book: Book, at_s: int, rate: int, position: Position, energy_wh: int, parts: list[Part]
) -> Position:
    """Price a piece of constant rate through the tiers; a threshold belongs to the lower tier."""
    thresholds = in_force(book.ladders, at_s).thresholds_wh
    used = position.used_wh
    tier = 0
    while energy_wh > 0:
        while tier < len(thresholds) and used >= thresholds[tier]:
            tier += 1
        take = energy_wh
        if tier < len(thresholds) and thresholds[tier] - used < take:
            take = thresholds[tier] - used
        price = price_ucur_per_kwh(book, at_s, rate, tier)
        parts.append(Part(rate, tier, take, price, price * take))
        used += take
        energy_wh -= take
    return Position(position.period, used)


def charge(
    book: Book, position: Position, from_s: int, to_s: int, energy_wh: int
) -> tuple[int, Position, list[Part]]:
    """Price energy used evenly between two instants.

    -> (amount_ncur, Position after, [Part]). Energy up to cut k is `E * (tk - t0) // (tn - t0)`,
    so pieces add up to E and the remainder falls late (tariffs.md rule 11). All of it counts at
    `from_s` when the two are equal. Malformed on negative energy or reversed time.
    """
    if energy_wh < 0 or to_s < from_s:
        raise Malformed(BAD_FIELD, "interval")
    from_s = max(from_s, to_s - GAP_S_MAX)
    parts: list[Part] = []
    at_s = from_s
    done_wh = 0
    while energy_wh:
        position = position_at(book, position, at_s)
        rate, end_s = rate_at(book, at_s)
        upto_wh = energy_wh
        if end_s < to_s:
            upto_wh = energy_wh * (end_s - from_s) // (to_s - from_s)
        position = _climb(book, at_s, rate, position, upto_wh - done_wh, parts)
        if end_s >= to_s:
            break
        at_s = end_s
        done_wh = upto_wh
    amount = 0
    for part in parts:
        amount += part.amount_ncur
    return amount, position, parts


def fixed_ncur(book: Book, day: int) -> int:
    """The fixed charge of one local calendar day, by the rates in force at noon of it."""
    noon_s = day * DAY_S + DAY_S // 2
    noon_s -= in_force(book.zone, noon_s)
    return in_force(book.rates, noon_s).fixed_per_day_ncur


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
