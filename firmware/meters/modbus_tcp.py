"""Modbus over a TCP gateway: one connection kept open, one request in flight, asked as a Bus is.

Ends a request within its time limits, in milliseconds, never blocks the loop, and rests after a
failed connection. Only reading requests exist; it never writes to a meter and holds no queue.
"""

import asyncio
import struct

from firmware.meters import modbus
from firmware.meters.reader import SILENT
from firmware.waits import wait_for_ms
from protocol.units import MALFORMED, Malformed, Unavailable, const

_CONNECT_MS = const(5000)
_CLOSE_MS = const(1000)
_REST_MS_MIN = const(1000)
_REST_MS_MAX = const(60000)
_LATE_MAX = const(3)  # unanswered requests in a row: then the connection is taken for dead

_PREFIX_BYTES = const(6)  # transaction, protocol, length; the unit counts as content
_CONTENT_BYTES_MIN = const(3)  # unit, function, exception code
_CONTENT_BYTES_MAX = const(253)  # unit, function, byte count, 125 registers
_REQUEST_BYTES = const(6)  # unit, function, address, count: a serial frame without its CRC
_EXCEPTION = const(0x80)
_SILENT_CODES = (10, 11)  # exceptions of the gateway: no line to the meter, no answer from it


class TcpBus:
    """The meters behind one gateway; takes the place of firmware.meters.reader.Bus.

    `link` is board.link. `reply_ms_max` must exceed the gateway's own time-out, often 1 s: then it
    tells which meter is silent, and the connection is not doubted.
    """

    def __init__(self, link, host, port, ticks_ms, reply_ms_max=1500):
        self._link = link
        self._where = host, port
        self._ticks_ms = ticks_ms
        self._reply_ms_max = reply_ms_max
        self._lock = asyncio.Lock()
        self._streams = None  # (reader, writer)
        self._got = bytearray()  # the beginning of a frame, kept across requests
        self._late = 0  # requests sent on this connection since its last answer
        self._failures = 0  # connections in a row
        self._rest_until_ms = 0
        self._transaction = self.connects = 0

    async def request(self, unit, function, address, count):
        """Registers, or the meter's exception code; Malformed for a damaged answer or a function
        that does not read, Unavailable for no answer."""
        body = modbus.read_request(unit, function, address, count)[:_REQUEST_BYTES]
        async with self._lock:
            if self._ticks_ms() < self._rest_until_ms:
                raise Unavailable(SILENT)
            answer = await self._ask(body)
        if answer in _SILENT_CODES:
            raise Unavailable(SILENT)
        return answer

    async def close(self) -> None:
        """Frees the gateway, many serve one client only; the next request connects again."""
        streams, self._streams, self._got, self._late = self._streams, None, bytearray(), 0
        try:
            if streams:
                streams[1].close()
                await wait_for_ms(streams[1].wait_closed(), _CLOSE_MS)
        except (OSError, asyncio.TimeoutError):
            pass  # it was broken already, which is why it is closed

    async def _ask(self, body):
        """Afterwards the connection is sound, or closed and left alone for a while."""
        sound = False
        try:
            answer = await self._connected(body)
            sound, self._failures = True, 0
            return answer
        except asyncio.TimeoutError:
            sound = 0 < self._late < _LATE_MAX  # a late answer is known by its transaction
            raise Unavailable(SILENT)
        except OSError:
            raise Unavailable(SILENT)
        finally:
            if not sound:  # by cancelling too: half a request may be out
                rest_ms = min(_REST_MS_MAX, _REST_MS_MIN << min(self._failures, 16))
                self._rest_until_ms = self._ticks_ms() + rest_ms
                self._failures += 1
                await self.close()

    async def _connected(self, body):
        """Gateways close idle connections: no failure, but a reason to connect again, once."""
        if self._streams:
            try:
                return await self._exchange(body)
            except asyncio.TimeoutError:  # an OSError on CPython
                raise
            except OSError:
                if self._got:
                    raise
                await self.close()
        self._streams = await wait_for_ms(self._link.connect(*self._where), _CONNECT_MS)
        self.connects += 1
        return await self._exchange(body)

    async def _exchange(self, body):
        self._transaction = (self._transaction + 1) & 0xFFFF
        frame = struct.pack(">HHH", self._transaction, 0, len(body)) + body
        return await wait_for_ms(self._converse(frame), self._reply_ms_max)

    async def _converse(self, frame):
        late, self._late = self._late, 0  # until all is out, the connection is not sound
        reader, writer = self._streams
        writer.write(frame)
        await writer.drain()
        self._late = late + 1
        while True:
            got = self._got
            while len(got) < _framed_bytes(got):  # what a wait cut short has got stays
                data = await reader.read(_framed_bytes(got) - len(got))
                if not data:
                    raise OSError(104)  # connection reset
                got.extend(data)
            self._got = bytearray()
            behind = (self._transaction - (got[0] << 8 | got[1])) & 0xFFFF
            if behind == 0:
                self._late = 0
                return _parse(got, frame)
            if behind >= self._late:  # neither this request nor one still unanswered
                raise Malformed(MALFORMED, "transaction")


def _framed_bytes(got) -> int:
    """Length of the frame that begins with `got`, of its prefix while that is incomplete."""
    if len(got) < _PREFIX_BYTES:
        return _PREFIX_BYTES
    _, protocol, size = struct.unpack_from(">HHH", got)
    if protocol or not _CONTENT_BYTES_MIN <= size <= _CONTENT_BYTES_MAX:
        raise Malformed(MALFORMED, "prefix")
    return _PREFIX_BYTES + size


def _parse(got, frame) -> "bytes | int":
    unit, function, _, count = struct.unpack_from(">BBHH", frame, _PREFIX_BYTES)
    if got[6] != unit:
        raise Malformed(MALFORMED, "unit")
    if got[7] == function | _EXCEPTION and len(got) == _PREFIX_BYTES + _CONTENT_BYTES_MIN:
        return got[8]
    if got[7] != function or not len(got) - 9 == got[8] == 2 * count:
        raise Malformed(MALFORMED, "shape")
    return bytes(got[9:])
