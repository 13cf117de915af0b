"""`esp32.Partition` and `esp32.NVS` for the prompt.

Partitions over the image files: find, info and the block protocol. NVS keeps its blobs in a file,
where a chip has a partition of its own; the link looks there for the Wi-Fi it may join.
"""

import json

from boards.virtual import board

ENOENT = 2


class NVS:
    """Blobs of one namespace; written to flash by `commit`, as on a chip."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.all = board.this.link.stored()

    def set_blob(self, key, value):
        self.all.setdefault(self.namespace, {})[key] = bytes(value).hex()

    def get_blob(self, key, buffer):
        found = self.all.get(self.namespace, {}).get(key)
        if found is None:
            raise OSError(ENOENT)
        data = bytes.fromhex(found)
        buffer[: len(data)] = data
        return len(data)

    def erase_key(self, key):
        if self.all.get(self.namespace, {}).pop(key, None) is None:
            raise OSError(ENOENT)

    def commit(self):
        with open(board.this.link.NVS, "w") as file:
            json.dump(self.all, file)
        board.this.link.known = None


class Partition:
    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, label):
        self.label = label
        self.flash = {"vfs": board.this.vfs, "journal": board.this.journal}[label]
        self.readblocks = self.flash.readblocks
        self.writeblocks = self.flash.writeblocks
        self.ioctl = self.flash.ioctl

    @staticmethod
    def find(type=1, subtype=0xFF, label=None, block_size=4096):
        names = ("vfs", "journal") if type == Partition.TYPE_DATA else ()
        found = [Partition(name) for name in names if label in (None, name)]
        return [each for each in found if subtype in (0xFF, each.info()[1])]

    def info(self):
        subtype, offset = board.this.settings["partition_info"][self.label]
        return (self.TYPE_DATA, subtype, offset, self.flash.size, self.label, False)
