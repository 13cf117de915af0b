"""Small files written whole or not at all, secrets readable by their owner only."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

PRIVATE = 0o600
PUBLIC = 0o644


def write_whole(path: Path, text: str, mode: int = PUBLIC) -> None:
    """Replaces a file; after a failure, also on a full disk, it is what it was before."""
    write_lines(path, (text,), mode)


def write_lines(path: Path, lines: Iterable[str], mode: int = PUBLIC) -> None:
    """The same for a text that comes in pieces. CRLF stays CRLF."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    done = False
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            for line in lines:
                stream.write(line)
            stream.flush()
            os.fsync(file)
        new.replace(path)
        done = True
    except OSError as error:
        # A failed write names no file by itself.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if not done:  # also when it was interrupted, or what makes the lines has failed
            with suppress(OSError):
                new.unlink(missing_ok=True)


def lock_file(path: Path) -> TextIO:
    """A file to lock, ours alone, whatever an older program has made it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, PRIVATE)
    os.fchmod(file, PRIVATE)
    return os.fdopen(file, "w", encoding="utf-8")
