"""A register table in CSV becomes the draft of a meter map; its examples are captured later.

Columns: quantity (a name of protocol/quantity_names.py), address (decimal or 0x...), type, and
either multiplier or unit and scale: what one count of the register is, such as kWh and 0.01. Other
columns are ignored. Every mistake is one line with file, row and remedy.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from host_tools import Refused
from host_tools.maps.loading import QUANTITIES, TYPES, Register

COLUMNS = ("quantity", "address", "type")
# A wire unit in ours, by the ending of the quantity's name.
UNITS = {
    "wh": {"Wh": 1, "kWh": 1000, "MWh": 10**6},
    "varh": {"varh": 1, "kvarh": 1000, "Mvarh": 10**6},
    "mw": {"W": 1000, "kW": 10**6, "mW": 1},
    "mvar": {"var": 1000, "kvar": 10**6},
    "mva": {"VA": 1000, "kVA": 10**6},
    "mv": {"V": 1000, "mV": 1, "kV": 10**6},
    "ma": {"A": 1000, "mA": 1},
    "mhz": {"Hz": 1000},
    "mdeg": {"deg": 1000},
    "permille": {"": 1000, "1": 1000, "%": 10},
    "mpct": {"%": 1000},
}
MULTIPLIER_MAX = 10**9
ROWS_MAX = 1000


@dataclass(frozen=True)
class Head:
    """What a register table does not say."""

    name: str
    title: str
    function: int
    phases: int
    imax_ma: int
    baud: int
    parity: str
    stop_bits: int
    unit: int
    source: str
    link: str


def read_table(path: Path) -> list[Register]:
    """Refused with one line for the first mistake."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise Refused(
                    f"{path}: row 1: no column {missing[0]}; name the columns "
                    "quantity,address,type,multiplier or quantity,address,type,unit,scale"
                )
            found = [
                _register(row, f"{path}: row {number}") for number, row in enumerate(rows, start=2)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path}: is no CSV in UTF-8: {error}; save the table as such") from error
    names = [register.quantity for register in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise Refused(f"{path}: {twice}: in two rows; keep one")
    if "import_wh" not in names:
        raise Refused(f"{path}: no row import_wh; add the import energy register, it is billed")
    if len(found) > ROWS_MAX:
        raise Refused(f"{path}: more than {ROWS_MAX} rows; keep what is metered")
    return found


def _register(row: dict[str, str | None], where: str) -> Register:
    cell = {name: (value or "").strip() for name, value in row.items() if name is not None}
    quantity, kind = cell["quantity"], cell["type"]
    if quantity not in QUANTITIES:
        raise Refused(f"{where}: quantity {quantity!r}: use a name of protocol/quantity_names.py")
    if kind not in TYPES:
        raise Refused(f"{where}: type {kind!r}: use one of " + " ".join(TYPES))
    try:
        address = int(cell["address"], 0)
    except ValueError:
        address = -1
    if not 0 <= address <= 0xFFFF:
        raise Refused(
            f"{where}: address {cell['address']!r}: use 0 to 65535 or 0x0000 to 0xFFFF, as on the "
            "wire (40001 in a manual is address 0 of function 3)"
        )
    return Register(quantity, address, kind, _multiplier(cell, where))


def _multiplier(cell: dict[str, str], where: str) -> int:
    given = cell.get("multiplier", "")
    try:
        if given:
            exact = Fraction(given)
        else:
            ending = cell["quantity"].rpartition("_")[2]
            units = UNITS.get(ending, {"": 1})
            unit = cell.get("unit", "")
            if unit not in units:
                raise Refused(f"{where}: unit {unit!r}: use one of " + ", ".join(units))
            exact = Fraction(cell.get("scale", "") or 1) * units[unit]
    except (ValueError, ZeroDivisionError) as error:
        raise Refused(f"{where}: multiplier or scale is no number; write 0.01 or 100") from error
    if exact.denominator != 1 or not 0 < exact < MULTIPLIER_MAX:
        raise Refused(
            f"{where}: one count is {exact} of our unit, no whole number; take a finer register"
        )
    return exact.numerator


def draft(head: Head, registers: Sequence[Register], table: str) -> str:
    """The TOML of a map without examples, which `gridpurse maps try --write` adds."""
    billed = next(register for register in registers if register.quantity == "import_wh")
    step_wh = 0 if billed.type == "f32" else billed.multiplier
    rows = "\n".join(
        f'{register.quantity} = {{ address = 0x{register.address:04X}, type = "{register.type}", '
        f"multiplier = {register.multiplier} }}"
        for register in sorted(registers, key=lambda register: register.address)
    )
    return f"""# Draft from {table}. Compare with the meter's manual, then capture examples:
#   gridpurse maps try {head.name}.toml --serial /dev/ttyUSB0 --write
name = "{head.name}"
title = {quoted(head.title)}
status = "experimental"
function = {head.function}
phases = {head.phases}
energy_resolution_wh = {step_wh}
imax_ma = {head.imax_ma}

[serial]
baud = {head.baud}
parity = "{head.parity}"
stop_bits = {head.stop_bits}
unit = {head.unit}

[[source]]
title = {quoted(head.source)}
link = {quoted(head.link)}

[registers]
{rows}
"""


def quoted(text: str) -> str:
    """A basic string of TOML."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
