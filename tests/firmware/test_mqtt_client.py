"""The MQTT client as a process, on both interpreters, against a real broker and bad peers."""

import contextlib
import itertools
import json
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from firmware import mqtt_codec as codec
from firmware.mqtt_stream import CLOSED, DENIED, GARBLED, NO_LINK, REFUSED, SILENT
from host_tools.broker import free_port
from tests.host_tools.genuine import HANG_S

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
COMMANDS = {
    "cpython": [sys.executable, "-u"],
    "micropython": [str(BIN / "micropython"), "-X", "heapsize=192k"],
}

CONFIG = """
server_name: {name}
listen: "127.0.0.1:-1"
jetstream {{ store_dir: "{store}" }}
mqtt {{ listen: "127.0.0.1:{port}"{tls} }}
authorization {{
  timeout: {hang_s}
  users: [
    {{ user: host, password: host }}
    {{ user: dev1, password: pw, permissions: {{
      publish: ["up.dev1", "will.dev1"], subscribe: ["down.dev1", "down.dev1.>", "$MQTT.>"] }} }}
  ]
}}
"""


class Broker:
    """nats-server with an MQTT listener that keeps its port and store across restarts."""

    def __init__(self, folder, tls=""):
        self.port = free_port()
        self.config = folder / "nats.conf"
        store = folder / "store"
        text = CONFIG.format(name="t", store=store, port=self.port, tls=tls, hang_s=HANG_S)
        self.config.write_text(text)
        self.process = None

    def start(self):
        server = shutil.which("nats-server", path=str(BIN)) or "nats-server"
        self.process = subprocess.Popen(
            [server, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        raise AssertionError("nats-server did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Host:
    """What a host sees: a paho client with its own session."""

    def __init__(self, port, ca_file=None):
        self.got = queue.Queue()
        self.past = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="host")
        self.client.username_pw_set("host", "host")
        ready = threading.Event()
        self.client.on_connect = lambda c, *_: c.subscribe([("up/#", 1), ("will/#", 1)])
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _c, _u, m: self.got.put((m.topic, m.payload.decode()))
        if ca_file:
            self.client.tls_set(str(ca_file))
        self.client.connect("localhost" if ca_file else "127.0.0.1", port)
        self.client.loop_start()
        assert ready.wait(HANG_S)

    def tell(self, text):
        self.client.publish("down/dev1/x", text, qos=1).wait_for_publish(HANG_S)

    def hears(self, topic, text):
        """Waits for a message; only copies of earlier ones may come before it."""
        while (got := self.got.get(timeout=HANG_S)) != (topic, text):
            assert got in self.past
        self.past.append(got)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Child:
    """The client process; its events in order, None when it has ended.

    A broker that the machine stalls is not taken for a silent one, unless a test says so.
    """

    def __init__(self, interpreter, port, **options):
        options.setdefault("reply_ms_max", 20000)
        options.setdefault("backoff_ms_min", 50)
        options.setdefault("backoff_ms_max", 400)
        options.update(port=port, client_id="dev1")
        script = str(ROOT / "tests" / "firmware" / "mqtt_child.py")
        self.process = subprocess.Popen(
            [*COMMANDS[interpreter], script, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
        )
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.close()
        self.events = queue.Queue()
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("{"):
                self.events.put(json.loads(line))
        self.events.put(None)

    def until(self, wanted):
        """The first event that `wanted` accepts; those before it are passed over."""
        end = time.monotonic() + HANG_S
        with contextlib.suppress(queue.Empty):
            while event := self.events.get(timeout=max(0, end - time.monotonic())):
                if wanted(event):
                    return event
        raise AssertionError("".join(self.lines[-20:]))

    def up(self, connects=1):
        return self.until(
            lambda e: e["event"] == "state" and e["connected"] and e["connects"] >= connects
        )

    def failed(self, code, times=1):
        return self.until(lambda e: e["event"] == "state" and e["failures"][code] >= times)

    def close(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


LOGIN = {"user": "dev1", "password": "pw", "subscriptions": [["down/dev1/#", 1]]}


@pytest.fixture(params=["cpython", "micropython"])
def interpreter(request):
    return request.param


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def started(interpreter):
    """Starts children, and ends them with the test."""
    with contextlib.ExitStack() as stack:

        def start(port, **options):
            child = Child(interpreter, port, **options)
            stack.callback(child.close)
            return child

        yield start


@pytest.fixture
def host(broker):
    host = Host(broker.port)
    yield host
    host.close()


def test_messages_pass_both_ways_and_are_acknowledged(started, broker, host):
    child = started(broker.port, **LOGIN)
    child.up()
    host.tell("hello")
    assert child.until(lambda e: e["event"] == "message")["topic"] == "down/dev1/x"
    host.tell("say 1 first")
    assert child.until(lambda e: e["event"] == "said") == {
        "event": "said",
        "text": "first",
        "done": True,
    }
    host.hears("up/dev1", "first")
    host.tell("say 0 second")
    assert child.until(lambda e: e["event"] == "said")["done"]
    host.hears("up/dev1", "second")


def test_an_async_receiver_is_awaited_and_poison_does_not_stop_the_client(started, broker, host):
    child = started(broker.port, **LOGIN)
    child.up()
    host.tell("poison")
    host.tell("not now")
    host.tell("later on")
    assert child.until(lambda e: e["event"] == "message")["text"] == "later on"
    host.tell("hello")
    assert child.until(lambda e: e["event"] == "message")["text"] == "hello"


def test_more_messages_than_the_window_all_arrive(started, broker, host):
    child = started(broker.port, say=[f"1 {i}" for i in range(20)], **LOGIN)
    child.up()
    wanted = {("up/dev1", str(i)) for i in range(20)}
    got = set()
    while len(got) < 20:  # a copy may come between them
        got.add(host.got.get(timeout=HANG_S))
    assert got == wanted
    for _ in range(20):
        assert child.until(lambda e: e["event"] == "said")["done"]


def test_a_killed_broker_is_found_again_and_resubscribed(started, broker):
    child = started(broker.port, **LOGIN)
    child.up()
    broker.kill()
    child.until(lambda e: e["event"] == "state" and not e["connected"] and any(e["failures"]))
    child.failed(NO_LINK, 2)  # several attempts while nobody listens
    broker.start()
    child.up(connects=2)
    host = Host(broker.port)
    host.tell("welcome back")
    assert child.until(lambda e: e["event"] == "message")["text"] == "welcome back"
    host.close()


def test_a_denied_subscription_is_a_counted_failure_and_never_silently_running(started, broker):
    login = {**LOGIN, "subscriptions": [["down/dev1/#", 1], ["down/dev2/#", 1]]}
    child = started(broker.port, **login)
    event = child.failed(DENIED, 2)
    assert event["connects"] == 0
    assert not event["connected"]


def test_a_refused_login_is_a_counted_failure(started, broker):
    child = started(broker.port, **{**LOGIN, "password": "wrong"})
    event = child.until(
        lambda e: e["event"] == "state" and e["failures"][REFUSED] + e["failures"][CLOSED] >= 2
    )
    assert event["connects"] == 0


def test_a_cancelled_client_takes_leave_and_a_killed_one_leaves_its_will(started, broker, host):
    polite = started(broker.port, will=["will/dev1", "left"], **LOGIN)
    polite.up()
    host.tell("leave")
    polite.until(lambda e: e["event"] == "ended")
    polite.process.wait(HANG_S)
    killed = started(broker.port, will=["will/dev1", "gone"], **LOGIN)
    killed.up()
    killed.close()
    assert host.got.get(timeout=HANG_S) == ("will/dev1", "gone")  # and not that it "left"


CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x01"


class Peer:
    """A TCP server that follows a script: `answer(packet kind, first byte)` -> bytes or None."""

    def __init__(self, answer):
        self.answer = answer
        self.packets = []
        self.arrivals = queue.Queue()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.open = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.open.append(connection)
                self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self.threads[-1].start()

    def _serve(self, connection):
        data = b""
        with contextlib.suppress(OSError):
            while chunk := connection.recv(4096):
                data += chunk
                while len(data) >= 2 and len(data) >= 2 + data[1]:  # short packets only
                    packet, data = data[: 2 + data[1]], data[2 + data[1] :]
                    self.packets.append((time.monotonic(), packet))
                    self.arrivals.put(self.packets[-1])
                    connection.sendall(self.answer(packet) or b"")

    def wait_for(self, kind, timeout_s=HANG_S):
        """When the next packet of a kind came; those before it are passed over."""
        while True:
            at, packet = self.arrivals.get(timeout=timeout_s)
            if packet[0] >> 4 == kind:
                return at

    def kinds(self):
        return [packet[0] >> 4 for _, packet in self.packets]

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)  # wakes accept(), closing alone does not
        self.threads[0].join()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads[1:]:
            thread.join()
        for connection in [*self.open, self.server]:
            connection.close()


@pytest.fixture
def peers():
    with contextlib.ExitStack() as stack:

        def start(answer):
            peer = Peer(answer)
            stack.callback(peer.close)
            return peer

        yield start


def answers(table):
    return lambda packet: table.get(packet[0] >> 4)


CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 1, 3, 4, 8, 12
GREETING = {CONNECT: CONNACK, SUBSCRIBE: SUBACK}


def test_a_peer_that_accepts_and_stays_silent_is_left(started, peers):
    peer = peers(answers({}))
    child = started(peer.port, reply_ms_max=200, **LOGIN)
    event = child.failed(SILENT, 2)
    assert event["connects"] == 0


def test_a_half_open_connection_is_noticed_by_its_missing_ping_reply(started, peers):
    peer = peers(answers(GREETING))
    child = started(peer.port, reply_ms_max=300, keepalive_s=1, **LOGIN)
    silences = child.up()["failures"][SILENT]
    peer.wait_for(PINGREQ)
    child.failed(SILENT, silences + 1)


def test_pings_leave_at_a_quarter_of_the_keepalive(started, peers):
    peer = peers(answers({**GREETING, PINGREQ: b"\xd0\x00"}))
    began = time.monotonic()
    child = started(peer.port, keepalive_s=2, **LOGIN)
    child.up()
    pings = [peer.wait_for(PINGREQ) for _ in range(3)]
    assert pings[-1] - began > 1.45
    assert peer.kinds().count(CONNECT) == 1


def test_a_missing_puback_is_resent_once_with_dup_and_then_the_connection_is_given_up(
    started, peers
):
    peer = peers(answers({**GREETING, PINGREQ: b"\xd0\x00"}))
    child = started(peer.port, reply_ms_max=300, say=["1 x"], **LOGIN)
    child.until(lambda e: e["event"] == "unavailable")
    child.failed(SILENT)
    peer.wait_for(PUBLISH)
    peer.wait_for(PUBLISH)
    first, second = [packet for _, packet in peer.packets if packet[0] >> 4 == PUBLISH][:2]
    assert first[0] == 0x32
    assert second[0] == 0x3A
    assert first[1:] == second[1:]
    assert peer.kinds().count(PUBLISH) == 2


def test_a_resent_message_that_is_acknowledged_keeps_the_connection(started, peers):
    def answer(packet):
        if packet[0] == 0x3A:
            return b"\x40\x02" + packet[11:13]
        if packet[0] >> 4 == SUBSCRIBE:  # on each connection: a stall may cost the first ones
            return SUBACK + codec.publish("down/dev1", b"say 1 x")
        return answers(GREETING)(packet)

    peer = peers(answer)
    child = started(peer.port, reply_ms_max=1000, **LOGIN)
    assert child.until(lambda e: e["event"] == "said")["done"]


def test_a_session_present_flag_is_accepted_and_shown_and_still_resubscribed(started, peers):
    peer = peers(answers({**GREETING, CONNECT: b"\x20\x02\x01\x00"}))
    child = started(peer.port, **LOGIN)
    assert child.up()["session"] is True
    assert SUBSCRIBE in peer.kinds()


def test_garbage_and_unasked_answers_end_the_connection(started, peers):
    for reply in (b"HTTP/1.1 400 Bad\r\n", SUBACK, CONNACK + CONNACK, b"\x30\xff\xff\xff\x7f"):
        peer = peers(answers({CONNECT: reply}))
        child = started(peer.port, reply_ms_max=300, **LOGIN)
        child.failed(GARBLED)


def test_a_refusing_connack_is_counted(started, peers):
    peer = peers(answers({CONNECT: b"\x20\x02\x00\x05"}))
    child = started(peer.port, **LOGIN)
    child.failed(REFUSED, 2)


def test_attempts_thin_out_exponentially_up_to_the_bound(started, peers):
    peer = peers(answers({CONNECT: b"\x20\x02\x00\x05"}))
    child = started(peer.port, backoff_ms_min=100, backoff_ms_max=400, **LOGIN)
    child.failed(REFUSED, 6)
    at = [at for at, packet in peer.packets]
    gaps = [b - a for a, b in itertools.pairwise(at)]
    assert gaps[0] > 0.045
    assert sum(gaps[2:]) > 0.58


def test_inbound_messages_are_acknowledged_after_the_receiver_returned(started, peers):
    def answer(packet):
        if packet[0] >> 4 == SUBSCRIBE:
            messages = [(b"poison", 1), (b"not now", 2), (b"later", 3), (b"zero", 0)]
            return SUBACK + b"".join(
                codec.publish("down/dev1", text, 1 if number else 0, number)
                for text, number in messages
            )
        return answers(GREETING)(packet)

    peer = peers(answer)
    child = started(peer.port, **LOGIN)
    assert child.until(lambda e: e["event"] == "message")["text"] == "later"
    assert child.until(lambda e: e["event"] == "message")["text"] == "zero"
    peer.wait_for(PUBACK)
    peer.wait_for(PUBACK)
    with pytest.raises(queue.Empty):
        peer.wait_for(PUBACK, 0.2)
    acknowledged = [packet for _, packet in peer.packets if packet[0] == 0x40]
    assert acknowledged == [codec.puback(1), codec.puback(3)]
