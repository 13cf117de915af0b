"""The event stream: events and command results, numbered, durable in the journal, then in the
outbox.

Codes and arguments are the tables of protocol.messages. Never decides what is worth an event.
"""

from protocol import cbor, codes, messages
from protocol.units import const

TARGET = 32  # journal target of event records
RESULT = 1
EVENT = 0
# Of the records in one message. With its seal and its packet it is on the heap three times, each
# in one piece.
_BATCH_BYTES_MAX = const(400)


class Events:
    def __init__(self, journal, outbox, clock, epoch):
        self.journal = journal
        self.outbox = outbox
        self.clock = clock
        self.epoch = epoch
        self.seq = 0
        self.on_record = None  # told when something waits to be sent

    def restore(self, payload):
        """Take up the numbering of an earlier life of this journal."""
        values = cbor.decode(payload)
        self.seq = values[1]
        self.outbox.acked[messages.EVENT_STREAM] = values[2]

    def acked(self):
        """Highest event sequence that the host has committed."""
        return self.outbox.acked.get(messages.EVENT_STREAM, 0)

    def add(self, code, point, *numbers):
        now_s, quality = self.clock.now()
        self._write(EVENT, [now_s, quality, code, point, list(numbers)], code == codes.AGGREGATE)

    def result(self, command_id, status, detail=0):
        now_s, quality = self.clock.now()
        self._write(RESULT, [now_s, quality, command_id, status, detail])

    def _write(self, what, values, plain=False):
        seq = self.seq + 1
        record = cbor.encode([self.epoch, seq, self.acked(), what, values])
        number = self.journal.commit(TARGET, record)
        self.seq = seq
        self.outbox.add(messages.EVENT_STREAM, seq, number)
        if self.on_record:
            self.on_record(plain)


def batch(records):
    """The message for some (sequence, record) in order. -> (message, how many it took)."""
    items = []
    size = 0
    first = message = None
    for seq, record in records:
        size += len(record)
        if items and size > _BATCH_BYTES_MAX:
            break
        epoch, _, _, what, values = cbor.decode(record)
        if what == RESULT:
            if not items:
                return messages.Result(*([epoch, seq] + values)), 1
            break
        first = first or seq
        items.append(values)
        message = messages.Events(epoch, first, items)
    return message, len(items)
