"""Rows in PostgreSQL's binary form, packed in one go: of all ways in, the quickest.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"; arrays as array_recv reads
them. All but two columns of a journal row are 64-bit integers.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

from psycopg.adapt import Dumper
from psycopg.pq import Format

from host_tools.store.sql import ENTRY_COLUMNS, Row

_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TAIL = b"\xff\xff"
_COLUMNS = len(ENTRY_COLUMNS)
_PART_ROWS = 256
_INT8, _INT8_ARRAY = 20, 1016  # pg_type
_HEAD_BYTES = 16
_USUAL = struct.Struct(f">h{'iq' * 9}i{_HEAD_BYTES}si{'iq' * 13}").pack
_LENGTH = struct.Struct(">i").pack
_WHOLE = struct.Struct(">iq").pack
_NULL = _LENGTH(-1)


def copied(rows: Sequence[Row]) -> Iterator[bytes]:
    """What COPY ... FROM STDIN (FORMAT BINARY) reads, some rows at a time."""
    yield _HEAD
    for start in range(0, len(rows), _PART_ROWS):
        yield b"".join([_packed(row) for row in rows[start : start + _PART_ROWS]])
    yield _TAIL


def _packed(row: Row) -> bytes:
    (
        i0, i1, i2, i3, i4, i5, i6, i7, i8, head, said_head, j0, j1, j2, j3, j4, j5, j6, j7, j8,
        j9, k0, k1, k2,
    ) = row  # fmt: skip
    if said_head is None and len(head) == _HEAD_BYTES:
        return _USUAL(
            _COLUMNS, 8, i0, 8, i1, 8, i2, 8, i3, 8, i4, 8, i5, 8, i6, 8, i7, 8, i8,
            _HEAD_BYTES, head, -1, 8, j0, 8, j1, 8, j2, 8, j3, 8, j4, 8, j5, 8, j6, 8, j7, 8, j8,
            8, j9, 8, k0, 8, k1, 8, k2,
        )  # fmt: skip
    return struct.pack(">h", _COLUMNS) + b"".join(map(_field, row))


def _field(value: object) -> bytes:
    if value is None:
        return _NULL
    if isinstance(value, int):
        return _WHOLE(8, value)
    if not isinstance(value, bytes):
        raise TypeError(value)
    return _LENGTH(len(value)) + value


class Int8s(bytes):
    """An array of 64-bit integers, as it goes to the server."""


class Int8sDumper(Dumper):
    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: Int8s) -> bytes:
        return obj


def int8s(values: Iterable[int]) -> Int8s:
    numbers = list(values)
    head = struct.pack(">iiiii", 1, 0, _INT8, len(numbers), 1)
    pairs = chain.from_iterable(zip(repeat(8), numbers, strict=False))
    return Int8s(head + struct.pack(f">{'iq' * len(numbers)}", *pairs))
