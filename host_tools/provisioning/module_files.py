"""The files of a provisioned module: settings, root key, tariff books, compiled meter maps.

What is written here is read by firmware/config.py. The key is in a file of its own; the
settings hold the broker password, and neither belongs on a screen.
"""

from collections.abc import Mapping

from host_tools.keys import RootKey
from host_tools.maps import MAPS, compile_map, load
from protocol import cbor, settings, tariff, tariff_book


def module_files(
    module: settings.Module, key: RootKey, books: Mapping[int, tariff.Book]
) -> dict[str, bytes]:
    """Path on the module -> content. `books` has the tariff of every point of the module."""
    files = {
        "config.cbor": cbor.encode(settings.module_to_wire(module)),
        "key.bin": key.reveal(),
    }
    for point in module.points:
        files[f"tariff{point.point}.cbor"] = cbor.encode(tariff_book.to_wire(books[point.point]))
        if point.meter != settings.PULSE:
            compiled = compile_map(load(MAPS / f"{point.meter_map}.toml"))
            files[f"meter_maps/{point.meter_map}.cbor"] = cbor.encode(compiled)
    return files
