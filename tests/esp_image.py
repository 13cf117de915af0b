"""A MicroPython image as a release has it, made by the rules of ESP-IDF, without a program in it.

Boot loader, stock partition table at 0x8000, application at 0x10000; checksums and digests are
true, so that every tool takes it, and no chip would start it.
"""

import hashlib
import random
import struct

CHIP_NUMBERS = {"esp32": 0, "esp32s3": 9}
STARTS = {"esp32": 0x1000, "esp32s3": 0}
SEGMENT_AT = 0x3FFB0000


def program(chip, size, seed=1):
    """An ESP image with one segment of about `size` bytes."""
    data = random.Random(seed).randbytes(size // 2) + bytes(size // 2)
    data += bytes(-len(data) % 4)
    head = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000)
    head += struct.pack("<B3sHBHH4sB", 0xEE, b"", CHIP_NUMBERS[chip], 0, 0, 65535, b"", 1)
    body = head + struct.pack("<II", SEGMENT_AT, len(data)) + data
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    body += bytes(15 - len(body) % 16) + bytes((checksum,))
    return body + hashlib.sha256(body).digest()


def release(chip="esp32", size=200_000, seed=1):
    """The .bin of a download page."""
    start = STARTS[chip]
    whole = program(chip, 20_000).ljust(0x8000 - start, b"\xff")
    stock = struct.pack("<2sBBII16sI", b"\xaa\x50", 0, 0, 0x10000, 0x1F0000, b"factory", 0)
    whole += stock.ljust(0x10000 - 0x8000, b"\xff")
    return whole + program(chip, size, seed)
