"""`esp32.Partition` for the prompt, over the image files: find, info and the block protocol."""

from boards.virtual import board


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
