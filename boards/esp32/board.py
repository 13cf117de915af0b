"""Any ESP32 board: builds the object that firmware/main.py receives (see firmware/README.md).

Time is Unix seconds outside, whatever epoch the port counts from. Creating the board switches no
relay and starts no watchdog.
"""

import os
import time

import machine
import micropython

from boards.esp32 import console, lights, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The ESP32 counts from 2000-01-01, the unix port from 1970: the one place that knows.
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0
# An earlier clock was never set since power-on: it starts in 2000.
_SET_AFTER_S = 1704067200

JOURNAL_LABEL = "journal"
SECTOR_BYTES = 4096
WDT_MS = 30000
RS485_RX_BYTES = 512
# Longest glitch filter of the counter hardware: 1023 ticks of 80 MHz (ESP32 manual, PCNT).
PULSE_FILTER_NS = 12700
# Only for the pin interrupt fallback; IEC 62053-31 pulses last at least 30 ms.
PULSE_WIDTH_MS_MIN = 20
KEY_WIDTH_MS_MIN = 40
_BROWN_OUT = 6  # after the port's own causes, see firmware/README.md


class Board:
    """Hardware of one module; lives until the reset."""

    root = ""

    def __init__(self, name: str, pins: "Any", link: "Any") -> None:
        """`pins` is the module pins.py of the board's folder, `link` Wi-Fi or Ethernet."""
        self.name = name
        self.link = link
        self.hold_s = pins.HOLD_S
        self.console = console.Console()
        self._reset_state, self._brown_out = pins.RESET_STATE, pins.RESET_BROWN_OUT
        uart = machine.UART(
            pins.RS485_UART,
            tx=pins.RS485_TX,
            rx=pins.RS485_RX,
            rxbuf=RS485_RX_BYTES,
        )
        de = None
        if pins.RS485_DE is not None:
            de = machine.Pin(pins.RS485_DE, machine.Pin.OUT, value=0)
        self.rs485 = parts.Rs485(uart, de)
        self.journal = parts.Journal(JOURNAL_LABEL, SECTOR_BYTES)
        self.relays = []
        for open_coil, close_coil, contact in pins.RELAYS:
            sensed = None if contact is None else parts.input_pin(contact, pins.PULL_LESS)
            self.relays.append(parts.Relay(open_coil, close_coil, sensed, pins.COIL_MS))
        self._pulses = [
            parts.pulse_counter(
                unit,
                parts.input_pin(number, pins.PULL_LESS),
                PULSE_FILTER_NS,
                PULSE_WIDTH_MS_MIN,
            )
            for unit, number in enumerate(pins.PULSES)
        ]
        self._pulses_seen = [0] * len(self._pulses)
        self._tampers = [
            None if number is None else parts.input_pin(number, pins.PULL_LESS)
            for number in pins.TAMPERS
        ]
        self._key = parts.PinPulses(
            parts.input_pin(pins.KEY_INPUT, pins.PULL_LESS), KEY_WIDTH_MS_MIN
        )
        self._key_seen = 0
        self._signal = parts.Signal(pins.LED, lights.SIGNALS, lights.SIGNAL_STEP_MS)
        self._wdt: "machine.WDT | None" = None
        self._ticks = time.ticks_ms()
        self._elapsed_ms = 0

    def ticks_ms(self) -> int:
        """Monotonic; the port's own ticks wrap after 12 days, so ask at least every 6."""
        now = time.ticks_ms()
        self._elapsed_ms += time.ticks_diff(now, self._ticks)
        self._ticks = now
        return self._elapsed_ms

    def rtc_s(self) -> "int | None":
        now_s = time.time() + _EPOCH_S
        return now_s if now_s >= _SET_AFTER_S else None

    def set_rtc_s(self, s: int) -> None:
        year, month, day, hour, minute, second, weekday = time.gmtime(s - _EPOCH_S)[:7]
        machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))

    def entropy(self, n: int) -> bytes:
        return os.urandom(n)

    def unique_id(self) -> bytes:
        return machine.unique_id()

    def reset_cause(self) -> int:
        """The port calls a brown-out a power-on; the chip's own register tells them apart."""
        if self._reset_state and machine.mem32[self._reset_state] & 0x3F == self._brown_out:
            return _BROWN_OUT
        return machine.reset_cause()

    def reset(self) -> None:
        machine.reset()

    def wdt_feed(self) -> None:
        if self._wdt is None:
            self._wdt = machine.WDT(timeout=WDT_MS)
        self._wdt.feed()

    def pulse(self, channel: int) -> int:
        """Raw total since power-on; a counter that reads lower than before is not believed."""
        seen = max(self._pulses_seen[channel], self._pulses[channel].value())
        self._pulses_seen[channel] = seen
        return seen

    def key_presses(self) -> int:
        count = self._key.value()
        presses = count - self._key_seen
        self._key_seen = count
        return presses

    def tampers(self) -> int:
        """An input pulled to ground by its closed switch reads 0; one that is not wired, 0 too."""
        bits = 0
        for place, pin in enumerate(self._tampers):
            if pin is not None and pin.value():
                bits |= 1 << place
        return bits

    def signal(self, code: int) -> None:
        self._signal.show(code)


def build(name: str, pins: "Any", link: "Any") -> Board:
    micropython.alloc_emergency_exception_buf(100)
    return Board(name, pins, link)
