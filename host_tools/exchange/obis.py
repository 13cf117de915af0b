"""OBIS codes (IEC 62056-6-1): parsed from full or short form, printed in full.

An unknown code is a code all the same: it is kept, and never billed.
"""

import re
from dataclasses import dataclass

from protocol.units import BAD_FIELD, Malformed

_FORM = re.compile(
    r"(?:(\d{1,3})-(\d{1,3}):)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?", re.ASCII
)
CURRENT = 255
ELECTRICITY = 1


@dataclass(frozen=True, slots=True, order=True)
class Obis:
    """Medium, channel, quantity, kind of processing, tariff rate, billing period."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int

    def __str__(self) -> str:
        return f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}*{self.f}"


def parse(text: str, medium: int = ELECTRICITY) -> Obis:
    """`1-0:1.8.0*255`, `1-0:1.8.0`, or `1.8.0` with the medium given. Malformed otherwise."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Malformed(BAD_FIELD, f"{text!r} is no OBIS code such as 1-0:1.8.0*255")
    a, b, c, d, e, f = found.groups()
    parts = (int(a or medium), int(b or 0), int(c), int(d), int(e), int(f or CURRENT))
    if max(parts) > 255:
        raise Malformed(BAD_FIELD, f"{text!r}: a part of an OBIS code is at most 255")
    return Obis(*parts)


IMPORT = parse("1-0:1.8.0*255")
EXPORT = parse("1-0:2.8.0*255")
REACTIVE = parse("1-0:3.8.0*255")
# What is exported, with its unit.
KNOWN: dict[Obis, tuple[str, str, str]] = {
    IMPORT: ("Wh", "active energy import", "正向有功电量"),
    parse("1-0:1.8.1*255"): ("Wh", "import, rate 1", "正向有功费率1"),
    parse("1-0:1.8.2*255"): ("Wh", "import, rate 2", "正向有功费率2"),
    parse("1-0:1.8.3*255"): ("Wh", "import, rate 3", "正向有功费率3"),
    parse("1-0:1.8.4*255"): ("Wh", "import, rate 4", "正向有功费率4"),
    EXPORT: ("Wh", "active energy export", "反向有功电量"),
    REACTIVE: ("varh", "reactive energy import", "正向无功电量"),
    parse("1-0:4.8.0*255"): ("varh", "reactive energy export", "反向无功电量"),
    parse("1-0:9.8.0*255"): ("VAh", "apparent energy import", "正向视在电量"),
}
