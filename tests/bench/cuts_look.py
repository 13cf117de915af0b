"""What waits in a module after a power cut, read out of the messages it travels in.

A batch is priced again as a host does it, with the host's half of the protocol. Cuts look at the
same bytes again and again, so what they say is kept; MicroPython only.
"""

from firmware import events
from firmware import point as points
from protocol import cbor, facts, ledger, messages
from tests.bench import cuts_day as days

KNOWN_MAX = 1000
MOST = 64


class Known:
    """What slots and messages say, and the ledger states that batches lead to."""

    def __init__(self):
        self.kept = {}

    def forget(self):
        self.kept = {}

    def _once(self, key, find, *arguments):
        if key not in self.kept:
            if len(self.kept) > KNOWN_MAX:
                self.forget()
            self.kept[key] = find(*arguments)
        return self.kept[key]

    def record(self, target, payload):
        """((stream, sequence), what it says) of a committed slot, None without a record."""
        return self._once((target, payload), record, target, payload)

    def events(self, body):
        return self._once(body, events_of, body)

    def entries(self, body, states):
        """[(sequence, entry)] of a batch; `states[n]` is the state after entry n, and grows."""
        message = self._once((0, body), messages.unpack, body)
        seq = message.first_seq
        if seq > len(states):
            raise ValueError(f"batch from {seq} after {len(states) - 1}")
        before = states[seq - 1]
        said, after = self._once((before.head, body), entries_of, message, before)
        for state in after:
            if state.seq == len(states):
                states.append(state)
            elif states[state.seq] != state:
                raise ValueError(f"entry {state.seq} is not what it was")
        return said


known = Known()  # of this process


def record(target, payload):
    if target == events.TARGET:
        _, seq, _, what, values = cbor.decode(payload)
        return (messages.EVENT_STREAM, seq), (what, values)
    if target in (0, 1):
        entry = points.unpack(payload).entry
        return None if entry is None else ((target, entry.seq), entry)
    return None


def events_of(body):
    message = messages.unpack(body)
    if messages.kind_of(message) == messages.RESULT:
        return [(message.seq, (events.RESULT, list(message[2:])))]
    first = message.first_seq
    return [(first + place, (events.EVENT, item)) for place, item in enumerate(message.items)]


def entries_of(message, state):
    """([(sequence, entry)], states after them); ValueError where the chain head differs."""
    prices = (days.PRICE_UCUR_PER_KWH, days.LATER_PRICE_UCUR_PER_KWH)
    book = days.book(message.version, prices[message.version == 2])
    said, after = [], []
    for fact in facts.of_items(state.time_s, message.version, message.items):
        entry = facts.rebuild(state, book, fact)
        state = ledger.apply(state, entry)
        said.append((entry.seq, entry))
        after.append(state)
    if state.head != message.head:
        raise ValueError(f"head after entry {state.seq} is not its fold")
    return said, after


def waiting(world, firmware, stream):
    """([(sequence, what it says)] above the settled one, states after all entries)."""
    upto = world.settled.get(stream, 0)
    states = list(world.states.get(stream, ()))
    out = []
    found = firmware.outbox.batch(stream, upto, MOST)
    while found:
        body, last = found
        said = known.entries(body, states) if stream in world.states else known.events(body)
        out += [item for item in said if item[0] > upto]
        found = firmware.outbox.batch(stream, last, MOST)
    firmware.outbox.cursor = {}
    if [seq for seq, _ in out] != list(range(upto + 1, upto + 1 + len(out))):
        raise ValueError(f"stream {stream} has a gap")
    return out, states


def committed(kept):
    """{(stream, seq): what it says} of committed slots; ValueError for a number used twice."""
    found = {}
    for target, payload in kept:
        told = known.record(target, payload)
        if told and found.setdefault(*told) != told[1]:
            raise ValueError(f"record {told[0]} was written twice")
    return found
