"""A map against a live meter: every register raw and decoded, side by side, and kept as examples.

Values are integers in the units of the quantities' names. Nothing is written to the meter.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from host_tools.faults import Fault
from host_tools.maps import faults
from host_tools.maps.asking import Garbled, Line, Place, Refusal, Silent
from host_tools.maps.loading import BAUDS, TYPES, MeterMap, Register
from protocol.quantities import F32, TYPE_FORMATS

NEAR_UNITS = range(1, 11)  # tried when a meter is silent; factory settings are 1 nearly always
Opener = Callable[[Place], Line]


@dataclass(frozen=True)
class Reading:
    """What a register showed; `value` None when it is none, `why` then says so."""

    register: Register
    words: tuple[int, ...]
    value: int | None
    why: str = ""


def decoded(words: Sequence[int], register: Register) -> int | None:
    """The value in our unit, None when the float is none.

    Exact fractions, apart from the module's arithmetic on the bits: the two check each other.
    """
    number = TYPES[register.type]
    data = struct.pack(f">{len(words)}H", *words)
    if number == F32:
        wire = struct.unpack(">f", data)[0]
        if wire - wire != 0:  # NaN and infinities
            return None
        exact = Fraction(wire) * register.multiplier
        size = abs(exact) + Fraction(1, 2)
        whole = size.numerator // size.denominator
        return -whole if exact < 0 else whole
    values = struct.unpack(TYPE_FORMATS[number], data)
    wire = values[0] + (values[1] << 16 if len(values) == 2 else 0)
    return int(wire) * register.multiplier


def read_all(
    meter_map: MeterMap, place: Place, unit: int, opened: Opener
) -> tuple[list[Reading], bool]:
    """(every register by rising address, True when none was refused); a Fault says what is wrong
    with the line."""
    ordered = sorted(meter_map.registers.values(), key=lambda register: register.address)
    with opened(place) as line:
        try:
            readings = [_read(line, meter_map.function, register, unit) for register in ordered]
        except Garbled:
            raise faults.GARBLED.of(line=place, unit=unit)
        except Silent:
            found = _near(line, meter_map, place, unit)
            if found is not None:
                raise found
            readings = []
    if not readings:
        raise _elsewhere(meter_map, place, unit, opened)
    if not any(reading.words for reading in readings):
        raise faults.REFUSES.of(
            line=place,
            unit=unit,
            map=meter_map.name,
            function=meter_map.function,
            why=readings[0].why,
        )
    return readings, all(reading.words for reading in readings)


def _read(line: Line, function: int, register: Register, unit: int) -> Reading:
    try:
        words = line.read(function, register.address, register.size, unit)
    except Refusal as refusal:
        return Reading(register, (), None, faults.exception_words(refusal.code))
    value = decoded(words, register)
    return Reading(
        register, tuple(words), value, "" if value is not None else "not a number 非数值"
    )


def _answers(line: Line, meter_map: MeterMap, unit: int) -> bool:
    """Whether anybody is there; an exception is an answer, too."""
    register = meter_map.registers["import_wh"]
    try:
        line.read(meter_map.function, register.address, register.size, unit)
    except Refusal:
        return True
    except (Silent, Garbled):
        return False
    return True


def _near(line: Line, meter_map: MeterMap, place: Place, unit: int) -> Fault | None:
    for found in NEAR_UNITS:
        if found != unit and _answers(line, meter_map, found):
            return faults.OTHER_UNIT.of(line=place, unit=unit, found=found)
    return None


def _elsewhere(meter_map: MeterMap, place: Place, unit: int, opened: Opener) -> Fault:
    """A silent serial meter is asked at every usual speed before it is called silent."""
    if place.device:
        for baud in BAUDS:
            for parity in "NEO":
                other = replace(place, baud=baud, parity=parity)
                if other == place:
                    continue
                with opened(other) as line:
                    if _answers(line, meter_map, unit):
                        return faults.OTHER_SPEED.of(line=place, baud=baud, parity=parity)
    return faults.SILENT.of(line=place, unit=unit)


def examples(readings: Sequence[Reading], note: str) -> str:
    """TOML: one [[example]] for each run of registers that follow each other."""
    runs: list[list[Reading]] = []
    for reading in readings:
        if reading.value is None:
            continue
        last = runs[-1][-1].register if runs else None
        if last is not None and last.address + last.size == reading.register.address:
            runs[-1].append(reading)
        else:
            runs.append([reading])
    return "".join(_example(run, note) for run in runs)


def _example(run: Sequence[Reading], note: str) -> str:
    words = ", ".join(f"0x{word:04X}" for reading in run for word in reading.words)
    expect = ", ".join(f"{reading.register.quantity} = {reading.value}" for reading in run)
    return (
        f'\n[[example]]\norigin = "captured"\nnote = {note}\n'
        f"address = 0x{run[0].register.address:04X}\nwords = [{words}]\n"
        f"expect = {{ {expect} }}\n"
    )
