"""Several brokers: the next one after a failure, the first one first after a lost connection."""

import contextlib
import queue
import socket

import pytest

from firmware.mqtt_stream import NO_LINK, REFUSED, SILENT
from host_tools.broker import free_port
from tests.firmware.test_mqtt_client import (  # noqa: F401
    GREETING,
    LOGIN,
    Broker,
    Child,
    Peer,
    interpreter,
)


@pytest.fixture
def brokers(tmp_path):
    """Two, the second of them running."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            made.append(Broker(tmp_path / name))
        made[1].start()
        stack.callback(lambda: [broker.kill() for broker in made if broker.process])
        yield made


@pytest.fixture
def started(interpreter):  # noqa: F811
    with contextlib.ExitStack() as stack:

        def start(*ports, **options):
            places = [["127.0.0.1", port] for port in ports]
            options = {"backoff_ms_min": 20, **LOGIN, **options}
            child = Child(interpreter, 0, brokers=places, **options)
            stack.callback(child.close)
            return child

        yield start


def ended(child):
    event = child.until(lambda event: event["event"] == "end")
    return event["place"], event["reason"]


def test_a_dead_broker_is_passed_over_and_the_list_begins_anew_after_its_end(started, brokers):
    brokers[1].kill()
    child = started(*[broker.port for broker in brokers])
    found = [ended(child) for _ in range(4)]
    assert found == [(0, NO_LINK), (1, NO_LINK), (0, NO_LINK), (1, NO_LINK)]
    brokers[1].start()
    child.up()


def test_a_broker_that_refuses_the_login_is_passed_over(started, brokers):
    text = brokers[0].config.read_text()
    brokers[0].config.write_text(text.replace("password: pw", "password: other"))
    brokers[0].start()
    child = started(*[broker.port for broker in brokers])
    assert ended(child) == (0, REFUSED)
    child.up()


def test_a_broker_that_is_silent_is_passed_over(started, brokers):
    with contextlib.closing(Peer(lambda _: None)) as silent:
        child = started(silent.port, brokers[1].port, reply_ms_max=200)
        assert ended(child) == (0, SILENT)
        child.up()


@pytest.mark.parametrize("interpreter", ["micropython"], indirect=True)
def test_after_a_lost_connection_the_first_broker_is_tried_first(started, brokers):
    child = started(free_port(), brokers[1].port, free_port(), keepalive_s=2)
    assert ended(child) == (0, NO_LINK)
    child.up()
    with contextlib.suppress(queue.Empty):  # as long as makes a connection a steady one
        while True:
            child.events.get(timeout=5.5)
    brokers[1].kill()
    assert [ended(child)[0] for _ in range(3)] == [1, 0, 1]


@pytest.mark.parametrize("interpreter", ["micropython"], indirect=True)
def test_a_broker_that_drops_us_at_once_is_not_clung_to(started, brokers):
    def once(packet):
        return GREETING.get(packet[0] >> 4)

    with contextlib.closing(Peer(once)) as hasty:
        child = started(hasty.port, brokers[1].port)
        child.up()
        hasty.open[0].shutdown(socket.SHUT_RDWR)
        assert ended(child)[0] == 0
        child.up(connects=2)
