"""Strict deterministic CBOR: the subset of RFC 8949 section 4.2.1 that Gridpurse speaks.

Integers of 64 bits, byte and text strings, arrays, maps with integer keys, true, false, null. One
value has exactly one encoding; every other byte string is refused. It never produces or accepts
floats, tags or indefinite lengths. Its three bounds keep 4 kB from filling a small heap.
"""

import struct

from protocol.units import MALFORMED, MESSAGE_BYTES_MAX, OVERSIZED, TOO_DEEP, Malformed, const

DEPTH_MAX = const(8)
OBJECTS_MAX = const(1024)  # arrays, maps and strings of one message
ITEMS_MAX = const(1024)  # of one array
PAIRS_MAX = const(64)  # of one map

_UNSIGNED = const(0)
_NEGATIVE = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_SIMPLE = const(7)
_FALSE = const(0xF4)
_TRUE = const(0xF5)
_NULL = const(0xF6)
_UINT64_MAX = 0xFFFFFFFFFFFFFFFF


def encode(value: object) -> bytes:
    """Bytes of None, bool, int, bytes, str, list, tuple or dict with integer keys.

    A value outside the subset is a bug of the caller: TypeError or ValueError.
    """
    out = bytearray()
    _put(out, value)
    return bytes(out)


def decode(data: bytes, depth_max: int = DEPTH_MAX, size_max: int = MESSAGE_BYTES_MAX) -> object:
    """The one value in `data` (bytes, bytearray or memoryview); arrays are lists.

    `depth_max` counts nested arrays and maps. Raises Malformed with MALFORMED, OVERSIZED or
    TOO_DEEP, and nothing else, whatever the bytes are.
    """
    if len(data) > size_max:
        raise Malformed(OVERSIZED, "message")
    reader = _Reader(data)
    value = reader.value(depth_max)
    if reader.at != reader.end:
        raise Malformed(MALFORMED, "trailing bytes")
    return value


def byte_string(data: bytes, at: int) -> tuple[bytes, int]:
    """The byte string that starts at `at`, and the offset after it; Malformed if there is none."""
    reader = _Reader(data, at)
    major, length = reader.head()
    if major != _BYTES:
        raise Malformed(MALFORMED, "not a byte string")
    reader.room(length)
    end = reader.at + length
    return bytes(reader.data[reader.at : end]), end


def head(major: int, number: int) -> bytes:
    """Initial bytes of an item: major type and its argument in the shortest form."""
    major <<= 5
    if number < 24:
        return struct.pack(">B", major | number)
    if number < 0x100:
        return struct.pack(">BB", major | 24, number)
    if number < 0x10000:
        return struct.pack(">BH", major | 25, number)
    if number < 0x100000000:
        return struct.pack(">BI", major | 26, number)
    if number > _UINT64_MAX:
        raise ValueError("integer beyond 64 bits")
    return struct.pack(">BQ", major | 27, number)


def utf8(data: bytes | memoryview, at: int, end: int) -> bool:
    """True when data[at:end] is valid UTF-8 (RFC 3629).

    MicroPython itself lets overlong forms, surrogates and code points above U+10FFFF pass.
    """
    while at < end:
        first = data[at]
        at += 1
        if first < 0x80:
            continue
        if 0xC2 <= first < 0xE0:
            more = 1
        elif 0xE0 <= first < 0xF0:
            more = 2
        elif 0xF0 <= first < 0xF5:
            more = 3
        else:
            return False
        if end - at < more:
            return False
        # The second byte alone excludes overlong forms, surrogates and values above U+10FFFF.
        low, high = _SECOND.get(first, (0x80, 0xBF))
        if not low <= data[at] <= high:
            return False
        for place in range(at + 1, at + more):
            if data[place] & 0xC0 != 0x80:
                return False
        at += more
    return True


_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}


def _rank(key: int) -> int:
    """Orders integers as their encodings sort bytewise: 0, 1, 2 ... then -1, -2, -3 ..."""
    return key if key >= 0 else _UINT64_MAX - key


def _put(out: bytearray, value: object) -> None:
    if value is None:
        out.append(_NULL)
    elif isinstance(value, bool):  # before int: a bool is an int on CPython only
        out.append(_TRUE if value else _FALSE)
    elif isinstance(value, int):
        out.extend(head(_UNSIGNED, value) if value >= 0 else head(_NEGATIVE, -1 - value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out.extend(head(_BYTES, len(value)))
        out.extend(value)
    elif isinstance(value, str):
        text = value.encode()
        if not utf8(text, 0, len(text)):
            raise ValueError("text")
        out.extend(head(_TEXT, len(text)))
        out.extend(text)
    elif isinstance(value, (list, tuple)):
        out.extend(head(_ARRAY, len(value)))
        for item in value:
            _put(out, item)
    elif isinstance(value, dict):
        _put_map(out, value)
    else:
        raise TypeError("not in the CBOR subset")


def _put_map(out: bytearray, value: dict[int, object]) -> None:
    for key in value:
        if isinstance(key, bool) or not isinstance(key, int):
            raise TypeError("map key is not an integer")
    out.extend(head(_MAP, len(value)))
    for key in sorted(value, key=_rank):
        _put(out, key)
        _put(out, value[key])


class _Reader:
    """A position in one message; lives for one decode."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = memoryview(data)
        self.at = at
        self.end = len(data)
        self.objects = 0
        self.promised = 0  # items of all arrays and maps so far: each takes a byte at least

    def value(self, depth: int) -> object:
        major, number = self.head()
        if major == _UNSIGNED:
            return number
        if major == _NEGATIVE:
            return -1 - number
        if major == _SIMPLE:
            return number == 21 if number != 22 else None
        self.objects += 1
        if self.objects > OBJECTS_MAX:
            raise Malformed(OVERSIZED, "objects")
        if major == _BYTES or major == _TEXT:
            return self.string(major, number)
        if depth <= 0:
            raise Malformed(TOO_DEEP)
        self.promised += number if major == _ARRAY else 2 * number
        if self.promised > self.end:
            raise Malformed(MALFORMED, "length beyond the data")
        if number > (ITEMS_MAX if major == _ARRAY else PAIRS_MAX):
            raise Malformed(OVERSIZED, "items")
        return self.array(number, depth - 1) if major == _ARRAY else self.map(number, depth - 1)

    def head(self) -> tuple[int, int]:
        """Major type and argument of the next item; only forms of the subset get through."""
        if self.at >= self.end:
            raise Malformed(MALFORMED, "truncated")
        first = self.data[self.at]
        self.at += 1
        major = first >> 5
        number = first & 31
        if major == _SIMPLE and not 20 <= number <= 22:
            raise Malformed(MALFORMED, "float or simple value")
        if major == 6:
            raise Malformed(MALFORMED, "tag")
        if number >= 24:
            number = self.argument(number - 24)
        return major, number

    def argument(self, width_code: int) -> int:
        if width_code > 3:
            raise Malformed(MALFORMED, "indefinite or reserved length")
        width = 1 << width_code
        if self.end - self.at < width:
            raise Malformed(MALFORMED, "truncated")
        (number,) = struct.unpack_from((">B", ">H", ">I", ">Q")[width_code], self.data, self.at)
        self.at += width
        if number < (24, 0x100, 0x10000, 0x100000000)[width_code]:
            raise Malformed(MALFORMED, "not the shortest form")
        return int(number)

    def room(self, bytes_min: int) -> None:
        """Refuses a declared length before anything is allocated for it."""
        if bytes_min > self.end - self.at:
            raise Malformed(MALFORMED, "length beyond the data")

    def string(self, major: int, length: int) -> object:
        self.room(length)
        start, self.at = self.at, self.at + length
        if major == _TEXT and not utf8(self.data, start, self.at):
            raise Malformed(MALFORMED, "text is not UTF-8")
        piece = self.data[start : self.at]
        return bytes(piece) if major == _BYTES else str(piece, "utf-8")

    def array(self, number: int, depth: int) -> list[object]:
        # At its full length at once: a growing list needs ever larger pieces of a littered heap.
        values: list[object] = [None] * number
        for place in range(number):
            values[place] = self.value(depth)
        return values

    def map(self, pairs: int, depth: int) -> dict[int, object]:
        values: dict[int, object] = {}
        before = -1
        for _ in range(pairs):
            major, number = self.head()
            if major > _NEGATIVE:
                raise Malformed(MALFORMED, "map key is not an integer")
            key = number if major == _UNSIGNED else -1 - number
            rank = _rank(key)
            if rank <= before:
                raise Malformed(MALFORMED, "keys repeated or unsorted")
            before = rank
            values[key] = self.value(depth)
        return values
