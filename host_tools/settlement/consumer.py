"""Deliveries in batches: one transaction, then our acknowledgements, then the broker's.

A message that is refused becomes one row of `rejects` and, unless its kind floods us, one line of
log (refusals.py), and the rest goes on.
"""

import hashlib
import logging
from dataclasses import dataclass
from sys import intern
from typing import cast

from host_tools import Refused
from host_tools.care import looking, rekeying
from host_tools.clock import Clock
from host_tools.keys import Keys, PreparedMac
from host_tools.settlement import commands, inbox, seals
from host_tools.settlement.counters import Counters
from host_tools.settlement.pricing import Prices
from host_tools.settlement.refusals import Refusals
from host_tools.settlement.repeats import Repeats
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Transport
from host_tools.store.database import Store
from host_tools.store.records import Module
from protocol import messages, topics
from protocol.messages import Hello, Readings
from protocol.units import (
    BAD_FIELD,
    FORGED,
    MESSAGE_BYTES_MAX,
    UNKNOWN_MODULE,
    WRONG_SHARD,
    WRONG_TOPIC,
    Malformed,
)

AT_MOST_ONCE = 0
AT_LEAST_ONCE = 1
ACKS_MS = 3000
ACKS_MAX = 100000
SENDERS_MAX = 200000  # remembered

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who a topic speaks for. `up` is None only for a will, which is not sealed."""

    module: str
    shard: int
    up: PreparedMac | None
    down: PreparedMac | None
    down_topic: str


class Consumer:
    """The owner of some shards. Everything it knows beyond retry times lies in the store."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        transport: Transport,
        tenancy: Tenancy,
        counters: Counters | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._transport = transport
        self._tenancy = tenancy
        self._dispatch = commands.Dispatch()
        self._prices = Prices()
        self._senders: dict[str, _Sender] = {}
        self._rekeying = rekeying.Rekeying(store, keys)
        self._look_ms = 0
        # What was committed and not yet told: {topic: (sender, epoch, {stream: settled sequence})}
        self._acks: dict[str, tuple[_Sender, int, dict[int, int]]] = {}
        self._told_ms = 0
        self._counters = counters or Counters()
        self._refusals = Refusals()
        self._repeats = Repeats()
        # Of the batch in hand: (topic, module, reason, detail); told once it is committed.
        self._refused: list[tuple[str, str | None, int, str]] = []

    def consume(self, deliveries: list[Delivery], more: bool = False) -> None:
        """Settles, answers and acknowledges one batch; after an error it comes again.

        While `more` waits, acknowledgements to modules are gathered for ACKS_MS, because a module
        that has sent a lot needs only the newest; it repeats what is not acknowledged much later.
        """
        if not deliveries:
            self._tell(False)
            self._transport.flush()
            return
        now_s = self._clock.now_s()
        began_ms = self._clock.ticks_ms()
        readings = 0
        opened = self._opened(deliveries)
        hellos: dict[str, tuple[_Sender, Hello]] = {}
        try:
            with self._store.transaction():
                self._tenancy.confirm()
                self._store.fleet.fetch(sender.module for sender, _ in opened if sender)
                for delivery, (sender, message) in zip(deliveries, opened, strict=True):
                    if sender is None or isinstance(message, Malformed):
                        self._refuse(delivery, sender, cast(Malformed, message), now_s)
                    else:
                        taken = self._receive(delivery, sender, message, now_s)
                        if taken and isinstance(message, Readings):
                            readings += len(message.items)
                        elif taken and isinstance(message, Hello):
                            hellos[delivery.topic] = (sender, message)
                commit_ms = self._clock.ticks_ms()
        except BaseException:
            self._acks.clear()  # some were of this batch; a module asks again
            self._repeats.forget()
            self._refused.clear()
            raise
        self._count(len(deliveries), readings, began_ms, commit_ms)
        self._greet(hellos)
        self._tell(more)
        self._transport.acknowledge(deliveries)

    def look(self) -> None:
        """Now and then: tells how many refusals were not logged one by one."""
        self._refusals.look(self._clock.ticks_ms())

    def finish(self) -> None:
        """The last words: acknowledgements that were gathered, refusals that were not logged."""
        self._tell(False)
        self._transport.flush()
        self._refusals.look(self._clock.ticks_ms(), over=True)

    def _count(self, deliveries: int, readings: int, began_ms: int, commit_ms: int) -> None:
        """After the commit: what of the batch is seen outside the store."""
        counters, ticks_ms = self._counters, self._clock.ticks_ms()
        counters.messages += deliveries
        counters.readings += readings
        counters.batches += 1
        counters.batch.add(ticks_ms - began_ms)
        counters.commit.add(ticks_ms - commit_ms)
        for topic, module, reason, detail in self._refused:
            counters.refused(reason)
            self._refusals.refused(topic, module, reason, detail, ticks_ms)
        self._refused.clear()

    def send_due(self) -> None:
        """Sends the commands whose time has come, those of replacements and campaigns included."""
        store, ticks_ms = self._store, self._clock.ticks_ms()
        following = False
        if ticks_ms >= self._look_ms:
            self._look_ms = ticks_ms + looking.EVERY_MS
            following = looking.due(store)
        if not following and not store.payments.open_commands():
            return
        with store.transaction():
            now_s = self._clock.now_s()
            self._tenancy.confirm()
            if following:
                looking.look(store, self._tenancy.claims, now_s)
            due = self._dispatch.due(store, self._tenancy.claims, now_s, ticks_ms)
            for order in due:
                store.payments.command_sent(order.module, order.id)
        for order in due:
            known = store.fleet.module_known(order.module)
            self._send(known, commands.to_wire(order), AT_LEAST_ONCE)
        self._transport.flush()

    def _opened(self, deliveries: list[Delivery]) -> list[tuple[_Sender | None, object]]:
        """Who says what: the sender, None where its topic names none that we know, and the
        authentic message, None for a will, or Malformed instead."""
        out: list[tuple[_Sender | None, object]] = []
        senders = self._senders
        new = {delivery.topic for delivery in deliveries} - senders.keys()
        if len(new) > 1:
            self._keys.ahead(filter(None, map(_module_of, new)))
        for delivery in deliveries:
            topic, payload, _ = delivery
            sender = senders.get(topic)
            try:
                if sender is None:
                    sender = self._sender(topic)
                # The topic says who; a message of anybody else is forged under this key.
                message = seals.opened(payload, sender.up) if sender.up is not None else None
                out.append((sender, message))
            except Malformed as refusal:
                if (
                    refusal.reason == FORGED
                    and sender is not None
                    and self._rekeying.heard(sender.module, payload, self._clock.ticks_ms())
                ):
                    senders.pop(topic, None)
                    out += self._opened([delivery])
                    continue
                # Its traceback would keep this frame, and with it the batch, until cycles are
                # looked for.
                out.append((sender, refusal.with_traceback(None)))
        return out

    def _sender(self, topic: str) -> _Sender:
        """Looks up who speaks on a topic, and remembers those who have a key."""
        direction, shard, module = topics.parse(topic)
        module = intern(module)  # as the store's rows have it
        if direction == topics.WILL:
            return _Sender(module, shard, None, None, "")
        if direction != topics.UP:
            raise Malformed(WRONG_TOPIC, "direction")
        try:
            up = self._keys.up(module)
        except Refused as error:  # one unusable key must not stop the other modules
            raise Malformed(UNKNOWN_MODULE, str(error))
        if up is None:
            raise Malformed(UNKNOWN_MODULE)
        if len(self._senders) >= SENDERS_MAX:
            self._senders.clear()
        down_topic = topics.down(shard, module)
        sender = _Sender(module, shard, up, self._keys.down(module), down_topic)
        self._senders[topic] = sender
        return sender

    def _receive(
        self,
        delivery: Delivery,
        sender: _Sender,
        message: object,
        now_s: int,
    ) -> bool:
        """One message within the transaction; a refused one leaves a row and nothing else."""
        store = self._store
        try:
            module = self._module_at(sender)
            if module.gone_s is not None and message is not None:
                store.fleet.back(module.id)
            if type(message) is Readings and message.epoch <= (module.epoch or 0):
                # Worked out before anything is written: nothing to undo when it is refused.
                known = self._repeats.knows(delivery.payload)
                seq = inbox.receive_readings(store, self._prices, module, message, now_s, known)
                if seq >= message.first_seq + len(message.items) - 1:
                    self._repeats.add(delivery.payload)
                self._settled(delivery.topic, sender, message.epoch, message.point, seq)
            elif message is None:
                self._gone(module, delivery, now_s)
            else:
                with store.step():
                    settled = inbox.receive(store, self._prices, module, message, now_s)
                epoch = cast(Readings, message).epoch  # as of all that is acknowledged
                for stream, seq in settled.items():
                    self._settled(delivery.topic, sender, epoch, stream, seq)
        except Malformed as refusal:
            self._refuse(delivery, sender, refusal, now_s)
            return False
        return True

    def _settled(self, topic: str, sender: _Sender, epoch: int, stream: int, seq: int) -> None:
        """Takes note of what the module will be told."""
        known = self._acks.get(topic)
        if known is not None and known[1] == epoch:
            known[2][stream] = seq
        else:
            self._acks[topic] = (sender, epoch, {stream: seq})

    def _gone(self, module: Module, delivery: Delivery, now_s: int) -> None:
        """The broker lost a module and says so by its will. Anybody could: it is only shown."""
        if delivery.payload:
            raise Malformed(BAD_FIELD, "a will says nothing")
        if module.gone_s is None:
            self._store.fleet.gone(module.id, now_s)
            log.info("module %s is gone, says the broker", module.id)

    def _module_at(self, sender: _Sender) -> Module:
        module = self._store.fleet.module(sender.module)
        if module is None:
            raise Malformed(UNKNOWN_MODULE)
        if module.retired_s is not None:
            raise Malformed(UNKNOWN_MODULE, "retired")
        if module.shard != sender.shard:
            raise Malformed(WRONG_SHARD, f"module belongs to shard {module.shard}")
        return module

    def _refuse(
        self, delivery: Delivery, sender: _Sender | None, refusal: Malformed, now_s: int
    ) -> None:
        topic, payload = delivery.topic[:128], delivery.payload
        module = sender.module if sender is not None else _module_of(topic)
        reason, detail = refusal.reason, refusal.detail
        # Of what is longer than any message its beginning is looked at, however long it is.
        digest = hashlib.sha256(payload[: MESSAGE_BYTES_MAX + 1]).digest()[:16]
        self._store.intake.reject("host", topic, module, reason, detail, digest, payload, now_s)
        self._refused.append((topic, module, reason, detail))

    def _greet(self, hellos: dict[str, tuple[_Sender, Hello]]) -> None:
        """Answers hellos with the time, and makes the commands of these modules due."""
        for sender, hello in hellos.values():
            if sender.down is not None:
                time = messages.Time(hello.boot_id, hello.ticks_ms, self._clock.now_ms())
                data = messages.seal(time, sender.down)
                self._transport.publish(sender.down_topic, data, AT_MOST_ONCE)
            self._dispatch.module_is_back(sender.module)

    def _tell(self, more: bool) -> None:
        """Acknowledges to the modules what was committed, or lets it gather."""
        ticks_ms = self._clock.ticks_ms()
        if more and ticks_ms - self._told_ms < ACKS_MS and len(self._acks) < ACKS_MAX:
            return
        self._told_ms = ticks_ms
        self._counters.acknowledgements += len(self._acks)
        publish = self._transport.publish
        for sender, epoch, settled in self._acks.values():
            if sender.down is not None:
                sealed = seals.sealed_ack(messages.Ack(epoch, settled), sender.down)
                publish(sender.down_topic, sealed, AT_MOST_ONCE)
        self._acks.clear()

    def _send(self, module: Module, message: tuple[object, ...], qos: int) -> None:
        mac = self._keys.down(module.id)
        if mac is not None:
            data = messages.seal(message, mac)
            self._transport.publish(topics.down(module.shard, module.id), data, qos)


def _module_of(topic: str) -> str | None:
    try:
        return str(topics.parse(topic).module)
    except Malformed:
        return None
