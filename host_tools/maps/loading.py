"""Reads a meter map and checks it strictly: every problem is one line with file, key and remedy.

The format is boards/meter_maps/README.md. A map that loads is complete: nothing is guessed later.
"""

import itertools
import struct
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tools.config import NOT_UTF_8
from protocol.quantities import F32, TYPE_FORMATS
from protocol.quantity_names import quantity_numbers, type_numbers
from protocol.units import BAD_FIELD, Malformed

MAPS = Path(__file__).resolve().parent.parent.parent / "boards" / "meter_maps"

QUANTITIES = quantity_numbers()
TYPES = type_numbers()
ORIGINS = ("captured", "quoted", "constructed")
STATUSES = ("supported", "experimental")
PARITIES = ("N", "E", "O")
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)

# Key: (allowed values as a tuple or a range, or a type; remedy). All are mandatory.
HEAD: dict[str, tuple[Any, str]] = {
    "name": (str, "the file name without .toml"),
    "title": (str, "maker, model and connection"),
    "status": (STATUSES, "supported or experimental"),
    "function": (range(3, 5), "3 or 4, the functions that read registers"),
    "phases": ((1, 3), "1 or 3"),
    "energy_resolution_wh": (range(1000001), "one step of import_wh in Wh, 0 for a float"),
    "imax_ma": (range(1, 10**9), "rated maximum current in mA"),
    "serial": (dict, "a table [serial]"),
    "source": (list, "at least one [[source]]"),
    "registers": (dict, "a table [registers]"),
    "example": (list, "at least one [[example]]"),
}
SERIAL: dict[str, tuple[Any, str]] = {
    "baud": (BAUDS, "a usual baud rate"),
    "parity": (PARITIES, "N, E or O"),
    "stop_bits": ((1, 2), "1 or 2"),
    "unit": (range(1, 248), "1 to 247"),
}
BLOCKS: dict[str, tuple[Any, str]] = {
    "gap_max": (range(80), "0 to 79"),
    "registers_max": (range(4, 126), "4 to 125"),
}
SOURCE: dict[str, tuple[Any, str]] = {
    "title": (str, "document title and revision"),
    "link": (str, "where to find it"),
}
REGISTER: dict[str, tuple[Any, str]] = {
    "address": (range(0x10000), "the address on the wire, 0 to 0xFFFF"),
    "type": (tuple(TYPES), "one of " + " ".join(TYPES)),
    "multiplier": (range(1, 10**9), "a positive integer"),
}
EXAMPLE: dict[str, tuple[Any, str]] = {
    "origin": (ORIGINS, "captured, quoted or constructed"),
    "note": (str, "who captured it or where it is printed"),
    "address": (range(0x10000), "the address of the first word"),
    "words": (list, "the raw registers"),
    "expect": (dict, "quantity = integer in our unit"),
}
OPTIONAL = {"blocks": BLOCKS}
BLOCK_DEFAULTS = {"gap_max": 0, "registers_max": 80}


@dataclass(frozen=True)
class Register:
    quantity: str
    address: int
    type: str
    multiplier: int

    @property
    def size(self) -> int:
        return struct.calcsize(TYPE_FORMATS[TYPES[self.type]]) // 2


@dataclass(frozen=True)
class Example:
    origin: str
    note: str
    address: int
    words: tuple[int, ...]
    expect: dict[str, int]


@dataclass(frozen=True)
class MeterMap:
    name: str
    title: str
    status: str
    function: int
    phases: int
    energy_resolution_wh: int
    imax_ma: int
    baud: int
    parity: str
    stop_bits: int
    unit: int
    gap_max: int
    registers_max: int
    registers: dict[str, Register]
    examples: tuple[Example, ...]


def load(path: Path, draft: bool = False) -> MeterMap:
    """The map in a file; Malformed with all its problems, one a line. A draft has no examples."""
    lines, tree = _checked(path, draft)
    if lines:
        raise Malformed(BAD_FIELD, "\n".join(lines))
    head = {key: tree[key] for key in HEAD if isinstance(tree[key], str | int)}
    return MeterMap(
        **head,
        **tree["serial"],
        **tree["blocks"],
        registers={name: Register(name, **row) for name, row in tree["registers"].items()},
        examples=tuple(
            Example(row["origin"], row["note"], row["address"], tuple(row["words"]), row["expect"])
            for row in tree["example"]
        ),
    )


def load_all(folder: Path = MAPS) -> dict[str, MeterMap]:
    """Every map of a folder by name."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.toml"))}


def problems(path: Path) -> list[str]:
    """One line for everything wrong with a map file; empty when it is fit for use."""
    return _checked(path)[0]


def _checked(path: Path, draft: bool = False) -> tuple[list[str], dict[str, Any]]:
    try:
        tree = _read(path, set())
    except Malformed as error:
        return [error.detail], {}
    if draft:
        tree.setdefault("example", [])
    lines = [f"{path.name}: {problem}" for problem in _shape(tree, path.stem, draft)]
    if not lines:  # the rest relies on the shape
        lines = [f"{path.name}: {problem}" for problem in _meaning(tree)]
    return lines, tree


def _read(path: Path, seen: set[str]) -> dict[str, Any]:
    """The file's tables on top of its base's."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Malformed(BAD_FIELD, f"{path.name}: {NOT_UTF_8}") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Malformed(BAD_FIELD, f"{path.name}: not readable as TOML: {error}") from error
    base = tree.pop("base", None)
    if base is None:
        return {**tree, "blocks": _merged(BLOCK_DEFAULTS, tree.get("blocks", {}))}
    below = path.with_name(f"{base}.toml")
    if base in seen or not isinstance(base, str) or not below.is_file():
        raise Malformed(BAD_FIELD, f"{path.name}: base: name another map in the same folder")
    under = _read(below, seen | {path.stem})
    under.pop("source", None)
    under.pop("example", None)
    tables = {
        key: _merged(under.get(key, {}), tree.get(key, {}))
        for key in ("serial", "blocks", "registers")
    }
    return {**under, **tree, **tables}


def _merged(under: object, over: object) -> object:
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **over}
    return over


def _shape(tree: dict[str, Any], stem: str, draft: bool) -> Iterator[str]:
    yield from _table("", tree, HEAD, tuple(OPTIONAL))
    if isinstance(tree.get("name"), str) and tree["name"] != stem:
        yield f'name: is "{tree["name"]}"; use "{stem}", as the file'
    yield from _inner("serial", tree, SERIAL)
    yield from _inner("blocks", tree, BLOCKS)
    for key, fields in (("source", SOURCE), ("example", EXAMPLE)):
        rows = tree.get(key)
        if isinstance(rows, list):
            if not rows and not (draft and key == "example"):
                yield f"{key}: missing; add {HEAD[key][1]}"
            for number, row in enumerate(rows, 1):
                if isinstance(row, dict) and row.get("origin") == "constructed":
                    row.setdefault("note", "")
                yield from _inner(f"{key} {number}", {f"{key} {number}": row}, fields)
    registers = tree.get("registers")
    for quantity, row in registers.items() if isinstance(registers, dict) else ():
        if quantity not in QUANTITIES:
            yield f"registers.{quantity}: unknown; use a name of protocol/quantity_names.py"
        yield from _inner(f"registers.{quantity}", {f"registers.{quantity}": row}, REGISTER)


def _inner(name: str, tree: dict[str, Any], fields: dict[str, tuple[Any, str]]) -> Iterator[str]:
    table = tree.get(name)
    if isinstance(table, dict):
        yield from _table(f"{name}.", table, fields)
    elif table is not None and name not in HEAD:
        yield f"{name}: not a table; give " + ", ".join(fields)


def _table(
    prefix: str,
    table: dict[str, Any],
    fields: dict[str, tuple[Any, str]],
    optional: tuple[str, ...] = (),
) -> Iterator[str]:
    for key, (allowed, remedy) in fields.items():
        if key not in table:
            yield f"{prefix}{key}: missing; add {remedy}"
        elif not _fits(table[key], allowed):
            yield f"{prefix}{key}: is {table[key]!r}; use {remedy}"
    for key in table:
        if key not in fields and key not in optional:
            yield f"{prefix}{key}: unknown; remove it or correct its spelling"


def _fits(value: object, allowed: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(allowed, type):
        return isinstance(value, allowed)
    return isinstance(value, str | int) and value in allowed


def _meaning(tree: dict[str, Any]) -> Iterator[str]:
    """What only shows when the shape is right: overlaps, sizes, billing register, examples."""
    registers = {name: Register(name, **row) for name, row in tree["registers"].items()}
    if "import_wh" not in registers:
        yield "registers.import_wh: missing; add the import energy register, it is what is billed"
    elif (TYPES[registers["import_wh"].type] == F32) != (tree["energy_resolution_wh"] == 0):
        yield "energy_resolution_wh: contradicts import_wh; use 0 for a float register only"
    ordered = sorted(registers.values(), key=lambda register: register.address)
    for one, other in itertools.pairwise(ordered):
        if one.address + one.size > other.address:
            yield f"registers.{other.quantity}: overlaps {one.quantity}; correct address or type"
    if ordered and ordered[-1].address + ordered[-1].size > 0x10000:
        yield f"registers.{ordered[-1].quantity}: beyond 0xFFFF; correct its address"
    for number, row in enumerate(tree["example"], 1):
        yield from _example(f"example {number}", row, registers)


def _example(name: str, row: dict[str, Any], registers: dict[str, Register]) -> Iterator[str]:
    if not all(_fits(word, range(0x10000)) for word in row["words"]):
        yield f"{name}.words: a word is not 0 to 0xFFFF; give one integer a register"
    if not row["expect"]:
        yield f"{name}.expect: empty; give at least one quantity"
    end = row["address"] + len(row["words"])
    for quantity, value in row["expect"].items():
        register = registers.get(quantity)
        if register is None:
            yield f"{name}.expect.{quantity}: not in this map; use one of its registers"
        elif register.address < row["address"] or register.address + register.size > end:
            yield f"{name}.expect.{quantity}: not within the words; give all of its registers"
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{name}.expect.{quantity}: is {value!r}; use an integer in our unit"
