"""The ESP32 boards on paper: pins that can do what is wired to them, tables that fit the flash."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from host_tools.flashing.partition_table import APP, read_rows
from host_tools.simulator.image import SECTOR

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted(path.parent.name for path in ROOT.glob("boards/*/pins.py"))
# GPIO that exist, those of the flash, those that can only read, those that the chip moves or
# reads at reset, so that no coil may hang there. ESP32 and ESP32-S3 datasheets, pin lists.
CHIPS = {
    "esp32": (
        {*range(6), *range(6, 20), 21, 22, 23, 25, 26, 27, *range(32, 40)},
        set(range(6, 12)),
        set(range(34, 40)),
        {0, 1, 3, 5, 12, 14, 15},
    ),
    "esp32s3": (
        {*range(22), *range(26, 49)},
        set(range(26, 38)),
        set(),
        {0, 3, 19, 20, 43, 44, 45, 46},
    ),
}
CONSOLE = {"esp32": {1, 3}, "esp32s3": {19, 20, 43, 44}}
APP_ALIGNMENT = 0x10000
TABLE_END = 0x9000


def pins_of(board):
    return importlib.import_module(f"boards.{board}.pins")


def wired(pins):
    """(function, GPIO, whether it is driven) of everything on a board."""
    yield "rs485 tx", pins.RS485_TX, True
    yield "rs485 rx", pins.RS485_RX, False
    if pins.RS485_DE is not None:
        yield "rs485 de", pins.RS485_DE, True
    for number, gpio in enumerate(pins.PULSES):
        yield f"pulse {number}", gpio, False
    for number, (open_coil, close_coil, contact) in enumerate(pins.RELAYS):
        yield f"relay {number} open", open_coil, True
        yield f"relay {number} close", close_coil, True
        if contact is not None:
            yield f"relay {number} contact", contact, False
    yield "key", pins.KEY_INPUT, False
    yield "led", pins.LED, True
    if hasattr(pins, "ETHERNET"):
        mdc, mdio, power, _, clock = pins.ETHERNET
        yield from (("mdc", mdc, True), ("mdio", mdio, True), ("phy power", power, True))
        yield "phy clock", clock, False
        for number, gpio in enumerate(pins.RMII):
            yield f"rmii {number}", gpio, True


def faults(pins):
    """What is wrong with a wiring, one line each."""
    there, flash, inputs, moved = CHIPS[pins.CHIP]
    taken = {}
    out = []
    for name, gpio, driven in wired(pins):
        if gpio in taken:
            out.append(f"{name} and {taken[gpio]} share GPIO {gpio}")
        taken[gpio] = name
        if gpio not in there or gpio in flash or gpio in CONSOLE[pins.CHIP]:
            out.append(f"{name}: GPIO {gpio} is not free")
        if driven and gpio in inputs:
            out.append(f"{name}: GPIO {gpio} is only an input")
        if gpio in moved and (name.startswith("relay") and driven):
            out.append(f"{name}: the chip moves GPIO {gpio} at reset")
        pulled = gpio in inputs and not driven
        if pulled and gpio not in pins.PULL_LESS:
            out.append(f"{name}: GPIO {gpio} has no pull-up")
    return out


@pytest.mark.parametrize("board", BOARDS)
def test_every_pin_can_do_what_is_wired_to_it(board):
    assert faults(pins_of(board)) == []


def test_a_bad_wiring_is_noticed():
    def changed(board, **values):
        pins = pins_of(board)
        kept = {name: value for name, value in vars(pins).items() if name.isupper()}
        return faults(type("Pins", (), {**kept, **values}))

    assert "share" in changed("esp32_generic", LED=17)[0]
    assert "not free" in changed("esp32_generic", LED=9)[0]
    assert "not free" in changed("esp32_generic", LED=24)[0]
    assert "not free" in changed("esp32_s3", LED=30)[0]
    assert "only an input" in changed("esp32_generic", LED=36)[0]
    assert "share" in changed("wt32_eth01", LED=23)[0]
    assert "at reset" in changed("esp32_generic", RELAYS=((25, 14, None),))[0]
    assert "no pull-up" in changed("esp32_generic", PULL_LESS=())[0]


def table_of(board):
    return read_rows(ROOT / "boards" / board / "partitions.csv")


def table_faults(rows, flash_bytes):
    out = []
    end = TABLE_END
    for row in sorted(rows, key=lambda row: row.offset):
        alignment = APP_ALIGNMENT if row.type == APP else SECTOR
        if row.offset % alignment or row.size % SECTOR or row.size <= 0:
            out.append(f"{row.name} is not aligned")
        if row.offset < end:
            out.append(f"{row.name} overlaps")
        end = row.offset + row.size
    if end > flash_bytes:
        out.append("the table does not fit")
    return out


@pytest.mark.parametrize("board", BOARDS)
def test_the_partition_table_fits_the_flash(board):
    rows = table_of(board)
    assert table_faults(rows.values(), pins_of(board).FLASH_BYTES) == []
    assert rows["journal"].size >= 3 * SECTOR and rows["vfs"].size
    assert rows["journal"].offset < rows["vfs"].offset  # stock firmware puts vfs behind the last


def test_the_virtual_boards_partitions_are_the_generic_ones():
    generic = table_of("esp32_generic")
    for name, row in table_of("virtual").items():
        assert row == generic[name]


def test_a_bad_table_is_noticed():
    rows = table_of("esp32_generic")

    def changed(name, **values):
        return table_faults({**rows, name: replace(rows[name], **values)}.values(), 4194304)

    assert changed("vfs", size=0x1C1000) == ["the table does not fit"]
    assert changed("journal", size=0x41000) == ["vfs overlaps"]
    assert changed("vfs", offset=0x240800, size=0x1000) == ["vfs is not aligned"]
    assert changed("factory", offset=0x11000, size=0x1000) == ["factory is not aligned"]
    assert changed("nvs", offset=0x8000) == ["nvs overlaps"]
    assert changed("journal", size=0) == ["journal is not aligned"]


@pytest.mark.parametrize("board", BOARDS)
def test_the_manifest_freezes_what_the_board_imports(board):
    """Followed from main.py on."""
    text = (ROOT / "boards" / board / "manifest.py").read_text(encoding="utf-8")
    found = re.findall(r'"([\w/]+\.py)"', text)
    frozen = {f"boards/{name}" for name in found if name != "main.py"}
    assert all((ROOT / name).exists() for name in frozen)
    todo, needed = [f"boards/{board}/main.py"], set()
    while todo:
        source = (ROOT / todo.pop()).read_text(encoding="utf-8")
        for package, names in re.findall(r"^from (boards[\w.]*) import (.*)$", source, re.M):
            for name in names.split("  #")[0].split(", "):
                module = f"{package}.{name}".replace(".", "/") + ".py"
                if not (ROOT / module).exists():
                    module = package.replace(".", "/") + ".py"
                if module not in needed:
                    needed.add(module)
                    todo.append(module)
    assert needed == frozen
