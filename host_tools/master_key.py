"""The one key under which the host keeps the root keys of its modules: AES-256-GCM.

It lies in a file of its own, mode 0600, outside the data folder, so that a copy of that folder
alone speaks for no module. Where: GRIDPURSE_MASTER_KEY_FILE, else the systemd credential
`gridpurse-master`, else /etc/gridpurse/master.key where there is one, else
~/.config/gridpurse/master.key, which is made when a first key needs it.
Whoever loses it loses every root key: keep a copy apart from the backups of the store.
"""

import fcntl
import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from host_tools import Refused

VARIABLE = "GRIDPURSE_MASTER_KEY_FILE"
CREDENTIAL = "gridpurse-master"
MASTER_BYTES = 32
OF_THE_MACHINE = Path("/etc/gridpurse/master.key")
PRIVATE = 0o600
MAGIC = b"GPKEY1"
_NAME_BYTES, _NONCE_BYTES = 4, 12
TAG_BYTES = 16
HEAD_BYTES = len(MAGIC) + _NAME_BYTES + _NONCE_BYTES


def place(environ: Mapping[str, str]) -> Path:
    """Where the master key is, or will be."""
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE])
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and Path(credentials, CREDENTIAL).exists():
        return Path(credentials, CREDENTIAL)
    if OF_THE_MACHINE.exists():
        return OF_THE_MACHINE
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or "/", ".config")
    return Path(home, "gridpurse", "master.key")


class MasterKey:
    """Seals and opens; reads its file at the first use and never shows what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cipher: AESGCM | None = None
        self._name = b""

    def __repr__(self) -> str:
        return f"MasterKey({str(self.path)!r})"

    def make(self) -> bool:
        """Makes the file when there is none. -> whether it did"""
        if self._read() is not None:
            return False
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process was first
                write_once(self.path, os.urandom(MASTER_BYTES))
        except OSError as error:
            raise Refused(
                f"{self.path}: {error.strerror}; name another place for the master key"
                f" in {VARIABLE}"
            ) from error
        return True

    def seal(self, plain: bytes, label: str) -> bytes:
        """`label` is what the sealed bytes belong to; they open under no other one."""
        cipher = self._ready()
        nonce = os.urandom(_NONCE_BYTES)
        return MAGIC + self._name + nonce + cipher.encrypt(nonce, plain, _bound(label))

    def open(self, sealed: bytes, label: str) -> bytes:
        """Refused when it was sealed under another master key, for another label, or changed."""
        cipher = self._ready()
        name = sealed[len(MAGIC) : len(MAGIC) + _NAME_BYTES]
        if not hmac.compare_digest(name, self._name):
            raise Refused(
                f"{self.path}: another master key than the one that {label} is sealed under;"
                f" restore that one, or name it in {VARIABLE}"
            )
        nonce = sealed[HEAD_BYTES - _NONCE_BYTES : HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[HEAD_BYTES:], _bound(label))
        except InvalidTag as error:
            raise Refused(f"{label}: its key file was changed; restore it") from error

    def refuse_inside(self, folder: Path) -> None:
        """Beside what it protects it would protect nothing."""
        if self.path.resolve().is_relative_to(folder.resolve()):
            raise Refused(
                f"{self.path}: lies in the data folder; move it elsewhere"
                f" and name it in {VARIABLE}"
            )

    def _ready(self) -> AESGCM:
        if self._cipher is None:
            value = self._read()
            if value is None:
                raise Refused(
                    f"{self.path}: no master key, and keys are sealed under one; restore it,"
                    f" or name it in {VARIABLE}"
                )
            self._name = hashlib.sha256(b"gridpurse/1 master " + value).digest()[:_NAME_BYTES]
            self._cipher = AESGCM(value)
        return self._cipher

    def _read(self) -> bytes | None:
        try:
            file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(
                f"{self.path}: {error.strerror}; make it readable to this user"
            ) from error
        with os.fdopen(file, "rb") as stream:
            if os.fstat(file).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Refused(f"{self.path}: others may read it; chmod 600 {self.path}")
            value = stream.read(MASTER_BYTES + 1)
        if len(value) != MASTER_BYTES:
            raise Refused(f"{self.path}: not a master key of {MASTER_BYTES} bytes; restore it")
        return value


def _bound(label: str) -> bytes:
    return MAGIC + label.encode()


def write_once(path: Path, data: bytes) -> None:
    """A new file of mode 0600, whole or not at all. FileExistsError when there is one."""
    new = path.with_name(f"{path.name}.new")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # of two at once one is first
        new.unlink(missing_ok=True)
        write_synced(new, data)
        os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
        os.close(folder)


def write_synced(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(file)
