"""One history through the ledger, to one digest. Both interpreters run this and must agree.

A history is CBOR: [books as bytes, start, register, operations]. The digest covers every entry,
state, wire item and refusal, so equal digests mean equal sums to the last nano-unit. Never
generates anything.
"""

import hashlib
import struct

from protocol import cbor, facts, ledger, reading, tariff, tariff_book, topup
from protocol.units import Malformed

HISTORY_BYTES_MAX = 1 << 16
METER = 0  # [METER, seconds, watt-hours, quality]: a charge, and the days that have begun
TOPUP = 1  # [TOPUP, number, amount_ncur]
ADJUST = 2  # [ADJUST, command id, reason, amount_ncur]
SWITCH = 3  # [SWITCH, index of the book]
PARTS = 4  # [PARTS, seconds, watt-hours]: bill lines of energy that is not entered


class History:
    """The module's side of one ledger, and the batch that its entries travel in."""

    def __init__(self, books):
        self.books = [tariff_book.from_wire(cbor.decode(book)) for book in books]
        self.book = self.books[0]
        self.state = ledger.genesis("module", 0)
        self.now_s = 0
        self.entries = []

    def enter(self, entry):
        self.entries.append((self.state, self.book, entry))
        self.state = ledger.apply(self.state, entry)

    def open(self, now_s, register_wh):
        self.now_s = now_s
        self.enter(ledger.opening(self.state, self.book, now_s, 0, register_wh))

    def step(self, operation):
        what, values = operation[0], operation[1:]
        if what == METER:
            self.meter(*values)
        elif what == TOPUP:
            number, amount_ncur = values
            if topup.check(self.state.mark, number) == topup.FRESH:
                self.enter(ledger.topped_up(self.state, self.now_s, 0, number, 1, amount_ncur))
        elif what == ADJUST:
            self.enter(ledger.adjusted(self.state, self.now_s, 1, *values))
        elif what == SWITCH:
            self.book = self.books[values[0]]
        else:
            position = tariff.Position(self.state.period, self.state.used_wh)
            seconds, energy_wh = values
            upto_s = self.state.time_s + seconds
            return tariff.charge(self.book, position, self.state.time_s, upto_s, energy_wh)[2]
        return None

    def meter(self, seconds, energy_wh, quality):
        self.now_s += seconds
        register_wh = self.state.register_wh + energy_wh
        self.enter(ledger.charge(self.state, self.book, self.now_s, quality, register_wh))
        for day in range(*ledger.fixed_days_due(self.state, self.book, self.now_s)):
            self.enter(ledger.fixed(self.state, self.book, quality, day))


def travelled(entries):
    """(wire items of all entries, whether a host rebuilds every entry from its item)."""
    items = []
    same = True
    for before, book, entry in entries:
        item = reading.to_item(before.time_s, entry)
        items.append(item)
        (fact,) = facts.of_items(before.time_s, entry.version, [item])
        same = same and facts.rebuild(before, book, fact) == entry
    return items, same


def played(data, tell=None):
    """The History after all operations; tell(bytes) hears of bill lines and refusals."""
    books, start_s, register_wh, operations = cbor.decode(data, size_max=HISTORY_BYTES_MAX)
    history = History(books)
    history.open(start_s, register_wh)
    for operation in operations:
        try:
            parts = history.step(operation)
        except Malformed as error:
            parts = [(error.reason, error.detail)]
        if tell and parts is not None:
            tell(cbor.encode([list(part) for part in parts]))
    return history


def digest(data):
    """32 bytes that stand for everything one history led to."""
    told = hashlib.sha256()
    try:
        history = played(data, told.update)
    except Malformed as error:
        told.update(b"book" + error.detail.encode())
        return told.digest()
    items, same = travelled(history.entries)
    told.update(cbor.encode(items))
    state = list(history.state)
    state[8] = list(state[8])
    told.update(cbor.encode([same, state]))
    return told.digest() if same else b"not rebuilt"


def run(path, tell):
    """tell(digest) for every history in a file of lengths (4 bytes) and histories."""
    with open(path, "rb") as file:
        head = file.read(4)
        while head:
            tell(digest(file.read(struct.unpack("<I", head)[0])))
            head = file.read(4)


def main(path):
    run(path, lambda digest: print(digest.hex()))
