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
