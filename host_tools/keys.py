"""Root keys of the modules: one file each, sealed under the master key, never printed.

The rest of the host asks for a `Mac` of one direction; only provisioning and the issuing
of tokens see the key itself. Files of before the master key hold 32 clear bytes: they are read,
and `seal_clear` seals them.
"""

import os
import stat
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from host_tools import Refused, master_key
from host_tools.master_key import MasterKey
from protocol import cose, topics

KEY_BYTES = 32
KEYS_FOLDER = "keys"  # in the data folder
_SEALED_BYTES = master_key.HEAD_BYTES + KEY_BYTES + master_key.TAG_BYTES
# What precedes the payload in the MAC_structure of a message with an 8-byte tag.
_SHORT_STRUCTURE = b"\x84\x64MAC0\x43\xa1\x01\x04\x40"
# The two pads of RFC 2104, as tables for `translate`, which MicroPython does not have.
_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class PreparedMac(cose.Mac):
    """`cose.Mac` with its key blocks hashed beforehand: CPython can copy a hash."""

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_BYTES:
            key = sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\x00")
        self._begun = sha256(block.translate(_INNER))
        self._ending = sha256(block.translate(_OUTER))
        self._begun_short = self._begun.copy()
        self._begun_short.update(_SHORT_STRUCTURE)

    def digest(self, *parts: bytes) -> bytes:
        inner, outer = self._begun.copy(), self._ending.copy()
        for part in parts:
            inner.update(part)
        outer.update(inner.digest())
        return outer.digest()

    def short_tag(self, framed: bytes) -> bytes:
        """The 8-byte tag of a payload, given with its CBOR head."""
        inner, outer = self._begun_short.copy(), self._ending.copy()
        inner.update(framed)
        outer.update(inner.digest())
        return outer.digest()[:8]


class Keys(Protocol):
    """`up` checks what a module sent, `down` seals what it is sent; None for an unknown module.
    `ahead` tells whose will be asked for."""

    def up(self, module: str) -> PreparedMac | None: ...
    def down(self, module: str) -> PreparedMac | None: ...
    def load(self, module: str) -> "RootKey | None": ...
    def ahead(self, modules: Iterable[str]) -> None: ...
    def forget(self, module: str) -> None: ...
    def changed(self, module: str) -> bool: ...
    def discard(self, module: str) -> None: ...
    def replace(self, module: str, key: "RootKey") -> None: ...


class RootKey:
    """The secret a module shares with the host. Neither repr nor str shows it."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "RootKey(hidden)"

    def reveal(self) -> bytes:
        """The bytes, for provisioning and token keys; they belong in no log and on no screen."""
        return self._value

    def check(self) -> str:
        """Tells whether two keys are one, and nothing about the key."""
        return sha256(b"gridpurse/1 key check " + self._value).digest()[:8].hex()

    def mac(self, direction: bytes) -> PreparedMac:
        return self.macs()[direction]

    def macs(self) -> dict[bytes, PreparedMac]:
        """Of both directions, under the keys that `cose.derive` gives."""
        root = PreparedMac(self._value)
        return {way: PreparedMac(root.digest(way)) for way in (cose.UP, cose.DOWN)}


class KeyFiles:
    """`<folder>/<module>.key`, mode 0600. Macs are derived once and kept in memory."""

    def __init__(self, folder: Path, master: MasterKey | None = None) -> None:
        self._folder = folder
        self._master = master or MasterKey(master_key.place(os.environ))
        self._macs: dict[tuple[str, bytes], PreparedMac] = {}
        self._stamps: dict[str, tuple[int, int]] = {}  # of the files that the macs are of

    def __repr__(self) -> str:
        return f"KeyFiles({str(self._folder)!r})"

    def create(self, module: str) -> RootKey:
        """A new random key; Refused when the module already has one."""
        path = self._path(module)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._master.refuse_inside(self._folder.parent)
        if not self._master.path.exists() and not self._sealed():
            self._master.make()
        value = os.urandom(KEY_BYTES)
        sealed = self._master.seal(value, module)
        try:
            master_key.write_once(path, sealed)
        except FileExistsError as error:
            raise Refused(f"{path}: module {module} already has a key") from error
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}; free some space and try again") from error
        return RootKey(value)

    def adopt(self, module: str) -> RootKey:
        """The key that an interrupted enrolment left, without its other remains; or a new one."""
        path = self._path(module)
        path.with_name(f"{path.name}.new").unlink(missing_ok=True)
        return self.load(module) or self.create(module)

    def discard(self, module: str) -> None:
        """Takes back a key that no module has got yet."""
        self._path(module).unlink(missing_ok=True)

    def replace(self, module: str, key: RootKey) -> None:
        """Another key in the place of a module's own, sealed, as a whole: a cut leaves one."""
        path = self._path(module)
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        master_key.write_synced(new, self._master.seal(key.reveal(), module))
        new.replace(path)
        self.forget(module)

    def forget(self, module: str) -> None:
        """Looks at the file again next time: it may have been replaced by another process."""
        for direction in (cose.UP, cose.DOWN):
            self._macs.pop((module, direction), None)

    def changed(self, module: str) -> bool:
        """Whether another process has put another file in the place of the one we know."""
        try:
            return self._stamps.get(module) != _stamp(os.stat(self._place(module)))
        except OSError:
            return True

    def ahead(self, modules: Iterable[str]) -> None:
        """Has the system read the files of keys that are wanted next, all at once: one by one,
        the disk would make a worker wait for each module that it hears first."""
        if not hasattr(os, "posix_fadvise"):  # not on every system, and only for speed
            return
        for module in filter(topics.module_id_ok, modules):
            try:
                file = os.open(self._place(module), os.O_RDONLY)
            except OSError:
                continue  # `load` tells
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
            os.close(file)

    def load(self, module: str) -> RootKey | None:
        """The key of a module, or None. Refused when others may read the file."""
        found = self._look(module)
        return None if found is None else found[1]

    def _look(self, module: str) -> tuple[tuple[int, int], RootKey] | None:
        """The same with the stamp of the file."""
        if not topics.module_id_ok(module):
            return None
        path = self._place(module)
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}; make it readable to this user") from error
        try:
            found = os.fstat(file)
            value = os.read(file, _SEALED_BYTES + 1)
        finally:
            os.close(file)
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise Refused(f"{path}: others may read this key; chmod 600 {path}")
        if len(value) == _SEALED_BYTES and value.startswith(master_key.MAGIC):
            value = self._master.open(value, module)
        if len(value) != KEY_BYTES:
            raise Refused(f"{path}: not a key of {KEY_BYTES} bytes; provision the module again")
        return _stamp(found), RootKey(value)

    def clear(self) -> list[str]:
        """Modules whose key lies in clear, as it did before there was a master key."""
        found = self._folder.glob("*.key")
        return sorted(path.stem for path in found if path.stat().st_size == KEY_BYTES)

    def _sealed(self) -> bool:
        """Whether any key would be lost with the master key; a new one opens none of them."""
        found = self._folder.glob("*.key")
        return any(path.stat().st_size == _SEALED_BYTES for path in found)

    def seal_clear(self) -> list[str]:
        """Seals what lies in clear, each file as a whole. -> the modules"""
        found = self.clear()
        if found and not self._sealed():
            self._master.make()
        for module in found:
            key = self.load(module)
            if key is not None:
                self.replace(module, key)
        return found

    def up(self, module: str) -> PreparedMac | None:
        return self._mac(module, cose.UP)

    def down(self, module: str) -> PreparedMac | None:
        return self._mac(module, cose.DOWN)

    def _mac(self, module: str, direction: bytes) -> PreparedMac | None:
        mac = self._macs.get((module, direction))
        if mac is None:
            found = self._look(module)
            if found is None:
                return None
            self._stamps[module], key = found
            for way, each in key.macs().items():  # both from one look at the file
                self._macs[module, way] = each
            mac = self._macs[module, direction]
        return mac

    def _path(self, module: str) -> Path:
        if not topics.module_id_ok(module):
            raise Refused(f"module {module!r}: use 1 to 16 of a-z, 0-9 and -")
        return Path(self._place(module))

    def _place(self, module: str) -> str:
        return f"{self._folder}/{module}.key"


def _stamp(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_ino
