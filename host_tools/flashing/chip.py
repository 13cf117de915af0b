"""A chip in its boot loader, talked to through esptool: what is in its flash, and writing it.

Offsets and sizes in bytes. Every failure is a Fault that was told apart by the step it came in and
by error numbers, never by esptool's words; those become the fault's `detail`.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import serial
from esp_pylib.logger import EspLog, EspLogBase
from serial.tools import list_ports  # type: ignore[import-untyped]

from host_tools.faults import Fault
from host_tools.flashing import faults

BAUD = 460800
ROM_BAUD = 115200
Progress = Callable[[int, int], None]  # done, of all
_OPENING = {
    errno.EACCES: faults.PORT_DENIED,
    errno.EPERM: faults.PORT_DENIED,
    errno.EBUSY: faults.PORT_BUSY,
    errno.EAGAIN: faults.PORT_BUSY,  # locked by another program
    errno.ENOENT: faults.PORT_ABSENT,
    errno.ENODEV: faults.PORT_ABSENT,
    errno.ENXIO: faults.PORT_ABSENT,
    errno.ECONNREFUSED: faults.PORT_ABSENT,
}


class _Talk(EspLogBase):
    """Takes what esptool says: progress to whoever asked, the rest nowhere."""

    def __init__(self) -> None:
        self.progress_to: Progress | None = None

    def print(self, *args: Any, **kwargs: Any) -> None:
        pass

    def err(self, *args: Any, suggestion: str | None = None) -> None:
        pass

    def warn(self, *args: Any, suggestion: str | None = None) -> None:
        pass

    def note(self, *args: Any) -> None:
        pass

    def hint(self, *args: Any) -> None:
        pass

    def debug(self, *args: Any) -> None:
        pass

    def set_verbosity(self, mode: int | str) -> None:
        pass

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        if self.progress_to is not None:
            self.progress_to(cur_iter, total_iters)


@dataclass
class Chip:
    """Connected, with esptool's helper program running on it."""

    port: str
    name: str  # esp32, esp32s3, ...
    mac: str
    flash_bytes: int
    _loader: Any
    _talk: _Talk
    _resets: bool

    def md5(self, offset: int, size: int, step: str) -> str:
        with self._speaking(step):
            return str(self._loader.flash_md5sum(offset, size))

    def read(self, offset: int, size: int, step: str) -> bytes:
        with self._speaking(step):
            return bytes(self._loader.read_flash(offset, size))

    def erase(self, offset: int, size: int, step: str) -> None:
        with self._speaking(step):
            self._loader.erase_region(offset, size)

    def write(self, offset: int, data: bytes, step: str, progress: Progress) -> None:
        """Fault MISMATCH when the flash holds something else afterwards."""
        import esptool  # type: ignore[import-untyped]  # noqa: PLC0415

        self._talk.progress_to = progress
        try:
            with self._speaking(step):
                try:
                    esptool.write_flash(self._loader, [(offset, data)])
                except esptool.FatalError as error:
                    if self._loader.flash_md5sum(offset, len(data)) != md5(data):
                        raise faults.MISMATCH.of(str(error), port=self.port, step=step)
        finally:
            self._talk.progress_to = None

    def leave(self) -> None:
        """Starts what was flashed, where the port can reset the chip."""
        if self._resets:
            with self._speaking("restart"):
                self._loader.hard_reset()

    def close(self) -> None:
        with suppress(OSError):
            self._loader._port.close()

    @contextmanager
    def _speaking(self, step: str) -> Iterator[None]:
        import esptool  # noqa: PLC0415

        try:
            yield
        except (esptool.FatalError, OSError) as error:  # SerialException is one
            raise faults.LOST.of(str(error), port=self.port, step=step)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def resettable(port: str) -> bool:
    """Whether a port has the two lines that put a chip into its boot loader."""
    return not port.startswith("socket:") and not os.path.realpath(port).startswith("/dev/pts/")


def opened(port: str) -> Any:
    try:
        line = serial.serial_for_url(port, ROM_BAUD, exclusive=True, do_not_open=True)
        line.open()
    except (OSError, ValueError) as error:
        raise not_opened(port, error)
    return line


def not_opened(port: str, error: Exception) -> Fault:
    cause: BaseException | None = error
    while cause is not None:  # pyserial keeps the number of a socket's error in the cause only
        kind = _OPENING.get(getattr(cause, "errno", None) or 0)
        if kind is not None:
            return kind.of(str(error), port=port, ports=" ".join(ports()) or "- (none 无)")
        cause = cause.__context__
    return faults.PORT_BROKEN.of(str(error), port=port, why=type(error).__name__)


def ports() -> list[str]:
    """Serial ports of this machine that hang on USB."""
    return sorted(found.device for found in list_ports.comports() if found.vid is not None)


def connect(port: str, baud: int = BAUD) -> Chip:
    """Puts the chip into its boot loader and finds out what it is."""
    import esptool  # noqa: PLC0415 - takes a quarter of a second

    talk = _Talk()
    EspLog.instance = talk
    line = opened(port)
    resets = resettable(port)
    try:
        mode = "default-reset" if resets else "no-reset"
        loader = esptool.detect_chip(line, ROM_BAUD, mode)
        if loader.secure_download_mode:
            raise faults.LOCKED.of(port=port)
        name = loader.CHIP_NAME.lower().replace("-", "")
        mac = ":".join(f"{byte:02x}" for byte in loader.read_mac())
        loader = esptool.run_stub(loader)
        if baud != ROM_BAUD and resets:
            loader.change_baud(baud)
        esptool.attach_flash(loader)
        size = esptool.util.flash_size_bytes(esptool.detect_flash_size(loader)) or 0
        loader.WRITE_FLASH_ATTEMPTS = 1  # tried again by us, who say so
    except (esptool.FatalError, OSError) as error:
        line.close()
        raise faults.NO_ANSWER.of(str(error), port=port)
    except BaseException:
        line.close()
        raise
    return Chip(port, name, mac, size, loader, talk, resets)
