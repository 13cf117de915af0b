"""The generic ESP32: builds the object that firmware/main.py receives (see firmware/README.md).

Time is Unix seconds outside, whatever epoch the port counts from. Creating the board switches no
relay and starts no watchdog.
"""

import os
import time

import machine
import micropython

from boards.esp32_generic import console, parts, pins

# The ESP32 counts from 2000-01-01, the unix port from 1970: the one place that knows.
_EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0
# An earlier clock was never set since power-on: it starts in 2000.
_SET_AFTER_S = 1704067200

_BROWN_OUT = 6  # after the port's own causes, see firmware/README.md


class Board:
    """Hardware of one module; lives until the reset."""

    name = "esp32_generic"
    root = ""
    hold_s = pins.HOLD_S

    def __init__(self) -> None:
        uart = machine.UART(
            pins.RS485_UART,
            tx=pins.RS485_TX,
            rx=pins.RS485_RX,
            rxbuf=pins.RS485_RX_BYTES,
        )
        de = None
        if pins.RS485_DE is not None:
            de = machine.Pin(pins.RS485_DE, machine.Pin.OUT, value=0)
        self.rs485 = parts.Rs485(uart, de)
        self.journal = parts.Journal(pins.JOURNAL_LABEL, pins.SECTOR_BYTES)
        self.relays = [parts.Relay(*wiring, pins.COIL_MS) for wiring in pins.RELAYS]
        self.link = parts.Link()
        self.console = console.Console()
        self._pulses = [
            parts.pulse_counter(unit, number, pins.PULSE_FILTER_NS, pins.PULSE_WIDTH_MS_MIN)
            for unit, number in enumerate(pins.PULSES)
        ]
        self._pulses_seen = [0] * len(self._pulses)
        self._key = parts.PinPulses(pins.KEY, pins.KEY_WIDTH_MS_MIN)
        self._key_seen = 0
        self._signal = parts.Signal(pins.LED, pins.SIGNALS, pins.SIGNAL_STEP_MS)
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
        if machine.mem32[pins.RESET_STATE] & 0x3F == pins.RESET_BROWN_OUT:
            return _BROWN_OUT
        return machine.reset_cause()

    def reset(self) -> None:
        machine.reset()

    def wdt_feed(self) -> None:
        if self._wdt is None:
            self._wdt = machine.WDT(timeout=pins.WDT_MS)
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

    def signal(self, code: int) -> None:
        self._signal.show(code)


def build() -> Board:
    micropython.alloc_emergency_exception_buf(100)
    return Board()
