"""Readings as CSV: RFC 4180, UTF-8, CRLF written, CRLF or LF read, every line bounded.

A wrong header refuses the file; anything else refuses its line, with number and reason, and the
rest goes on. UTC decides; the local column is for people. A text that a spreadsheet would execute
is written with an apostrophe before it, which the import takes away.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from zoneinfo import ZoneInfo

from host_tools import Refused
from host_tools.exchange import obis
from host_tools.exchange.records import QUALITY, UNITS, VALUE_MAX, Record, named
from host_tools.validation.series import MISSING
from protocol.units import BAD_FIELD, Malformed

HEADER = (
    "usage_point", "obis", "interval_start_utc", "interval_start_local", "duration_s", "value",
    "unit", "quality", "version",
)  # fmt: skip
LINE_BYTES_MAX = 1000
LINES_MAX = 20_000_000
REFUSED_MAX = 10_000  # reported one by one; beyond it the file is another kind of file
DURATION_S_MAX = 31 * 86400
VERSION_MAX = 1_000_000
NOT_UTF_8 = "not UTF-8; save the file as CSV UTF-8"  # what Excel calls it
_EXECUTED = "=+-@\t\r'"
_END_S = 1 << 35


@dataclass(frozen=True, slots=True)
class RefusedLine:
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """`lines` has the number of each record's line."""

    records: tuple[Record, ...]
    refused: tuple[RefusedLine, ...]
    lines: tuple[int, ...] = ()


def safe(text: str) -> str:
    """A text cell that no spreadsheet executes."""
    return f"'{text}" if text[:1] in tuple(_EXECUTED) else text


def plain(text: str) -> str:
    """What `safe` was given."""
    return text[1:] if text[:1] == "'" else text


def written(records: Iterable[Record], zone: ZoneInfo) -> Iterator[str]:
    """The lines of the file, each with its CRLF; the same records give the same bytes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")

    def line(cells: Iterable[object]) -> str:
        out.seek(0)
        out.truncate()
        writer.writerow(cells)
        return out.getvalue()

    yield line(HEADER)
    for each in records:
        yield line(
            (
                safe(each.usage_point),
                each.obis,
                utc(each.start_s),
                datetime.fromtimestamp(each.start_s, zone).isoformat(),
                each.end_s - each.start_s,
                "" if each.quality == MISSING else each.value,
                each.unit,
                each.quality,
                each.version,
            )
        )


def utc(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat().replace("+00:00", "Z")


def read(stream: BinaryIO, where: str, lines_max: int = LINES_MAX) -> Imported:
    """Records and refused lines of a file. Refused when it is no such file at all."""
    first = stream.readline(LINE_BYTES_MAX + 1).removeprefix(b"\xef\xbb\xbf")
    try:
        header = _cells(first)
    except Malformed:
        header = []
    if tuple(header) != HEADER:
        why = "" if _utf_8(first) else f"{NOT_UTF_8}; "
        raise Refused(f"{where}: line 1: {why}the header must be {','.join(HEADER)}")
    refused: list[RefusedLine] = []
    lines: dict[Record, int] = {}
    number = 1
    while raw := stream.readline(LINE_BYTES_MAX + 1):
        number += 1
        if number > lines_max:
            raise Refused(f"{where}: more than {lines_max} lines; split the file")
        try:
            record = _record(raw, stream)
            if record in lines:
                raise Malformed(BAD_FIELD, f"the same as line {lines[record]}")
        except Malformed as error:
            refused.append(RefusedLine(number, error.detail))
            if len(refused) > REFUSED_MAX:
                raise Refused(
                    f"{where}: more than {REFUSED_MAX} lines are wrong, the first is line"
                    f" {refused[0].line}: {refused[0].reason}"
                ) from error
            continue
        lines[record] = number
    return Imported(tuple(lines), tuple(refused), tuple(lines.values()))


def _utf_8(raw: bytes) -> bool:
    """False for GBK, and for UTF-16 with or without its mark."""
    try:
        return "\0" not in raw.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _cells(raw: bytes) -> list[str]:
    """The cells of one line; Malformed in one sentence."""
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Malformed(BAD_FIELD, NOT_UTF_8) from None
    if "\0" in text:
        raise Malformed(BAD_FIELD, "a zero byte")
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise Malformed(BAD_FIELD, f"not CSV: {error}") from error
    return rows[0] if rows else []


def _record(raw: bytes, stream: BinaryIO) -> Record:
    if len(raw) > LINE_BYTES_MAX:
        while raw and not raw.endswith(b"\n"):  # the rest of the line is not looked at
            raw = stream.readline(LINE_BYTES_MAX)
        raise Malformed(BAD_FIELD, f"longer than {LINE_BYTES_MAX} bytes")
    cells = _cells(raw)
    if len(cells) != len(HEADER):
        raise Malformed(BAD_FIELD, f"{len(cells)} fields, not {len(HEADER)}")
    point, code, start, _, duration, value, unit, quality, version = cells
    if unit not in UNITS:
        raise Malformed(BAD_FIELD, f"unit: must be one of {', '.join(UNITS)}")
    if quality not in QUALITY:
        raise Malformed(BAD_FIELD, "quality: must be A, V, E, S, M, N or empty")
    if (quality == MISSING) != (value == ""):
        raise Malformed(BAD_FIELD, "value: is empty for quality N, and only for it")
    start_s = _instant(start)
    duration_s = _whole("duration_s", duration, 0, DURATION_S_MAX)
    return Record(
        named(plain(point)),
        obis.parse(code),
        start_s,
        start_s + duration_s,
        _whole("value", value, -VALUE_MAX, VALUE_MAX) if value else 0,
        unit,
        quality,
        _whole("version", version, 1, VERSION_MAX),
    )


def _whole(name: str, text: str, low: int, high: int) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise Malformed(BAD_FIELD, f"{name}: {text[:40]!r} is no whole number")
    number = int(text)
    if not low <= number <= high:
        raise Malformed(BAD_FIELD, f"{name}: must lie between {low} and {high}")
    return number


def _instant(text: str) -> int:
    """Unix seconds of an ISO 8601 instant with an offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.microsecond:
        raise Malformed(
            BAD_FIELD, f"interval_start_utc: {text[:40]!r} must be such as 2026-11-21T16:00:00Z"
        )
    try:
        since = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise Malformed(BAD_FIELD, f"interval_start_utc: {text[:40]!r} is out of range") from None
    start_s = since.days * 86400 + since.seconds
    if not 0 <= start_s < _END_S:
        raise Malformed(BAD_FIELD, f"interval_start_utc: {text[:40]!r} is out of range")
    return start_s
