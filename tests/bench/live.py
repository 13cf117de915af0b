"""Settlement while messages still arrive: generator, broker and service on the same processors.

Reported, not judged: whoever is slower, generator or service, sets the rate.
"""

import multiprocessing
import tempfile
import time
from itertools import islice
from pathlib import Path

from host_tools.config import BrokerAddress
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.tenancy import Tenancy
from host_tools.store.database import open_store
from tests.bench import drain, fleet, pouring

MESSAGES = 200_000


def _pour(broker: BrokerAddress, path: Path, messages: int) -> None:
    found = islice(fleet.written(path), messages)
    pouring.pour(broker, ((fleet.topic_of(number), data) for number, data in found), "fleet")


def measure(messages: int = MESSAGES) -> dict[str, int]:
    made = fleet.made()
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        place = drain.Place(made, Path(folder))
        store = open_store(place.folder / fleet.STORE)
        try:
            transport = drain.transport_of(place, "jetstream")
            tenancy = Tenancy(store, fleet.Standing(), "live", (fleet.SHARD,))
            consumer = Consumer(store, place.keys, fleet.Standing(), transport, tenancy)
            tenancy.look()
            for claim in tenancy.claims.values():
                transport.open(claim)
            while not transport.ready():
                transport.take(1, 50)
            arguments = (place.broker.address, made / "single", messages)
            generator = multiprocessing.Process(target=_pour, args=arguments)
            started_ns = time.monotonic_ns()
            generator.start()
            rate = drain.run(transport, messages, consumer.consume, started_ns)
            generator.join()
            return {"live_sqlite_msgs_s": rate}
        finally:
            place.broker.kill()
            store.close()
