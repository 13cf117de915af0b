"""What the Python of a real board takes of the heap: boards/esp32 and boards/esp32_generic.

Run by heap.py under MicroPython in a folder of .mpy files. The hardware modules are stand-ins
that answer nothing; they are in C on a chip and take no Python heap, so they are made before the
count begins.
"""

import asyncio
import gc
import io
import sys


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


def measured():
    for name in ("machine", "network", "esp32", "micropython"):
        sys.modules[name] = Hardware()
    stdin = sys.stdin.buffer
    assert asyncio.StreamReader and asyncio.Event  # loads what every program here has
    gc.collect()
    before = gc.mem_alloc()
    from boards.esp32_generic import board

    built = board.build()
    gc.collect()
    return gc.mem_alloc() - before, built, stdin


print(measured()[0])
