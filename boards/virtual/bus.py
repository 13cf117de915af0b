"""The RS-485 bus over a pty: bytes out, bytes in, both counted for the driver.

Knows no frames and no time-outs: pace, line settings and faults belong to the null modem.
"""

import asyncio
import io


class Tty(io.IOBase):
    """A non-blocking fd in the form asyncio streams accept."""

    def __init__(self, fd, bus):
        self.fd = fd
        self.file = open(fd, "r+b")
        self.bus = bus

    def ioctl(self, op, arg):
        return self.fd if op == 10 else 0  # 10: the fd, so that a real poll(2) is used

    def read(self, count):
        data = self.file.read(count)
        if not data:
            return None  # b"" would mean end of file
        self.bus.received += len(data)
        return data

    def write(self, data):
        return self.file.write(data)


class Bus:
    """What `board.rs485` is; see firmware/README.md."""

    def __init__(self, fd, control):
        self.control = control
        self.sent = 0
        self.received = 0
        self.tty = Tty(fd, self)
        self.stream = asyncio.StreamReader(self.tty)

    def configure(self, baud, parity):
        """A question, not a message: the next frame must not overtake it."""
        self.control.ask("line", baud, parity)

    def purge(self):
        while self.tty.read(256):
            pass

    async def write(self, frame):
        self.sent += len(frame)
        self.stream.write(frame)
        await self.stream.drain()

    async def read(self, count):
        return await self.stream.read(count)
