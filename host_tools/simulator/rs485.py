"""The RS-485 line: a null modem between the module's pty and the meters' pty.

Sees the frames of both directions, paces them, drops, damages or cuts, and knows whether an answer
is still to come. Half duplex and Modbus RTU; it answers nothing itself.
"""

import asyncio
import os
import termios
from collections.abc import Callable
from enum import Enum

from host_tools.simulator import terminal
from host_tools.simulator.virtual_time import VirtualTime

BITS_PER_BYTE = 11


class Way(Enum):
    REQUEST = "request"
    ANSWER = "answer"


# Given a frame, returns what goes on the line instead: itself, a damaged one, or b"" for a loss.
Fault = Callable[[Way, bytes], bytes]


def crc16(data: bytes) -> int:
    """Modbus CRC; over a whole frame with its CRC it is 0."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC = tuple(_crc_of(byte) for byte in range(256))


class NullModem:
    """`baud` and `parity` are the meters'; a module set otherwise is not understood.

    `baud` 0 is any setting, delivered at once. `fault`, `on_frame` and `cut` may change any time.
    """

    def __init__(
        self, time: VirtualTime, on_change: Callable[[], None], baud: int = 0, parity: int = 0
    ) -> None:
        self.time = time
        self.baud = baud
        self.parity = parity
        self.fault: Fault | None = None
        self.on_frame: Callable[[Way, bytes], None] | None = None
        self.cut = False
        self.listeners = False  # whether there are meters at all
        self.outstanding = 0
        self.unheard = False  # a frame the meters have yet to read, wherever it leads
        self.frames = {Way.REQUEST: 0, Way.ANSWER: 0}
        self.from_module = 0
        self.to_module = 0
        self._on_change = on_change
        self._misfit = False
        self._free_ms = 0
        self._boot = 0
        self._parts = {Way.REQUEST: b"", Way.ANSWER: b""}
        self._module, self.module_slave = terminal.raw_pair()
        self._meters, self._meters_slave = terminal.raw_pair()
        os.set_blocking(self.module_slave, False)
        self.meters_port = os.ttyname(self._meters_slave)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._module, self._read, self._module, Way.REQUEST)
        loop.add_reader(self._meters, self._read, self._meters, Way.ANSWER)

    def power_on(self) -> None:
        """A new interpreter listens: nothing of the old one may reach it."""
        termios.tcflush(self._module, termios.TCIOFLUSH)
        termios.tcflush(self.module_slave, termios.TCIOFLUSH)
        self.from_module = self.to_module = self.outstanding = 0
        self.unheard = False
        self._parts[Way.REQUEST] = b""
        self._misfit = False
        self._boot += 1

    def configure(self, baud: int, parity: int) -> bool:
        """The module sets up its UART; until then it is taken to fit. Returns whether it does."""
        self._misfit = bool(self.baud) and (baud, parity) != (self.baud, self.parity)
        return not self._misfit

    def close(self) -> None:
        self._boot += 1  # what is still on the line goes nowhere
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._module)
        loop.remove_reader(self._meters)
        for fd in (self._module, self.module_slave, self._meters, self._meters_slave):
            os.close(fd)

    @property
    def busy(self) -> bool:
        """True while the meters have something to read or to say."""
        return self.unheard or self.outstanding > 0

    def heard(self) -> None:
        """The meters have read what was on the line: the next frame is not run into it."""
        self.unheard = False
        self._on_change()

    def silent(self) -> None:
        """The meters have taken the request and will not answer."""
        self.outstanding = 0
        self._on_change()

    def _read(self, fd: int, way: Way) -> None:
        try:
            data = os.read(fd, 1024)
        except BlockingIOError:
            return
        if way is Way.REQUEST:
            self.from_module += len(data)
        whole = self._parts[way] + data
        complete = len(whole) >= 4 and crc16(whole) == 0
        # An incomplete rest of 256 bytes cannot become a frame any more.
        self._parts[way] = b"" if complete or len(whole) >= 256 else whole
        if complete:
            self._frame(way, whole)
        elif way is Way.REQUEST and len(data) >= 8:
            self._parts[way] = b""  # a request with a bad CRC goes through and stays unanswered
            self._send(way, whole, False)
        self._on_change()

    def _frame(self, way: Way, frame: bytes) -> None:
        self.frames[way] += 1
        if self.on_frame:
            self.on_frame(way, frame)
        if way is Way.ANSWER:
            self.outstanding = 0
        sent = self.fault(way, frame) if self.fault else frame
        if sent and not self.cut and not self._misfit:
            # Unit 0 is a broadcast, and a damaged request is nobody's: neither is answered.
            expects_answer = way is Way.REQUEST and sent == frame and frame[0] != 0
            self._send(way, sent, expects_answer)

    def _send(self, way: Way, data: bytes, expects_answer: bool) -> None:
        if not self.baud:
            self._deliver(way, data, expects_answer, self._boot)
            return
        boot = self._boot
        start_ms = max(self.time.now_ms(), self._free_ms)
        self._free_ms = start_ms + -(-len(data) * BITS_PER_BYTE * 1000 // self.baud)
        self.time.call_at(self._free_ms, lambda: self._deliver(way, data, expects_answer, boot))

    def _deliver(self, way: Way, data: bytes, expects_answer: bool, boot: int) -> None:
        if boot != self._boot:
            return  # the interpreter it was on its way from or to is gone
        if way is Way.REQUEST:
            if self.listeners:
                self.outstanding = 1 if expects_answer else 0
                self.unheard = True
                os.write(self._meters, data)
            return
        self.to_module += os.write(self._module, data)
        self._on_change()
