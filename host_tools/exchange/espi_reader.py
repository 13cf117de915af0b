"""Reads a Green Button feed into records: bounded in bytes, depth, entries and text.

No document type is accepted, so no entity can expand and nothing outside is ever fetched. Entries
are joined by their links, as any feed may order them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.parsers import expat

from host_tools.exchange import espi, obis
from host_tools.exchange.records import FROM_ESPI, RAW, VALUE_MAX, Record, named
from host_tools.validation.processing import UNKNOWN
from host_tools.validation.series import ESTIMATED
from protocol.units import BAD_FIELD, Malformed

BYTES_MAX = 256 << 20
DEPTH_MAX = 16
ENTRIES_MAX = 100_000
CHILDREN_MAX = 100_000  # of one entry
TEXT_MAX = 512
_CHUNK = 65_536
_START_MAX = 1 << 35


@dataclass(slots=True)
class _Node:
    name: str
    attributes: dict[str, str]
    text: str = ""
    children: "list[_Node]" = field(default_factory=list)

    def find(self, *names: str) -> "_Node | None":
        node = self
        for name in names:
            found = next((each for each in node.children if each.name == name), None)
            if found is None:
                return None
            node = found
        return node

    def number(self, low: int, high: int, *names: str, default: int | None = None) -> int:
        node = self.find(*names)
        if node is None:
            if default is None:
                raise Malformed(BAD_FIELD, f"{'/'.join(names)}: is missing")
            return default
        text = node.text.strip()
        digits = text.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            raise Malformed(BAD_FIELD, f"{'/'.join(names)}: {text[:40]!r} is no whole number")
        if not low <= int(text) <= high:
            raise Malformed(BAD_FIELD, f"{'/'.join(names)}: must lie between {low} and {high}")
        return int(text)


class _Parser:
    """Hands over each entry of the feed as a small tree, then forgets it."""

    def __init__(self) -> None:
        self._expat = expat.ParserCreate(namespace_separator=" ")
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._data
        self._expat.StartDoctypeDeclHandler = self._doctype
        self._expat.buffer_text = True
        self._stack: list[_Node] = []
        self._depth = 0
        self._count = 0
        self.entries: list[_Node] = []
        self._seen = 0

    def feed(self, data: bytes, last: bool) -> list[_Node]:
        try:
            self._expat.Parse(data, last)
        except expat.ExpatError as error:
            raise Malformed(BAD_FIELD, f"not XML: {error}") from error
        except (LookupError, ValueError) as error:  # what Python's codecs make of an encoding
            raise Malformed(BAD_FIELD, f"encoding: {error}; save it as UTF-8") from error
        done, self.entries = self.entries, []
        return done

    def _doctype(self, *_: object) -> None:
        raise Malformed(BAD_FIELD, "a document type declaration; remove it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Malformed(BAD_FIELD, f"nested deeper than {DEPTH_MAX}")
        if self._depth == 1 and name != f"{espi.ATOM} feed":
            raise Malformed(BAD_FIELD, "not an Atom feed")
        if not self._stack and name != f"{espi.ATOM} entry":
            return
        self._count = self._count + 1 if self._stack else 0
        if self._count > CHILDREN_MAX:
            raise Malformed(BAD_FIELD, f"more than {CHILDREN_MAX} elements in one entry")
        node = _Node(name.rpartition(" ")[2], attributes)
        if self._stack:
            self._stack[-1].children.append(node)
        self._stack.append(node)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if not self._stack:
            return
        node = self._stack.pop()
        if not self._stack:
            self._seen += 1
            if self._seen > ENTRIES_MAX:
                raise Malformed(BAD_FIELD, f"more than {ENTRIES_MAX} entries")
            self.entries.append(node)

    def _data(self, text: str) -> None:
        if self._stack:
            node = self._stack[-1]
            if len(node.text) + len(text) > TEXT_MAX:
                raise Malformed(BAD_FIELD, f"{node.name}: a text of more than {TEXT_MAX}")
            node.text += text


@dataclass(frozen=True, slots=True)
class _Kind:
    obis: obis.Obis
    unit: str
    power: int
    quality: int
    register: bool


@dataclass(slots=True)
class _Feed:
    points: dict[str, str] = field(default_factory=dict)  # related link of a point: its name
    readings: list[tuple[str, str, list[str]]] = field(default_factory=list)  # self, up, related
    kinds: dict[str, _Kind] = field(default_factory=dict)  # by self
    blocks: dict[str, list[_Node]] = field(default_factory=dict)  # by up


def read(stream: BinaryIO) -> tuple[Record, ...]:
    """The records of a feed in order; Malformed, in one sentence, for a feed that is wrong."""
    parser, feed, size = _Parser(), _Feed(), 0
    while True:
        data = stream.read(_CHUNK)
        size += len(data)
        if size > BYTES_MAX:
            raise Malformed(BAD_FIELD, f"more than {BYTES_MAX} bytes")
        for entry in parser.feed(data, not data):
            _sort_in(entry, feed)
        if not data:
            return tuple(sorted(_joined(feed)))


def _sort_in(entry: _Node, feed: _Feed) -> None:
    links: dict[str, list[str]] = {"self": [], "up": [], "related": []}
    for each in entry.children:
        if each.name == "link":
            links.setdefault(each.attributes.get("rel", ""), []).append(
                each.attributes.get("href", "")
            )
    here, up = (links["self"] or [""])[0], (links["up"] or [""])[0]
    title = entry.find("title")
    name = title.text.strip() if title else ""
    content = entry.find("content")
    body = content.children[0] if content and content.children else None
    if body is None:
        return
    if body.name == "UsagePoint":
        feed.points |= dict.fromkeys(links["related"], named(name or here[-64:] or "1"))
    elif body.name == "MeterReading":
        feed.readings.append((here, up, links["related"]))
    elif body.name == "ReadingType":
        feed.kinds[here] = _kind(body, name)
    elif body.name == "IntervalBlock":
        feed.blocks.setdefault(up, []).append(body)


def _kind(body: _Node, title: str) -> _Kind:
    uom = body.number(0, 65_535, "uom", default=0)
    unit = next((name for name, number in espi.UOM.items() if number == uom), "")
    if not unit:
        raise Malformed(BAD_FIELD, f"uom {uom}: only {', '.join(espi.UOM)} are read")
    flow = body.number(0, 65_535, "flowDirection", default=espi.FORWARD)
    try:
        code = obis.parse(title)
    except Malformed:  # a feed of somebody else: the code follows from unit and direction
        quantity = {"Wh": 1, "varh": 3, "VAh": 9}[unit] + (flow == espi.REVERSE)
        code = obis.parse(f"1-0:{quantity}.8.0")
    behaviour = body.number(0, 65_535, "accumulationBehaviour", default=espi.DELTA)
    return _Kind(
        code,
        unit,
        body.number(-12, 12, "powerOfTenMultiplier", default=0),
        body.number(0, 255, "defaultQuality", default=0),
        behaviour == espi.BULK,
    )


def _joined(feed: _Feed) -> Iterator[Record]:
    for here, up, related in feed.readings:
        point = feed.points.get(here) or feed.points.get(up)
        kinds = [feed.kinds[each] for each in related if each in feed.kinds]
        if point is None or len(kinds) != 1:
            raise Malformed(BAD_FIELD, f"{here}: a meter reading without its point or type")
        for link in dict.fromkeys(related):
            for block in feed.blocks.pop(link, []):
                yield from _records(point, kinds[0], block)


def _records(point: str, kind: _Kind, block: _Node) -> Iterator[Record]:
    for each in block.children:
        if each.name != "IntervalReading":
            continue
        start_s = each.number(0, _START_MAX, "timePeriod", "start")
        duration_s = each.number(0, (1 << 32) - 1, "timePeriod", "duration")
        value = _scaled(each.number(-VALUE_MAX, VALUE_MAX, "value"), kind.power)
        espi_quality = each.number(0, 255, "ReadingQuality", "quality", default=kind.quality)
        quality = FROM_ESPI.get(espi_quality, RAW)
        yield Record(
            point,
            kind.obis,
            start_s,
            start_s if kind.register else start_s + duration_s,
            value,
            kind.unit,
            quality,
            each.number(1, 1_000_000, "extension", "version", default=1),
            UNKNOWN if quality == ESTIMATED else "",
        )


def _scaled(value: int, power: int) -> int:
    """In whole units; a value that is none is refused, never rounded."""
    factor = int(10 ** abs(power))
    if power >= 0:
        return value * factor
    whole, rest = divmod(value, factor)
    if rest:
        raise Malformed(BAD_FIELD, f"value: {value} x 10^{power} is no whole number")
    return whole
