"""NOR flash with power cuts: the block device under LittleFS and the journal's raw partition.

Sizes and places in bytes. Runs on MicroPython and CPython alike; knows no file system and never
revives: after a cut this power-on's flash stays dead, and the next power-on builds new objects.
"""

SECTOR = 4096
BLANK = b"\xff" * 256  # an erase writes it as often as it takes
EIO = 5
EINVAL = 22

TORN = ("none", "half", "all", "random")  # how much of the fatal operation reaches the cells


class Ram:
    """Cells in a bytearray, for tests inside one process."""

    def __init__(self, cells):
        self.cells = cells

    def read(self, at, buf):
        buf[:] = memoryview(self.cells)[at : at + len(buf)]

    def write(self, at, data):
        self.cells[at : at + len(data)] = data


class File:
    """Cells in an image file, unbuffered: a killed process leaves what it had written."""

    def __init__(self, file):
        self.file = file

    def read(self, at, buf):
        self.file.seek(at)
        self.file.readinto(buf)

    def write(self, at, data):
        self.file.seek(at)
        self.file.write(data)


class Power:
    """The supply of one power-on, shared by all partitions: counts operations, dies at the cut.

    `on_cut` is called once, after the torn operation; a board that must not execute another
    instruction does not return from it.
    """

    def __init__(self, on_cut=None):
        self.on_cut = on_cut
        self.pace = None  # called with the bytes of each operation, to take a chip's time for it
        self.ops = 0
        self.programs = 0
        self.erases = 0
        self.violations = 0
        self.dead = False
        self.cut_op = -1
        self.torn = "none"
        self.seed = 0

    def arm(self, after_ops, torn, seed=0):
        """Cuts at the operation `after_ops` from now, 0 being the next one."""
        if torn not in TORN:
            raise ValueError(torn)
        self.cut_op = self.ops + after_ops
        self.torn = torn
        self.seed = seed

    def store(self, cells, at, pattern, size):
        """A pattern over `size` bytes, or what a cut leaves of it. 0 or a negative error."""
        if self.dead:
            return -EIO
        fatal = self.ops == self.cut_op
        self.ops += 1
        if not fatal:
            put(cells, at, pattern, size)
            if self.pace:
                self.pace(size)
            return 0
        self.dead = True
        self.tear(cells, at, pattern, size)
        if self.on_cut:
            self.on_cut()
        return -EIO

    def tear(self, cells, at, pattern, size):
        """The prefix of the fatal operation that still took effect."""
        if self.torn == "all":
            put(cells, at, pattern, size)
        elif self.torn == "half":
            put(cells, at, pattern, size // 2)
        elif self.torn == "random":
            dice = (self.seed * 1103515245 + 12345) & 0x7FFFFFFF
            size = (dice >> 8) % size
            put(cells, at, pattern, size)
            old = bytearray(1)
            cells.read(at + size, old)
            # Of the damaged byte some bits have moved to their new value, the others have not.
            moved = (dice >> 3) & 0xFF
            new = pattern[size % len(pattern)]
            cells.write(at + size, bytes([(old[0] & ~moved & 0xFF) | (new & moved)]))


def put(cells, at, pattern, size):
    """Fills `size` bytes of cells with a pattern, repeated or cut."""
    view = memoryview(pattern)
    for start in range(0, size, len(pattern)):
        cells.write(at + start, view[: size - start])


class Flash:
    """One partition as a MicroPython block device. Returns -5 once dead, it never raises.

    An exception would jump through the LittleFS C code, and finalisers run with the heap locked.
    Strict NOR: a program that would turn a 0 bit into 1 is refused with -22 and counted.
    """

    def __init__(self, cells, size, power):
        self.cells = cells
        self.size = size
        self.power = power
        self.old = bytearray(256)

    def readblocks(self, block, buf, offset=0):
        if self.power.dead:
            return -EIO
        self.cells.read(block * SECTOR + offset, buf)
        return 0

    def writeblocks(self, block, buf, offset=None):
        """With an offset programs; without one erases first, as esp32.Partition does."""
        if offset is None:
            for each in range(block, block + len(buf) // SECTOR):
                if self.erase(each * SECTOR):
                    return -EIO
            offset = 0
        return self.program(block * SECTOR + offset, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.size // SECTOR
        if op == 5:
            return SECTOR
        if op == 6:
            return self.erase(arg * SECTOR)
        return -EIO if self.power.dead else 0

    def program(self, at, data):
        if self.power.dead:
            return -EIO
        if at < 0 or at + len(data) > self.size or not self.only_clears(at, data):
            self.power.violations += 1
            return -EINVAL
        self.power.programs += 1
        return self.power.store(self.cells, at, data, len(data))

    def erase(self, at):
        if self.power.dead:
            return -EIO
        if at % SECTOR or not 0 <= at < self.size:
            self.power.violations += 1
            return -EINVAL
        self.power.erases += 1
        return self.power.store(self.cells, at, BLANK, SECTOR)

    def only_clears(self, at, data):
        window = memoryview(self.old)
        for start in range(0, len(data), len(self.old)):
            size = min(len(self.old), len(data) - start)
            old = window[:size]
            self.cells.read(at + start, old)
            for index in range(size):
                if data[start + index] & ~old[index] & 0xFF:
                    return False
        return True


class Journal:
    """The raw partition as the firmware sees it; OSError when the flash fails."""

    sector = SECTOR

    def __init__(self, flash):
        self.flash = flash
        self.size = flash.size

    def read(self, at, buf):
        if at < 0 or at + len(buf) > self.size:
            raise OSError(EINVAL)
        self.settle(self.flash.readblocks(0, buf, at))

    def program(self, at, data):
        self.settle(self.flash.program(at, data))

    def erase(self, at):
        self.settle(self.flash.erase(at))

    def settle(self, result):
        if result:
            raise OSError(-result)
