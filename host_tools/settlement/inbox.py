"""Order and identity: epoch, duplicates, gaps. What is in order goes on to settle.py or events.py.

A batch that comes too early is parked until the gap closes; a module keeps what is not
acknowledged, so what the bound drops comes again. A store restored from a backup has forgotten
what it acknowledged since, and nobody sends that again: the gap stays, is told as a difference,
and nothing behind it is settled. Runs inside the caller's transaction.
"""

import hashlib
from typing import cast

from host_tools.settlement import adoption, events, screening, settle
from host_tools.settlement.pricing import Prices
from host_tools.store.database import Store
from host_tools.store.intake import PARKED_MAX
from host_tools.store.records import Module, Point
from protocol import messages, topics
from protocol.messages import EVENT_STREAM, Events, Hello, Readings, Result, Statement
from protocol.units import OUT_OF_ORDER, REPLAYED, WRONG_TOPIC, Malformed

Sequenced = Readings | Events | Result

MISSING = settle.MISSING
_DETAILS = ("readings", "events")
GAP_S = 3600  # longer than any broker or module keeps a record back that it still has


def receive(
    store: Store, prices: Prices, module: Module, message: object, now_s: int
) -> dict[int, int]:
    """Takes in one authenticated message; the acknowledgement it deserves, {stream: settled}.

    Malformed with the reason when it is refused; the caller then undoes what was written.
    """
    if isinstance(message, Readings):
        settled_seq = receive_readings(store, prices, module, message, now_s)
        return {message.point: settled_seq} if settled_seq >= 0 else {}
    if isinstance(message, Hello):
        known = _in_epoch(store, module, message.epoch, now_s)
        events.greet(store, store.fleet.module_known(module.id), message, now_s)
        return _all_settled(store, module) if known else {}
    if isinstance(message, Statement):
        settle.point_of(store, module, message.point)
        if _in_epoch(store, module, message.epoch, now_s):
            adoption.keep(store, module, message, now_s)
            settle.state_statement(store, module, message, now_s)
        return {}
    if not isinstance(message, Events | Result):
        raise Malformed(WRONG_TOPIC, "direction")
    if not _in_epoch(store, module, message.epoch, now_s):
        return {}
    if store.intake.waits(module.id, EVENT_STREAM):
        _take_parked(store, prices, module, EVENT_STREAM, now_s)  # behind lost ones
    if _first_seq(message) > _settled_seq(store, module, EVENT_STREAM) + 1:
        _park(store, module, message, now_s)
    else:
        _take(store, prices, module, message, now_s)
        _take_parked(store, prices, module, EVENT_STREAM, now_s)
        _agree(store, module, EVENT_STREAM, now_s)
    return {EVENT_STREAM: _settled_seq(store, module, EVENT_STREAM)}


def receive_readings(
    store: Store, prices: Prices, module: Module, batch: Readings, now_s: int, known: bool = False
) -> int:
    """The same for a batch of readings: the settled sequence, or -1 for no acknowledgement.

    Of a batch in the epoch we know, or an older one, nothing was written when it is refused.
    One that is `known` was settled before, the very same bytes.
    """
    stream, epoch = batch.point, batch.epoch
    point = settle.point_of(store, module, stream)
    if epoch != module.epoch and not _in_epoch(store, module, epoch, now_s):
        return -1
    if batch.first_seq > point.state.seq + 1 and store.intake.waits(module.id, stream):
        _take_parked(store, prices, module, stream, now_s)  # behind an adopted statement
        point = settle.point_of(store, module, stream)
    if batch.first_seq > point.state.seq + 1:
        _park(store, module, batch, now_s)
    elif known and batch.first_seq + len(batch.items) <= point.state.seq + 1:
        store.ledgers.count_duplicates(point, len(batch.items))
    else:
        point = _settle(store, prices, point, batch, now_s)
        if store.intake.waits(module.id, stream):
            _take_parked(store, prices, module, stream, now_s)
            _agree(store, module, stream, now_s)
            point = settle.point_of(store, module, stream)
    seq: int = point.state.seq
    return seq


def _settle(store: Store, prices: Prices, point: Point, batch: Readings, now_s: int) -> Point:
    if batch.first_seq <= point.state.seq:
        batch = adoption.rest(store, point, batch)
        if not batch.items:
            return point
    return settle.settle(store, prices, point, batch, now_s)


def _in_epoch(store: Store, module: Module, epoch: int, now_s: int) -> bool:
    """False for a life of the storage that we have not agreed to; it is held and reported."""
    if module.epoch is None:
        store.fleet.set_epoch(module.id, epoch)
        return True
    if epoch < module.epoch:
        raise Malformed(REPLAYED, f"epoch {epoch} after {module.epoch}")
    if epoch > module.epoch:
        for point in store.fleet.points(module.id):
            detail, values = f"epoch {epoch}", (epoch, module.epoch)
            store.ledgers.differ(point.id, settle.ROLLBACK, detail, point.state.seq, values, now_s)
    return epoch == module.epoch


def _stream(message: Sequenced) -> int:
    return int(message.point) if isinstance(message, Readings) else EVENT_STREAM


def _first_seq(message: Sequenced) -> int:
    return int(message.seq if isinstance(message, Result) else message.first_seq)


def _settled_seq(store: Store, module: Module, stream: int) -> int:
    if stream == EVENT_STREAM:
        return store.fleet.module_known(module.id).events_seq
    return int(settle.point_of(store, module, stream).state.seq)


def _take(store: Store, prices: Prices, module: Module, message: Sequenced, now_s: int) -> None:
    if isinstance(message, Readings):
        point = settle.point_of(store, module, message.point)
        _settle(store, prices, point, message, now_s)
    else:
        events.receive(store, store.fleet.module_known(module.id), message, now_s)


def _park(store: Store, module: Module, message: Sequenced, now_s: int) -> None:
    """Screens the form of a batch and keeps it for its turn; the bound drops it."""
    if isinstance(message, Readings):
        records = len(screening.facts_of(message, 0, now_s))
    else:
        records = len(screening.events_of(message, now_s))
    if store.intake.parked(module.id) >= PARKED_MAX:
        raise Malformed(OUT_OF_ORDER, "too many batches wait for a gap to close")
    stream, payload = _stream(message), messages.pack(message)
    digest = hashlib.sha256(payload).digest()[:16]
    new = store.intake.park(module.id, stream, _first_seq(message), digest, payload, now_s)
    if stream != EVENT_STREAM:
        point = settle.point_of(store, module, stream)
        point = store.ledgers.heard(point, _first_seq(message) + records - 1)
        if not new:
            store.ledgers.count_duplicates(point, records)
    _report(store, module, stream, now_s)


def _report(store: Store, module: Module, stream: int, now_s: int) -> None:
    """Tells a gap that nobody will close: at once in a restored store, else when it lasts."""
    waiting = store.intake.waiting(module.id, stream)
    point = _told_at(store, module, stream)
    if waiting is None or point is None:
        return
    first_seq, since_s = waiting
    if now_s - since_s >= GAP_S or store.intake.restored():
        settled_seq = _settled_seq(store, module, stream)
        values = f"goes on at {first_seq}", f"settled to {settled_seq}"
        detail = _DETAILS[stream == EVENT_STREAM]
        store.ledgers.differ(point.id, MISSING, detail, settled_seq + 1, values, now_s)


def _agree(store: Store, module: Module, stream: int, now_s: int) -> None:
    """Closes the difference of a gap once nothing waits behind it."""
    if not store.intake.waits(module.id, stream) or store.intake.waiting(module.id, stream):
        return
    point = _told_at(store, module, stream)
    if point is not None:
        store.ledgers.agree(point.id, MISSING, now_s, _DETAILS[stream == EVENT_STREAM])


def _told_at(store: Store, module: Module, stream: int) -> Point | None:
    """Where a gap is told; events have no point of their own: at the module's first."""
    if stream != EVENT_STREAM:
        return settle.point_of(store, module, stream)
    return next(iter(store.fleet.points(module.id)), None)


def _take_parked(store: Store, prices: Prices, module: Module, stream: int, now_s: int) -> None:
    """Everything parked whose turn has come now; a refused one is a row and the rest goes on."""
    while store.intake.waits(module.id, stream):
        upto_seq = _settled_seq(store, module, stream) + 1
        parked = store.intake.next_parked(module.id, stream, upto_seq)
        if parked is None:
            return
        store.intake.unpark(module.id, stream, parked)
        message = cast(Sequenced, messages.unpack(parked.payload))
        try:
            with store.step():
                _take(store, prices, module, message, now_s)
        except Malformed as refusal:
            topic = topics.up(module.shard, module.id)
            store.intake.reject(
                "host",
                topic,
                module.id,
                refusal.reason,
                refusal.detail,
                parked.digest,
                parked.payload,
                now_s,
            )


def _all_settled(store: Store, module: Module) -> dict[int, int]:
    """{stream: highest contiguous sequence settled} of all streams of a module."""
    settled = {point.point: int(point.state.seq) for point in store.fleet.points(module.id)}
    settled[EVENT_STREAM] = _settled_seq(store, module, EVENT_STREAM)
    return settled
