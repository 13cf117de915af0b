"""Registers to integers, by the type and multiplier that a map gives. Pure, no float anywhere.

A float register is decoded from its bits: the single precision of the ESP32 and the double
precision of a desk would otherwise read different energies from the same meter.
"""

import struct

from protocol.quantities import F32, TYPE_FORMATS
from protocol.units import BAD_FIELD, Malformed

_LIMIT = 1 << 63


def decode(data: bytes, at: int, kind: int, multiplier: int) -> int:
    """Value of the register at byte `at`, times `multiplier`, rounded half away from zero.

    Malformed for NaN, infinity and a value beyond 64 bits.
    """
    values = struct.unpack_from(TYPE_FORMATS[kind], data, at)
    value = values[0]
    if kind == F32:
        value = scaled_float(value, multiplier)
    else:
        if len(values) == 2:
            value += values[1] << 16
        value *= multiplier
    if not -_LIMIT <= value < _LIMIT:
        raise Malformed(BAD_FIELD, "range")
    return value


def scaled_float(bits: int, multiplier: int) -> int:
    """IEEE 754 binary32 from its bits, times an integer, exactly, then rounded once."""
    exponent = bits >> 23 & 0xFF
    if exponent == 0xFF:
        raise Malformed(BAD_FIELD, "not a number")
    mantissa = bits & 0x7FFFFF
    if exponent:
        mantissa |= 0x800000
    else:
        exponent = 1  # subnormal: no hidden bit
    value = mantissa * multiplier
    shift = exponent - 150
    if shift >= 0:
        value <<= shift
    else:
        value = value + (1 << (-shift - 1)) >> -shift
    return -value if bits & 0x80000000 else value


def blocks(registers: "list[tuple]", gap_max: int, registers_max: int) -> "list[list]":
    """Requests that cover all registers: [address, count, registers], by rising address.

    A register is (quantity, address, type, multiplier, number of registers). Neighbours share a
    request when at most `gap_max` unlisted registers lie between and `registers_max` holds them.
    """
    out = []
    for register in sorted(registers, key=lambda register: register[1]):
        address, end = register[1], register[1] + register[4]
        if out:
            last = out[-1]
            size = max(end - last[0], last[1])
            if address - last[0] - last[1] <= gap_max and size <= registers_max:
                last[1] = size
                last[2].append(register)
                continue
        out.append([address, register[4], [register]])
    return out
