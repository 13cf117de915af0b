"""A chip in its boot loader: what is in its flash, and writing it.

esptool does it in a process of its own, by its command line: it is under the GPL and no part of
this program, so nothing here imports it. Offsets and sizes in bytes. Every failure is a Fault that
is told apart by the step it came in; esptool's own last words become its `detail`. What is to be
written lies in a folder of ours meanwhile; what is read, a key even, in a file without a name.
"""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import serial
from serial.tools import list_ports  # type: ignore[import-untyped]

from host_tools import Refused
from host_tools.faults import Fault
from host_tools.flashing import faults
from host_tools.processes import die_with_parent, end

BAUD = 460800
BAUD_MIN, BAUD_MAX = 9600, 3_000_000
ROM_BAUD = 115200
ESPTOOL = (sys.executable, "-P", "-m", "esptool")
NAME = re.compile(r"^Connected to (\S+) on ", re.M)
MAC = re.compile(r"^(?:BASE )?MAC:\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})$", re.M)
SIZE = re.compile(r"^Detected flash size:\s+(\d+)(KB|MB)$", re.M)
PERCENT = re.compile(r"\b(\d+)\.(\d)%")
VERDICT = re.compile(r"^Verification (successful|failed)\b", re.M)
DIFFERS = "MD5 of file does not match"
PROVEN = "Hash of data verified"
THERE = "already in flash, skipping"
CUT = "Lost connection"  # it would try again by itself and say so to nobody
LOCKED = "Secure Download Mode"
Progress = Callable[[int, int], None]  # done, of all
Part = tuple[str, int, bytes]  # name, offset, content
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


class Chip:
    """`with Chip(PORT) as chip:` puts the chip into its boot loader and finds out what it is."""

    def __init__(self, port: str, baud: int = BAUD, esptool: Sequence[str] = ESPTOOL) -> None:
        self.port = port
        self._command = esptool
        self.name = ""  # esp32, esp32s3, ...
        self.mac = ""
        self.flash_bytes = 0
        self._resets = resettable(port)
        self._baud = baud if self._resets else ROM_BAUD
        self._folder = tempfile.TemporaryDirectory(prefix="gridpurse-flash-")

    def __enter__(self) -> "Chip":
        try:
            self._connect()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def _connect(self) -> None:
        opened(self.port).close()  # why a port cannot be had is told better by its error number
        run = self._esptool("flash-id").over()
        name, mac, size = (pattern.search(run.said) for pattern in (NAME, MAC, SIZE))
        if LOCKED in run.said:
            raise faults.LOCKED.of(run.last, port=self.port)
        if run.code or name is None or mac is None:
            raise faults.NO_ANSWER.of(run.last, port=self.port)
        self.name, self.mac = name[1].lower().replace("-", ""), mac[1]
        if size is not None:
            self.flash_bytes = int(size[1]) << (20 if size[2] == "MB" else 10)

    def read(self, offset: int, size: int, step: str, progress: Progress | None = None) -> bytes:
        with tempfile.TemporaryFile() as file:  # without a name: nothing is left, however we end
            number = file.fileno()
            words = ("read-flash", hex(offset), hex(size), f"/dev/fd/{number}")
            run = self._esptool(*words, file=number).over(progress)
            content = file.read()
        if run.code or len(content) != size:
            raise self._lost(step, run)
        return content

    def write(self, parts: Sequence[Part], progress: Progress) -> Iterator[bool]:
        """Part by part: True when it was written, False when it was there already. Fault MISMATCH
        when the flash holds something else afterwards."""
        names = iter([name for name, _, _ in parts])
        name = next(names)
        run = self._esptool("write-flash", "--skip-flashed", *self._kept(parts))
        for line in run.lines(progress):
            if line.startswith(CUT):
                run.end()
            elif THERE in line or line.startswith(PROVEN):
                yield THERE not in line
                name = next(names, name)
        if run.code and DIFFERS in run.said:
            raise faults.MISMATCH.of(run.last, port=self.port, step=name)
        if run.code:
            raise self._lost(name, run)

    def wrong(self, parts: Sequence[Part], step: str) -> str | None:
        """Name of the first part that the flash does not hold."""
        run = self._esptool("verify-flash", *self._kept(parts)).over()
        for part, verdict in zip(parts, VERDICT.finditer(run.said), strict=False):
            if verdict[1] == "failed":
                return part[0]
        if run.code:
            raise self._lost(step, run)
        return None

    def leave(self) -> None:
        """Starts what was flashed, where the port can reset the chip."""
        if self._resets:
            run = self._esptool("--no-stub", "read-mac", after="hard-reset").over()
            if run.code:
                raise self._lost("restart", run)

    def _kept(self, parts: Iterable[Part]) -> list[str]:
        """The words for esptool of contents that lie in files for it."""
        words = []
        for _, offset, data in parts:
            name = f"{offset:#x}.bin"
            Path(self._folder.name, name).write_bytes(data)
            words += [hex(offset), name]
        return words

    def _lost(self, step: str, run: "_Run") -> Fault:
        return faults.LOST.of(run.last, port=self.port, step=step)

    def _esptool(self, *words: str, after: str = "", file: int | None = None) -> "_Run":
        before, stay = ("default-reset", "no-reset")
        if not self._resets:
            before, stay = ("no-reset", "no-reset-stub")
        resets = ("--before", before, "--after", after or stay)
        command = [*self._command, "--port", self.port, "--baud", str(self._baud), *resets, *words]
        return _Run(command, self._folder.name, () if file is None else (file,))


class _Run:
    """One command of esptool's; its process ends with us."""

    def __init__(self, command: list[str], folder: str, files: tuple[int, ...]) -> None:
        self.code = 0
        self._said: list[str] = []
        self._process = subprocess.Popen(  # noqa: S603 - the words are ours
            command,
            cwd=folder,
            pass_fds=files,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, who end it
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - two system calls
        )

    def lines(self, progress: Progress | None = None) -> Iterator[str]:
        """What it says, as it says it; then its `code` is known."""
        with self._process as process:
            try:
                for raw in process.stdout or ():
                    line = raw.decode("utf-8", "replace").rstrip()
                    self._said.append(line)
                    done = PERCENT.search(line)
                    if progress is not None and done is not None:
                        progress(int(done[1] + done[2]), 1000)
                    yield line
            except BaseException:
                self.end()
                raise
        self.code = process.returncode

    def over(self, progress: Progress | None = None) -> "_Run":
        for _ in self.lines(progress):
            pass
        return self

    def end(self) -> None:
        end(self._process, signal.SIGTERM)

    @property
    def said(self) -> str:
        return "\n".join(self._said)

    @property
    def last(self) -> str:
        """Its reason, or what it was about."""
        lines = [line for line in self._said if line.strip()]
        reasons = [line for line in lines if line.startswith("ERROR: ")]
        return (reasons or lines or [""])[-1]


def _environ() -> dict[str, str]:
    """Ours, without what would change esptool's commands; its words plain and at once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ESPTOOL_")}
    return kept | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}


def check_speed(baud: int) -> None:
    """Refused for what no port can do."""
    if not BAUD_MIN <= baud <= BAUD_MAX:
        raise Refused(f"--baud {baud}: must be {BAUD_MIN} to {BAUD_MAX}, such as 115200")


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
