"""Records that wait for the host: in the journal first, then as finished messages in files.

Pending records are only remembered by the number of their journal slot. Before the ring goes over
them they become the messages that they will travel in, one a stream, appended to files of one
block of the file system; with a live network nothing is ever written here. Ledger and events have
shelves of their own, so that telemetry never takes the room of money. Never forgets a record that
is not acknowledged, except at the stated bound of its shelf, where the oldest file goes and is
counted, and never reads what its checksum does not confirm: that file is counted and told.
"""

import os
from array import array

from firmware import config, events, point, shelf
from protocol import messages
from protocol.units import Unavailable, const

FOLDER = "/outbox"
_PENDING_MAX = const(40)
_TIDY_AT = const(30)  # files are written between polls then: nothing that acts waits for it
# Of the 448 blocks of a 1.75 MB file system; the rest is for two sets of the application.
_LEDGER_FILES = const(208)
_EVENT_FILES = const(48)
_NUMBERS = const(10000000)  # file names: shelf * _NUMBERS + number
_BODY_BYTES_MAX = const(4000)  # of a message, so that a file and a seal have room for it
_STREAM_BIT = const(28)  # a pending record is its sequence, then stream and slot number in one


class Outbox:
    def __init__(self, root, journal, epoch):
        self.folder = root + FOLDER
        self.journal = journal
        self.epoch = epoch
        self.pending = array("I")
        self.shelves = (
            shelf.Shelf(self.folder, 0, _LEDGER_FILES, epoch),
            shelf.Shelf(self.folder, 1, _EVENT_FILES, epoch),
        )
        self.filed = {}  # stream: highest in a file
        self.acked = {}  # stream: highest acknowledged
        self.newest = {}  # stream: highest known
        self.cursor = {}  # stream: the file of its last message; empty to ask for earlier ones
        self.dropped = 0
        self.damaged = 0  # files
        try:
            os.mkdir(self.folder)
        except OSError:
            pass  # it is there already

    def load(self):
        """Learn what the files hold. A damaged one keeps its place, and its whole messages."""
        for name in os.listdir(self.folder):
            number = int(name)
            self.shelves[number // _NUMBERS].found(number % _NUMBERS)
        for files in self.shelves:
            self.damaged += files.load(self._note)

    def _note(self, stream, first, last, body):
        self.filed[stream] = max(self.filed.get(stream, 0), last)
        self.newest[stream] = max(self.newest.get(stream, 0), last)

    def add(self, stream, seq, number):
        """A record that the journal holds as slot `number`."""
        self.pending.extend(array("I", (seq, stream << _STREAM_BIT | number)))
        self.newest[stream] = max(self.newest.get(stream, 0), seq)
        oldest = self.pending[1] & ((1 << _STREAM_BIT) - 1)
        if len(self.pending) >= 2 * _PENDING_MAX or self.journal.aging(oldest):
            self.flush()

    def tidy(self):
        """While nobody waits: the file that would be due soon."""
        if len(self.pending) >= 2 * _TIDY_AT:
            self.flush()

    def waiting_slots(self):
        """(stream, sequence, slot number) of everything pending."""
        pending = self.pending
        for at in range(0, len(pending), 2):
            where = pending[at + 1]
            yield where >> _STREAM_BIT, pending[at], where & ((1 << _STREAM_BIT) - 1)

    def take(self, stream, after, most):
        """Pending records of a stream above a sequence, contiguous, one by one: (seq, record)."""
        begun = False
        for other, seq, number in self.waiting_slots():
            if other != stream or seq <= after:
                continue
            if not most or (begun and seq != after + 1):
                return
            try:
                record = self.journal.record(number)
            except Unavailable:  # it was never filed and the ring is over it: a gap
                record = None
            if record is not None:
                yield seq, record
                begun = True
                most -= 1
            elif begun:
                return
            after = seq

    def flush(self):
        """Move what is pending into files; at its bound a shelf loses its oldest file."""
        filed = dict(self.filed)
        lost = len(self.pending) // 2
        try:
            for stream in sorted({item[0] for item in self.waiting_slots()}):
                found = self._build(stream, self.filed.get(stream, 0), _PENDING_MAX)
                while found:
                    self.shelves[stream == messages.EVENT_STREAM].append(stream, *found)
                    lost -= found[1] - found[0] + 1
                    self.filed[stream] = found[1]
                    found = self._build(stream, found[1], _PENDING_MAX)
            for files in self.shelves:
                files.close()
        except OSError as error:
            self._failed(filed, error.args[0])
            return
        self.dropped += lost
        self.pending = array("I")
        for files in self.shelves:
            while files.last - files.first >= files.files_max:
                self._drop(files)

    def _failed(self, filed, code):
        """The journal still has what no file took: it is tried again with the next record."""
        self.filed = filed
        for files in self.shelves:
            files.give_up()
        if code in config.NO_ROOM:  # telemetry goes before the ledger
            for files in (self.shelves[1], self.shelves[0]):
                if files.first <= files.last:
                    self._drop(files)
                    break
        if len(self.pending) > 8 * _PENDING_MAX:
            self.pending = self.pending[2:]
            self.dropped += 1

    def _drop(self, files):
        def lost(stream, first, last, _):
            self.dropped += max(0, last - max(first - 1, self.acked.get(stream, 0)))

        files.chunks(files.first, lost)
        files.remove()

    def _build(self, stream, after, most):
        """(first, last, packed message) of pending records above a sequence, or None."""
        records = self.take(stream, after, most)
        if stream == messages.EVENT_STREAM:
            message, count = events.batch(records)
        else:
            message, count = point.batch(stream, records)
        if not count:
            return None
        body = messages.pack(message)
        if len(body) > _BODY_BYTES_MAX:
            return self._build(stream, after, count // 2)
        first = message[1 if stream == messages.EVENT_STREAM else 2]
        return first, first + count - 1, body

    def batch(self, stream, after, most):
        """(packed message, its last sequence) of what comes after a sequence, or None.

        Files first: they are older. Events that the bound has taken travel as their number.
        """
        found = None
        if after < self.filed.get(stream, 0):
            found = self._in_files(stream, after)
        if found is None:
            found = self._build(stream, after, most)
        if found is None:
            return None
        first, last, body = found
        if first > after + 1 and stream == messages.EVENT_STREAM:
            gap = messages.Events(self.epoch, after + 1, [first - after - 1])
            return messages.pack(gap), first - 1
        return body, last

    def _in_files(self, stream, after):
        found = []

        def look(other, first, last, body):
            if other == stream and last > after:
                found.append((first, last, body))
            return bool(found)

        files = self.shelves[stream == messages.EVENT_STREAM]
        number = max(files.first, self.cursor.get(stream, 0))
        while number <= files.last and not files.chunks(number, look):
            number += 1
        self.cursor[stream] = number
        return found[0] if found else None

    def trim(self, stream, seq):
        """The host has committed a stream up to `seq`."""
        if seq <= self.acked.get(stream, 0) or seq > self.newest.get(stream, 0):
            return
        self.acked[stream] = seq
        kept = array("I")
        for other, number, slot in self.waiting_slots():
            if number > self.acked.get(other, 0):
                kept.extend(array("I", (number, other << _STREAM_BIT | slot)))
        self.pending = kept
        files = self.shelves[stream == messages.EVENT_STREAM]
        while files.first <= files.last and not self._owes(files):
            files.remove()

    def _owes(self, files):
        """True when the oldest file holds what the host has not."""

        def look(stream, first, last, _):
            files.owed = (stream, last)
            return last > self.acked.get(stream, 0)

        owed = files.owed
        if owed and owed[1] > self.acked.get(owed[0], 0):
            return True
        return files.chunks(files.first, look)

    def waiting(self):
        """Records known and not acknowledged, over all streams."""
        return sum([last - self.acked.get(stream, 0) for stream, last in self.newest.items()])
