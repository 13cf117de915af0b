"""A bundle as a file: what `gridpurse image` writes and `gridpurse command update` sends.

CBOR, [format, list of files, file, file, ...]. Read with the checks of the module itself, so that
a person hears at once what every module would refuse.
"""

import hashlib
from pathlib import Path
from typing import cast

from host_tools import Refused
from host_tools.flashing.bundle import FOLDERS, Bundle
from protocol import cbor
from protocol.units import Malformed

FORMAT = 1
FILE_BYTES_MAX = 262144
LIST_BYTES_MAX = 16384
PATH_CHARS_MAX = 64
BUNDLE_BYTES_MAX = 1 << 22


def packed(one: Bundle) -> bytes:
    return cbor.encode([FORMAT, *one.parts])


def read(path: Path) -> tuple[Bundle, bytes]:
    """A bundle and the bytes of its file; Refused in one line."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    try:
        return unpacked(content), content
    except (Malformed, ValueError) as error:
        raise Refused(f"{path}: is no bundle that `gridpurse image` made: {error}") from error


def unpacked(content: bytes) -> Bundle:
    """Malformed or ValueError when a module would refuse it."""
    items = cbor.decode(content, size_max=BUNDLE_BYTES_MAX)
    if not isinstance(items, list) or len(items) < 3 or items[0] != FORMAT:
        raise ValueError("another format")
    parts = items[1:]
    if not all(isinstance(part, bytes) for part in parts):
        raise ValueError("parts must be bytes")
    listing, *files = parts
    if len(listing) > LIST_BYTES_MAX:
        raise ValueError("its list is too long")
    head, *lines = listing.decode("ascii").splitlines()
    if not head.isdigit() or len(lines) != len(files):
        raise ValueError("its list does not fit its files")
    for line, data in zip(lines, files, strict=True):
        _check(line, data)
    return Bundle(int(head), tuple(parts))


def stored(content: bytes) -> Bundle:
    """A bundle that `unpacked` has looked at before."""
    items = cbor.decode(content, size_max=BUNDLE_BYTES_MAX)
    parts = tuple(cast(list[bytes], items)[1:])
    return Bundle(int(parts[0].split(b"\n", 1)[0]), parts)


def _check(line: str, data: bytes) -> None:
    path, size, digest = line.split()
    allowed = path.startswith(FOLDERS) and path.endswith(".mpy") and ".." not in path
    if not allowed or len(path) > PATH_CHARS_MAX or not 0 < len(data) <= FILE_BYTES_MAX:
        raise ValueError(f"{path} is no file of an update")
    if (int(size), digest) != (len(data), hashlib.sha256(data).hexdigest()):
        raise ValueError(f"{path} is not what its list says")


def version_text(version: int) -> str:
    return f"{version >> 16}.{version >> 8 & 255}.{version & 255}"
