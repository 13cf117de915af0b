"""What is in use on a real board before the firmware begins: asyncio, file system, boards/esp32.

Run by heap.py under MicroPython: board_esp32.py [ROMFS image]. The .mpy files are executed out of
the image where one is given, else loaded from the working folder. The hardware modules and the
flash are stand-ins that answer nothing; on a chip they are in C and take no Python heap, so they
are made before the count begins.
"""

import gc

gc.collect()
before = gc.mem_alloc()
import asyncio  # noqa: E402

assert asyncio.StreamReader and asyncio.Event and asyncio.Lock
gc.collect()
asyncio_bytes = gc.mem_alloc() - before

import io  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

import vfs  # noqa: E402


class Part:
    """Any peripheral; its constants are numbers."""

    OUT = IN = PULL_UP = PULL_DOWN = IRQ_FALLING = IRQ_RISING = FALLING = PERIODIC = IF_STA = (
        STA_IF
    ) = 0

    def __init__(self, *given, **named):
        pass

    def init(self, *given, **named):
        pass

    active = config = irq = value = init


class Uart(io.IOBase, Part):
    pass


class Partition:
    TYPE_DATA = 1

    @staticmethod
    def find(*given, **named):
        return [Partition()]

    def info(self):
        return 1, 2, 0, 65536, "journal", False


class Hardware:
    """A module of the chip: its classes are peripherals."""

    UART = Uart
    Pin = Counter = WLAN = LAN = PWM = Timer = Part
    Partition = Partition

    def alloc_emergency_exception_buf(self, size):
        self.emergency = bytearray(size)


class Flash:
    """Of 64 KiB, in memory."""

    def __init__(self):
        self.cells = bytearray(65536)

    def readblocks(self, block, buffer, at=0):
        at += block * 4096
        buffer[:] = self.cells[at : at + len(buffer)]

    def writeblocks(self, block, buffer, at=0):
        at += block * 4096
        self.cells[at : at + len(buffer)] = buffer

    def ioctl(self, op, _):
        return (None, 0, 0, 0, 16, 4096, 0)[op]


def executed_in_place(path):
    rom = bytearray(os.stat(path)[6])
    with open(path, "rb") as file:
        file.readinto(rom)
    vfs.mount(vfs.VfsRom(memoryview(rom)), "/rom")
    sys.path[:] = ["/rom", ".frozen"]
    return rom


def measured(arguments):
    for name in ("machine", "network", "esp32", "micropython"):
        sys.modules[name] = Hardware()
    kept = [executed_in_place(path) for path in arguments]
    flash = Flash()
    vfs.VfsLfs2.mkfs(flash)
    stdin = sys.stdin.buffer
    gc.collect()
    before = gc.mem_alloc()
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    from boards.esp32_generic import board

    built = board.build()
    gc.collect()
    return gc.mem_alloc() - before, built, stdin, kept


print(asyncio_bytes + measured(sys.argv[1:])[0])
