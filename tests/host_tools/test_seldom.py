"""A broker that refuses or a worker that takes our place: told, and no flood of the log."""

import logging
import time
from dataclasses import replace

import pytest

from host_tools.broker import Broker
from host_tools.settlement.mqtt import MqttTransport
from host_tools.settlement.seldom import WINDOW_MS, Seldom
from host_tools.settlement.transport import Claim

CLAIM = Claim(0, 1, 1)
SERVED_S = 8  # so many attempts, about
LOST = "connection of shard 0 lost: "
TAKEN = "is another worker connected with this client id, gp-settle-0?"


def served(*transports: MqttTransport) -> None:
    for transport in transports:
        transport.open(CLAIM)
    end_s = time.monotonic() + SERVED_S
    while time.monotonic() < end_s:
        for transport in transports:
            transport.take(1, 20)
    for transport in transports:
        transport.stop()


def test_the_first_is_told_at_once_and_the_others_once_a_minute_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seldom = Seldom(logging.getLogger("x"))
    for now_ms in range(0, 2 * WINDOW_MS, 1000):
        seldom.warn("a", f"at {now_ms}", now_ms)
    seldom.warn("b", "another kind", 2 * WINDOW_MS - 1)
    for now_ms in range(2 * WINDOW_MS, 5 * WINDOW_MS, 1000):
        seldom.look(now_ms)
    seldom.warn("a", "again", 5 * WINDOW_MS)
    assert caplog.messages == [
        "at 0",
        "at 59000 (59 times since the last such line)",
        "another kind",
        "at 119000 (60 times since the last such line)",
        "again",
    ]


def test_a_broker_that_refuses_us_is_one_line_a_minute(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    served(MqttTransport(replace(broker.address, password="wrong")))
    assert caplog.messages == ["broker refused shard 0: Not authorized"]


def test_two_workers_with_one_client_id_are_told_what_is_the_matter(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    served(MqttTransport(broker.address), MqttTransport(broker.address))
    lost = [line for line in caplog.messages if line.startswith(LOST)]
    assert lost == caplog.messages
    plain, taken = (sum((TAKEN in line) == told for line in lost) for told in (False, True))
    assert 1 <= plain <= 2 and 1 <= taken <= 2  # of each worker no more than one
