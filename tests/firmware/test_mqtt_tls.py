"""MQTT over TLS, and NTP where the clock has no time: real MicroPython against nats-server.

Whatever is wrong with a certificate ends as a failed connection that is tried again later.
"""

import contextlib
import socket
import struct
import threading
import time

import pytest

from firmware.mqtt_stream import CLOSED, NO_LINK, NO_TIME, UNTRUSTED
from protocol import codes
from protocol.units import MODULE_TARGET
from tests.firmware.certificates import DAY, authority, issue
from tests.firmware.test_mqtt_client import LOGIN, Broker, Child, Host
from tests.host_tools.genuine import HANG_S

HOST = "localhost"


class Site:
    """A CA, brokers with certificates of it, and the files of a module that trusts it."""

    def __init__(self, folder):
        self.folder = folder
        self.brokers = []
        self.ca = authority("our CA")
        self.ca_file, _ = self.ca.write(folder, "ca")
        self.root = folder / "module"
        self.root.mkdir()
        (self.root / "ca.der").write_bytes(self.ca.der())

    def broker(self, name=HOST, mutual=False, **validity):
        folder = self.folder / f"broker {name}"
        folder.mkdir()
        certificate, key = issue(self.ca, name, **validity).write(folder, "server")
        tls = f', tls {{ cert_file: "{certificate}", key_file: "{key}", timeout: {HANG_S}'
        if mutual:
            tls += f', ca_file: "{self.ca_file}", verify: true'
        broker = Broker(folder, tls + " }")
        broker.start()
        self.brokers.append(broker)
        return broker

    def give(self, certificate):
        (self.root / "cert.der").write_bytes(certificate.der())
        (self.root / "tls.key").write_bytes(certificate.key_der())


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def started(site):
    """Starts a module's client against brokers, and ends both with the test."""
    with contextlib.ExitStack() as stack:

        def start(*brokers, tls=1, host=HOST, **secured):
            for broker in brokers:
                stack.callback(broker.kill)
            secured = {"root": str(site.root), "tls": tls, **secured}
            places = [[host, broker.port] for broker in brokers]
            more = {"brokers": places, "secured": secured, "backoff_ms_min": 20}
            child = Child("micropython", 0, **more, **LOGIN)
            stack.callback(child.close)
            return child

        yield start


def ended(child):
    return child.until(lambda event: event["event"] == "end")


def test_messages_of_several_reads_pass_both_ways_over_tls(started, site):
    """What is read decrypted in one go is less than a record: the rest shows on no descriptor."""
    child = started(site.broker())
    child.up()
    host = Host(site.brokers[0].port, site.ca_file)
    long = "x" * 3000
    host.tell(long)
    assert child.until(lambda event: event["event"] == "message")["text"] == long
    host.tell("say 1 " + long)
    host.hears("up/dev1", long)
    host.close()


def test_a_certificate_of_another_ca_is_refused_again_and_again(started, site):
    (site.root / "ca.der").write_bytes(authority("our CA").der())
    child = started(site.broker())
    for _ in range(3):
        assert ended(child)["reason"] == UNTRUSTED


def test_a_certificate_for_another_host_is_refused(started, site):
    child = started(site.broker("other.example"))
    assert ended(child)["reason"] == UNTRUSTED


def test_a_broker_named_by_its_address_is_checked_by_it(started, site):
    started(site.broker("127.0.0.1"), host="127.0.0.1").up()
    child = started(site.broker(), host="127.0.0.1")
    assert ended(child)["reason"] == UNTRUSTED


def test_an_expired_certificate_is_refused(started, site):
    child = started(site.broker(begins=-30 * DAY, ends=-DAY))
    assert ended(child)["reason"] == UNTRUSTED


def test_a_certificate_that_is_not_valid_yet_is_refused(started, site):
    child = started(site.broker(begins=DAY, ends=30 * DAY))
    assert ended(child)["reason"] == UNTRUSTED


def test_a_broker_that_asks_for_our_certificate_gets_it(started, site):
    site.give(issue(site.ca, "dev1"))
    started(site.broker(mutual=True), tls=2).up()


def test_without_the_certificate_that_the_broker_asks_for_there_is_no_connection(started, site):
    child = started(site.broker(mutual=True), tls=1)
    for _ in range(2):
        assert ended(child)["reason"] in (NO_LINK, CLOSED)


def test_our_certificate_of_another_ca_makes_no_connection(started, site):
    site.give(issue(authority("their CA"), "dev1"))
    child = started(site.broker(mutual=True), tls=2)
    assert ended(child)["reason"] in (NO_LINK, CLOSED)


@pytest.mark.parametrize("name", ("ca.der", "cert.der", "tls.key"))
@pytest.mark.parametrize("content", (None, b"", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x03abc"))
def test_a_file_that_is_missing_or_not_der_is_no_crash(started, site, name, content):
    site.give(issue(site.ca, "dev1"))
    (site.root / name).unlink()
    if content is not None:
        (site.root / name).write_bytes(content)
    child = started(site.broker(mutual=True), tls=2)
    for _ in range(2):
        assert ended(child)["reason"] == UNTRUSTED


def test_without_a_time_no_certificate_is_judged(started, site):
    child = started(site.broker(), floor_s=0)
    assert ended(child)["reason"] == NO_TIME


def test_a_broker_that_does_not_speak_tls_is_no_broker(started, site):
    folder = site.folder / "plain"
    folder.mkdir()
    broker = Broker(folder)
    broker.start()
    assert ended(started(broker))["reason"] in (NO_LINK, CLOSED, UNTRUSTED)


class TimeServer:
    """SNTP over UDP on a port of its own; `answer(request, good answer)` -> what it sends."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            request, sender = self.socket.recvfrom(512)
            if not request:
                return
            self.requests.append(request)
            sent = self.answer(request, told(request, int(time.time())))
            if sent:
                self.socket.sendto(sent, sender)

    def close(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


def told(request, unix_s, stratum=2):
    head = bytes((0x24, stratum, 6, 0xEC)) + bytes(20) + request[40:48] + bytes(8)
    return head + struct.pack(">II", unix_s + 2208988800 & 0xFFFFFFFF, 0)


@pytest.fixture
def time_server():
    with contextlib.ExitStack() as stack:

        def start(answer):
            server = TimeServer(answer)
            stack.callback(server.close)
            return server

        yield start


def test_a_clock_without_time_asks_first_and_then_connects(started, site, time_server):
    server = time_server(lambda request, good: good)
    floor_s = int(time.time()) - 3600
    child = started(site.broker(), floor_s=floor_s, ntp_host=server.name)
    step = child.until(lambda event: event["event"] == "step")
    assert (step["code"], step["point"]) == (codes.CLOCK_SET, MODULE_TARGET)
    assert step["old_s"] - floor_s < 60 and abs(step["new_s"] - time.time()) < 60
    late = child.up()["failures"][NO_TIME]  # answers that a stalled machine has held up
    assert len(server.requests) == 1 + late


def test_a_blank_journal_gets_a_dated_connection_and_no_step(started, site, time_server):
    server = time_server(lambda request, good: good)
    child = started(site.broker(), floor_s=0, ntp_host=server.name)
    assert abs(child.until(lambda e: e["event"] == "rtc")["unix_s"] - time.time()) < 60
    child.up()
    assert not [line for line in child.lines if '"step"' in line]


def test_a_clock_with_time_asks_nobody(started, site, time_server):
    server = time_server(lambda request, good: good)
    started(site.broker(), ntp_host=server.name).up()
    assert not server.requests


LIES = {
    "kiss of death": lambda request, good: told(request, int(time.time()), stratum=0),
    "another mark": lambda request, good: good[:24] + bytes(8) + good[32:],
    "cut short": lambda request, good: good[:47],
    "empty": lambda request, good: b"\0",
    "long ago": lambda request, good: told(request, 946684800),
    "far away": lambda request, good: told(request, 4102444800),
    "nothing": lambda request, good: None,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_time_that_cannot_be_believed_makes_no_connection(started, site, time_server, lie):
    server = time_server(LIES[lie])
    child = started(site.broker(), floor_s=0, ntp_host=server.name)
    assert ended(child)["reason"] == NO_TIME
    assert ended(child)["reason"] == NO_TIME
    assert not [line for line in child.lines if '"rtc"' in line]


def test_without_tls_a_silent_time_server_does_not_keep_us_from_the_broker(
    started, site, time_server
):
    folder = site.folder / "plain"
    folder.mkdir()
    broker = Broker(folder)
    broker.start()
    server = time_server(LIES["nothing"])
    started(broker, tls=0, floor_s=0, ntp_host=server.name).up()


def test_an_esp32_comes_up_asks_the_time_and_connects_by_address_but_checks_the_name(
    started, site, time_server
):
    server = time_server(lambda request, good: good)
    ours, other = site.broker("meter.example"), site.broker("other.example")
    more = {"esp32": 1, "floor_s": 0, "ntp_host": server.name.replace("127.0.0.1", "ntp.example")}
    child = started(other, other, other, ours, host="meter.example", **more)
    failures = child.up()["failures"]
    late = failures[NO_TIME]  # answers of the time server that a stalled machine has held up
    assert failures[UNTRUSTED] == 3 - late and len(server.requests) == 1 + late
    names = [line for line in child.lines if '"resolved"' in line]
    assert len(names) == 2 + late  # else each once, however often it is tried


def test_an_esp32_whose_time_server_is_silent_is_not_held_up_for_ever(started, site, time_server):
    server = time_server(LIES["nothing"])
    child = started(site.broker(), esp32=1, floor_s=0, ntp_host=server.name)
    assert ended(child)["reason"] == NO_TIME
