"""The serial console: lines that a technician types, answered in English and Chinese on one line.

What answers is in firmware/replies, loaded for a line and given back after it. Every line is
bounded, control characters do nothing, and nothing typed is logged. Never shows a key or password.
"""

import sys

from firmware import config
from firmware.waits import sleep_ms
from protocol.units import Unavailable, const

LINE_MAX = const(64)
REPLIES = ("status", "token", "meters", "events", "log", "emergency", "help")


class Console:
    def __init__(self, firmware):
        """firmware: main.Firmware, whose parts the replies look at."""
        self.firmware = firmware
        self.port = firmware.board.console

    async def run(self):
        """Collect and echo characters; a line that grew too long is told and not tried."""
        line = ""
        last = ""
        while True:
            char = await self.port.read()
            if char in "\r\n":
                if char == "\r" or last != "\r":
                    self.port.write("\r\n")
                    await self.answer(line)
                    line = ""
            elif char in "\b\x7f":
                if line:
                    line = line[:-1]
                    self.port.write("\b \b")
            elif " " <= char <= "~" and len(line) <= LINE_MAX:
                line += char
                self.port.write(char)
            last = char

    async def say(self, text):
        self.port.write(text + "\r\n")
        await sleep_ms(0)  # a slow line must not hold up metering

    async def answer(self, line):
        words = line.lower().split()
        if len(line) > LINE_MAX or not words or words[0] not in REPLIES:
            words = ["help", "?"]
        name = "firmware.replies." + words.pop(0)
        try:
            __import__(name)
            await sys.modules[name].reply(self, words or [""])
        except (OSError, Unavailable, MemoryError):
            await self.say("not possible now 暂时无法执行")
        finally:
            for each in (name[17:], "result", "shown"):
                config.forget(each, "firmware.replies")
            config.forget("replies", "firmware")
            config.forget("entry", "firmware")
            for each in ("lockout", "openpaygo", "siphash", "voucher"):
                config.forget(each)
