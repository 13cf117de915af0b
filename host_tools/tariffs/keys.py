"""One table of a tariff document, taken key by key: each mistake is one line, file, key, remedy.

A key that nobody asked for is refused, with the nearest one that somebody did ask for.
"""

from collections.abc import Iterable
from datetime import date, datetime
from difflib import get_close_matches

from host_tools import Refused

NUMBER_MAX = 1 << 56  # of the last decimal: no amount of a book may be larger


class Keys:
    """One table of the document; `where` begins every message about it."""

    def __init__(self, values: dict[str, object], where: str) -> None:
        self._values = dict(values)
        self._asked: set[str] = set()
        self.where = where

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._values

    def take(self, key: str, default: object = None) -> object:
        self._asked.add(key)
        value = self._values.pop(key, default)
        if value is None:
            raise Refused(f"{self.where}{key}: is missing; add it")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self.take(key, default)
        if not isinstance(value, str) or not value:
            raise Refused(f"{self.where}{key}: must be a text in quotes")
        if not value.isprintable():
            raise Refused(f"{self.where}{key}: must be one line of letters and signs")
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
        self._asked.add(key)
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

    def truth(self, key: str) -> bool:
        value = self.take(key, False)
        if not isinstance(value, bool):
            raise Refused(f"{self.where}{key}: must be true or false")
        return value

    def amount(self, key: str, decimals_max: int, default: str | None = None) -> int:
        """A number in quotes, in units of its last decimal."""
        return exact(self.take(key, default), decimals_max, f"{self.where}{key}")

    def named(self, key: str) -> dict[str, object]:
        """A table whose keys are names that will be printed."""
        values = self.table(key, {})
        for name in values:
            if not name or not name.isprintable():
                raise Refused(f"{self.where}{key}: {name!r} is no name; use letters and signs")
        return values

    def texts(self, key: str, default: list[object] | None = None) -> list[str]:
        values = self.items(key, default)
        if not all(isinstance(value, str) for value in values):
            raise Refused(f"{self.where}{key}: must be a list of texts in quotes")
        return [str(value) for value in values]

    def table(self, key: str, default: dict[str, object] | None = None) -> dict[str, object]:
        value = self.take(key, default)
        if not isinstance(value, dict):
            raise Refused(f"{self.where}{key}: must be a table in braces")
        return value

    def tables(self, key: str, most: int, least: int = 1) -> list["Keys"]:
        values = self.items(key, None if least else [])
        if not least <= len(values) <= most:
            raise Refused(f"{self.where}{key}: write {least} to {most} of [[{key}]]")
        out = []
        for place, value in enumerate(values):
            if not isinstance(value, dict):
                raise Refused(f"{self.where}{key}: write it as [[{key}]]")
            out.append(Keys(value, f"{self.where}{key}[{place}]."))
        return out

    def only(self, known: Iterable[str]) -> None:
        """Refused for a key beyond these, before what it was meant for is found missing."""
        names = {*known, *self._asked}
        for key in self._values:
            if key not in names:
                raise self._unknown(key, names)

    def finish(self) -> None:
        """Refused for a key that nobody has taken."""
        for key in self._values:
            raise self._unknown(key, self._asked)

    def _unknown(self, key: str, names: Iterable[str]) -> Refused:
        near = get_close_matches(key, sorted(names), 1)
        remedy = f"write {near[0]}" if near else "remove it"
        return Refused(f"{self.where}{key}: is unknown; {remedy}")


def exact(value: object, decimals_max: int, place: str) -> int:
    """A decimal text, or a whole number, in units of its last decimal: ("0.568", 6) -> 568000."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise Refused(f'{place}: write the number in quotes, such as "0.568"')
    negative = text.startswith("-")
    whole, _, decimals = text.removeprefix("-").partition(".")
    digits = whole + decimals
    if not whole or not digits.isascii() or not digits.isdigit() or len(decimals) > decimals_max:
        raise Refused(f"{place}: {text!r} must be a number with at most {decimals_max} decimals")
    if negative:
        raise Refused(f"{place}: {text!r} may not be negative")
    value = int(digits + "0" * (decimals_max - len(decimals)))
    if value > NUMBER_MAX:
        raise Refused(f"{place}: {text[:20]!r} is too large")
    return value
