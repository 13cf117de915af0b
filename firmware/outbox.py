"""Records that wait for the host: in the journal first, then in files.

Pending records are only remembered by the number of their journal slot. Before the ring goes over
them a file takes a batch of them, of any stream; it is deleted when the host has acknowledged all
of it. With a live network nothing is ever written here. Never forgets a record that is not
acknowledged, except at its stated bound, where the oldest file goes and is counted.
"""

import os
import struct
from array import array
from binascii import crc32

FOLDER = "/outbox"
PENDING_MAX = 28  # their records fill one block of the file system
TIDY_AT = 24  # a file is written between polls then: nothing that has to act waits for it
FILES_MAX = 256
HEAD = "<BIH"  # stream, sequence, length
HEAD_BYTES = 7


class Outbox:
    def __init__(self, root, journal):
        self.folder = root + FOLDER
        self.journal = journal
        self.pending = array("I")  # stream, sequence, slot number; in order of arrival
        self.files = []  # [name, {stream: (first, last)}], oldest first
        self.acked = {}  # stream: highest acknowledged
        self.newest = {}  # stream: highest known
        self.dropped = 0
        try:
            os.mkdir(self.folder)
        except OSError:
            pass  # it is there already

    def load(self):
        """Read the index of what the files hold. A damaged file is one that was never finished."""
        for name in sorted(os.listdir(self.folder)):
            span = {}
            for stream, seq, _ in self._read(name):
                first, last = span.get(stream, (seq, seq))
                span[stream] = (min(first, seq), max(last, seq))
                self.newest[stream] = max(self.newest.get(stream, 0), seq)
            if span:
                self.files.append([name, span])
            else:
                os.remove(self.folder + "/" + name)

    def _read(self, name):
        with open(self.folder + "/" + name, "rb") as file:
            data = file.read()
        if len(data) < 4 or crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            return
        at = 0
        while at < len(data) - 4:
            stream, seq, length = struct.unpack_from(HEAD, data, at)
            at += HEAD_BYTES
            yield stream, seq, data[at : at + length]
            at += length

    def filed(self, stream):
        """The highest sequence that is safe in a file."""
        return max([span[stream][1] for _, span in self.files if stream in span] or [0])

    def add(self, stream, seq, number):
        """A record that the journal holds as slot `number`."""
        self.pending.extend(array("I", (stream, seq, number)))
        self.newest[stream] = max(self.newest.get(stream, 0), seq)
        if len(self.pending) >= 3 * PENDING_MAX or self.journal.aging(self.pending[2]):
            self.flush()

    def tidy(self):
        """While nobody waits: the file that would be due soon."""
        if len(self.pending) >= 3 * TIDY_AT:
            self.flush()

    def waiting_slots(self):
        """(stream, sequence, slot number) of everything pending."""
        pending = self.pending
        for at in range(0, len(pending), 3):
            yield pending[at], pending[at + 1], pending[at + 2]

    def flush(self):
        """Move what is pending into one file; at the bound the oldest file makes room."""
        if len(self.files) >= FILES_MAX:
            name, span = self.files.pop(0)
            os.remove(self.folder + "/" + name)
            for first, last in span.values():
                self.dropped += last - first + 1
        name = "%08d" % (int(self.files[-1][0]) + 1 if self.files else 1)
        span = {}
        crc = 0
        with open(self.folder + "/" + name, "wb") as file:
            for stream, seq, number in self.waiting_slots():
                record = self.journal.record(number)
                head = struct.pack(HEAD, stream, seq, len(record))
                crc = crc32(record, crc32(head, crc))
                file.write(head)
                file.write(record)
                first, last = span.get(stream, (seq, seq))
                span[stream] = (min(first, seq), max(last, seq))
            file.write(struct.pack("<I", crc))
        self.files.append([name, span])
        self.pending = array("I")

    def take(self, stream, after, most):
        """Up to `most` records of a stream above a sequence, contiguous: [(seq, record)]."""
        out = []
        for seq, record in self._above(stream, after):
            if len(out) >= most or (out and seq != out[-1][0] + 1):
                break
            if not out or seq > out[-1][0]:
                out.append((seq, record))
        return out

    def _above(self, stream, after):
        """Every record of a stream above a sequence, files first: they are older."""
        for name, span in self.files:
            if stream in span and span[stream][1] > after:
                for other, seq, record in self._read(name):
                    if other == stream and seq > after:
                        yield seq, record
        for other, seq, number in self.waiting_slots():
            if other == stream and seq > after:
                yield seq, self.journal.record(number)

    def trim(self, stream, seq):
        """The host has committed a stream up to `seq`."""
        if seq <= self.acked.get(stream, 0) or seq > self.newest.get(stream, 0):
            return
        self.acked[stream] = seq
        kept = array("I")
        for item in self.waiting_slots():
            if item[1] > self.acked.get(item[0], 0):
                kept.extend(array("I", item))
        self.pending = kept
        for item in list(self.files):
            name, span = item
            if all([last <= self.acked.get(other, 0) for other, (_, last) in span.items()]):
                os.remove(self.folder + "/" + name)
                self.files.remove(item)

    def waiting(self):
        """Records known and not acknowledged, over all streams."""
        return sum([last - self.acked.get(stream, 0) for stream, last in self.newest.items()])
