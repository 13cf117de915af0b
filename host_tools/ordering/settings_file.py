"""A module's settings as TOML: the keys of docs/technician.md, one [[points]] table a point.

The broker password is no part of the file: a CONFIG command without it keeps the module's own.
"""

from pathlib import Path

from host_tools import Refused
from host_tools.config import read_toml
from host_tools.store import orders
from host_tools.store.database import Store
from protocol import settings
from protocol.units import Malformed

PASSWORD = "broker_password"  # noqa: S105 - the name of a key


def read(path: Path) -> tuple[settings.Module, dict[int, object]]:
    """Settings of a file, and their wire form without the password. Refused in one line."""
    document = read_toml(path)
    if PASSWORD in document:
        raise Refused(f"{path}: {PASSWORD}: leave it out; the module keeps its own")
    points = document.get("points")
    if not isinstance(points, list) or not all(isinstance(item, dict) for item in points):
        raise Refused(f"{path}: points: write each as a table [[points]]")
    numbered = {
        **document,
        PASSWORD: "",
        "points": [_numbered(path, settings.Point._fields, item) for item in points],
    }
    fields = _numbered(path, settings.Module._fields, numbered)
    try:
        new = settings.module_from_wire(fields)
    except Malformed as error:
        raise Refused(f"{path}: {error.detail}") from error
    wire = settings.module_to_wire(new)
    del wire[settings.Module._fields.index(PASSWORD) + 1]
    return new, wire


def _numbered(path: Path, names: tuple[str, ...], values: dict[str, object]) -> dict[int, object]:
    for key in values:
        if key not in names:
            raise Refused(f"{path}: {key}: is unknown; remove it, see docs/technician.md")
    return {names.index(key) + 1: value for key, value in values.items()}


def version_running(store: Store, module: str) -> int:
    """The version of settings that a module told in its last hello, 0 before the first."""
    return orders.of(store).config_version(module)
