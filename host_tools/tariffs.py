"""A tariff file (TOML) becomes the `Book` that module and host compute with.

    version = 2                     # raise it with every change; a version keeps its meaning
    name = "..."
    origin = "where the prices come from"
    currency = "CNY"
    zone = "Asia/Shanghai"
    [[set]]                         # one or two; a later one with `from` replaces the first then
    from = 2026-01-01               # local date, 00:00
    method = "adder"                # tiers add to the price; "per_tier": a price a tier
    tier_period = "month"           # month, year, months, days, billing_day; with tier_length
    tiers_kwh = [240, 400]          # upper bounds of all tiers but the last
    adders = ["0", "0.05", "0.30"]  # adder: one a tier, per kWh
    tier_shift_kwh_per_month = 100  # household of five or more: thresholds rise; optional
    shift_tiers = [1]               # which of them, all by default
    first_year_months = 6           # annual tiers of a year begun late: thresholds * 6 / 12
    fixed_per_day = "0.20"
    percent = { VAT = "15" }        # on everything above; must leave exact prices
    prices = { peak = "0.568", valley = "0.288" }  # per kWh; per_tier: a list, one a tier
    seasons = { summer = "05-01", winter = "11-01" }
    week = ["work", "work", "work", "work", "work", "rest", "rest"]
    special = { 2026-10-01 = "rest" }
    [[set.bands]]                   # the first that matches wins; together they cover the day
    rate = "peak"
    times = ["08:00-22:00"]
    seasons = ["summer"]            # optional
    days = ["work"]                 # optional

Prices are text, because a binary fraction is no price. An error is one line: file, key, remedy.
"""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from host_tools import Refused
from host_tools.config import read_toml
from protocol import cbor, tariff, tariff_book
from protocol.tariff_book import DATED_MAX
from protocol.units import MESSAGE_BYTES_MAX, Malformed

BOOK_BYTES_MAX = MESSAGE_BYTES_MAX - 256  # the rest of the command and its seal
ZONE_CHANGES_MAX = 64
ZONE_YEARS = 30  # from the first set on: 60 clock changes where there is summer time
FIRST_YEAR_DEFAULT = 2020
MINUTES_A_DAY = 1440
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_PERIODS = {
    "month": tariff.MONTH,
    "year": tariff.YEAR,
    "months": tariff.MONTHS,
    "days": tariff.DAYS,
    "billing_day": tariff.BILLING_DAY,
}
_ALL_DAYS = "day"
_ALL_YEAR = "year"


def read_book(path: Path) -> tariff.Book:
    """The book of a tariff file. Refused with file, key and remedy."""
    return book_of(read_toml(path), str(path))


def book_of(document: dict[str, object], where: str) -> tariff.Book:
    """The book of a tariff document; the same document gives the same bytes on any day."""
    top = _Keys(document, f"{where}: ")
    version = top.whole("version", 1, 0xFFFFFFFF)
    currency = top.text("currency")
    top.text("name")
    top.text("origin")
    zone = _zone(top.text("zone"), f"{where}: zone")
    sets = top.tables("set")
    top.finish()
    first = sets[0].date("from")
    starts = [first] + [item.date("from") for item in sets[1:]]
    rates: list[tuple[int, tariff.Rates]] = []
    ladders: list[tuple[int, tariff.Ladder]] = []
    for item, start in zip(sets, starts, strict=True):
        from_s = _midnight_s(zone, start) if start else 0
        if rates and from_s <= rates[-1][0]:
            raise Refused(f"{item.where}from: must be a date after the set before it")
        rates.append((from_s, _rates(item)))
        ladders.append((from_s, _ladder(item)))
        item.table("percent", {})
        item.finish()
    offsets = _offsets(zone, first.year if first else FIRST_YEAR_DEFAULT)
    book = tariff.Book(version, currency, offsets, tuple(rates), tuple(ladders))
    wire = cbor.encode(tariff_book.to_wire(book))
    if len(wire) > BOOK_BYTES_MAX:
        raise Refused(f"{where}: {len(wire)} bytes are too many for one command; use fewer bands")
    try:
        return tariff_book.from_wire(cbor.decode(wire))
    except Malformed as error:
        raise Refused(f"{where}: {error.detail}: out of range; see protocol/tariff.py") from error


class _Keys:
    """One table of the document; `where` begins every message about it."""

    def __init__(self, values: dict[str, object], where: str) -> None:
        self._values = dict(values)
        self.where = where

    def take(self, key: str, default: object = None) -> object:
        value = self._values.pop(key, default)
        if value is None:
            raise Refused(f"{self.where}{key}: is missing; add it")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.take(key, default)
        if not isinstance(value, str) or not value:
            raise Refused(f"{self.where}{key}: must be a text in quotes")
        return value

    def choice(self, key: str, choices: list[str], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise Refused(f"{self.where}{key}: {value!r} must be one of {', '.join(choices)}")
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Refused(f"{self.where}{key}: must be a whole number from {low} to {high}")
        return value

    def date(self, key: str) -> date | None:
        value = self._values.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            raise Refused(f"{self.where}{key}: must be a date such as 2026-01-01, without quotes")
        return value

    def items(self, key: str, default: list[object] | None = None) -> list[object]:
        value = self.take(key, default)
        if not isinstance(value, list):
            raise Refused(f"{self.where}{key}: must be a list in brackets")
        return value

    def table(
        self, key: str, default: dict[str, object] | None = None, *, keep: bool = False
    ) -> dict[str, object]:
        """`keep` leaves the key for the next who asks."""
        value = self._values.get(key, default) if keep else self.take(key, default)
        if not isinstance(value, dict):
            raise Refused(f"{self.where}{key}: must be a table in braces")
        return value

    def tables(self, key: str, most: int = DATED_MAX) -> list["_Keys"]:
        values = self.items(key)
        if not 1 <= len(values) <= most:
            raise Refused(f"{self.where}{key}: write 1 to {most} of [[{key}]]")
        out = []
        for place, value in enumerate(values):
            if not isinstance(value, dict):
                raise Refused(f"{self.where}{key}: write it as [[{key}]]")
            out.append(_Keys(value, f"{self.where}{key}[{place}]."))
        return out

    def finish(self) -> None:
        for key in self._values:
            raise Refused(f"{self.where}{key}: is unknown; remove it")


def exact(value: object, decimals_max: int, place: str) -> int:
    """A decimal text, or a whole number, in units of its last decimal: ("0.568", 6) -> 568000."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise Refused(f'{place}: write the number in quotes, such as "0.568"')
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if not whole or not digits.isascii() or not digits.isdigit() or len(decimals) > decimals_max:
        raise Refused(f"{place}: {text!r} must be a number with at most {decimals_max} decimals")
    return int(digits + "0" * (decimals_max - len(decimals)))


def _zone(name: str, place: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(f"{place}: {name!r} is no zone; write one such as Asia/Shanghai") from error


def _midnight_s(zone: ZoneInfo, day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return offset // timedelta(seconds=1) if offset is not None else 0


def _offsets(zone: ZoneInfo, first_year: int) -> tuple[tuple[int, int], ...]:
    """((from_s, utc_offset_s), ...): the clock changes of ZONE_YEARS, found day by day."""
    at_s = _midnight_s(zone, date(first_year, 1, 1))
    end_s = _midnight_s(zone, date(first_year + ZONE_YEARS, 1, 1))
    out = [(0, _offset_s(zone, at_s))]
    while at_s < end_s and len(out) < ZONE_CHANGES_MAX:
        after_s = at_s + 86400
        offset_s = _offset_s(zone, after_s)
        if offset_s != out[-1][1]:
            low_s, high_s = at_s, after_s
            while high_s - low_s > 1:
                middle_s = (low_s + high_s) // 2
                if _offset_s(zone, middle_s) == out[-1][1]:
                    low_s = middle_s
                else:
                    high_s = middle_s
            out.append((high_s, offset_s))
        at_s = after_s
    return tuple(out)


def _ladder(keys: _Keys) -> tariff.Ladder:
    period = _PERIODS[keys.choice("tier_period", list(_PERIODS), "month")]
    length = keys.whole("tier_length", 1, 4000, 1)
    tiers = keys.items("tiers_kwh", [])
    thresholds_wh = tuple(exact(item, 3, f"{keys.where}tiers_kwh") for item in tiers)
    count = len(thresholds_wh) + 1
    adders = keys.items("adders", ["0"] * count)
    if len(adders) != count:
        raise Refused(f"{keys.where}adders: must have {count} items, one a tier")
    prices = tuple(_taxed(keys, item, 6, f"{keys.where}adders") for item in adders)
    return tariff.Ladder(period, length, _shifted(keys, period, length, thresholds_wh), prices)


def _shifted(
    keys: _Keys, period: int, length: int, thresholds_wh: tuple[int, ...]
) -> tuple[int, ...]:
    """Thresholds of a larger household, and those of a first year that is not whole."""
    shift_wh = keys.whole("tier_shift_kwh_per_month", 0, 100_000, 0) * 1000
    chosen = keys.items("shift_tiers", list(range(1, len(thresholds_wh) + 1)))
    first_year = keys.whole("first_year_months", 1, 12, 12)
    months = {tariff.MONTH: 1, tariff.BILLING_DAY: 1, tariff.YEAR: 12, tariff.MONTHS: length}
    if shift_wh and period not in months:
        raise Refused(f"{keys.where}tier_shift_kwh_per_month: needs a tier period of months")
    if first_year < 12 and period != tariff.YEAR:
        raise Refused(f'{keys.where}first_year_months: needs tier_period = "year"')
    if any(tier not in range(1, len(thresholds_wh) + 1) for tier in chosen):
        raise Refused(f"{keys.where}shift_tiers: must name tiers from 1 to {len(thresholds_wh)}")
    out = []
    for tier, threshold_wh in enumerate(thresholds_wh, 1):
        more_wh = shift_wh * months.get(period, 0) if tier in chosen else 0
        out.append((threshold_wh + more_wh) * first_year // 12)  # a part of a watt-hour is tier 2
    if sorted(set(out)) != out:
        raise Refused(f"{keys.where}shift_tiers: the shifted thresholds must still rise")
    return tuple(out)


def _taxed(keys: _Keys, item: object, decimals: int, place: str) -> int:
    """A price with all percentage lines on it, exactly: nothing is rounded before a bill."""
    value = Fraction(exact(item, decimals, place))
    for name, percent in keys.table("percent", {}, keep=True).items():
        value *= 1 + Fraction(exact(percent, 4, f"{keys.where}percent.{name}"), 1_000_000)
    if value.denominator != 1:
        raise Refused(f"{place}: with percent it has more than {decimals} decimals")
    return int(value)


def _rates(keys: _Keys) -> tariff.Rates:
    names, rows = _prices(keys)
    daily = keys.take("fixed_per_day", "0")
    fixed_ncur = _taxed(keys, daily, 9, f"{keys.where}fixed_per_day")
    season_names, seasons = _seasons(keys)
    week = keys.items("week", [_ALL_DAYS] * 7)
    special = keys.table("special", {})
    kinds = list(dict.fromkeys([*week, *special.values()]))
    if len(week) != 7 or not all(isinstance(kind, str) for kind in kinds):
        raise Refused(f"{keys.where}week: must name seven day types, from Monday")
    return tariff.Rates(
        rows,
        fixed_ncur,
        seasons,
        tuple(kinds.index(kind) for kind in week),
        tuple(sorted(_special(keys, day, kinds.index(kind)) for day, kind in special.items())),
        _days(keys, names, season_names, [str(kind) for kind in kinds]),
    )


def _prices(keys: _Keys) -> tuple[list[str], tuple[tuple[int, ...], ...]]:
    """Names of the rates, and rows of prices: one row, or one a tier."""
    prices = keys.table("prices")
    place = f"{keys.where}prices."
    if not prices:
        raise Refused(f"{keys.where}prices: name at least one rate")
    if keys.choice("method", ["adder", "per_tier"], "adder") == "adder":
        return list(prices), (tuple(_taxed(keys, prices[n], 6, place + n) for n in prices),)
    columns = []
    for name, column in prices.items():
        if not isinstance(column, list):
            raise Refused(f"{place}{name}: must be a list, one price a tier")
        columns.append([_taxed(keys, item, 6, place + name) for item in column])
    if len({len(column) for column in columns}) != 1:
        raise Refused(f"{keys.where}prices: every rate needs the same number of tiers")
    return list(prices), tuple(zip(*columns, strict=True))


def _seasons(keys: _Keys) -> tuple[list[str], tuple[tuple[int, int], ...]]:
    table = keys.table("seasons", {_ALL_YEAR: "01-01"})
    names = list(table)
    starts = []
    for number, name in enumerate(names):
        try:
            start = datetime.strptime(f"2000-{table[name]}", "%Y-%m-%d")
        except ValueError as error:
            raise Refused(f"{keys.where}seasons.{name}: must be a day such as 05-01") from error
        starts.append((start.month * 100 + start.day, number))
    return names, tuple(sorted(starts))


def _special(keys: _Keys, day: str, kind: int) -> tuple[int, int]:
    try:
        return date.fromisoformat(day).toordinal() - _EPOCH_DAY, kind
    except ValueError as error:
        raise Refused(f"{keys.where}special: {day!r} must be a date, 2026-10-01") from error


def _days(
    keys: _Keys, names: list[str], seasons: list[str], kinds: list[str]
) -> tuple[tuple[tuple[tuple[int, int], ...], ...], ...]:
    """days[season][day type]: ((minute, rate), ...), from bands of which the first one wins."""
    every = [{"rate": names[0], "times": ["00:00-24:00"]}]
    default: list[object] | None = list(every) if len(names) == 1 else None
    minutes = {(s, k): [-1] * MINUTES_A_DAY for s in seasons for k in kinds}
    bands = _Keys({"bands": keys.items("bands", default)}, keys.where)
    for band in bands.tables("bands", 64):
        rate = names.index(band.choice("rate", names))
        wanted = _named(band, "seasons", seasons), _named(band, "days", kinds)
        covered = [minute for text in band.items("times") for minute in _span(band, text)]
        for (season, kind), line in minutes.items():
            if season in wanted[0] and kind in wanted[1]:
                for minute in covered:
                    line[minute] = rate if line[minute] < 0 else line[minute]
        band.finish()
    for (season, kind), line in minutes.items():
        if -1 in line:
            hour, minute = divmod(line.index(-1), 60)
            raise Refused(
                f"{keys.where}bands: nothing covers {hour:02}:{minute:02} of {kind!r} in"
                f" {season!r}; add a band"
            )
    return tuple(tuple(_slots(minutes[season, kind]) for kind in kinds) for season in seasons)


def _named(band: _Keys, key: str, names: list[str]) -> list[str]:
    out = []
    for item in band.items(key, list(names)):
        if item not in names:
            raise Refused(f"{band.where}{key}: {item!r} must be one of {', '.join(names)}")
        out.append(str(item))
    return out


def _span(band: _Keys, text: object) -> list[int]:
    """Minutes of "08:00-22:00"; one that ends before it begins goes over midnight."""
    parts = str(text).split("-")
    minutes = []
    for part in parts:
        hour, _, minute = part.partition(":")
        right = len(hour) == len(minute) == 2 and (hour + minute).isdigit() and minute < "60"
        minutes.append(int(hour) * 60 + int(minute) if right else -1)
    if len(minutes) != 2 or not 0 <= minutes[0] < MINUTES_A_DAY >= minutes[1] >= 0:
        raise Refused(f'{band.where}times: {text!r} must be written "08:00-22:00"')
    start, end = minutes
    if start < end:
        return list(range(start, end))
    return list(range(start, MINUTES_A_DAY)) + list(range(end))


def _slots(line: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (minute, rate)
        for minute, rate in enumerate(line)
        if minute == 0 or rate != line[minute - 1]
    )
