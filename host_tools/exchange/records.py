"""One exported value, the same in every format: each export renders it, each import makes it.

Energy is whole units of `unit`; a register is a value at one instant, so its end is its start.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from host_tools.exchange import obis
from host_tools.exchange.obis import Obis
from host_tools.validation.series import (
    ACTUAL,
    ESTIMATED,
    MANUAL,
    MISSING,
    SUBSTITUTED,
    VERIFIED,
    Interval,
    Register,
)
from protocol.units import BAD_FIELD, Malformed

RAW = ""  # not yet validated
NAME_CHARACTERS_MAX = 64
VALUE_MAX = (1 << 47) - 1  # as ESPI's Int48
UNITS = ("Wh", "varh", "VAh")


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """`method` says how an estimate was made; only the store keeps it, an import has none."""

    usage_point: str
    obis: Obis
    start_s: int
    end_s: int
    value: int
    unit: str = "Wh"
    quality: str = ACTUAL
    version: int = 1
    method: str = ""

    def is_register(self) -> bool:
        return self.end_s == self.start_s


# ours: ESPI's quality; an estimate by a line has one of its own, and what is missing is left out.
QUALITY = {
    ACTUAL: 17,
    VERIFIED: 18,
    ESTIMATED: 8,
    SUBSTITUTED: 11,
    MANUAL: 7,
    MISSING: -1,
    RAW: 14,
}
ESPI_LINEAR = 9
# ESPI quality: ours. Foreign files have more than we write.
FROM_ESPI = {
    0: RAW, 7: MANUAL, 8: ESTIMATED, 9: ESTIMATED, 10: RAW, 11: SUBSTITUTED, 12: ESTIMATED,
    13: ESTIMATED, 14: RAW, 15: RAW, 16: RAW, 17: ACTUAL, 18: VERIFIED,
}  # fmt: skip


def named(text: str) -> str:
    """A usage point's name: printable, not too long. Malformed otherwise."""
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
        raise Malformed(BAD_FIELD, f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters")
    return text


def of_intervals(
    usage_point: str, code: Obis, intervals: Iterable[Interval], unit: str = "Wh"
) -> Iterator[Record]:
    for each in intervals:
        yield Record(
            named(usage_point), code, each.start_s, each.end_s, each.energy_wh, unit,
            each.quality, each.version, each.origin,
        )  # fmt: skip


def of_registers(usage_point: str, registers: Iterable[Register]) -> Iterator[Record]:
    for each in registers:
        yield Record(
            named(usage_point), obis.IMPORT, each.time_s, each.time_s, each.value_wh, quality=RAW
        )
