"""The parts of an ESP32 board, each a small object around one peripheral.

Pulses are raw totals, times milliseconds unless a name says otherwise. Nothing here decides
anything about energy, money or the relay; parts do what they are told and say what they see.
"""

import asyncio
import time

import esp32
import machine

_ENODEV = 19


class Journal:
    """Raw flash partition under NOR rules: `program` only clears bits, `erase` takes a sector."""

    def __init__(self, label: str, sector: int) -> None:
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, 0xFF, label=label)
        if not found:
            raise OSError(_ENODEV)
        self._partition = found[0]
        self.size = found[0].info()[3]
        self.sector = sector

    def read(self, at: int, buf: bytearray) -> None:
        self._partition.readblocks(at // self.sector, buf, at % self.sector)

    def program(self, at: int, data: bytes) -> None:
        # With an offset, writeblocks does not erase first (esp32_partition.c).
        self._partition.writeblocks(at // self.sector, data, at % self.sector)

    def erase(self, at: int) -> None:
        self._partition.ioctl(6, at // self.sector)


class PinPulses:
    """Counts pulses to ground of at least `width_ms_min` by pin interrupt.

    Interrupts wait while flash is erased; edges inside such a stall collapse into one.
    """

    def __init__(self, pin: machine.Pin, width_ms_min: int) -> None:
        self._pin = pin
        self._width_ms_min = width_ms_min
        self._low = False
        self._low_since = time.ticks_ms()
        self._count = 0
        self._pin.irq(self._edge, machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)

    def _edge(self, pin: machine.Pin) -> None:
        now = time.ticks_ms()
        if not pin.value():
            self._low = True
            self._low_since = now
            return
        if self._low and time.ticks_diff(now, self._low_since) >= self._width_ms_min:
            self._count += 1
        self._low = False

    def value(self) -> int:
        return self._count


def pulse_counter(
    unit: int, pin: machine.Pin, filter_ns: int, width_ms_min: int
) -> "machine.Counter | PinPulses":
    """An object whose `value()` is the raw pulse total: hardware counter, else pin interrupt."""
    if not hasattr(machine, "Counter"):  # chips without PCNT
        return PinPulses(pin, width_ms_min)
    return machine.Counter(unit, pin, edge=machine.Counter.FALLING, filter_ns=filter_ns)


class Rs485:
    """Half-duplex bus. With a DE pin, the line is driven only while the frame goes out."""

    def __init__(self, uart: machine.UART, de: "machine.Pin | None") -> None:
        self._uart = uart
        self._stream = asyncio.StreamReader(uart)
        self._baud = 9600
        self._de = de
        if de is not None:
            de.value(0)

    def configure(self, baud: int, parity: int) -> None:
        """Parity 0 none, 1 odd, 2 even; always 8 data bits, 1 stop bit."""
        self._baud = baud
        self._uart.init(baudrate=baud, bits=8, parity=(None, 1, 0)[parity], stop=1)

    def purge(self) -> None:
        while self._uart.any():
            self._uart.read()

    async def write(self, frame: bytes) -> None:
        if self._de is None:
            self._uart.write(frame)
            return
        frame_us = len(frame) * 11 * 1000000 // self._baud
        self._de.value(1)
        try:
            start_us = time.ticks_us()
            self._uart.write(frame)
            # Meters answer after 3.5 characters. Sleep only where waking 10 ms late still leaves
            # time, then hold the processor: a late release clips the reply.
            sleep_ms = frame_us // 1000 - 12
            if sleep_ms > 0:
                await asyncio.sleep_ms(sleep_ms)
            while not self._uart.txdone():
                if time.ticks_diff(time.ticks_us(), start_us) > 4 * frame_us + 20000:
                    break  # a UART that never finishes must not stop the metering loop
        finally:
            self._de.value(0)

    async def read(self, n: int) -> bytes:
        while True:
            data = await self._stream.read(n)
            if data:
                return data


class Relay:
    """Latching relay: one coil pulse a change, both coils never driven together."""

    def __init__(
        self, open_coil: int, close_coil: int, contact: "machine.Pin | None", coil_ms: int
    ) -> None:
        self._open_coil = machine.Pin(open_coil, machine.Pin.OUT, value=0)
        self._close_coil = machine.Pin(close_coil, machine.Pin.OUT, value=0)
        self._contact = contact
        self._coil_ms = coil_ms

    def open(self) -> None:
        self._drive(self._open_coil, self._close_coil)

    def close(self) -> None:
        self._drive(self._close_coil, self._open_coil)

    def actual(self) -> "bool | None":
        return None if self._contact is None else not self._contact.value()

    def _drive(self, coil: machine.Pin, other: machine.Pin) -> None:
        # Blocking on purpose: no other task can leave a coil under current.
        other.value(0)
        coil.value(1)
        try:
            time.sleep_ms(self._coil_ms)
        finally:
            coil.value(0)


class Signal:
    """LED that repeats the pattern of the last code."""

    def __init__(self, number: int, patterns: tuple[int, ...], step_ms: int) -> None:
        self._pin = machine.Pin(number, machine.Pin.OUT, value=0)
        self._patterns = patterns
        self._pattern = 0
        self._step = 0
        self._timer = machine.Timer(0)
        self._timer.init(period=step_ms, mode=machine.Timer.PERIODIC, callback=self._show)

    def show(self, code: int) -> None:
        self._pattern = self._patterns[min(max(code, 0), len(self._patterns) - 1)]

    def _show(self, _timer: machine.Timer) -> None:
        self._pin.value((self._pattern >> self._step) & 1)
        self._step = (self._step + 1) & 15


def input_pin(number: int, pull_less: "tuple[int, ...]") -> machine.Pin:
    """Input with a pull-up, where the chip has one."""
    if number in pull_less:
        return machine.Pin(number, machine.Pin.IN)
    return machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
