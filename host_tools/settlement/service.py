"""`gridpurse settle`: a worker that owns some shards, from start to an orderly stop.

Several may run on one store: each has the shards whose leases it holds, and takes over those of a
worker that died. SIGTERM and SIGINT finish the batch in hand. A missing broker is waited for, as
is a PostgreSQL server; a broken store is not.
"""

import argparse
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from host_tools import Refused
from host_tools.clock import Clock
from host_tools.config import DEFAULT_FILE, JSON, NATS, TEXT, Settings
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.operations import logs, web
from host_tools.settlement import nats
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.counters import Counters
from host_tools.settlement.jetstream import JetStreamTransport
from host_tools.settlement.mqtt import MqttTransport
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Transport
from host_tools.setup import SECRET
from host_tools.store.database import FILE, Store, opened
from host_tools.store.held import Overtaken
from host_tools.store.sql import Away, Interrupted, Lost
from host_tools.validation.between import Between

BATCHES_UNCOLLECTED = 64
LOOK_MS = 2000  # how often leases are looked at; well within their life
RETRY_MS, RETRY_MS_MAX = 250, 10000  # pauses before the server is asked again
STOP_MS = 100  # how soon a pause sees that we are asked to stop
# What may lie in the folder of a service before its first start; the last one a disk brings along.
BEFORE_STORE = {DEFAULT_FILE, SECRET, "lost+found"}

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log", choices=(TEXT, JSON), help="form of the log (default: as configured)"
    )
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    logs.begin(arguments.log or settings.log, sys.stderr)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    signal.signal(signal.SIGINT, stop.ask)
    serve(settings, stop)
    return 0


class Stop:
    """Set by a signal, read between batches."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True


def serve(settings: Settings, stop: Stop) -> None:
    """Settles the shards of the settings, as far as they are free, until asked to stop."""
    with _opened(settings, stop) as store:
        if store is None:
            return
        transport = _transport(settings)
        keys, clock = KeyFiles(settings.data_dir.joinpath(KEYS_FOLDER)), settings.clock()
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        presence = store.presence(owner)
        most = settings.shards_max
        tenancy = Tenancy(store, clock, owner, settings.shards, most, presence)
        counters = Counters()
        counters.turned_ms = clock.ticks_ms()
        consumer = Consumer(store, keys, clock, transport, tenancy, counters)
        try:
            with _shown(settings, counters, clock):
                log.info("waiting for broker %s:%d", settings.broker.host, settings.broker.port)
                between = Between(store, clock, counters, tenancy)
                _loop(
                    settings, stop, clock, transport, consumer, tenancy, store, counters, between
                )
        finally:
            transport.stop()
            with suppress(Interrupted):  # without a server, the lease ends by itself
                tenancy.leave()
            presence.close()


@contextmanager
def _opened(settings: Settings, stop: Stop) -> Iterator[Store | None]:
    """The store, as soon as its server is there; None when asked to stop before."""
    pause_ms = RETRY_MS
    while not stop.asked:
        try:
            with opened(settings.store(), create=_begins(settings)) as store:
                yield store
            return
        except Away as error:
            log.warning("%s", error)
            _pause(stop, pause_ms)
            pause_ms = min(2 * pause_ms, RETRY_MS_MAX)
    yield None


def _begins(settings: Settings) -> bool:
    """True where a first store may be made. Refused without a data folder.

    A worker on a store that a slip of the pen has made would take the broker's sessions, and with
    them the messages, from the worker on the real one.
    """
    folder = settings.data_dir
    if not folder.is_dir():
        raise Refused(f"{folder}: no such data folder; name it with --data")
    names = {each.name for each in folder.iterdir()}
    if settings.store_url or FILE in names or names - BEFORE_STORE:
        return False
    log.warning("%s: a new, empty store 新建空库", folder.joinpath(FILE))
    return True


def _pause(stop: Stop, pause_ms: int) -> None:
    """Waits for a while, unless asked to stop."""
    while pause_ms > 0 and not stop.asked:
        nats.wait(min(pause_ms, STOP_MS))
        pause_ms -= STOP_MS


@contextmanager
def _shown(settings: Settings, counters: Counters, clock: Clock) -> Iterator[None]:
    """Health and metrics for the block, where a port is configured."""
    if not settings.http_port:
        yield
        return
    pages = web.Pages(counters, clock, settings.store())
    server = web.Server(settings.http_host, settings.http_port, pages)
    server.begin()
    try:
        yield
    finally:
        server.end()


def _transport(settings: Settings) -> Transport:
    if settings.broker.kind == NATS:
        return JetStreamTransport(settings.broker, f"{os.getpid()}-{secrets.token_hex(4)}")
    return MqttTransport(settings.broker)


def _loop(
    settings: Settings,
    stop: Stop,
    clock: Clock,
    transport: Transport,
    consumer: Consumer,
    tenancy: Tenancy,
    store: Store,
    counters: Counters,
    between: Between,
) -> None:
    told: tuple[int, ...] | None = None
    batches = 0
    # Rows in hand are many and hold no cycles: looking at all of them again and again would cost
    # a fifth of the time. Cycles of the last batches are looked for.
    gc.disable()
    look_ms = due_ms = clock.ticks_ms()
    pause_ms = RETRY_MS
    while not stop.asked:
        counters.turned_ms = clock.ticks_ms()
        try:
            if counters.turned_ms >= look_ms:
                store.make_room(clock.now_s())
                _keep_shards(transport, tenancy)
                consumer.look()
                look_ms = clock.ticks_ms() + LOOK_MS
            deliveries = transport.take(settings.batch_messages, settings.poll_ms)
            batches += 1
            if batches % BATCHES_UNCOLLECTED == 0:
                gc.collect(0)
            consumer.consume(deliveries, len(deliveries) == settings.batch_messages)
            if clock.ticks_ms() >= due_ms:
                consumer.send_due()
                due_ms = clock.ticks_ms() + settings.poll_ms
            between.turn(len(deliveries), tenancy.claims)
            if transport.refusal():
                raise Refused(transport.refusal())
            shards = tuple(sorted(tenancy.claims))
            counters.shards, counters.connected = shards, transport.ready()
            counters.backlog = transport.backlog()
            if shards != told and counters.connected:
                tenancy.reading()
                told = shards
                names = ",".join(str(shard) for shard in shards) or "none"
                where = f"{settings.broker.host}:{settings.broker.port}"
                print(f"settle ready: shards {names} at {where}, {store.where}", flush=True)
            pause_ms = RETRY_MS
        except Overtaken as error:
            counters.overtaken += 1
            log.warning("%s", error)
            look_ms = clock.ticks_ms()
        except Interrupted as error:
            log.warning("%s", error)
            look_ms = clock.ticks_ms()
            _give_up(transport, tenancy)
            if isinstance(error, Lost) and not _reconnected(store, stop, pause_ms):
                pause_ms = min(2 * pause_ms, RETRY_MS_MAX)
    consumer.finish()
    log.info("stopped after the batch in hand")


def _give_up(transport: Transport, tenancy: Tenancy) -> None:
    """Leases are asked for anew, and the broker repeats what was in hand to whoever has them."""
    tenancy.forget()
    for shard in transport.shards():
        transport.shut(shard)


def _reconnected(store: Store, stop: Stop, pause_ms: int) -> bool:
    _pause(stop, pause_ms)
    with suppress(Lost):
        store.reconnect()
        return True
    return False


def _keep_shards(transport: Transport, tenancy: Tenancy) -> None:
    """Brings what we read from the broker in line with what we hold in the store."""
    for shard in set(tenancy.claims) - transport.shards():
        tenancy.lose(shard)
    if not tenancy.look():
        return
    for shard in transport.shards() - set(tenancy.claims):
        transport.shut(shard)
    for claim in tenancy.claims.values():
        transport.open(claim)
