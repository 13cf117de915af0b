"""What stands in for the microcontroller of one power-on: flash, time, sockets, reset, RTC.

Built once by board.power_on while the host's files are still reachable. Holds no rule of the
product.
"""

import time

from boards.virtual import bus, clock, control, flash, link

ASKED_LATER = ("flash_us", "partition_info", "reset_cause", "rtc_stuck", "unique_id", "wdt_ms")


class Chip:
    """`settings` is the bridge's JSON: file descriptors, image paths, time mode, reset cause."""

    def __init__(self, settings):
        self.settings = settings
        self.control = control.Control(open(settings["control_fd"], "r+b"))
        self.power = flash.Power(self.cut)
        if "flash_us" in settings:
            self.power.pace = self.take_time
        self.vfs = self.partition("vfs")
        self.journal = self.partition("journal")
        self.clock = self.build_clock(settings["time"])
        self.bus = bus.Bus(settings["rs485_fd"], self.control)
        self.link = link.Link(self.control, settings["link"], settings.get("wifi"))
        self.rtc_offset_ms = settings["rtc_offset_ms"]
        self.relays = list(settings["relays"])
        self.keys = 0
        self.tampers = settings["tampers"]
        self.wdt_told_ms = None
        self.control.actions["cut"] = self.power.arm
        self.control.actions["key"] = self.press
        self.control.actions["relay"] = self.note_relay
        self.control.actions["tamper"] = self.note_tampers
        self.start_ms = self.clock.now_ms()
        self.sleeper = clock.Sleeper(
            self.clock,
            self.control,
            self.bus,
            self.link,
            self.power,
            settings["heap_probe_every"],
        )
        if settings["cut"]:
            self.power.arm(*settings["cut"])
        self.settings = {name: settings[name] for name in ASKED_LATER if name in settings}

    def partition(self, name):
        path, size = self.settings["partitions"][name]
        return flash.Flash(flash.File(open(path, "r+b")), size, self.power)

    def build_clock(self, mode):
        if mode[0] == "lockstep":
            return clock.Lockstep(open(mode[1], "rb"))
        return clock.Scaled(mode[1], mode[2], mode[3])

    def take_time(self, size):
        """What an erase or a page takes on a chip, where nothing else runs meanwhile."""
        page_us, erase_us = self.settings["flash_us"]
        time.sleep_us(erase_us if size == flash.SECTOR else (size + 255) // 256 * page_us)

    def cut(self):
        """The supply is gone: nothing may execute any more, so wait for the bridge's SIGKILL."""
        self.control.send("dead", self.power.ops)
        self.stop()

    def reset(self):
        self.control.send("reset")
        self.stop()

    def soft_reset(self):
        """For a program: sys.exit at the prompt ends the interpreter, in a file it would not."""
        self.control.send("soft_reset")
        self.stop()

    def stop(self):
        while True:
            time.sleep_ms(1000)

    def press(self, count):
        self.keys += count

    def note_tampers(self, bits):
        self.tampers = bits

    def note_relay(self, index, actual):
        self.relays[index] = actual

    def ticks_ms(self):
        return self.clock.now_ms() - self.start_ms

    def rtc_ms(self):
        if self.rtc_offset_ms is None:
            return None
        return self.clock.now_ms() + self.rtc_offset_ms

    def set_rtc_ms(self, unix_ms):
        if self.settings.get("rtc_stuck"):
            return
        self.rtc_offset_ms = unix_ms - self.clock.now_ms()
        self.control.send("rtc", self.rtc_offset_ms)

    def wdt_feed(self):
        """Tells the bridge often enough, not every time."""
        now = self.ticks_ms()
        told = self.wdt_told_ms
        if told is None or now - told >= self.settings["wdt_ms"] // 8:
            self.wdt_told_ms = now
            self.control.send("wdt")
