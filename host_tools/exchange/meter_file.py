"""A metering point as a TOML file: what validation must know besides the readings.

    usage_point = "CN-330100-000123"
    device = "gp-1"                  # and meter: as on file
    meter = "SN-4711"
    zone = "Asia/Shanghai"
    ct_ratio = 1                     # optional from here on; pt_ratio alike
    step_s = 900
    lsb_wh = 10                      # last digit of the register
    range_wh = 1_000_000_000         # where it rolls over
    voltage_mv = 230_000
    current_max_ma = 60_000          # of the primary side
    phases = 1
    import_only = true
    commercial = false
    previous_daily_wh = 9800         # average of the month before; year_ago_daily_wh alike
    holidays = [2026-10-01]
    [limits]                         # see docs/validation.md
    [[exchange]]
    order = "WO-17"
    at = 2026-06-03T04:00:00Z        # instants carry an offset
    old_meter = "SN-4711"
    old_end_wh = 5_123_400
    new_meter = "SN-9000"
    new_start_wh = 0
    [[outage]]                       # relay_open and clock_set alike
    from = 2026-06-10T01:00:00Z
    to = 2026-06-10T02:30:00Z

An error is one line: file, key, remedy.
"""

from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from host_tools import Refused
from host_tools.config import read_toml
from host_tools.exchange.records import named
from host_tools.validation.limits import Limits, limits_of
from host_tools.validation.series import (
    CLOCK_SET,
    OUTAGE,
    RELAY_OPEN,
    Exchange,
    Facts,
    History,
    Span,
)
from host_tools.validation.shapes import Past
from protocol.units import Malformed

_WHOLE_MAX = 10**12
_NUMBERS = tuple(each.name for each in fields(Facts) if each.type == "int" or each.type is int)
_SPANS = {"outage": OUTAGE, "relay_open": RELAY_OPEN, "clock_set": CLOCK_SET}
_LIST_MAX = 10_000


@dataclass(frozen=True)
class MeterFile:
    usage_point: str
    facts: Facts
    limits: Limits
    exchanges: tuple[Exchange, ...]
    spans: tuple[Span, ...]
    history: History
    past: Past


class _Keys:
    """One table of the file; every key is taken once, none is left."""

    def __init__(self, values: dict[str, object], where: str) -> None:
        self._values = dict(values)
        self.where = where

    def take(self, key: str) -> object:
        if key not in self._values:
            raise Refused(f"{self.where}{key}: is missing; add it")
        return self._values.pop(key)

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str:
        value = self.take(key)
        try:
            return named(value) if isinstance(value, str) else named("")
        except Malformed as error:
            raise Refused(
                f"{self.where}{key}: must be a text in quotes; {error.detail}"
            ) from error

    def whole(self, key: str, low: int = 0) -> int:
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _WHOLE_MAX:
            raise Refused(f"{self.where}{key}: must be a whole number from {low} to {_WHOLE_MAX}")
        return value

    def yes(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool):
            raise Refused(f"{self.where}{key}: must be true or false")
        return value

    def instant_s(self, key: str) -> int:
        value = self.take(key)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise Refused(f"{self.where}{key}: must be an instant such as 2026-06-03T04:00:00Z")
        return int(value.timestamp())

    def table(self, key: str) -> dict[str, object]:
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise Refused(f"{self.where}{key}: must be a table, written [{key}]")
        return value

    def items(self, key: str) -> list[object]:
        value = self._values.pop(key, [])
        if not isinstance(value, list) or len(value) > _LIST_MAX:
            raise Refused(f"{self.where}{key}: must be a list of at most {_LIST_MAX}")
        return value

    def tables(self, key: str) -> "list[_Keys]":
        out = []
        for place, value in enumerate(self.items(key)):
            if not isinstance(value, dict):
                raise Refused(f"{self.where}{key}: write it as [[{key}]]")
            out.append(_Keys(value, f"{self.where}{key}[{place}]."))
        return out

    def finish(self) -> None:
        for key in self._values:
            raise Refused(f"{self.where}{key}: is unknown; remove it")


def read_meter(path: Path) -> MeterFile:
    """The metering point of a file. Refused with file, key and remedy."""
    return meter_of(read_toml(path), str(path))


def meter_of(document: dict[str, object], where: str) -> MeterFile:
    top = _Keys(document, f"{where}: ")
    usage_point = top.text("usage_point")
    facts = _facts(top)
    limits = limits_of(top.table("limits"), f"{where}: limits.")
    exchanges = tuple(_exchange(keys) for keys in top.tables("exchange"))
    spans = tuple(_span(keys, kind) for key, kind in _SPANS.items() for keys in top.tables(key))
    previous_wh, year_ago_wh = (
        top.whole(key) if top.has(key) else None
        for key in ("previous_daily_wh", "year_ago_daily_wh")
    )
    holidays = frozenset(_day(top, value) for value in top.items("holidays"))
    top.finish()
    daily_wh = previous_wh if previous_wh is not None else year_ago_wh
    return MeterFile(
        usage_point,
        facts,
        limits,
        tuple(sorted(exchanges, key=lambda each: each.time_s)),
        spans,
        History(previous_wh, year_ago_wh),
        Past(holidays=holidays, daily_wh=daily_wh),
    )


def _facts(top: _Keys) -> Facts:
    device, meter, name = top.text("device"), top.text("meter"), top.text("zone")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(
            f"{top.where}zone: {name!r} is no zone; write one such as Asia/Shanghai"
        ) from error
    numbers = {key: top.whole(key, 1) for key in _NUMBERS if top.has(key)}
    flags = {key: top.yes(key) for key in ("import_only", "commercial") if top.has(key)}
    made = Facts(device, meter, zone, **numbers, **flags)  # type: ignore[arg-type]
    if 86_400 % made.step_s:
        raise Refused(f"{top.where}step_s: a day must be a whole number of steps")
    return made


def _exchange(keys: _Keys) -> Exchange:
    made = Exchange(
        keys.text("order"),
        keys.instant_s("at"),
        keys.text("old_meter"),
        keys.whole("old_end_wh"),
        keys.text("new_meter"),
        keys.whole("new_start_wh"),
    )
    keys.finish()
    return made


def _span(keys: _Keys, kind: str) -> Span:
    made = Span(kind, keys.instant_s("from"), keys.instant_s("to"))
    keys.finish()
    if made.end_s < made.start_s:
        raise Refused(f"{keys.where}to: must not be before from")
    return made


def _day(top: _Keys, value: object) -> int:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Refused(f"{top.where}holidays: must be dates such as 2026-10-01, without quotes")
    return value.toordinal()
