"""A TCP proxy between a module and its broker that lives in virtual time and can be nasty.

It passes bytes on, late, in part or not at all; cuts, resets, and leaves connections half open.
What happens when is a schedule of virtual instants, so that a seed means the same week again.
It counts what passes, by kind of packet, and holds lockstep time while the host owes an answer.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from host_tools.broker import HOST
from host_tools.demo.intruder import kind_of_sealed
from host_tools.simulator.virtual_time import VirtualTime

UP, DOWN = "up", "down"  # to the broker, to the module
NAMES = {1: "connect", 2: "connack", 3: "publish", 4: "puback", 8: "subscribe", 9: "suback",
         12: "ping", 13: "pong", 14: "disconnect"}  # fmt: skip
# Real seconds that a host may take before virtual time goes on without its answer.
ANSWER_S_MAX = 0.5
PUBLISH = 3


class Packets:
    """MQTT packets in a byte stream cut anywhere."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._data += data
        out = []
        while True:
            size = self._size()
            if size is None or len(self._data) < size:
                return out
            out.append(self._data[:size])
            self._data = self._data[size:]

    def _size(self) -> int | None:
        length = 0
        for place, byte in enumerate(self._data[1:5]):
            length |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                return 2 + place + length
        return None


def name_of(packet: bytes) -> str:
    """Its MQTT kind; of a publication the kind of our message, which anybody can read."""
    kind = packet[0] >> 4
    if kind != PUBLISH:
        return NAMES.get(kind, "other")
    at = 2 + (len(packet) > 129)
    at += 2 + int.from_bytes(packet[at : at + 2], "big") + (2 if packet[0] & 6 else 0)
    return f"publish {kind_of_sealed(packet[at:])}" if len(packet) > at else "publish will"


class Pair:
    """One connection of the module and ours to the broker for it."""

    def __init__(self, proxy: "Proxy", ours: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.writers = {DOWN: ours}
        self.packets = {UP: Packets(), DOWN: Packets()}
        self.late_ms = {UP: 0, DOWN: 0}  # nothing may overtake what was delayed
        self.over = False

    def end(self, reset: bool) -> None:
        self.over = True
        for writer in self.writers.values():
            if reset:
                with suppress(OSError):
                    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            else:
                writer.close()

    def came(self, way: str, data: bytes) -> None:
        """Bytes from one side: what the weather makes of them."""
        proxy = self.proxy
        proxy.pieces += 1
        if way in proxy.swallowed:
            return
        if proxy.cut_after is not None:
            data, rest = data[: proxy.cut_after], data[proxy.cut_after :]
            proxy.cut_after -= len(data)
            if rest or not proxy.cut_after:
                proxy.cut_after = None
                self.passed(way, data)
                self.end(reset=True)
                return
        now_ms = proxy.time.now_ms()
        at_ms = max(self.late_ms[way], now_ms + proxy.delay_ms())
        if at_ms <= now_ms:
            self.passed(way, data)
            return
        self.late_ms[way] = at_ms
        proxy.time.call_at(at_ms, lambda: self.passed(way, data))

    def passed(self, way: str, data: bytes) -> None:
        if self.over or way not in self.writers:
            return
        for packet in self.packets[way].feed(data):
            self.proxy.saw(way, name_of(packet), len(packet))
        self.writers[way].write(data)


class Proxy:
    """`port` is where a module connects to. Part of a Driver's modules: see `holds_time`."""

    name = "proxy"
    idle = None

    def __init__(self, time: VirtualTime, broker_port: int) -> None:
        self.time = time
        self.broker_port = broker_port
        self.port = 0
        self.swallowed: set[str] = set()
        self.cut_after: int | None = None  # bytes until the next reset in the middle of a packet
        self.delay_ms: Callable[[], int] = lambda: 0
        self.refusing = False
        self.pairs: set[Pair] = set()
        self.bytes: Counter[tuple[str, str]] = Counter()
        self.packets: Counter[tuple[str, str]] = Counter()
        self.pieces = 0
        self.connections = 0
        self.on_change: Callable[[], None] = lambda: None
        self.console = self
        self._owed = 0  # publications of the module that the host has not answered
        self._owed_until_s = 0.0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accepted, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for pair in list(self.pairs):
            pair.end(reset=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server:
            self._server.close()

    # what the driver asks of everything it drives

    def drain(self) -> None: ...

    def wake(self) -> None: ...

    def due_ms(self) -> int | None:
        return None

    def holds_time(self) -> bool:
        """Virtual time waits for the host, or its real milliseconds would be virtual minutes."""
        return self._owed > 0 and asyncio.get_running_loop().time() < self._owed_until_s

    # what passes

    def saw(self, way: str, name: str, size: int) -> None:
        self.packets[way, name] += 1
        self.bytes[way, name] += size
        if not name.startswith("publish"):
            return
        if way == DOWN:
            self._owed = max(0, self._owed - 1)
            asyncio.get_running_loop().call_soon(self.on_change)
            return
        loop = asyncio.get_running_loop()
        self._owed = 1
        self._owed_until_s = loop.time() + ANSWER_S_MAX
        loop.call_at(self._owed_until_s + 0.001, self.on_change)

    def cut(self, reset: bool = True) -> None:
        """Every connection ends now, with a reset or in an orderly way."""
        for pair in list(self.pairs):
            pair.end(reset)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.connections += 1
        pair = Pair(self, writer)
        if self.refusing:
            pair.end(reset=True)
            return
        try:
            theirs, pair.writers[UP] = await asyncio.open_connection(HOST, self.broker_port)
        except OSError:
            pair.end(reset=True)
            return
        self.pairs.add(pair)
        try:
            await asyncio.gather(self._pump(pair, UP, reader), self._pump(pair, DOWN, theirs))
        finally:
            self.pairs.discard(pair)
            pair.end(reset=True)

    async def _pump(self, pair: Pair, way: str, reader: asyncio.StreamReader) -> None:
        """One direction until its end. A swallowed direction hides its end too."""
        with suppress(OSError):
            while data := await reader.read(65536):
                pair.came(way, data)
        if way not in self.swallowed:
            pair.end(reset=False)
