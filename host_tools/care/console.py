"""A module's console over its serial port: a line typed and answered, or a key brought in.

Lines are answered by the running firmware, which goes on metering. Bringing a key in goes through
mpremote, which stops the program; a reset ends it. No key is ever an argument or a file on a disk.
"""

import os
import subprocess
import sys
import time

import serial

from host_tools import Refused
from host_tools.keys import RootKey
from protocol import cbor
from protocol.units import Malformed

BAUD = 115200
QUIET_S = 0.5  # an answer is over when nothing more came for so long
ANSWER_S = 15.0
MPREMOTE_S = 60
DEPTH_MAX = 8  # of a settings file
MODULE_KEY = 2  # in the settings file
_SWAP = "import os\nos.rename('/key.bin.new', '/key.bin')\n"


def ask(port: str, line: str) -> list[str]:
    """What the firmware answers to a line; Refused when there is no port or no answer."""
    try:
        with serial.Serial(port, BAUD, timeout=QUIET_S, write_timeout=ANSWER_S) as link:
            link.reset_input_buffer()
            link.write(b"\r" + line.encode() + b"\r")
            answer = _answer(link, line)
    except (serial.SerialException, OSError) as error:
        raise Refused(
            f"{port}: {_why(error)}; check the cable and the name of the port"
        ) from error
    if not answer:
        raise Refused(f"{port}: no answer; is the module powered, is another program on the port?")
    return answer


def _answer(link: serial.Serial, line: str) -> list[str]:
    """Lines behind the echo of ours, until it is quiet. A module may have to think between."""
    heard = rest = b""
    end_s = time.monotonic() + ANSWER_S
    while time.monotonic() < end_s:
        more = link.read(4096)
        heard += more
        _, echoed, behind = heard.rpartition(line.encode() + b"\r\n")
        rest = behind if echoed else b""
        if not more and rest.endswith(b"\n"):
            break
    return [text.rstrip() for text in rest.decode(errors="replace").splitlines() if text.strip()]


def read_file(port: str, path: str) -> bytes:
    """A file of a module; mpremote stops its program, and a reset starts it again."""
    data = _read(port, path)
    _mpremote(port, "reset")
    return data


def _read(port: str, path: str) -> bytes:
    program = f"from binascii import hexlify\nprint(hexlify(open({path!r}, 'rb').read()).decode())"
    try:
        return bytes.fromhex(_mpremote(port, "exec", program).strip())
    except ValueError as error:
        raise Refused(f"{port}: {path}: cannot be read; provision the module again") from error


def write_key(port: str, module: str, key: RootKey) -> None:
    """Replaces the key file of the module at a port, which must be the one named; restarts it."""
    try:
        fields = cbor.decode(_read(port, "/config.cbor"), DEPTH_MAX)
    except Malformed:
        fields = None
    found = fields.get(MODULE_KEY) if isinstance(fields, dict) else "no provisioned module"
    if found != module:
        _mpremote(port, "reset")
        raise Refused(f"{port}: this is {found}, not {module}; check the cable")
    held = os.memfd_create("key")
    try:
        os.write(held, key.reveal())
        _mpremote(port, "fs", "cp", f"/proc/self/fd/{held}", ":key.bin.new", keep=(held,))
    finally:
        os.close(held)
    _mpremote(port, "exec", _SWAP, "+", "reset")


def _mpremote(port: str, *words: str, keep: tuple[int, ...] = ()) -> str:
    command = [sys.executable, "-m", "mpremote", "connect", port, *words]
    try:
        ended = subprocess.run(  # noqa: S603 - our own tool
            command,
            capture_output=True,
            text=True,
            timeout=MPREMOTE_S,
            pass_fds=keep,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused(f"{port}: no answer in {MPREMOTE_S} s; check cable and power") from error
    if ended.returncode:
        lines = (ended.stderr + ended.stdout).strip().splitlines()
        raise Refused(f"{port}: {lines[-1] if lines else 'mpremote failed'}")
    return ended.stdout


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]
