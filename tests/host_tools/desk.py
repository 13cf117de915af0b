"""Two places to settle: Desk in this process without a broker, Yard with real processes."""

from contextlib import ExitStack
from pathlib import Path

from host_tools import tariffs
from host_tools.broker import HOST, Broker, BrokerUser, free_port, new_password
from host_tools.config import BrokerAddress, StoreAddress
from host_tools.keys import KeyFiles
from host_tools.settlement import enrol
from host_tools.settlement.consumer import Consumer
from host_tools.settlement.counters import Counters
from host_tools.settlement.tenancy import Tenancy
from host_tools.settlement.transport import Delivery, Nowhere
from host_tools.store.database import Store, open_store
from protocol import topics
from tests.host_tools.genuine import ROOT, START_S, PointLedger, Radio, Sender, Settle

NOW_S = START_S + 100 * 86400
BOOK = tariffs.read_book(ROOT / "host_tools/tariff_files/cn-bj-2012.toml")
TOU_BOOK = tariffs.read_book(ROOT / "host_tools/tariff_files/cn-zj-tou.toml")


class DeskClock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.s = NOW_S
        self.ms = 0

    def now_ms(self) -> int:
        return self.s * 1000

    def now_s(self) -> int:
        return self.s

    def ticks_ms(self) -> int:
        return self.ms


class DeskTransport(Nowhere):
    """Keeps what is published and acknowledged."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes, int]] = []
        self.acknowledged = 0

    def shards(self) -> set[int]:
        return {0}

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        self.acknowledged += len(deliveries)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.published.append((topic, payload, qos))


def enrolled(store: Store, folder: Path, module: str = "m1", shard: int = 0) -> Sender:
    points = [enrol.NewPoint(n, f"Flat {n}", "cn-bj-2012", BOOK) for n in (0, 1)]
    keys = KeyFiles(folder / "keys")
    return Sender(module, enrol.enrol(store, keys, module, shard, points, START_S), shard)


class Desk:
    """A store, a consumer and one enrolled module m1 with points 0 and 1."""

    def __init__(self, folder: Path, place: StoreAddress | None = None) -> None:
        self.folder = folder
        self.place = place or StoreAddress(folder)
        self.store = open_store(self.place)
        self.sender = enrolled(self.store, folder)
        self.clock = DeskClock()
        self.transport = DeskTransport()
        keys = KeyFiles(folder / "keys")
        self.tenancy = Tenancy(self.store, self.clock, "desk", (0,))
        self.tenancy.look()
        self.counters = Counters()
        self.consumer = Consumer(
            self.store, keys, self.clock, self.transport, self.tenancy, self.counters
        )
        self.ledger = PointLedger("m1", 0, BOOK)

    def damage(self, *statements: str) -> None:
        """Changes the store behind the back of its triggers."""
        store = self.store._connection
        if self.place.url:
            store.execute("SET session_replication_role = replica")
        else:
            kept = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            triggers = store.execute(kept).fetchall()
            for name, _ in triggers:
                store.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert store.execute(statement).rowcount, statement
        if self.place.url:
            store.execute("SET session_replication_role = origin")
        else:
            for _, trigger in triggers:
                store.execute(trigger)

    def opened(self, charges: int = 0) -> PointLedger:
        """The ledger of point 0, opened, with some charges."""
        self.ledger.open()
        for _ in range(charges):
            self.ledger.charge(250)
        return self.ledger

    def take(self, *items: tuple[object, ...] | bytes, topic: str = "") -> None:
        """One batch of deliveries; messages are sealed as m1's."""
        topic = topic or topics.up(0, "m1")
        deliveries = []
        for item in items:
            data = item if isinstance(item, bytes) else self.sender.seal(item)
            deliveries.append(Delivery(topic, data, (0, 1, 1)))
        self.consumer.consume(deliveries)

    def said(self) -> list[object]:
        """What the module was sent, opened; empties the list."""
        out = [self.sender.opened(data) for _, data, _ in self.transport.published]
        self.transport.published.clear()
        return out

    def seq(self, point: int = 0) -> int:
        return self.store.fleet.point_known("m1", point).state.seq

    def reasons(self) -> list[int]:
        return [row.reason for row in self.store.intake.rejects()]

    def differences(self) -> list[str]:
        return [row.kind for row in self.store.ledgers.differences()]

    def journal(self) -> list[object]:
        """All entries and postings, for comparison to the last byte."""
        points = self.store.fleet.points()
        entries = [entry for point in points for entry in self.store.ledgers.entries(point.id)]
        return [*entries, self.store.ledgers.accounts()]


class Yard:
    """nats-server, `gridpurse settle`, and module m1 with its radio."""

    def __init__(self, folder: Path) -> None:
        self.ending = ExitStack()
        with self.ending:
            self.data = folder / "data"
            self.store = open_store(self.data)
            self.ending.callback(self.store.close)
            self.sender = enrolled(self.store, self.data)
            self.broker = Broker(folder / "nats", free_port(), nats_port=free_port())
            self.ending.callback(self.broker.stop)
            self.password = new_password()
            self.broker.start([BrokerUser("m1", 0, self.password)])
            self.settle = Settle(self.data, self.broker.address, NOW_S)
            self.ending.callback(self.settle.end)
            self.settle.start()
            self.radio = Radio(self.sender, self.user())
            self.ending.callback(self.radio.close)
            self.ledger = PointLedger("m1", 0, BOOK)
            self.ending = self.ending.pop_all()

    def user(self) -> BrokerAddress:
        return BrokerAddress(HOST, self.broker.address.port, "m1", self.password)

    def seq(self) -> int:
        return self.store.fleet.point_known("m1", 0).state.seq

    def head(self) -> bytes:
        return self.store.fleet.point_known("m1", 0).state.head

    def close(self) -> None:
        self.ending.close()
