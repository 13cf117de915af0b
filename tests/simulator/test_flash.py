# runs on: cpython micropython
"""The flash under the virtual board: NOR rules, torn operations, dead for the rest of its boot."""

from boards.virtual.flash import SECTOR, Flash, Journal, Power, Ram


def build(sectors=2):
    cells = bytearray(b"\xff" * (sectors * SECTOR))
    power = Power()
    return cells, power, Flash(Ram(cells), len(cells), power)


def test_program_clears_bits_and_never_sets_one():
    cells, power, flash = build()
    assert flash.writeblocks(0, b"\xf0\x0f", 10) == 0
    assert flash.writeblocks(0, b"\x70\x0f", 10) == 0
    assert flash.writeblocks(0, b"\xff\x0f", 10) == -22
    assert cells[10:12] == b"\x70\x0f"
    assert (power.programs, power.erases, power.violations) == (2, 0, 1)


def test_erase_gives_a_blank_sector_and_leaves_the_next():
    cells, power, flash = build()
    flash.writeblocks(0, b"\0" * 300, 0)
    flash.writeblocks(1, b"\0" * 300, 0)
    assert flash.ioctl(6, 0) == 0
    assert cells[:SECTOR] == b"\xff" * SECTOR
    assert cells[SECTOR : SECTOR + 300] == b"\0" * 300
    assert power.ops == 3


def test_each_torn_mode_leaves_its_part_and_the_flash_stays_dead():
    wanted = {"none": b"\xff\xff\xff\xff", "half": b"\0\0\xff\xff", "all": b"\0\0\0\0"}
    for torn, left in wanted.items():
        cells, power, flash = build()
        power.arm(1, torn)
        assert flash.program(100, b"\1\2\3\4") == 0
        assert flash.program(0, b"\0\0\0\0") == -5
        assert cells[:4] == left
        assert flash.program(8, b"\0") == -5 and flash.erase(0) == -5
        assert flash.readblocks(0, bytearray(4)) == -5 and flash.ioctl(3, 0) == -5
        assert cells[8] == 0xFF and cells[100:104] == b"\1\2\3\4"


def test_random_torn_program_only_clears_bits_that_were_to_be_cleared():
    damaged = 0
    for seed in range(300):
        cells, power, flash = build(1)
        power.arm(0, "random", seed)
        flash.program(0, b"\x00" * 32)
        size = 0
        while size < 32 and cells[size] == 0:
            size += 1
        assert cells[size + 1 : 33] == b"\xff" * (32 - size)
        damaged += cells[size] != 0xFF
    assert damaged > 200


def test_cut_is_told_once():
    told = []
    power = Power(lambda: told.append(1))
    flash = Flash(Ram(bytearray(b"\xff" * SECTOR)), SECTOR, power)
    power.arm(0, "all")
    flash.program(0, b"\0")
    flash.program(1, b"\0")
    assert told == [1]


def test_journal_raises_where_the_block_device_returns():
    _, power, flash = build()
    journal = Journal(flash)
    assert (journal.size, journal.sector) == (2 * SECTOR, SECTOR)
    journal.program(SECTOR + 32, b"slot")
    buffer = bytearray(4)
    journal.read(SECTOR + 32, buffer)
    assert buffer == b"slot"
    journal.erase(SECTOR)
    journal.read(SECTOR + 32, buffer)
    assert buffer == b"\xff" * 4
    power.arm(0, "none")
    for call in (
        lambda: journal.program(0, b"x"),
        lambda: journal.erase(0),
        lambda: journal.read(0, buffer),
        lambda: journal.read(2 * SECTOR - 1, buffer),
        lambda: journal.erase(1),
    ):
        try:
            call()
        except OSError:
            continue
        assert False, "no OSError"
