"""Home Assistant finds service points on a real broker: retained discovery, exact states."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host_tools import Refused
from host_tools.broker import Broker, free_port
from host_tools.exchange import home_assistant as bridge
from host_tools.exchange.home_assistant import PointState
from protocol.units import Malformed
from tests.host_tools.genuine import HANG_S

STATE = PointState(
    "gp-1", 0, "Flat 1 一号", "CNY", 1_234_567, -12_345_678_901, 1_800_000_000, True
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"), free_port())
    made.start(())
    yield made
    made.stop()


def retained(broker: Broker, count: int) -> dict[str, str]:
    """What a new subscriber is given at once; waits for so many messages."""
    found: dict[str, str] = {}
    enough = threading.Event()
    ready = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="home")
    address = broker.address
    client.username_pw_set(address.user, address.password)

    def arrived(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        assert message.retain
        found[message.topic] = message.payload.decode()
        if len(found) >= count:
            enough.set()

    client.on_message = arrived
    client.on_subscribe = lambda *_: ready.set()
    client.connect(address.host, address.port)
    client.subscribe([("homeassistant/#", 1), ("gridpurse/#", 1)])
    client.loop_start()
    assert ready.wait(HANG_S)
    enough.wait(HANG_S if count else 1)
    client.disconnect()
    client.loop_stop()
    return found


def test_a_point_is_there_for_whoever_comes_later_and_gone_when_it_is_removed(
    broker: Broker,
) -> None:
    messages = [*bridge.discovery(STATE), *bridge.states(STATE)]
    assert bridge.publish(broker.address, messages) == 6
    found = retained(broker, 6)
    assert found == {each.topic: each.payload for each in messages}
    later = replace(STATE, register_wh=1_234_999, online=False)
    bridge.publish(broker.address, bridge.states(later))
    told = retained(broker, 6)
    assert told["gridpurse/gp-1/0/available"] == "offline"
    assert json.loads(told["gridpurse/gp-1/0/state"])["register_wh"] == 1_234_999
    bridge.publish(broker.address, bridge.removal(STATE))
    assert retained(broker, 0) == {}


def test_every_sensor_is_of_one_device_and_has_a_name_of_its_own() -> None:
    configs = [json.loads(each.payload) for each in bridge.discovery(STATE)]
    assert len({each["unique_id"] for each in configs}) == len(configs) == 4
    assert {each["device"]["identifiers"][0] for each in configs} == {"gridpurse_gp-1_0"}
    assert {each["state_topic"] for each in configs} == {"gridpurse/gp-1/0/state"}
    units = {each.get("device_class"): each.get("unit_of_measurement") for each in configs}
    assert units["energy"] == "Wh" and units["monetary"] == "CNY"
    values = json.loads(bridge.states(STATE)[0].payload)
    for each in configs:
        key = each["value_template"].removeprefix("{{ value_json.").removesuffix(" }}")
        assert key in values


def test_money_is_exact_and_trouble_is_told() -> None:
    values = json.loads(bridge.states(STATE)[0].payload)
    assert values["balance"] == "-12.345678901" and values["problem"] == "OFF"
    assert values["settled"] == "2027-01-15T08:00:00Z"
    told = json.loads(bridge.states(replace(STATE, trouble="V10"))[0].payload)
    assert (told["problem"], told["trouble"]) == ("ON", "V10")


@pytest.mark.parametrize(
    "changes", [{"module": "gp/#"}, {"module": "+"}, {"point": 8}, {"label": ""}]
)
def test_a_name_that_is_no_topic_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        bridge.discovery(replace(STATE, **changes))  # type: ignore[arg-type]


def test_a_broker_that_is_away_or_refuses_is_one_line(broker: Broker) -> None:
    away = replace(broker.address, port=free_port())
    with pytest.raises(Refused, match="is it running"):
        bridge.publish(away, bridge.states(STATE))
    stranger = replace(broker.address, password="wrong")
    with pytest.raises(Refused, match="check user and password"):
        bridge.publish(stranger, bridge.states(STATE))
