"""Files of finished messages, each one block of the file system, numbered by age.

A message is durable once `close` returned. What a checksum does not confirm is never handed out.
Knows no record and no stream by itself.
"""

import os
import struct
from binascii import crc32

from protocol.units import const

_FILE_BYTES = const(4096)  # one block: a file costs one erase however often it was appended to
HEAD = "<BIHH"  # stream, first sequence, records, length of the message; behind it its checksum
_HEAD_BYTES = const(9)
_CHUNK_BYTES = const(13)


class Shelf:
    def __init__(self, folder, shelf, files_max, epoch):
        self.path = folder + "/" + str(shelf) + "%07d"
        self.files_max = files_max
        self.epoch = epoch
        self.first = 1  # the oldest file
        self.last = 0  # the newest one
        self.used = _FILE_BYTES  # bytes in the newest
        self.owed = None  # (stream, sequence) in the oldest file that the host had not when asked
        self.file = None  # the newest one, while it is written

    def found(self, number):
        """There is a file of this number."""
        self.first = number if not self.last else min(self.first, number)
        self.last = max(self.last, number)

    def load(self, look):
        """Look at everything that was found. -> how many files are damaged or missing.

        A damaged one keeps its place, and what is whole in it is used.
        """
        damaged = 0
        for number in range(self.first, self.last + 1):
            self.used = _FILE_BYTES
            if self.chunks(number, look) is None:
                damaged += 1
            else:
                self.used = os.stat(self.path % number)[6]
        return damaged

    def seal(self, head, body):
        """The checksum tells a chunk of an earlier life of the journal as well."""
        return struct.pack("<I", crc32(body, crc32(head, self.epoch)))

    def chunks(self, number, look):
        """Call look(stream, first, last, message) for each chunk of a file until it says True.

        -> True when it did, False when it never did, None when moreover something was damaged.
        """
        try:
            file = open(self.path % number, "rb")
        except OSError:
            return None
        whole = False
        try:
            head = file.read(_HEAD_BYTES)
            while len(head) == _HEAD_BYTES:
                stream, first, count, length = struct.unpack(HEAD, head)
                body = file.read(min(length, _FILE_BYTES))
                if file.read(4) != self.seal(head, body):
                    whole = None
                elif look(stream, first, first + count - 1, body):
                    return True
                head = file.read(_HEAD_BYTES)
        except OSError:
            return None  # the flash does not give it back
        finally:
            file.close()
        return None if head else whole

    def append(self, stream, first, last, body):
        head = struct.pack(HEAD, stream, first, last - first + 1, len(body))
        if self.used + len(body) + _CHUNK_BYTES > _FILE_BYTES:
            self.close()
            self.last += 1
            self.used = 0
        if self.file is None:
            self.file = open(self.path % self.last, "ab")
        for part in (head, body, self.seal(head, body)):
            self.file.write(part)
        self.used += len(body) + _CHUNK_BYTES

    def close(self):
        """Make what was appended durable: the file system does it as a whole or not at all."""
        file, self.file = self.file, None
        if file is not None:
            file.close()

    def give_up(self):
        """Something could not be written: the next message begins another file."""
        self.used = _FILE_BYTES
        try:
            self.close()
        except OSError:
            pass  # then it is not there

    def remove(self):
        """The oldest file, which is not needed any more."""
        try:
            os.remove(self.path % self.first)
        except OSError:
            pass  # it was lost before
        self.owed = None
        self.first += 1
        if self.first > self.last:
            self.used = _FILE_BYTES
