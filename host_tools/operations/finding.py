"""One line of the doctor: a check, how it came out, and what to do, in English and Chinese."""

from typing import NamedTuple

OK, WARN, FAIL = "ok", "warn", "fail"


class Words(NamedTuple):
    """The same sentence twice."""

    english: str
    chinese: str


NOTHING = Words("", "")


class Finding(NamedTuple):
    """`remedy` is empty exactly when the level is ok."""

    check: str
    level: str
    what: Words
    remedy: Words = NOTHING


def ok(check: str, english: str, chinese: str) -> Finding:
    return Finding(check, OK, Words(english, chinese))


def warn(check: str, what: tuple[str, str], remedy: tuple[str, str]) -> Finding:
    return Finding(check, WARN, Words(*what), Words(*remedy))


def fail(check: str, what: tuple[str, str], remedy: tuple[str, str]) -> Finding:
    return Finding(check, FAIL, Words(*what), Words(*remedy))
