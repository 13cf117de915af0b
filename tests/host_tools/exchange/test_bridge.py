"""The bridge to Home Assistant as a process, on a real broker; paho looks from outside."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host_tools import cli
from host_tools.broker import Broker, free_port
from protocol.messages import Statement
from tests.host_tools.desk import Desk
from tests.host_tools.genuine import HANG_S, ROOT


class Home:
    """Home Assistant's side: what is retained, and what comes after."""

    def __init__(self, broker: Broker) -> None:
        self.found: dict[str, str] = {}
        self._changed = threading.Condition()
        self._client = client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="home")
        client.username_pw_set(broker.address.user, broker.address.password)
        client.reconnect_delay_set(1, 1)
        client.on_message = self._arrived
        client.on_connect = lambda client, *_: client.subscribe(
            [("homeassistant/#", 1), ("gridpurse/#", 1)]
        )
        client.connect_async(broker.address.host, broker.address.port)
        client.loop_start()

    def _arrived(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.found[message.topic] = message.payload.decode()
            self._changed.notify_all()

    def sees(self, topic: str, text: str) -> None:
        """Waits until a topic has a text in it."""
        with self._changed:
            seen = self._changed.wait_for(lambda: text in self.found.get(topic, ""), HANG_S)
        assert seen, f"{topic}: {self.found.get(topic)!r} has no {text!r}"

    def forgets(self, topic: str) -> None:
        """Waits until a topic that was there is empty."""
        with self._changed:
            gone = self._changed.wait_for(lambda: self.found.get(topic) == "", HANG_S)
        assert gone, f"{topic}: {self.found.get(topic)!r}"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Bridge:
    """`gridpurse bridge home-assistant` as a process of its own."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.config = folder / "bridge.toml"
        secret = folder / "secret"
        secret.write_text(broker.address.password, encoding="utf-8")
        self.config.write_text(
            f'data_dir = "{folder}"\n[broker]\nport = {broker.address.port}\n'
            f'user = "{broker.address.user}"\npassword_file = "{secret}"\n',
            encoding="utf-8",
        )
        words = ["bridge", "home-assistant", "--config", str(self.config), "--every", "1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "host_tools.cli", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("bridge ready")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=HANG_S)
        return self.process.returncode


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "nats", free_port())
    made.start(())
    yield made
    made.stop()


@pytest.fixture
def home(broker: Broker) -> Iterator[Home]:
    made = Home(broker)
    yield made
    made.close()


def test_home_assistant_follows_the_store_and_notices_when_the_bridge_dies(
    desk: Desk, broker: Broker, home: Home
) -> None:
    made = desk.opened(charges=4)
    desk.take(desk.sender.hello({0: 5}), made.batch(1, 5))
    bridge = Bridge(desk.folder, broker)
    try:
        home.sees("homeassistant/sensor/gridpurse_m1_0/balance/config", "Flat 0")
        home.sees("gridpurse/m1/0/state", '"register_wh":2000')
        home.sees("gridpurse/m1/0/state", '"balance":"-0.4883"')
        home.sees("gridpurse/m1/0/available", "online")
        home.sees("gridpurse/m1/1/state", '"register_wh":0')
        home.sees("gridpurse/bridge/available", "online")
        config = json.loads(home.found["homeassistant/sensor/gridpurse_m1_0/energy/config"])
        assert [each["topic"] for each in config["availability"]] == [
            "gridpurse/m1/0/available", "gridpurse/bridge/available",
        ]  # fmt: skip
        made.charge(250)
        said: Statement = made.statement()
        desk.take(made.batch(6, 1), said._replace(charged_ncur=said.charged_ncur + 1))
        home.sees("gridpurse/m1/0/state", '"register_wh":2250')
        home.sees("gridpurse/m1/0/state", '"trouble":"unexplained"')
        assert bridge.end(signal.SIGKILL) == -signal.SIGKILL
        home.sees("gridpurse/bridge/available", "offline")
    finally:
        bridge.process.kill()
    bridge = Bridge(desk.folder, broker)
    home.sees("gridpurse/bridge/available", "online")
    assert bridge.end(signal.SIGTERM) == 0
    home.sees("gridpurse/bridge/available", "offline")


def test_a_broker_that_comes_back_is_told_everything_again(
    desk: Desk, broker: Broker, home: Home
) -> None:
    desk.take(desk.opened(charges=1).batch(1, 2))
    bridge = Bridge(desk.folder, broker)
    try:
        home.sees("gridpurse/m1/0/state", '"register_wh":1250')
        broker.stop()
        desk.ledger.charge(50)
        desk.take(desk.ledger.batch(3, 1))
        broker.start(())
        home.sees("gridpurse/m1/0/state", '"register_wh":1300')
        assert bridge.end(signal.SIGTERM) == 0
    finally:
        bridge.process.kill()


def test_once_and_remove(desk: Desk, broker: Broker, home: Home) -> None:
    desk.take(desk.opened(charges=1).batch(1, 2))
    bridge = Bridge(desk.folder, broker)
    bridge.end(signal.SIGTERM)
    words = ["bridge", "home-assistant", "--config", str(bridge.config)]
    assert cli.main([*words, "--once"]) == 0
    home.sees("gridpurse/bridge/available", "online")
    home.sees("gridpurse/m1/0/state", '"register_wh":1250')
    assert cli.main([*words, "--remove"]) == 0
    home.forgets("gridpurse/m1/0/state")
    home.forgets("homeassistant/sensor/gridpurse_m1_0/balance/config")
    home.forgets("gridpurse/bridge/available")


@pytest.mark.parametrize(
    ("change", "words", "line"),
    [
        ('kind = "nats"', [], "broker.kind: the bridge speaks MQTT"),
        ("", ["--every", "0"], "--every 0: must be 1 to"),
        ("port = 1", ["--once"], "is it running?"),
    ],
)  # fmt: skip
def test_what_cannot_be_bridged_is_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str], change: str, words: list[str], line: str
) -> None:
    config = desk.folder / "bridge.toml"
    config.write_text(f'data_dir = "{desk.folder}"\n[broker]\n{change}\n', encoding="utf-8")
    assert cli.main(["bridge", "home-assistant", "--config", str(config), *words]) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1
