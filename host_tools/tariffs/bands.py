"""Hours of prices: seasons, day types and bands of a tariff document become slots of a day."""

from dataclasses import dataclass
from datetime import date, datetime

from host_tools import Refused
from host_tools.tariffs.keys import Keys

MINUTES_A_DAY = 1440
BANDS_MAX = 64
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ALL_DAYS = "day"
_ALL_YEAR = "year"


@dataclass(frozen=True, slots=True)
class Hours:
    """Which rate counts when, as `tariff.Rates` has it."""

    seasons: tuple[tuple[int, int], ...]
    week: tuple[int, ...]
    special: tuple[tuple[int, int], ...]
    days: tuple[tuple[tuple[tuple[int, int], ...], ...], ...]


def hours(keys: Keys, names: list[str]) -> Hours:
    """Takes seasons, week, special and bands of one set."""
    season_names, seasons = _seasons(keys)
    week = keys.texts("week", [_ALL_DAYS] * 7)
    special = keys.table("special", {})
    if not all(isinstance(kind, str) for kind in special.values()):
        raise Refused(f"{keys.where}special: must name a day type for each date, in quotes")
    kinds = list(dict.fromkeys([*week, *(str(kind) for kind in special.values())]))
    if len(week) != 7:
        raise Refused(f"{keys.where}week: must name seven day types, from Monday")
    return Hours(
        seasons,
        tuple(kinds.index(kind) for kind in week),
        tuple(
            sorted(_special(keys, day, kinds.index(str(kind))) for day, kind in special.items())
        ),
        _days(keys, names, season_names, kinds),
    )


def _seasons(keys: Keys) -> tuple[list[str], tuple[tuple[int, int], ...]]:
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


def _special(keys: Keys, day: str, kind: int) -> tuple[int, int]:
    try:
        return date.fromisoformat(day).toordinal() - _EPOCH_DAY, kind
    except ValueError as error:
        raise Refused(f"{keys.where}special: {day!r} must be a date, 2026-10-01") from error


def _days(
    keys: Keys, names: list[str], seasons: list[str], kinds: list[str]
) -> tuple[tuple[tuple[tuple[int, int], ...], ...], ...]:
    """days[season][day type]: ((minute, rate), ...), from bands of which the first one wins."""
    every = [{"rate": names[0], "times": ["00:00-24:00"]}]
    default: list[object] | None = list(every) if len(names) == 1 else None
    minutes = {(s, k): [-1] * MINUTES_A_DAY for s in seasons for k in kinds}
    bands = Keys({"bands": keys.items("bands", default)}, keys.where)
    for band in bands.tables("bands", BANDS_MAX):
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


def _named(band: Keys, key: str, names: list[str]) -> list[str]:
    out = []
    for item in band.items(key, list(names)):
        if item not in names:
            raise Refused(f"{band.where}{key}: {item!r} must be one of {', '.join(names)}")
        out.append(str(item))
    return out


def _span(band: Keys, text: object) -> list[int]:
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
