"""The device log: a bounded ring of seconds since power-on, a code and three numbers.

No text and no secrets. Packed, because a full ring of tuples would be 6 KB of a small heap.
"""

import struct

from protocol.units import const

RECORDS_MAX = const(48)
_RECORD = "<IBIII"  # numbers beyond 32 bits lose their upper part
_BYTES = const(17)

# Codes; the host turns them into words.
BOOTED = 1
TASK_FAILED = 2
CONNECTED = 3
REJECTED = 4
METER_FAILED = 5
CLOCK_STEP = 6
TAMPER = 7
UNCONNECTED = 8  # reason of mqtt_stream, place in the list of brokers


class Log:
    def __init__(self, ticks_ms):
        self.ticks_ms = ticks_ms
        self.ring = bytearray(RECORDS_MAX * _BYTES)
        self.count = 0  # of all that were added

    def add(self, code, first=0, second=0, third=0):
        at = self.count % RECORDS_MAX * _BYTES
        self.count += 1
        numbers = first & 0xFFFFFFFF, second & 0xFFFFFFFF, third & 0xFFFFFFFF
        struct.pack_into(_RECORD, self.ring, at, self.ticks_ms() // 1000, code, *numbers)

    def records(self):
        """(seconds, code, three numbers) of each record that is left, oldest first."""
        for number in range(max(0, self.count - RECORDS_MAX), self.count):
            yield struct.unpack_from(_RECORD, self.ring, number % RECORDS_MAX * _BYTES)
