"""What a person types, read exactly: money, energy, durations, instants. Integers only."""

from datetime import UTC, datetime

from host_tools import Refused
from host_tools.settlement.topup import ncur
from protocol.units import DAY_S, NCUR_MAX

WH_MAX = 1 << 50
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": DAY_S}


def money_ncur(name: str, text: str) -> int:
    """Nano-currency of an exact decimal with or without a sign."""
    sign = -1 if text.startswith("-") else 1
    try:
        amount_ncur = ncur(text.removeprefix("-").removeprefix("+"))
    except Refused as error:
        raise Refused(f"{name} {text!r}: must be a number such as 12.50") from error
    if amount_ncur > NCUR_MAX:
        raise Refused(f"{name} {text}: is beyond the range of a ledger")
    return sign * amount_ncur


def register_wh(name: str, text: str) -> int:
    """Watt-hours of what a meter shows in kWh, with up to three decimals."""
    whole, _, decimals = text.partition(".")
    digits = whole + decimals
    if not whole or not digits.isascii() or not digits.isdigit() or len(decimals) > 3:
        raise Refused(f"{name} {text!r}: must be kWh as the meter shows them, such as 1234.56")
    shown_wh = int(whole) * 1000 + int(decimals.ljust(3, "0"))
    if shown_wh > WH_MAX:
        raise Refused(f"{name} {text}: no meter shows that much")
    return shown_wh


def duration_s(name: str, text: str) -> int:
    """Seconds of 90s, 30m, 2h or 7d."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS_S or not number.isascii() or not number.isdigit() or not int(number):
        raise Refused(f"{name} {text!r}: must be a time such as 90s, 30m, 2h or 7d")
    return int(number) * _UNITS_S[unit]


def instant_s(name: str, text: str, now_s: int) -> int:
    """Unix seconds of a time from now, or of a date and time with its zone; in the future."""
    if "T" not in text and text[-1:] in _UNITS_S:
        return now_s + duration_s(name, text)
    at_s = zoned_s(name, text, "2h, 7d or 2026-12-01T08:00+08:00")
    if at_s <= now_s:
        raise Refused(f"{name} {text}: is over already")
    return at_s


def zoned_s(name: str, text: str, such_as: str) -> int:
    """Unix seconds of a date and time with its zone."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{name} {text!r}: write {such_as}") from error
    if told.tzinfo is None:
        raise Refused(f"{name} {text}: add the zone, such as {text}+08:00 or {text}Z")
    since = told.astimezone(UTC) - datetime.fromtimestamp(0, UTC)
    return since.days * DAY_S + since.seconds


def utc(at_s: object) -> str:
    return datetime.fromtimestamp(int(str(at_s)), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
