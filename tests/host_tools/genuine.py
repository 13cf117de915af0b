"""A module in a few lines: genuine entries, batches and seals, made with protocol/ alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tools.config import BrokerAddress
from host_tools.keys import RootKey
from protocol import cose, ledger, messages, reading, topics
from protocol.ledger import Entry, State
from protocol.messages import Events, Hello, Readings, Result, Statement
from protocol.tariff import Book
from protocol.units import SYNCHRONISED

ROOT = Path(__file__).resolve().parents[2]
START_S = 1767225600  # 2026-01-01 00:00 UTC
HANG_S = 300  # nothing that tests wait for takes so long, however busy the machine is


def by_deadline(ready: Callable[[], object], what: str, within_s: int = HANG_S) -> None:
    """Waits for a condition of another process; a miss names it."""
    end = time.monotonic() + within_s
    pause_s = 0.01
    while not ready():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        signal.sigtimedwait([], pause_s)
        pause_s = min(0.1, pause_s * 1.2)  # looking shall not keep the other from it


def state_fields(state: State) -> list[object]:
    return [
        state.balance_ncur,
        state.period,
        state.used_wh,
        state.day,
        *state.mark,
        state.head,
    ]


class PointLedger:
    """The ledger of one service point as its module writes it."""

    def __init__(self, module: str, point: int, book: Book) -> None:
        self.point = point
        self.book = book
        self.states = [ledger.genesis(module, point)]
        self.entries: list[Entry] = []

    @property
    def state(self) -> State:
        return self.states[-1]

    def enter(self, entry: Entry) -> None:
        self.states.append(ledger.apply(self.state, entry))
        self.entries.append(entry)

    def open(self, time_s: int = START_S, register_wh: int = 1000) -> None:
        self.enter(ledger.opening(self.state, self.book, time_s, SYNCHRONISED, register_wh))

    def charge(self, energy_wh: int) -> None:
        time_s = reading.next_boundary_s(self.state.time_s)
        register_wh = self.state.register_wh + energy_wh
        self.enter(ledger.charge(self.state, self.book, time_s, SYNCHRONISED, register_wh))

    def fixed(self) -> None:
        day = self.state.day + 1
        self.enter(ledger.fixed(self.state, self.book, SYNCHRONISED, day))

    def top_up(self, number: int, amount_ncur: int) -> None:
        state = self.state
        time_s = state.time_s + 7
        self.enter(
            ledger.topped_up(state, time_s, SYNCHRONISED, number, ledger.BY_COMMAND, amount_ncur)
        )

    def adjust(self, command_id: int, amount_ncur: int, reason: int = 1) -> None:
        state = self.state
        made = (state, state.time_s + 8, SYNCHRONISED, command_id, reason, amount_ncur)
        self.enter(ledger.adjusted(*made))

    def batch(self, first_seq: int, count: int, epoch: int = 1) -> Readings:
        """Entries first_seq .. first_seq + count - 1 as one message."""
        before = self.states[first_seq - 1]
        entries = self.entries[first_seq - 1 : first_seq - 1 + count]
        items, metered_s = [], before.time_s
        for entry in entries:
            items.append(reading.to_item(metered_s, entry))
            if entry.kind in (ledger.CHARGE, ledger.OPENING):
                metered_s = entry.time_s
        after = self.states[first_seq - 1 + len(entries)]
        version = entries[-1].version
        return Readings(self.point, epoch, first_seq, version, items, after.head)

    def statement(self, epoch: int = 1) -> Statement:
        state = self.state
        return Statement(
            self.point,
            epoch,
            state.seq,
            state.time_s + 60,
            SYNCHRONISED,
            state.register_wh,
            state.version,
            state.balance_ncur,
            state.charged_ncur,
            state.topups_ncur,
            state_fields(state),
        )


class Sender:
    """Seals as one module and keeps what the host says to it."""

    def __init__(self, module: str, key: RootKey, shard: int = 0) -> None:
        self.module = module
        self.shard = shard
        self.up = key.mac(cose.UP)
        self.down = key.mac(cose.DOWN)

    def seal(self, message: tuple[object, ...]) -> bytes:
        return messages.seal(message, self.up)

    def opened(self, data: bytes) -> object:
        return messages.unseal(data, self.down, True)

    def hello(self, streams: dict[int, int], boot_id: int = 1, ticks_ms: int = 5000) -> Hello:
        versions: dict[int, int] = {}
        now_s = START_S
        return Hello(boot_id, 1, ticks_ms, now_s, SYNCHRONISED, 1, "0.1.0", 1, streams, versions)

    def events(self, first_seq: int, *items: list[object], epoch: int = 1) -> Events:
        return Events(epoch, first_seq, list(items))

    def result(self, seq: int, command_id: int, status: int = 0) -> Result:
        return Result(1, seq, START_S, SYNCHRONISED, command_id, status, 0)


class Radio:
    """A module's connection: publishes with QoS 1 and keeps what comes down."""

    def __init__(
        self, sender: Sender, broker: BrokerAddress, topic: str = "", within_s: int = HANG_S
    ) -> None:
        self.sender = sender
        self.topic = topic or topics.down(sender.shard, sender.module)
        self.heard: list[object] = []
        self.answer = ""
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(broker.user, broker.password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._came
        self.client.connect_async(broker.host, broker.port)
        self.client.loop_start()
        try:
            by_deadline(lambda: self.answer, f"subscription of {sender.module}", within_s)
            assert self.answer == "granted"
        except AssertionError:
            self.close()
            raise

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(self.topic, qos=1)

    def _subscribed(self, _client: object, _data: object, _mid: int, reasons: list, _: object):
        granted = all(reason.value < 0x80 for reason in reasons)
        self.answer = "granted" if granted else "refused"

    def _came(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append(self.sender.opened(message.payload))

    def send(self, message: tuple[object, ...]) -> None:
        self.send_bytes(self.sender.seal(message))

    def send_bytes(self, data: bytes, topic: str = "") -> None:
        topic = topic or topics.up(self.sender.shard, self.sender.module)
        self.client.publish(topic, data, qos=1)

    def settled(self, stream: int) -> int:
        """Highest sequence that an acknowledgement has named."""
        acks = [item.streams.get(stream, 0) for item in self.heard if is_a(item, messages.Ack)]
        return max(acks, default=0)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def is_a(item: object, kind: type) -> bool:
    return isinstance(item, kind)


class Settle:
    """`gridpurse settle` as a process of its own."""

    shards_max = 0

    def __init__(self, data: Path, broker: BrokerAddress, now_s: int, shards: str = "0") -> None:
        self.data = data
        self.broker = broker
        self.clock = data / "clock"
        self.shards = shards
        self.set_clock(now_s)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data / "settle.log"
        self.more: dict[str, str] = {}  # variables besides

    def set_clock(self, now_s: int) -> None:
        new = self.clock.with_name("clock.new")
        new.write_bytes((now_s * 1000).to_bytes(8, "little"))
        new.replace(self.clock)  # whole at any time, for who reads it meanwhile

    def environ(self) -> dict[str, str]:
        return os.environ | {
            "GRIDPURSE_DATA_DIR": str(self.data),
            "GRIDPURSE_CLOCK_FILE": str(self.clock),
            "GRIDPURSE_SHARDS": self.shards,
            "GRIDPURSE_BROKER_HOST": self.broker.host,
            "GRIDPURSE_BROKER_PORT": str(self.broker.port),
            "GRIDPURSE_BROKER_USER": self.broker.user,
            "GRIDPURSE_BROKER_PASSWORD": self.broker.password,
            "GRIDPURSE_BROKER_KIND": self.broker.kind,
            "GRIDPURSE_SHARDS_MAX": str(self.shards_max),
            "GRIDPURSE_POLL_MS": "20",
            **self.more,
        }

    def start(self, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            began = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "host_tools.cli", "settle"],
                cwd=ROOT,
                env=self.environ(),
                stdout=log,
                stderr=log,
            )
        if wait:
            ready = f"settle ready: shards {self.shards}".encode()
            by_deadline(
                lambda: ready in self.log.read_bytes()[began:] or self.process.poll() is not None,
                "settle ready",
            )
            assert self.process.poll() is None, self.log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Exit status after a signal."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(HANG_S)
        finally:
            process.kill()
            process.wait()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another sub-command on the same store."""
        return subprocess.run(
            [sys.executable, "-m", "host_tools.cli", *words],
            cwd=ROOT,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=False,
        )

    def reconcile(self) -> dict[str, object]:
        out = self.command("reconcile", "--json").stdout
        shown = json.loads(out)
        assert isinstance(shown, dict)
        return shown
