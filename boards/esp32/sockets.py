"""TCP, TLS and UDP of an ESP32 over whatever brings it an address: Wi-Fi or Ethernet.

Times milliseconds. Brings the network up when it is needed; never tries again by itself.
"""

import asyncio
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENETUNREACH = 101
_ETIMEDOUT = 110
_UP_MS_MAX = 10000
_NAMES_MAX = 4


class Sockets:
    """Base of the links: `is_up()` and `_bring_up(timeout_ms)` are theirs."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._bringing_up = asyncio.Lock()

    def is_up(self) -> bool:
        raise NotImplementedError

    async def _bring_up(self, timeout_ms: int) -> bool:
        raise NotImplementedError

    async def up(self, timeout_ms: int) -> bool:
        """True once there is an address. Broker and gateway may ask at once: one attempt."""
        async with self._bringing_up:
            return self.is_up() or await self._bring_up(timeout_ms)

    async def connect(
        self, host: str, port: int, tls: "Any" = None
    ) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter]":
        """(reader, writer), or OSError; with a TLS context the host's name is checked."""
        address = await self._reach(host, port)
        try:
            return await asyncio.open_connection(address, port, ssl=tls, server_hostname=host)
        except OSError:
            self._addresses.pop(host, None)
            raise

    async def udp_exchange(
        self, host: str, port: int, data: bytes, bytes_max: int, timeout_ms: int
    ) -> bytes:
        """The first datagram that this host sends back, or OSError."""
        address = await self._reach(host, port)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(socket.getaddrinfo(address, port)[0][-1])  # others are not heard
            sock.send(data)
            reading = asyncio.StreamReader(sock).read(bytes_max)
            return await asyncio.wait_for_ms(reading, timeout_ms)
        except asyncio.TimeoutError:
            self._addresses.pop(host, None)
            raise OSError(_ETIMEDOUT)
        finally:
            sock.close()

    async def _reach(self, host: str, port: int) -> str:
        """The address. Resolving blocks the loop, so a few are kept until they fail."""
        if not await self.up(_UP_MS_MAX):
            raise OSError(_ENETUNREACH)
        address = self._addresses.get(host)
        if address is None:
            await asyncio.sleep_ms(0)  # whoever is due goes first: the watchdog is fed
            address = self._resolve(host)
            if len(self._addresses) >= _NAMES_MAX:
                self._addresses = {}
            self._addresses[host] = address
        return address

    def _resolve(self, host: str) -> str:
        return socket.getaddrinfo(host, 0, 0, socket.SOCK_STREAM)[0][-1][0]
