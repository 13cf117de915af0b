"""`gridpurse maps`: check and compile meter maps, draft one from a table, try one on a meter."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from host_tools import Refused
from host_tools.maps import new_map, trying
from host_tools.maps.asking import TIMEOUT_MS, Master, Place
from host_tools.maps.compiling import compile_map
from host_tools.maps.loading import BAUDS, MAPS, PARITIES, MeterMap, load, problems
from host_tools.maps.trying import Reading
from host_tools.settlement.common import decimal, table
from protocol import cbor
from protocol.units import Malformed

TIMEOUT_MS_MAX = 60_000
BIG = 10**9  # decimal() shows billionths
ENDINGS = {  # of a quantity's name: what a person reads, and how many of ours are one of it
    "wh": ("kWh", 1000),
    "varh": ("kvarh", 1000),
    "mw": ("W", 1000),
    "mv": ("V", 1000),
    "ma": ("A", 1000),
    "mhz": ("Hz", 1000),
    "mvar": ("var", 1000),
    "mva": ("VA", 1000),
    "mdeg": ("deg", 1000),
    "permille": ("", 1000),
    "mpct": ("%", 1000),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    check = what.add_parser("check", help="everything wrong with map files, one line each")
    check.add_argument("file", type=Path, nargs="*", help="default: all of boards/meter_maps")
    compiled = what.add_parser("compile", help="the bytes a module gets")
    compiled.add_argument("file", type=Path)
    compiled.add_argument("--out", type=Path, help="default: the map's name with .cbor, here")
    _new_arguments(what.add_parser("new", help="the draft of a map from a table of registers"))
    _try_arguments(what.add_parser("try", help="read a live meter by a map"))


def _new_arguments(new: argparse.ArgumentParser) -> None:
    new.add_argument(
        "file", type=Path, help="CSV: quantity,address,type,multiplier (or unit,scale)"
    )
    new.add_argument("--title", required=True, help="maker, model and connection")
    new.add_argument("--source", required=True, help="title and revision of the manual")
    new.add_argument("--link", required=True, help="where the manual is found")
    new.add_argument("--imax-ma", type=int, required=True, help="rated maximum current, mA")
    new.add_argument("--function", type=int, choices=(3, 4), required=True)
    new.add_argument("--phases", type=int, choices=(1, 3), required=True)
    new.add_argument("--baud", type=int, choices=BAUDS, default=9600)
    new.add_argument("--parity", choices=PARITIES, default="N")
    new.add_argument("--stop-bits", type=int, choices=(1, 2), default=1)
    new.add_argument("--unit", type=int, default=1)
    new.add_argument("--out", type=Path, help="default: the table's name with .toml beside it")


def _try_arguments(attempt: argparse.ArgumentParser) -> None:
    attempt.add_argument("map", help="a name in boards/meter_maps, or a file")
    where = attempt.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST:PORT", help="a Modbus TCP gateway")
    where.add_argument("--serial", metavar="DEV", help="an RS-485 adapter, such as /dev/ttyUSB0")
    attempt.add_argument("--unit", type=int, help="default: the map's")
    attempt.add_argument("--baud", type=int, choices=BAUDS, help="default: the map's")
    attempt.add_argument("--parity", choices=PARITIES, help="default: the map's")
    attempt.add_argument("--timeout-ms", type=int, default=TIMEOUT_MS)
    attempt.add_argument("--write", action="store_true", help="add what was read as examples")
    attempt.add_argument("--note", help="who captured it and where, for --write")


def run(arguments: argparse.Namespace) -> int:
    runs: dict[str, Callable[[argparse.Namespace], int]] = {
        "check": _check,
        "compile": _compile,
        "new": _new,
        "try": _try,
    }
    return runs[arguments.what](arguments)


def _check(arguments: argparse.Namespace) -> int:
    wrong = 0
    for path in arguments.file or sorted(MAPS.glob("*.toml")):
        lines = problems(path) or _unlike(path)
        wrong += len(lines)
        for line in lines or [f"{path.name}: ok 正确"]:
            print(line)
    return 1 if wrong else 0


def _unlike(path: Path) -> list[str]:
    """Examples that do not decode to what they say."""
    meter_map = load(path)
    return [
        f"{path.name}: example {number}.expect.{quantity}: is {value}, the words say {found}; "
        "correct type, multiplier or value"
        for number, example in enumerate(meter_map.examples, 1)
        for quantity, value in example.expect.items()
        if (found := _in_example(meter_map, quantity, example.address, example.words)) != value
    ]


def _in_example(
    meter_map: MeterMap, quantity: str, address: int, words: tuple[int, ...]
) -> int | None:
    register = meter_map.registers[quantity]
    at = register.address - address
    return trying.decoded(words[at : at + register.size], register)


def _compile(arguments: argparse.Namespace) -> int:
    meter_map = _loaded(arguments.file)
    out = arguments.out or Path(f"{meter_map.name}.cbor")
    content = cbor.encode(compile_map(meter_map))
    out.write_bytes(content)
    print(f"made  {out}: {len(content)} bytes, /meter_maps/{meter_map.name}.cbor of a module")
    return 0


def _new(arguments: argparse.Namespace) -> int:
    source: Path = arguments.file
    out = arguments.out or source.with_suffix(".toml")
    if out.exists():
        raise Refused(f"{out}: is there already; name another file with --out")
    if not 1 <= arguments.unit <= 247:
        raise Refused(f"--unit {arguments.unit}: must be 1 to 247")
    if not 0 < arguments.imax_ma < BIG:
        raise Refused(f"--imax-ma {arguments.imax_ma}: take it from the type plate, 60 A is 60000")
    head = new_map.Head(
        *(out.stem, arguments.title, arguments.function, arguments.phases, arguments.imax_ma),
        *(arguments.baud, arguments.parity, arguments.stop_bits, arguments.unit),
        *(arguments.source, arguments.link),
    )
    registers = new_map.read_table(source)
    out.write_text(new_map.draft(head, registers, source.name), encoding="utf-8")
    print(f"made  {out}: {len(registers)} registers, no examples yet  映射草稿，尚无实测样例")
    _loaded(out, draft=True)
    print(f"next  gridpurse maps try {out} --serial /dev/ttyUSB0 --write --note WHO-AND-WHERE")
    return 0


def _try(arguments: argparse.Namespace) -> int:
    path = Path(arguments.map)
    if not path.suffix:
        path = MAPS / f"{path.name}.toml"
    meter_map = _loaded(path, draft=True)
    if not 1 <= arguments.timeout_ms <= TIMEOUT_MS_MAX:
        raise Refused(f"--timeout-ms {arguments.timeout_ms}: must be 1 to {TIMEOUT_MS_MAX}")
    if arguments.write and not arguments.note:
        raise Refused("--note: say who captured it, where and from which meter")
    place = _place(arguments, meter_map)
    unit = arguments.unit or meter_map.unit
    readings, whole = trying.read_all(
        meter_map, place, unit, lambda at: Master(at, arguments.timeout_ms)
    )
    print(f"{meter_map.title}, unit {unit} at {place}")
    print(_side_by_side(readings))
    print("compare import_wh with the meter's display  请与电表显示的示数核对")
    if arguments.write:
        day = datetime.now(UTC).date().isoformat()
        note = new_map.quoted(f"{arguments.note}, {day}")
        with path.open("a", encoding="utf-8") as file:
            file.write(trying.examples(readings, note))
        print(f"added  {path}: what was read, as examples")
        for line in problems(path) or _unlike(path):
            print(line)
    return 0 if whole else 1


def _loaded(path: Path, draft: bool = False) -> MeterMap:
    try:
        return load(path, draft)
    except Malformed as error:
        raise Refused(error.detail) from error


def _place(arguments: argparse.Namespace, meter_map: MeterMap) -> Place:
    if arguments.unit is not None and not 1 <= arguments.unit <= 247:
        raise Refused(f"--unit {arguments.unit}: must be 1 to 247")
    if arguments.tcp is not None:
        host, _, port = arguments.tcp.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise Refused(f"--tcp {arguments.tcp}: must be host:port, such as 192.168.1.20:502")
        return Place(host=host, port=int(port))
    return Place(
        device=arguments.serial,
        baud=arguments.baud or meter_map.baud,
        parity=arguments.parity or meter_map.parity,
        stop_bits=meter_map.stop_bits,
    )


def _side_by_side(readings: list[Reading]) -> str:
    rows = []
    for reading in readings:
        register = reading.register
        words = " ".join(f"{word:04X}" for word in reading.words)
        value = reading.why if reading.value is None else str(reading.value)
        shown = "" if reading.value is None else _shown(register.quantity, reading.value)
        rows.append(
            (f"{register.address:04X}", words, register.type, register.quantity, value, shown)
        )
    return table(("address", "registers", "type", "quantity", "value", "reads"), rows)


def _shown(quantity: str, value: int) -> str:
    unit, of_ours = ENDINGS.get(quantity.rpartition("_")[2], ("", 1))
    return f"{decimal(value * (BIG // of_ours), 0).removesuffix('.')} {unit}".strip()
