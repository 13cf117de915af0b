"""What a technician or mpremote types at the prompt: `machine` and `esp32`, as on an ESP32.

For the prompt only. The firmware gets a board object and imports neither.
"""

import time

import machine as builtin

from boards.virtual import chip


class Rtc:
    def datetime(self, new=None):
        """(year, month, day, weekday, hour, minute, second, microsecond), UTC."""
        if new is not None:
            fields = (new[0], new[1], new[2], new[4], new[5], new[6], 0, 0)
            # In local time, which the bridge has made UTC.
            chip.this.set_rtc_ms(time.mktime(fields) * 1000)
            return None
        rtc_ms = chip.this.rtc_ms()
        if rtc_ms is None:
            rtc_ms = 946684800000 + chip.this.ticks_ms()  # an unset ESP32 shows the year 2000
        year, month, day, hour, minute, second, weekday = time.gmtime(rtc_ms // 1000)[:7]
        return (year, month, day, weekday, hour, minute, second, rtc_ms % 1000 * 1000)


class Machine:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
    PinBase = builtin.PinBase
    Signal = builtin.Signal
    mem8 = builtin.mem8
    mem16 = builtin.mem16
    mem32 = builtin.mem32
    RTC = Rtc

    def reset(self):
        chip.this.reset()

    def soft_reset(self):
        raise SystemExit

    def reset_cause(self):
        return chip.this.settings["reset_cause"]

    def unique_id(self):
        return bytes.fromhex(chip.this.settings["unique_id"])

    def idle(self):
        builtin.idle()


class Partition:
    """esp32.Partition over the image files: find, info and the block protocol."""

    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, label):
        self.label = label
        self.flash = {"vfs": chip.this.vfs, "journal": chip.this.journal}[label]
        self.readblocks = self.flash.readblocks
        self.writeblocks = self.flash.writeblocks
        self.ioctl = self.flash.ioctl

    @staticmethod
    def find(type=1, subtype=0xFF, label=None, block_size=4096):
        names = ("vfs", "journal") if type == Partition.TYPE_DATA else ()
        found = [Partition(name) for name in names if label in (None, name)]
        return [each for each in found if subtype in (0xFF, each.info()[1])]

    def info(self):
        subtype, offset = chip.this.settings["partition_info"][self.label]
        return (self.TYPE_DATA, subtype, offset, self.flash.size, self.label, False)


class Esp32:
    Partition = Partition
