"""TLS towards nats-server, pinned to one CA, through both transports and the whole service."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from host_tools import Refused
from host_tools.broker import Broker, free_port
from host_tools.config import MQTT, NATS, BrokerAddress, read_settings
from host_tools.operations import checks_machine
from host_tools.operations.finding import FAIL, OK
from host_tools.settlement.jetstream import JetStreamTransport
from host_tools.settlement.mqtt import MqttTransport
from host_tools.settlement.transport import Claim, Transport
from host_tools.store.database import open_store
from tests.bench import pouring
from tests.firmware.certificates import DAY, authority, issue
from tests.host_tools.desk import NOW_S
from tests.host_tools.genuine import HANG_S, Settle

NAME = "localhost"
KINDS = (MQTT, NATS)
MESSAGES = 300
MESSAGE_BYTES = 3000  # many TLS records
CLAIM = Claim(0, 1, 1)


class Secured(Broker):
    """Its certificate is for `name`; with another `ca` nobody who trusts ours trusts it."""

    def __init__(self, folder: Path, name: str = NAME, **validity: object) -> None:
        super().__init__(folder / "nats", free_port(), nats_port=free_port())
        ca = authority("our CA")
        self.ca_file, _ = ca.write(folder, "ca")
        certificate, key = issue(ca, name, **validity).write(folder, "server")
        self._tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}", timeout: 5 }}'

    def _write_config(self) -> Path:
        path = super()._write_config()
        text = path.read_text().replace("mqtt {", f"{self._tls}\nmqtt {{ {self._tls}, ")
        path.write_text(text)
        return path

    def secured(self, kind: str) -> BrokerAddress:
        address = self.nats_address if kind == NATS else self.address
        return replace(address, host=NAME, ca_file=self.ca_file)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Secured]:
    made = Secured(tmp_path)
    made.start([])
    sent(made.secured(MQTT), 0)  # the first session lays the streams out
    yield made
    made.kill()


def sent(address: BrokerAddress, count: int) -> None:
    """So many messages, and the broker has each."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="modules")
    client.username_pw_set(address.user, address.password)
    client.tls_set(str(address.ca_file))
    client.connect(address.host, address.port)
    client.loop_start()
    told = [client.publish(f"u/0/m{number}", b"x" * MESSAGE_BYTES, 1) for number in range(count)]
    for each in told:
        each.wait_for_publish(HANG_S)
    client.disconnect()
    client.loop_stop()


def transport_to(address: BrokerAddress) -> Transport:
    made = JetStreamTransport(address) if address.kind == NATS else MqttTransport(address)
    made.open(CLAIM)
    return made


def serves(transport: Transport, looks: int = HANG_S * 10) -> bool:
    """Whether the broker serves the shard within so many looks of a tenth of a second."""
    for _ in range(looks):
        transport.take(1, 100)
        if transport.ready():
            return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_messages_pass_both_ways_and_are_acknowledged_over_tls(broker: Secured, kind: str) -> None:
    transport = transport_to(broker.secured(kind))
    assert serves(transport)
    sent(broker.secured(MQTT), MESSAGES)
    seen = []
    while len(seen) < MESSAGES:
        deliveries = transport.take(50, 1000)
        seen += [delivery.topic for delivery in deliveries]
        assert all(len(delivery.payload) == MESSAGE_BYTES for delivery in deliveries)
        transport.acknowledge(deliveries)
    assert seen == [f"u/0/m{number}" for number in range(MESSAGES)]
    transport.stop()
    again = transport_to(broker.secured(kind))
    assert serves(again) and again.take(50, 300) == []
    again.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "validity", "word"),
    [
        ("other.example", {}, "Hostname mismatch"),
        (NAME, {"begins": -30 * DAY, "ends": -DAY}, "certificate has expired"),
    ],
)
def test_a_certificate_for_another_name_or_time_is_not_trusted(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    name: str,
    validity: dict,
    word: str,
) -> None:
    broker = Secured(tmp_path, name, **validity)
    broker.start([])
    try:
        assert not serves(transport_to(broker.secured(kind)), 3)
        assert word in caplog.text
    finally:
        broker.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_another_ca_is_not_trusted(
    broker: Secured, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    theirs, _ = authority("our CA").write(tmp_path, "theirs")
    address = replace(broker.secured(kind), ca_file=theirs)
    assert not serves(transport_to(address), 3)
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert checks_machine.broker(address, (0,)).level == FAIL


def test_without_tls_on_one_side_no_word_of_ours_is_said(
    broker: Secured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not serves(transport_to(broker.nats_address), 3)
    assert "wants TLS; name its CA as [broker] ca_file" in caplog.text
    plain = Broker(tmp_path / "plain", free_port(), nats_port=free_port())
    plain.start([])
    try:
        pouring.pour(plain.address, [], "first")
        address = replace(plain.nats_address, ca_file=broker.ca_file)
        assert not serves(transport_to(address), 3)
        assert "has no TLS, and [broker] ca_file asks for it" in caplog.text
        address = replace(plain.address, ca_file=broker.ca_file)
        assert not serves(transport_to(address), 3)
    finally:
        plain.kill()


@pytest.mark.parametrize("kind", KINDS)
def test_settle_and_doctor_use_the_configured_ca(
    broker: Secured, tmp_path: Path, kind: str
) -> None:
    data = tmp_path / "data"
    open_store(data).close()
    address = broker.secured(kind)
    assert checks_machine.broker(address, (0,)).level == OK
    settle = Settle(data, address, NOW_S)
    settle.more = {"GRIDPURSE_BROKER_CA_FILE": str(broker.ca_file)}
    settle.start()  # returns once it serves its shard
    assert settle.end() == 0


def test_a_ca_file_that_is_none_and_fallbacks_without_a_port_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    config = tmp_path / "gridpurse.toml"
    for line, word in (
        ('ca_file = "ca.pem"', "ca.pem: the broker's CA cannot be read"),
        ('ca_file = "none.pem"', "none.pem: the broker's CA cannot be read"),
        ('fallbacks = "b2"', "[broker] fallbacks: must be host:port"),
    ):
        config.write_text(f"[broker]\n{line}\n")
        with pytest.raises(Refused) as refusal:
            read_settings(config, {})
        assert word in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_nodes_of_a_cluster_are_tried_in_turn(tmp_path: Path) -> None:
    config = tmp_path / "gridpurse.toml"
    config.write_text('[broker]\nhost = "a"\nport = 1\nfallbacks = "b:2, c:3"\n')
    broker = read_settings(config, {}).broker
    seen = []
    for _ in range(4):
        seen.append(broker.where)
        broker = broker.turned()
    assert seen == ["a:1", "b:2", "c:3", "a:1"]
    assert broker.fallbacks_text == "c:3,a:1"
