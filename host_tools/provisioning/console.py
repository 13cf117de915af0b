"""A module's console through mpremote's own transport: programs for its prompt, files, restarts.

What is sent goes through the raw prompt, so a key is on no command line and is not echoed.
Whatever
breaks becomes one Fault; nothing sent or received is shown or logged. Times in seconds.
"""

import contextlib
import hashlib
import os
import re
import secrets
import stat
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import serial
from mpremote.transport import TransportError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from host_tools.faults import Fault
from host_tools.provisioning.faults import CONSOLE, MODULE, STORAGE

BAUD = 115200
READ_S = 15  # a module may be busy with its flash, a virtual one with others
PROMPT_S = 3
START_S = 5
ATTEMPTS = 3
CHUNK_BYTES = 512
RESET = b"soft reboot\r\n"
PROMPT = b"raw REPL; CTRL-B to exit\r\n"
_BROKEN = (TransportError, serial.SerialException, OSError, struct.error, ValueError, TypeError)

HASHES = """
import hashlib, os
def _walk(path):
    for name, kind, *_ in os.ilistdir(path or "/"):
        if kind & 0x4000:
            yield from _walk(path + "/" + name)
        else:
            yield path + "/" + name
_b = bytearray(512)
for _p in _walk(""):
    if _p.startswith("/outbox/") or _p == "/key.bin":
        continue
    _h = hashlib.sha256()
    with open(_p, "rb") as _f:
        _n = _f.readinto(_b)
        while _n:
            _h.update(memoryview(_b)[:_n])
            _n = _f.readinto(_b)
    print(_p[1:], _h.digest().hex())
"""
# Of a key only what tells two keys apart, see host_tools/backup/archive.py.
KEY_CHECK = """
import hashlib
try:
    with open("/key.bin", "rb") as _f:
        print(hashlib.sha256(b"gridpurse/1 key check " + _f.read()).digest()[:8].hex())
except OSError:
    print("-")
"""
MAKE_FOLDER = """
import os
try:
    os.mkdir({folder!r})
except OSError as error:
    if error.errno != 17:  # it is there
        raise
"""
FORGIVE = """
import os
try:
    os.remove("/failed")
except OSError:
    pass
"""
FULL = ("28", "36", "ENOSPC")


class Console:
    """One port, from `opened` to its end. Programs see what earlier ones defined."""

    def __init__(self, port: str) -> None:
        self.port = port
        self._link: SerialTransport | None = None
        self._at_prompt = False

    def open(self) -> None:
        """Takes the port and the prompt, whatever runs there."""
        try:
            mode = Path(self.port).stat().st_mode
        except OSError as error:
            raise CONSOLE.seen(f"{self.port}: no such port 无此端口") from error
        if not stat.S_ISCHR(mode):
            raise CONSOLE.seen(f"{self.port}: not a serial port 不是串口")
        if not os.access(self.port, os.R_OK | os.W_OK):
            raise CONSOLE.seen(
                f"{self.port}: no permission 无权限",
                ("add this user to the port's group, often dialout", "请将本用户加入 dialout 组"),
            )
        try:
            self._link = SerialTransport(self.port, BAUD, timeout=READ_S)
        except _BROKEN as error:
            raise CONSOLE.seen(f"{self.port}: another program has it 端口被占用") from error
        self.interrupt()

    def close(self) -> None:
        """Never leaves a module at its prompt, where it meters nothing."""
        if self._link is not None and self._at_prompt:
            with contextlib.suppress(Fault):
                self.restart()
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(*_BROKEN):
                link.close()

    @property
    def _open(self) -> SerialTransport:
        if self._link is None:
            raise CONSOLE.seen(f"{self.port}: closed 已关闭")
        return self._link

    def interrupt(self) -> None:
        """The raw prompt, from a program or from either prompt."""
        with self._guarded("does not answer 无应答"):
            for _ in range(ATTEMPTS):
                self._open.serial.write(b"\r\x03")  # one: a second could meet its traceback
                self._quiet()
                self._open.serial.write(b"\r\x01")
                if self._came(PROMPT, PROMPT_S) and self._in_step():
                    self._at_prompt = True
                    return
            raise CONSOLE.seen(f"{self.port}: does not answer 无应答")

    def _in_step(self) -> bool:
        """A module that was slow answers every attempt in the end. Behind the answer to a word
        made up now nothing of theirs can come any more; mpremote would take it for its own."""
        word = secrets.token_hex(8)
        self._open.serial.write(b"print('%b', end='')\x04" % word.encode())
        return self._came(b"OK%b\x04\x04" % word.encode(), PROMPT_S)

    def _quiet(self) -> None:
        """Drops what comes until nothing came for a moment."""
        end_s = time.monotonic() + PROMPT_S
        calm_s = time.monotonic() + 0.1
        while time.monotonic() < min(end_s, calm_s):
            waiting = self._open.serial.in_waiting
            if waiting:
                self._open.serial.read(waiting)
                calm_s = time.monotonic() + 0.1
            time.sleep(0.01)

    def run(self, program: str, timeout_s: int = READ_S) -> str:
        """What the program printed. Its exception is a Fault that names the last line of it."""
        with self._guarded("broke off 中断"):
            out, error = self._open.exec_raw(program, timeout_s)
            if error:
                said = error.decode(errors="replace").strip().splitlines()[-1]
                if said.startswith("OSError") and any(code in said for code in FULL):
                    raise STORAGE.seen(f"{self.port}: {said}")
                raise MODULE.seen(f"{self.port}: the module says {said} 模块报错")
            return str(out.decode(errors="replace"))

    def put(self, path: str, data: bytes) -> None:
        """Replaces a file: after a cut it is the old one or the new one."""
        with self._guarded("broke off 中断"):
            folder = path.rpartition("/")[0]
            if folder:
                self._make_folder(folder)
            self.run(f"_f=open({path + '.new'!r},'wb')")
            for start in range(0, len(data), CHUNK_BYTES):
                self.run(f"_f.write({data[start : start + CHUNK_BYTES]!r})")
            self.run(f"_f.close()\nimport os\nos.rename({path + '.new'!r},{path!r})\ndel _f")

    def _make_folder(self, folder: str) -> None:
        self.run(MAKE_FOLDER.format(folder=folder))

    def hashes(self) -> dict[str, str]:
        """Path: SHA-256 of every file but the root key and what waits for the host."""
        lines = self.run(HASHES, 60).split("\n")
        return {
            path: digest for path, _, digest in (line.partition(" ") for line in lines) if path
        }

    def key_check(self) -> str:
        """Tells one root key from another, and nothing about it; empty without one."""
        return self.run(KEY_CHECK).strip().strip("-")

    def restart(self) -> None:
        """The program starts, as after a technician's soft reset: no start of it that was broken
        off at the prompt counts as a failed one, see boards/start.py and firmware/life.py."""
        self.run(FORGIVE)
        with self._guarded("broke off 中断"):
            self._open.serial.write(b"\r\x02")
            self._quiet()
            self._open.serial.write(b"\x04")
            self._at_prompt = False

    def fresh(self) -> None:
        """A soft reset to the prompt: an empty heap, and the program is not started."""
        with self._guarded("broke off 中断"):
            for _ in range(ATTEMPTS):
                self._open.serial.write(b"\x04")
                if all(self._came(ending, START_S) for ending in (RESET, PROMPT)):
                    return
                self.interrupt()  # the program was started all the same
            raise CONSOLE.seen(f"{self.port}: does not start anew 无法软复位")

    def _came(self, ending: bytes, within_s: int) -> bool:
        return bool(self._open.read_until(1, ending, timeout=within_s).endswith(ending))

    def stop_watchdog(self) -> None:
        """A hard reset, and the prompt before the program has begun: no soft reset stops it."""
        with self._guarded("broke off 中断"):
            self._open.exec_raw_no_follow("import machine\nmachine.reset()")
        time.sleep(0.2)
        self.interrupt()

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise CONSOLE.seen(f"{self.port}: {what} ({_reason(error)})") from error


@contextlib.contextmanager
def opened(port: str) -> Iterator[Console]:
    console = Console(port)
    try:
        console.open()
        yield console
    finally:
        console.close()


def _reason(error: Exception) -> str:
    """What broke, as mpremote or the system names it; what was received stays out of it."""
    words = error.strerror if isinstance(error, OSError) else str(error)
    return re.split(r"[:(\[]", words or "", maxsplit=1)[0].strip() or type(error).__name__


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
