"""Nodes that die, fall silent, or live while another one that mattered has died."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from host_tools.broker import HOST, Broker
from host_tools.cluster.cluster import Cluster
from host_tools.cluster.nodes import Nodes, unused_ports
from host_tools.config import NATS, BrokerAddress, StoreAddress
from host_tools.operations import web
from host_tools.settlement import jetstream, nats
from host_tools.settlement.counters import Counters
from host_tools.settlement.jetstream import JetStreamTransport
from host_tools.settlement.mqtt import MqttTransport
from host_tools.settlement.transport import Claim, Transport
from protocol.units import Unavailable
from tests.bench import pouring
from tests.host_tools.desk import DeskClock
from tests.host_tools.genuine import HANG_S, by_deadline

CLAIM = Claim(0, 1, 1)


@pytest.fixture
def silent() -> Iterator[BrokerAddress]:
    """Greets like nats-server and says nothing more."""
    with socket.create_server((HOST, 0)) as server:
        links = []

        def greet() -> None:
            link, _ = server.accept()
            links.append(link)
            link.sendall(b'INFO {"headers":true}\r\n')
            link.recv(4096)
            link.sendall(b"PONG\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        yield BrokerAddress(HOST, server.getsockname()[1], kind=NATS)
        thread.join()
        for link in links:
            link.close()


def until_ready(transport: Transport) -> None:
    by_deadline(lambda: transport.take(1, 50) == [] and transport.ready(), "ready")


def test_a_node_that_fell_silent_is_noticed(
    silent: BrokerAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "PING_MS", 20)
    monkeypatch.setattr(nats, "SILENT_MS", 100)
    link = nats.Connection(silent)
    with pytest.raises(Unavailable, match="does not answer any more"):
        link.messages(1, HANG_S * 1000)
    link.close()


def test_a_node_that_answers_no_request_is_left_for_the_next(
    silent: BrokerAddress, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "ANSWER_MS", 500)
    near = broker.nats_address
    address = BrokerAddress(
        silent.host, silent.port, near.user, near.password, NATS, ((near.host, near.port),)
    )
    transport = JetStreamTransport(address)
    transport.open(CLAIM)
    until_ready(transport)
    pouring.pour(broker.address, [("u/0/m1", b"x")], "modules")
    assert [each.topic for each in transport.take(10, HANG_S * 1000)] == ["u/0/m1"]
    transport.stop()


class Deaf(JetStreamTransport):
    """Its requests are lost, as those are that a node had when it died."""

    def _ask(self, link: nats.Connection, reader: object) -> None: ...


def test_a_consumer_that_nobody_serves_is_missed_though_the_node_lives(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nats, "PING_MS", 20)
    transport = Deaf(broker.nats_address)
    transport.open(CLAIM)
    until_ready(transport)
    by_deadline(
        lambda: (
            transport.take(1, 50) == [] and "shard 0: nobody serves its consumer" in caplog.text
        ),
        "the line",
    )
    transport.stop()


def test_a_consumer_without_messages_is_not_missed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nats, "PING_MS", 400)
    monkeypatch.setattr(jetstream, "HEARTBEAT_MS", 100)
    transport = JetStreamTransport(broker.nats_address)
    transport.open(CLAIM)
    until_ready(transport)
    for _ in range(20):  # five pings
        assert transport.take(1, 100) == []
    assert caplog.text == ""
    transport.stop()


def test_what_was_settled_when_the_connection_broke_does_not_come_again(broker: Broker) -> None:
    transport = JetStreamTransport(broker.nats_address)
    transport.open(CLAIM)
    until_ready(transport)
    topics = [f"u/0/m{number}" for number in range(100)]
    pouring.pour(broker.address, [(topic, b"x") for topic in topics], "modules")
    taken = []
    while len(taken) < len(topics):
        taken += transport.take(100, 1000)
    assert transport._link is not None
    transport._link.close()
    transport.acknowledge(taken[:40])  # settled, and the broker never learns of it
    again: list[str] = []
    while len(again) < 60:
        deliveries = transport.take(100, 1000)
        again += [each.topic for each in deliveries]
        transport.acknowledge(deliveries)
    assert again == topics[40:]
    pouring.pour(broker.address, [("u/0/last", b"x")], "modules")
    assert [each.topic for each in transport.take(100, HANG_S * 1000)] == ["u/0/last"]
    transport.stop()


def test_a_number_that_the_broker_gave_out_twice_is_not_skipped(broker: Broker) -> None:
    transport = JetStreamTransport(broker.nats_address)
    transport.open(CLAIM)
    until_ready(transport)
    pouring.pour(broker.address, [("u/0/m1", b"x")], "modules")
    (first,) = transport.take(1, HANG_S * 1000)
    transport.acknowledge([first])
    (key, (sequence, came_ns)) = next(iter(transport._settled.items()))
    transport._settled[key] = (sequence + 5, came_ns)  # those five were lost in a power cut
    transport._drop("")
    pouring.pour(broker.address, [("u/0/m2", b"x")], "modules")
    assert [each.topic for each in transport.take(1, HANG_S * 1000)] == ["u/0/m2"]
    transport.stop()


def test_mqtt_sessions_go_on_at_another_node_and_lose_nothing(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, unused_ports(), "secret")
    try:
        nodes.start([])
        transport = MqttTransport(nodes.address)
        transport.open(CLAIM)
        until_ready(transport)
        wanted = {f"u/0/m{number}" for number in range(200)}
        pouring.pour(nodes.address, [(topic, b"x") for topic in sorted(wanted)], "modules")
        nodes.all[0].broker.kill()  # with what it had sent us and we did not acknowledge
        seen: set[str] = set()

        def all_seen() -> bool:
            deliveries = transport.take(100, 100)
            transport.acknowledge(deliveries)
            seen.update(each.topic for each in deliveries)
            return seen == wanted

        by_deadline(all_seen, "all messages")
        transport.stop()
    finally:
        nodes.stop()


def test_a_cluster_runs_when_each_shard_has_one_worker(tmp_path: Path) -> None:
    """A worker that stands by is ready, too; and one may not know yet that it was overtaken."""
    cluster = Cluster(tmp_path, unused_ports())
    counters = [Counters() for _ in cluster.workers]
    clock = DeskClock()
    with ExitStack() as ending:
        for worker, each in zip(cluster.workers, counters, strict=True):
            pages = web.Pages(each, clock, StoreAddress(tmp_path))
            server = web.Server(HOST, worker.http_port, pages)
            server.begin()
            ending.callback(server.end)
        assert not cluster.served()  # no broker yet
        for each in counters:
            each.connected = True
        for shards, served in (
            (((), ()), False),
            (((0, 1), ()), False),
            (((0, 1), (0, 1)), False),
            (((0, 1, 2, 3), ()), True),
            (((0, 1), (2, 3)), True),
        ):
            counters[0].shards, counters[1].shards = shards
            assert cluster.served() is served
        counters[1].connected = False
        assert not cluster.workers[1].serves() and not cluster.served()
