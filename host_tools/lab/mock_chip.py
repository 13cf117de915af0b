"""A chip in its boot loader without a board, at socket://... or a pty, for training and tests.

The protocol is esp32-mock-bootloader's (pip install 'gridpurse[lab]'); here are its remedies, a
flash of the wanted size that outlives a connection, and the faults of a cable. It runs no program:
what is flashed is only kept. Sizes in bytes.
"""

import contextlib
import os
import select
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esp32_mock_bootloader import server  # type: ignore[import-untyped]

MANUFACTURER = 0x4020  # low 16 bits of a JEDEC identifier; the size is above it
READ_ID = 0x9F
WRITE_S = 5
PAYLOAD_TRIES = 60  # of 50 ms each: one such pause is not the end of a client
_here = threading.local()  # the flash of the chip that this thread plays


@dataclass
class Trouble:
    """What the cable or the flash does wrong; all zero or None is a sound chip."""

    drop_after: int = 0  # the connection breaks when so many bytes were written ...
    drops: int = 1  # ... so often; for ever when negative, then nobody answers any more
    bad_at: int | None = None  # this byte of the flash keeps a bit at 0
    bad_writes: int = -1  # ... for so many writes of it; for ever when negative


class _Cut(OSError):
    """The cable is out."""


class _Flash(server.FlashImage):  # type: ignore[misc]
    """Flash of any size, written in whole blocks at once."""

    def __init__(self, size: int, trouble: Trouble) -> None:
        super().__init__()
        self.data = bytearray(b"\xff" * size)
        self.trouble = trouble
        self.written = 0
        self.broken = False  # for ever

    def write_defl_block(self, payload: bytes) -> None:
        length = int.from_bytes(payload[:4], "little")
        plain = self._decompressor.decompress(payload[16 : 16 + length])
        self._put(self._defl_offset, plain)
        self._defl_offset += len(plain)

    def write_plain_block(self, payload: bytes) -> None:
        length = int.from_bytes(payload[:4], "little")
        self._put(self._plain_offset, payload[16 : 16 + length])
        self._plain_offset += length

    def _put(self, at: int, data: bytes) -> None:
        trouble = self.trouble
        self.data[at : at + len(data)] = data
        self.written += len(data)
        bad = trouble.bad_at
        if bad is not None and at <= bad < at + len(data) and trouble.bad_writes:
            self.data[bad] &= 0xFE
            trouble.bad_writes -= 1
        if trouble.drop_after and self.written >= trouble.drop_after and trouble.drops:
            trouble.drops -= 1
            self.written = 0
            self.broken = trouble.drops < 0
            raise _Cut


class _Spi(server.SpiPeripheralMock):  # type: ignore[misc]
    """Tells the size of this chip's flash."""

    def read_reg(self, addr: int) -> int:
        asked = self.spi_base is not None and addr - self.spi_base == self.w0_offs
        if asked and self._last_command == READ_ID:
            return (len(_here.flash.data).bit_length() - 1) << 16 | MANUFACTURER
        return int(super().read_reg(addr))


def _send_all(cable: Any, data: bytes) -> None:
    """A pty takes short writes, and none at all when its reader has gone."""
    view = memoryview(data)
    while view:
        if not select.select([], [cable._master], [], WRITE_S)[1]:
            raise _Cut
        view = view[os.write(cable._master, view) :]


def _receive(connection: Any, stop: threading.Event, buffer: bytearray) -> bytes | None:
    """One timeout is not the end of a client that is reading."""
    tries = PAYLOAD_TRIES
    while tries and not stop.is_set():
        payload: bytes | None = server._consume_slip_frame(buffer)
        if payload is not None:
            return payload
        try:
            chunk = connection.recv(4096)
        except TimeoutError:
            tries -= 1
            continue
        except OSError:
            return None
        if not chunk:
            return None
        buffer.extend(chunk)
    return None


def _mend() -> None:
    """The remedies of version 0.3.0, and flash of a size of our own."""
    server.PtyMasterTransport.sendall = _send_all
    server._recv_slip_payload = _receive
    server.SpiPeripheralMock = _Spi


class MockChip:
    """`with MockChip("esp32") as chip:` flash chip.port, look at chip.flash."""

    def __init__(
        self,
        chip: str = "esp32",
        *,
        flash_bytes: int = 4194304,
        pty: bool = False,
        trouble: Trouble | None = None,
    ) -> None:
        _mend()
        self._chip = chip
        self._flash = _Flash(flash_bytes, trouble or Trouble())
        self._stop = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="gridpurse-chip-")
        self._listener: socket.socket | None = None
        self._cable: server.PtyMasterTransport | None = None
        if pty:
            self.port = str(Path(self._folder.name) / "tty")
            self._plug_in()
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self._listener.settimeout(0.1)
            self.port = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name=f"mock {chip}", daemon=True)

    @property
    def flash(self) -> bytearray:
        return self._flash.data

    def __enter__(self) -> "MockChip":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._folder.cleanup()

    def _plug_in(self) -> None:
        """A new pty behind the same name, as a USB adapter that comes back.

        It stays when a client closes it, and so does the session: a chip that nobody reset goes
        on as it was, with esptool's helper program running.
        """
        self._cable = server.PtyMasterTransport.create()
        os.set_blocking(self._cable._master, False)
        new = Path(f"{self.port}.new")
        new.symlink_to(self._cable.client_path)
        new.replace(self.port)

    def _serve(self) -> None:
        _here.flash = self._flash
        while not self._stop.is_set() and not self._flash.broken:
            connection = self._accepted()
            if connection is not None:
                with contextlib.suppress(_Cut):
                    # Without the last argument it hangs up 3 s after the end of a first write.
                    server.handle_client(
                        *(connection, self._stop, self._chip),
                        flash=self._flash,
                        exit_on_disconnect=True,
                    )
            if self._listener is None and self._cable is not None:
                with contextlib.suppress(OSError):
                    self._cable.close()
                os.unlink(self.port)
                if not self._stop.is_set() and not self._flash.broken:
                    self._plug_in()
        if self._listener is not None:
            self._listener.close()

    def _accepted(self) -> Any:
        if self._listener is None:
            return server.BootloaderConnection(pty=self._cable)
        try:
            connection, _ = self._listener.accept()
        except TimeoutError:
            return None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server.BootloaderConnection(sock=connection, track_disconnect=True)
