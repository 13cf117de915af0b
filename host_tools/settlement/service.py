"""`gridpurse settle`: the process that owns some shards, from start to an orderly stop.

SIGTERM and SIGINT finish the batch in hand. A missing broker is waited for, a broken store not.
"""

import argparse
import fcntl
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from host_tools import Refused
from host_tools.clock import Clock
from host_tools.config import Settings
from host_tools.keys import KeyFiles
from host_tools.settlement.common import add_store_arguments, settings_of
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.transport import PahoTransport
from host_tools.store.database import opened

KEYS_FOLDER = "keys"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
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
    """Settles the shards of the settings until asked to stop."""
    with opened(settings.data_dir) as store, only_owner(settings.data_dir):
        transport = PahoTransport(settings.broker, settings.shards)
        keys, clock = KeyFiles(settings.data_dir.joinpath(KEYS_FOLDER)), settings.clock()
        consumer = Consumer(store, keys, clock, transport, settings.shards)
        log.info("waiting for broker %s:%d", settings.broker.host, settings.broker.port)
        transport.start()
        try:
            _loop(settings, stop, clock, transport, consumer)
        finally:
            transport.stop()


def _loop(
    settings: Settings, stop: Stop, clock: Clock, transport: PahoTransport, consumer: Consumer
) -> None:
    told = False
    due_ms = 0
    while not stop.asked:
        deliveries = transport.take(settings.batch_messages, settings.poll_ms)
        if deliveries:
            consumer.consume(deliveries)
        if clock.ticks_ms() >= due_ms:
            consumer.send_due()
            due_ms = clock.ticks_ms() + settings.poll_ms
        if transport.refusal():
            raise Refused(transport.refusal())
        if not told and transport.ready():
            told = True
            shards = ",".join(str(shard) for shard in settings.shards)
            where = f"{settings.broker.host}:{settings.broker.port}"
            print(f"settle ready: shards {shards} at {where}, {settings.data_dir}", flush=True)
    log.info("stopped after the batch in hand")


@contextmanager
def only_owner(folder: Path) -> Iterator[None]:
    """One settlement a data folder, because a shard has one owner; ends with the process."""
    path = folder.joinpath("settle.lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"{path}: another settle runs on this folder; stop it first") from error
        yield
