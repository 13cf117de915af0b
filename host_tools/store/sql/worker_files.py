"""Which workers of this machine live: one locked file each, whose lock goes with its process."""

import fcntl
from pathlib import Path


class WorkerFiles:
    """One locked file a worker beside the store."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder.joinpath(owner)
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def gone(self, owner: str) -> bool:
        """True without a file, too: a living worker of this store has one."""
        path = self._folder.joinpath(owner)
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except OSError:  # locked
            return False
        path.unlink(missing_ok=True)
        return True

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()
