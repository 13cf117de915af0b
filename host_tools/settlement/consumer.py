"""Deliveries in batches: one transaction, then our acknowledgements, then the broker's.

A message that is refused becomes one row of `rejects` and one line of log, and the rest goes on.
"""

import hashlib
import logging
from dataclasses import dataclass, field

from host_tools import Refused
from host_tools.clock import Clock
from host_tools.keys import Keys, PreparedMac
from host_tools.settlement import commands, inbox, seals
from host_tools.settlement.pricing import Prices
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Transport
from host_tools.store.database import Store
from host_tools.store.records import Module
from protocol import messages, topics
from protocol.messages import Hello, Readings
from protocol.units import (
    BAD_FIELD,
    UNKNOWN_MODULE,
    WRONG_SHARD,
    WRONG_TOPIC,
    Malformed,
)
from protocol.words import REASONS

AT_MOST_ONCE = 0
AT_LEAST_ONCE = 1
ADDRESSES_MAX = 200000  # topics remembered

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Replies:
    """What a committed batch makes us say; gathered during it, sent after it."""

    modules: dict[str, Module] = field(default_factory=dict)
    streams: dict[str, set[int]] = field(default_factory=dict)
    hellos: dict[str, Hello] = field(default_factory=dict)
    acks: dict[str, messages.Ack] = field(default_factory=dict)


class Consumer:
    """The owner of some shards. Everything it knows beyond retry times lies in the store."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        transport: Transport,
        tenancy: Tenancy,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._transport = transport
        self._tenancy = tenancy
        self._dispatch = commands.Dispatch()
        self._prices = Prices()
        self._addresses: dict[str, topics.Address] = {}

    def consume(self, deliveries: list[Delivery]) -> None:
        """Settles, answers and acknowledges one batch; after an error it comes again."""
        replies = _Replies()
        now_s = self._clock.now_s()
        opened = [self._opened(delivery) for delivery in deliveries]
        with self._store.transaction():
            self._tenancy.confirm()
            for delivery, (address, message) in zip(deliveries, opened, strict=True):
                if isinstance(message, Malformed):
                    self._refuse(delivery, message, now_s)
                elif address is not None:
                    self._receive(delivery, address, message, replies, now_s)
            for module, streams in replies.streams.items():
                ack = inbox.acknowledgement(self._store, module, streams)
                if ack is not None:
                    replies.acks[module] = ack
        self._answer(replies)
        self._transport.acknowledge(deliveries)

    def send_due(self) -> None:
        """Sends the commands whose time has come."""
        if not self._store.payments.open_commands():
            return
        with self._store.transaction():
            now_s, ticks_ms = self._clock.now_s(), self._clock.ticks_ms()
            self._tenancy.confirm()
            due = self._dispatch.due(self._store, self._tenancy.claims, now_s, ticks_ms)
            for order in due:
                self._store.payments.command_sent(order.module, order.id)
        for order in due:
            known = self._store.fleet.module_known(order.module)
            self._send(known, commands.to_wire(order), AT_LEAST_ONCE)
        self._transport.flush()

    def _opened(self, delivery: Delivery) -> tuple[topics.Address | None, object]:
        """Who says what: address and authentic message (None for a will), or Malformed instead."""
        address = None
        try:
            address = self._addresses.get(delivery.topic)
            if address is None:
                address = self._addressed(delivery.topic)
            if address.direction == topics.WILL:
                return address, None
            if address.direction != topics.UP:
                raise Malformed(WRONG_TOPIC, "direction")
            # The topic says who; a message of anybody else is forged under this key.
            mac = self._mac_up(address.module)
            if mac is None:
                raise Malformed(UNKNOWN_MODULE)
            return address, seals.opened(delivery.payload, mac)
        except Malformed as refusal:
            return address, refusal

    def _addressed(self, topic: str) -> topics.Address:
        if len(self._addresses) >= ADDRESSES_MAX:
            self._addresses.clear()
        address = self._addresses[topic] = topics.parse(topic)
        return address

    def _receive(
        self,
        delivery: Delivery,
        address: topics.Address,
        message: object,
        replies: _Replies,
        now_s: int,
    ) -> None:
        """One message within the transaction; a refused one leaves a row and nothing else."""
        try:
            module = self._module_at(address)
            if message is None:
                self._gone(module, delivery, now_s)
                return
            if module.gone_s is not None:
                self._store.fleet.back(module.id)
            if isinstance(message, Readings) and message.epoch == module.epoch:
                # Worked out before anything is written: nothing to undo when it is refused.
                known = inbox.receive_readings(self._store, self._prices, module, message, now_s)
            else:
                with self._store.step():
                    known = inbox.receive(self._store, self._prices, module, message, now_s)
        except Malformed as refusal:
            self._refuse(delivery, refusal, now_s)
            return
        replies.modules[module.id] = module
        if known:
            streams = inbox.streams_of(message)
            if module.id in replies.streams:
                replies.streams[module.id] |= streams
            else:
                replies.streams[module.id] = streams
        if isinstance(message, Hello):
            replies.hellos[module.id] = message

    def _gone(self, module: Module, delivery: Delivery, now_s: int) -> None:
        """The broker lost a module and says so by its will. Anybody could: it is only shown."""
        if delivery.payload:
            raise Malformed(BAD_FIELD, "a will says nothing")
        self._store.fleet.gone(module.id, now_s)
        log.info("module %s is gone, says the broker", module.id)

    def _module_at(self, address: topics.Address) -> Module:
        module = self._store.fleet.module(address.module)
        if module is None:
            raise Malformed(UNKNOWN_MODULE)
        if module.shard != address.shard:
            raise Malformed(WRONG_SHARD, f"module belongs to shard {module.shard}")
        return module

    def _mac_up(self, module: str) -> PreparedMac | None:
        try:
            return self._keys.up(module)
        except Refused as error:  # one unusable key must not stop the other modules
            log.error("%s", error)
            return None

    def _refuse(self, delivery: Delivery, refusal: Malformed, now_s: int) -> None:
        module = _module_of(delivery.topic)
        new = self._store.intake.reject(
            "host",
            delivery.topic[:128],
            module,
            refusal.reason,
            refusal.detail,
            hashlib.sha256(delivery.payload).digest()[:16],
            delivery.payload,
            now_s,
        )
        if new:
            reason = REASONS[refusal.reason]
            log.warning("rejected %s: %s %s", delivery.topic[:128], reason, refusal.detail)

    def _answer(self, replies: _Replies) -> None:
        for module_id, hello in replies.hellos.items():
            time = messages.Time(hello.boot_id, hello.ticks_ms, self._clock.now_ms())
            self._send(replies.modules[module_id], time, AT_MOST_ONCE)
            self._dispatch.module_is_back(module_id)
        for module_id, ack in replies.acks.items():
            mac = self._keys.down(module_id)
            if mac is not None:
                topic = topics.down(replies.modules[module_id].shard, module_id)
                self._transport.publish(topic, seals.sealed_ack(ack, mac), AT_MOST_ONCE)

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
