"""Stream 8 and the hello: events and command results in sequence, and what a boot tells us.

Runs inside the caller's transaction.
"""

import hashlib

from host_tools.ordering import rollout
from host_tools.settlement import commands, screening, settle
from host_tools.store.database import Store
from host_tools.store.records import Event, Module
from protocol import cbor, codes, messages
from protocol.messages import Events, Hello, Result
from protocol.units import CONTRADICTORY, REPLAYED, Malformed
from protocol.words import REASONS


def receive(store: Store, module: Module, batch: Events | Result, now_s: int) -> None:
    """Keeps what is new of a batch that begins at or below the settled sequence + 1."""
    records = screening.events_of(batch, now_s)
    new = [record for record in records if record.seq > module.events_seq]
    known = records[: len(records) - len(new)]
    if known and _kept_differently(store, module, known):
        raise Malformed(CONTRADICTORY, f"record {known[0].seq} was kept differently")
    if not new:
        return
    store.intake.append_events(module.id, batch.epoch, new, now_s)
    store.fleet.set_events_seq(module.id, new[-1].seq)
    for record in new:
        if record.kind == messages.EVENTS and record.code == codes.REJECTED:
            _rejected_there(store, module, record, now_s)
    if isinstance(batch, Result):
        commands.answered(store, module.id, batch.command_id, batch.status, batch.detail, now_s)
        rollout.answered(store, module.id, batch.command_id, now_s)


def _kept_differently(store: Store, module: Module, known: list[Event]) -> bool:
    """What `gridpurse retain` has forgotten is the oldest, and cannot be compared any more."""
    kept = store.intake.events(module.id, known[0].seq, known[-1].seq)
    return kept != known[len(known) - len(kept) :]


def _rejected_there(store: Store, module: Module, record: Event, now_s: int) -> None:
    """A message that the module refused stands in the same list as those we refused."""
    args = cbor.decode(record.args)
    reason = args[0] if isinstance(args, list) and args else 0
    if reason not in REASONS:
        return
    origin = f"{module.id} event {record.seq}".encode()
    store.intake.reject(
        "module",
        f"event {record.seq}",
        module.id,
        reason,
        "refused by the module",
        hashlib.sha256(origin).digest()[:16],
        record.args,
        now_s,
    )


def greet(store: Store, module: Module, hello: Hello, now_s: int) -> None:
    """Takes note of a boot. Malformed(REPLAYED) for one older than the newest we know."""
    if module.boot_id is not None and hello.boot_id < module.boot_id:
        raise Malformed(REPLAYED, f"boot {hello.boot_id} after {module.boot_id}")
    newer = (hello.boot_id, hello.ticks_ms) > (module.boot_id or 0, module.boot_ticks_ms or 0)
    if not newer:
        return  # the broker delivered it twice; it is answered all the same
    store.fleet.greeted(
        module.id,
        hello.boot_id,
        hello.ticks_ms,
        now_s,
        hello.firmware,
        hello.config_version,
        hello.reset_cause,
    )
    if hello.epoch != module.epoch:
        return
    for point in store.fleet.points(module.id):
        sent_seq = hello.streams.get(point.point)
        if sent_seq is None:
            continue
        store.ledgers.heard(point, sent_seq)
        if sent_seq < point.state.seq:
            values = sent_seq, point.state.seq
            store.ledgers.differ(point.id, settle.ROLLBACK, "hello", sent_seq, values, now_s)
        else:
            store.ledgers.agree(point.id, settle.ROLLBACK, now_s)
