"""What a module logs in to the broker with: a password of its own, known to the broker too.

The data folder's own broker (`gridpurse setup`, `lab`, `simulate --broker`) is told at once and
goes on serving everybody else. Any other broker is its administrator's.
"""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools import Refused
from host_tools.broker import (
    HOST,
    HOST_USER,
    PID_FILE,
    BrokerUser,
    find_server,
    new_password,
    write_config,
)
from host_tools.config import BrokerAddress, Settings
from host_tools.files import PRIVATE, lock_file, write_whole
from host_tools.setup import BROKER_FOLDER
from host_tools.store.database import Store

PASSWORDS_FOLDER = "passwords"


def password_path(data: Path, module: str) -> Path:
    return data / PASSWORDS_FOLDER / f"{module}.secret"


def password(data: Path, module: str) -> str:
    """The module's password; made when there is none yet."""
    path = password_path(data, module)
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(path, new_password(), PRIVATE)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read; remove it for a new password") from error


def users(data: Path, store: Store) -> list[BrokerUser]:
    """Every module of the store that has a password."""
    return [
        BrokerUser(module.id, module.shard, password(data, module.id))
        for module in store.fleet.modules()
        if password_path(data, module.id).exists()
    ]


def admit(settings: Settings, store: Store) -> bool:
    """Lets the own broker know every module of the store. False when the broker is not ours."""
    folder = settings.data_dir.resolve() / BROKER_FOLDER
    address = settings.broker
    if (address.host, address.user) != (HOST, HOST_USER) or not address.password:
        return False
    with _alone(settings.data_dir):
        pid = _running(folder / PID_FILE)
        if not pid:
            return False
        listed = users(settings.data_dir, store)
        write_config(folder, address.port, address.password, listed)
        os.kill(pid, signal.SIGHUP)
    return True


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One process at a time changes the broker's list."""
    with lock_file(data / "provision.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _running(path: Path) -> int:
    """The broker's process, 0 when it does not run: a number may be another program's by now."""
    try:
        pid = int(path.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except (OSError, ValueError):
        return 0
    return pid if command == find_server() else 0


def address(settings: Settings, broker: str, module: str) -> BrokerAddress:
    """Where and as whom the module connects; `broker` is HOST[:PORT], empty for the host's own."""
    host, port = settings.broker.host, settings.broker.port
    if broker:
        host, _, number = broker.partition(":")
        if number:
            if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535:
                raise Refused(f"--broker {broker}: write HOST or HOST:PORT")
            port = int(number)
    return BrokerAddress(host, port, module, password(settings.data_dir, module))
