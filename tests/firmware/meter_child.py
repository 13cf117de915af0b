"""The meter reader as a MicroPython process on a real tty, for test_meter_serial.py.

Reads a JSON line {tty, baud}, then one a job: [compiled map as pairs, unit, whether it is there];
answers each with a JSON line: [total or None, values or reason].
"""

import asyncio
import io
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

from firmware.meters.reader import Bus, Meter, Registers
from firmware.meters.readings import ALL
from protocol.units import Unavailable


class Tty(io.IOBase):
    """What asyncio needs of a stream: poll by descriptor, None when there is nothing."""

    def __init__(self, path):
        self.file = open(path, "r+b", buffering=0)  # noqa: SIM115 open as long as the process

    def ioctl(self, request, _):
        return self.file.fileno() if request == 10 else 0

    def read(self, n):
        return self.file.read(n) or None


class Rs485:
    def __init__(self, path):
        self.tty = Tty(path)
        self.reader = asyncio.StreamReader(self.tty)

    def purge(self):
        while self.tty.read(64):
            pass

    async def write(self, frame):
        self.tty.file.write(frame)

    async def read(self, n):
        return await self.reader.read(n)


def ticks_ms():
    return time.time_ns() // 1000000


async def main(order):
    bus = Bus(Rs485(order["tty"]), order["baud"])
    while line := sys.stdin.readline():
        pairs, unit, there = json.loads(line)
        bus._baud = 1 if there else order["baud"]  # time for an answer of a stalled process
        meter = Meter(Registers(dict(pairs)), unit, bus, ticks_ms)
        try:
            reading = await meter.read(ALL)
            print(json.dumps([reading.register_wh, list(reading.values.items())]))
        except Unavailable as error:
            print(json.dumps([None, error.args[0]]))


asyncio.run(main(json.loads(sys.stdin.readline())))
