"""Meter maps: read and check the files, compile them for the module, serve them as a slave."""

from host_tools.maps.compiling import compile_map
from host_tools.maps.loading import MAPS, MeterMap, Register, load, load_all, problems
from host_tools.maps.slave import encode, to_slave

__all__ = [
    "MAPS",
    "MeterMap",
    "Register",
    "compile_map",
    "encode",
    "load",
    "load_all",
    "problems",
    "to_slave",
]
