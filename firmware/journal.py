"""The journal: a raw ring of fixed slots, each with a checksum and an absolute state.

One commit is one program operation; the newest valid slot of a target restores it. Sectors are
erased only when the ring enters them, after everything alive in them was copied ahead. Nothing is
acted upon before `commit` returned. Never uses the file system.
"""

import struct
from binascii import crc32

from protocol.units import Unavailable

STATE_SLOT_BYTES = 320  # twelve a sector: eight points and four others are carried as one
COUNTER_SLOT_BYTES = 32
# Share of the partition's sectors that counters get; states get the rest.
COUNTER_SECTORS_OF_4 = 1
HEADER = "<IBH"
HEADER_BYTES = 7
CRC_BYTES = 4
RETRIES = 4
SECTORS_MIN = 3


class Ring:
    """Slots of one size over some sectors. A slot's number says where it lies: none can stray."""

    def __init__(self, flash, start, sectors, slot_bytes):
        if sectors < SECTORS_MIN:
            raise ValueError("ring needs 3 sectors")
        self.flash = flash
        self.start = start
        self.slot_bytes = slot_bytes
        self.per_sector = flash.sector // slot_bytes  # what is left of a sector stays blank
        self.slots = sectors * self.per_sector
        self.payload_max = slot_bytes - HEADER_BYTES - CRC_BYTES
        self.buffer = bytearray(slot_bytes)
        self.newest = 0  # number of the newest valid slot, 0 when blank
        self.next = self.per_sector  # number the next slot gets; the first write erases its sector
        self.erased = 0  # number of the first slot of a sector that was erased ahead

    def _at(self, number):
        sector, place = divmod(number % self.slots, self.per_sector)
        return self.start + sector * self.flash.sector + place * self.slot_bytes

    def _sound(self, index):
        """True when the buffer, filled from the slot at an index, holds a valid one."""
        self.flash.read(self._at(index), self.buffer)
        number, _, length = struct.unpack_from(HEADER, self.buffer, 0)
        if number == 0xFFFFFFFF or length > self.payload_max or number % self.slots != index:
            return False
        body = memoryview(self.buffer)[: self.slot_bytes - CRC_BYTES]
        return crc32(body) == struct.unpack_from("<I", self.buffer, self.slot_bytes - CRC_BYTES)[0]

    def _read(self, index):
        """(number, kind, payload) of the slot at an index, or None; payload is a copy."""
        if not self._sound(index):
            return None
        number, kind, length = struct.unpack_from(HEADER, self.buffer, 0)
        return number, kind, bytes(self.buffer[HEADER_BYTES : HEADER_BYTES + length])

    def scan(self, take):
        """Call take(number, kind, payload) for every valid slot, then be ready to append.

        Slots come in no particular order. A torn slot is neither blank nor valid: passed over.
        """
        for index in range(self.slots):
            found = self._read(index)
            if found is not None:
                self.newest = max(self.newest, found[0])
                take(*found)
        if self.newest:
            self.next = self.newest + 1
            while self.next % self.per_sector and not self._blank(self.next):
                self.next += 1

    def _blank(self, number):
        self.flash.read(self._at(number), self.buffer)
        return self.buffer == b"\xff" * self.slot_bytes

    def payload(self, number):
        """What the slot of a number holds; Unavailable when it is not there any more."""
        found = self._read(number % self.slots)
        if found is None or found[0] != number:
            raise Unavailable("journal: slot is gone")
        return found[2]

    def append(self, kind, payload):
        """Commit a slot and read it back. -> its number. Unavailable when the flash refuses."""
        if len(payload) > self.payload_max:
            raise ValueError("journal: payload is longer than a slot")
        for _ in range(RETRIES):
            number = self.next
            self.next = number + 1
            if number % self.per_sector == 0 and number != self.erased:
                self.flash.erase(self._at(number))
            # One buffer for both ways: there is hardly room for another when an entry is made.
            slot = self.buffer
            end = HEADER_BYTES + len(payload)
            struct.pack_into(HEADER, slot, 0, number, kind, len(payload))
            slot[HEADER_BYTES:end] = payload
            for at in range(end, self.slot_bytes):
                slot[at] = 0xFF
            whole = memoryview(slot)
            crc = crc32(whole[: self.slot_bytes - CRC_BYTES])
            struct.pack_into("<I", slot, self.slot_bytes - CRC_BYTES, crc)
            self.flash.program(self._at(number), slot)
            kept = self._sound(number % self.slots) and whole[HEADER_BYTES:end] == payload
            if kept and struct.unpack_from(HEADER, slot, 0) == (number, kind, len(payload)):
                self.newest = number
                return number
        raise Unavailable("journal: flash does not keep what is written")

    def prepare(self):
        """Erase the next sector before the ring enters it: that lasts longer than a relay may."""
        entered = (self.newest // self.per_sector + 1) * self.per_sector
        if self.newest and self.next <= entered != self.erased:
            self.flash.erase(self._at(entered))
            self.erased = entered

    def doomed(self, number):
        """True when a slot lies in the sector that the ring erases next, or is gone already."""
        sector = self.newest // self.per_sector
        return number // self.per_sector + self.slots // self.per_sector - 1 <= sector


class Journal:
    """States of all targets, and the write-ahead copy of what waits for the outbox.

    A state slot's payload is opaque here. Its kind is the target: a point or another number.
    """

    def __init__(self, flash):
        sectors = flash.size // flash.sector
        counters = max(SECTORS_MIN, sectors * COUNTER_SECTORS_OF_4 // 4)
        states = sectors - counters
        self.states = Ring(flash, 0, states, STATE_SLOT_BYTES)
        self.counters = Ring(flash, states * flash.sector, counters, COUNTER_SLOT_BYTES)
        self.newest = {}  # target: (slot number, payload)
        self.counts = {}  # point: (slot number, pulses)

    def load(self):
        """Find the newest state of every target and the newest checkpoint of every counter."""

        def state(number, target, payload):
            if number > self.newest.get(target, (0, None))[0]:
                self.newest[target] = (number, payload)

        def count(number, point, payload):
            if number > self.counts.get(point, (0, 0))[0]:
                self.counts[point] = (number, struct.unpack("<Q", payload)[0])

        self.states.scan(state)
        self.counters.scan(count)
        self._carry()

    def records(self, take):
        """Call take(slot number, target, payload) for every valid state slot, in no order."""
        self.states.scan(take)

    def record(self, number):
        """The payload committed as slot `number`; Unavailable once the ring has gone over it."""
        return self.states.payload(number)

    def aging(self, number):
        """True when the ring has gone half round since a slot: what only it holds must move."""
        states = self.states
        return states.newest - number > min(
            states.slots // 2, states.slots - 2 * states.per_sector
        )

    def state(self, target):
        """The newest committed payload of a target, or None."""
        found = self.newest.get(target)
        return None if found is None else found[1]

    def commit(self, target, payload):
        """Make a state durable. -> the number of its slot, once it is."""
        number = self.states.append(target, payload)
        self.newest[target] = (number, payload)
        self._carry()
        return number

    def prepare(self):
        """While nobody waits: what the next commits would have to wait for."""
        self.states.prepare()
        self.counters.prepare()

    def _carry(self):
        """Copy what lives in the sector that will be erased next; it fits into one sector."""
        for target in list(self.newest):
            number, payload = self.newest[target]
            if self.states.doomed(number):
                self.newest[target] = (self.states.append(target, payload), payload)

    def pulses(self, point):
        """The newest checkpoint of a pulse counter, 0 when there is none."""
        return self.counts.get(point, (0, 0))[1]

    def checkpoint(self, point, pulses):
        """Make a raw pulse total durable between entries."""
        payload = struct.pack("<Q", pulses)
        self.counts[point] = (self.counters.append(point, payload), pulses)
        for other in list(self.counts):
            number, total = self.counts[other]
            if self.counters.doomed(number):
                payload = struct.pack("<Q", total)
                self.counts[other] = (self.counters.append(other, payload), total)
