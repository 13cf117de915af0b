"""The virtual module as the firmware meets it: the names of firmware/README.md, no others but
`heap_peak`. Units as there: milliseconds, Unix seconds, raw pulses."""

import asyncio
import os
import sys

from boards.virtual import chip, clock, flash

this = None  # the one chip this process is, as a real chip is by its power; for lib/ too


class Relay:
    """One load relay; the contact itself is in the bridge and may be welded."""

    def __init__(self, hardware, index):
        self.hardware = hardware
        self.index = index

    def open(self):
        self.drive(False)

    def close(self):
        self.drive(True)

    def drive(self, closed):
        now_ms = self.hardware.clock.now_ms()
        actual = self.hardware.control.ask("relay", self.index, closed, now_ms)
        self.hardware.relays[self.index] = actual

    def actual(self):
        self.hardware.control.drain()
        return self.hardware.relays[self.index]


class Console:
    """The interpreter's own terminal, which mpremote takes over when it comes."""

    def __init__(self):
        self.stream = asyncio.StreamReader(sys.stdin.buffer)

    async def read(self):
        data = await self.stream.read(1)
        while not data:  # nobody is at the other end
            await asyncio.sleep_ms(1000)
            data = await self.stream.read(1)
        return chr(data[0])

    def write(self, text):
        sys.stdout.write(text)


class Board:
    def __init__(self, hardware):
        self.hardware = hardware
        self.name = "virtual"
        self.root = ""
        self.hold_s = 0
        self.journal = flash.Journal(hardware.journal)
        self.link = hardware.link
        self.console = Console()
        self.rs485 = hardware.bus
        self.relays = [Relay(hardware, index) for index in range(len(hardware.relays))]

    def ticks_ms(self):
        return self.hardware.ticks_ms()

    def rtc_s(self):
        rtc_ms = self.hardware.rtc_ms()
        return None if rtc_ms is None else rtc_ms // 1000

    def set_rtc_s(self, unix_s):
        self.hardware.set_rtc_ms(unix_s * 1000)

    def entropy(self, count):
        return os.urandom(count)

    def unique_id(self):
        return bytes.fromhex(self.hardware.settings["unique_id"])

    def reset_cause(self):
        return self.hardware.settings["reset_cause"]

    def reset(self):
        self.hardware.reset()

    def wdt_feed(self):
        self.hardware.wdt_feed()

    def pulse(self, channel):
        return self.hardware.control.ask("pulse", channel, self.hardware.clock.now_ms())

    def key_presses(self):
        self.hardware.control.drain()
        presses, self.hardware.keys = self.hardware.keys, 0
        return presses

    def tampers(self):
        self.hardware.control.drain()
        return self.hardware.tampers

    def signal(self, code):
        self.hardware.control.send("signal", code)

    def heap_peak(self):
        """Most bytes in use on the GC heap at the idle moments looked at so far.

        With garbage, unless the bridge has the heap collected before each look.
        """
        return self.hardware.sleeper.heap_peak


def power_on(settings):
    """The chip, its time already under asyncio. `settings`: see chip.Chip."""
    global this  # noqa: PLW0603 - a process is one chip
    this = chip.Chip(settings)
    clock.install(this.sleeper)
    return this


def build():
    return Board(this)
