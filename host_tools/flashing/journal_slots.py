"""Does a piece of flash hold a ledger? Counts what firmware/journal.py would take for a slot.

Any slot of either size with a number and a sound checksum counts, wherever it lies: better to
spare a chip that needs none of it than to erase somebody's money.
"""

from binascii import crc32

SECTOR = 4096
SLOT_BYTES = (320, 32)  # STATE_SLOT_BYTES and COUNTER_SLOT_BYTES of the firmware
CRC_BYTES = 4
BLANK = b"\xff\xff\xff\xff"


def count(flash: bytes) -> int:
    """How many slots whole sectors of a journal partition hold."""
    return sum(
        _sound(flash[start : start + size])
        for sector in range(0, len(flash), SECTOR)
        for size in SLOT_BYTES
        for start in range(sector, sector + SECTOR - size + 1, size)
    )


def _sound(slot: bytes) -> bool:
    if slot[:4] == BLANK:
        return False
    return crc32(slot[:-CRC_BYTES]) == int.from_bytes(slot[-CRC_BYTES:], "little")
