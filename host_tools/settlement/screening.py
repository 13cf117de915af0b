"""Checks of one batch against itself and the clock, before anything of it is kept. Pure.

A batch from the holder of a key is authentic, not trustworthy: every integer is bounded here,
because the store holds 64 bits and the codecs let more through.
"""

from typing import cast

from host_tools.store.records import Event, Said
from protocol import cbor, codes, facts, ledger, messages, reading
from protocol.facts import Fact
from protocol.ledger import Entry
from protocol.messages import Events, Readings, Result
from protocol.units import (
    BAD_FIELD,
    FUTURE,
    INVALID,
    MODULE_TARGET,
    NCUR_MAX,
    POINTS_MAX,
    SYNCHRONISED,
    Malformed,
)

AHEAD_S_MAX = 120  # how far a module's clock may run before ours
TIME_S_MAX = 1 << 40
REGISTER_WH_MAX = 1 << 50
EVENT_ARGS_MAX = 16


def facts_of(batch: Readings, base_s: int, now_s: int) -> list[Fact]:
    """The facts of a batch after a metered instant, each in bounds and none from the future."""
    plain = _plain_facts(batch, base_s, now_s)
    if plain:
        return plain
    found = facts.of_items(base_s, batch.version, batch.items)
    for place, fact in enumerate(found):
        if fact.time_s < 0:
            raise Malformed(BAD_FIELD, "item time")
        if fact.time_s > now_s + AHEAD_S_MAX:
            raise Malformed(FUTURE, f"item at {fact.time_s}")
        if place and fact.kind == ledger.OPENING:
            raise Malformed(BAD_FIELD, "an opening comes first in its batch")
    return found


def _plain_facts(batch: Readings, base_s: int, now_s: int) -> list[Fact]:
    """The same for a batch of nothing but intervals under a good clock, the usual one; else []."""
    found = []
    version = batch.version
    metered_s = base_s
    for item in batch.items:
        if type(item) is not int or not 0 <= item <= facts.ENERGY_WH_MAX:
            return []
        metered_s = reading.next_boundary_s(metered_s)
        found.append(Fact(ledger.CHARGE, metered_s, SYNCHRONISED, item, version, 0, 0, 0, 0))
    return found if base_s >= 0 and metered_s <= now_s + AHEAD_S_MAX else []


def statement_of(fields: list[object], seq: int) -> Said:
    """Balance and head out of the nine fields that end a statement message."""
    head = fields[8]
    if not isinstance(head, bytes) or len(head) != ledger.HEAD_BYTES:
        raise Malformed(BAD_FIELD, "statement head")
    values = fields[:8]
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > NCUR_MAX:
            raise Malformed(BAD_FIELD, "statement")
    return Said(seq, cast(int, values[0]), head)


def bounded(entry: Entry) -> None:
    """Refuses an entry whose sums leave the fields of a journal."""
    for value in (entry.amount_ncur, entry.balance_ncur, entry.used_wh):
        if abs(value) > NCUR_MAX:
            raise Malformed(BAD_FIELD, "entry range")
    if not 0 <= entry.register_wh <= REGISTER_WH_MAX:
        raise Malformed(BAD_FIELD, "register range")


def events_of(batch: Events | Result, now_s: int) -> list[Event]:
    """The records of an event batch, or the one of a result, each in bounds.

    A number stands for so many records that the module had no room for: one record, the last.
    """
    if isinstance(batch, Result):
        args = cbor.encode([batch.command_id, batch.status, batch.detail])
        return [
            Event(
                batch.seq,
                messages.RESULT,
                in_time(batch.time_s, batch.quality, now_s),
                batch.quality,
                batch.status,
                MODULE_TARGET,
                args,
            )
        ]
    out = []
    seq = batch.first_seq - 1
    for item in batch.items:
        if isinstance(item, int) and not isinstance(item, bool):
            seq += 1 + _integer(item - 1, 0xFFFFFFFE - seq)
            gap = cbor.encode([item])
            kind = messages.EVENTS
            out.append(Event(seq, kind, 0, INVALID, codes.OUTBOX_FULL, MODULE_TARGET, gap))
            continue
        seq += 1
        if not isinstance(item, list) or len(item) != 5:
            raise Malformed(BAD_FIELD, "event")
        time_s, quality, code, point = (_integer(value, TIME_S_MAX) for value in item[:4])
        args = item[4]
        if not isinstance(args, list) or len(args) > EVENT_ARGS_MAX or quality > INVALID:
            raise Malformed(BAD_FIELD, "event")
        if code > 0xFFFF or not (point < POINTS_MAX or point == MODULE_TARGET):
            raise Malformed(BAD_FIELD, "event")
        for value in args:
            _integer(abs(value) if isinstance(value, int) else value, 0xFFFFFFFFFFFFFFFF)
        when_s = in_time(time_s, quality, now_s)
        record = (messages.EVENTS, when_s, quality, code, point, cbor.encode(args))
        out.append(Event(seq, *record))
    return out


def in_time(time_s: int, quality: int, now_s: int) -> int:
    """The instant itself; Malformed(FUTURE) when a clock that claims to be right runs ahead."""
    if quality != INVALID and time_s > now_s + AHEAD_S_MAX:
        raise Malformed(FUTURE, f"event at {time_s}")
    return time_s


def _integer(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Malformed(BAD_FIELD, "event")
    return value
