"""Modbus RTU frames for reading registers: bytes in, values out. No bus, no clock.

Only the two reading functions exist here: nothing in the firmware can build a frame that writes to
a meter or resets it.
"""

import struct
from array import array

from protocol.units import BAD_FIELD, MALFORMED, Malformed, const

_READ_HOLDING = const(3)
_READ_INPUT = const(4)

EXCEPTION_BYTES = const(5)  # unit, function with bit 7, code, CRC
_EXCEPTION = const(0x80)


def _crc_table() -> "array":
    """By four bits: a sixteenth of the usual table, which would be 512 bytes of a small heap."""
    table = array("H")
    for bits in range(16):
        for _ in range(4):
            bits = bits >> 1 ^ (0xA001 if bits & 1 else 0)
        table.append(bits)
    return table


_CRC = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16 of Modbus over all of `data`; 0 over a frame with its own CRC behind it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        crc = crc >> 4 ^ _CRC[crc & 15]
        crc = crc >> 4 ^ _CRC[crc & 15]
    return crc


def read_request(unit: int, function: int, address: int, count: int) -> bytes:
    """Malformed for any function but the two that read."""
    if function != _READ_HOLDING and function != _READ_INPUT:
        raise Malformed(BAD_FIELD, "function")
    frame = struct.pack(">BBHH", unit, function, address, count)
    return frame + struct.pack("<H", crc16(frame))


def answer_bytes(count: int) -> int:
    """Length of the answer to a request of `count` registers."""
    return EXCEPTION_BYTES + 2 * count


def missing_bytes(frame: bytes, count: int) -> int:
    """How many bytes the answer still lacks. Frames end by length, never by silence."""
    if len(frame) > 1 and frame[1] & _EXCEPTION:
        return EXCEPTION_BYTES - len(frame)
    if len(frame) < EXCEPTION_BYTES:  # no byte beyond what an exception has
        return EXCEPTION_BYTES - len(frame)
    return answer_bytes(count) - len(frame)


def parse(frame: bytes, unit: int, function: int, count: int) -> "bytes | int":
    """The answer to read_request(unit, function, _, count); Malformed for anything else.

    Bytes are the registers as sent, 2 each; an integer is the meter's exception code.
    """
    size = len(frame)
    if size < EXCEPTION_BYTES or crc16(frame):
        raise Malformed(MALFORMED, "crc")
    if frame[0] != unit:
        raise Malformed(MALFORMED, "unit")
    if frame[1] == function | _EXCEPTION and size == EXCEPTION_BYTES:
        return frame[2]
    if frame[1] != function or size != answer_bytes(count) or frame[2] != 2 * count:
        raise Malformed(MALFORMED, "shape")
    return bytes(frame[3:-2])
