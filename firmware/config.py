"""What a module reads from its file system at start: settings, root key, tariffs, meter maps.

A broken file raises Malformed whose text is one line: file, key, remedy. Writing is transactional
(temporary file, then rename, which LittleFS makes atomic). Never prints or logs a key.
"""

import os
import sys

from protocol import cbor
from protocol.units import BAD_FIELD, Malformed

CONFIG = "/config.cbor"
KEY = "/key.bin"
KEY_BYTES = 32
NO_ROOM = (28, 36)  # errno where nothing more fits; LittleFS says 36 of a new name
AGAIN = "; provision the module again"


def read(root, path):
    """The bytes of a file; Malformed when it is not there."""
    try:
        with open(root + path, "rb") as file:
            return file.read()
    except OSError:
        raise Malformed(BAD_FIELD, path + ": is missing; provision the module again")


def write(root, path, data):
    """Replace a file as a whole: after a cut it is the old one or the new one."""
    try:
        with open(root + path + ".new", "wb") as file:
            file.write(data)
        os.rename(root + path + ".new", root + path)
    except OSError as error:
        remove(root + path + ".new")  # no half of a file takes the room that is left
        raise error


def remove(path):
    """No file of that name, whether there was one or not."""
    try:
        os.remove(path)
    except OSError:
        pass


def parsed(root, path, convert):
    """What `convert` makes of a CBOR file. Its Malformed becomes one line: file, key, remedy."""
    data = read(root, path)
    try:
        value = cbor.decode(data, depth_max=8)
    except Malformed as error:
        raise Malformed(error.reason, "%s: %s%s" % (path, error.detail, AGAIN))
    try:
        return convert(value)
    except Malformed as error:
        remedy = "" if ": " in error.detail else AGAIN
        raise Malformed(error.reason, "%s: %s%s" % (path, error.detail, remedy))


def load(root, path=CONFIG):
    """settings.Module out of /config.cbor."""
    from protocol import settings

    return parsed(root, path, settings.module_from_wire)


def forget(name, package="protocol"):
    """Give back the memory of a rarely needed module: 5 to 8 KB of a small heap."""
    parent = sys.modules.get(package)
    if sys.modules.pop(package + "." + name, None) and parent:
        parent.__dict__.pop(name, None)  # absent after an import for which there was no memory


def root_key(root):
    key = read(root, KEY)
    if len(key) != KEY_BYTES:
        raise Malformed(BAD_FIELD, KEY + ": must hold 32 bytes; provision the module again")
    return key


def tariff_path(point):
    return "/tariff%d.cbor" % point


def book(root, point):
    """tariff.Book of a service point."""
    from protocol import tariff_book

    return parsed(root, tariff_path(point), tariff_book.from_wire)


def save_book(root, point, wire):
    write(root, tariff_path(point), cbor.encode(wire))


def meter(root, name, make):
    """The driver that `make` builds of the compiled register map of a meter family."""
    return parsed(root, "/meter_maps/%s.cbor" % name, make)
