"""100 pulses a second for ten minutes beside everything else a module does: how many are lost.

    python -m tests.bench.pulses

Real time, on a virtual module whose flash takes a chip's time (see rig): two Modbus meters at
9 600 baud, a broker behind TLS with certificates of both sides that goes down once a minute, so
that there is another handshake, a top-up every two seconds that nobody acknowledges, so that
journal and files are written. The bridge counts the pulses, as the hardware counter of an ESP32
does; what the module makes of the count is the subject. Counted is what its journal holds after
the interval.
"""

import asyncio
import itertools
import sys
import tempfile
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware import point as point_module
from host_tools.simulator.virtual_time import VirtualTime
from protocol import codes, cose, messages, topics
from tests.bench import figures, rig
from tests.firmware import desk as desks
from tests.firmware.certificates import issue
from tests.firmware.test_mqtt_tls import HOST, Site

PULSES_A_S = 100
SECONDS = 600
LEFT_WH = 1900
CURRENT_MAX_MA = 2_000_000  # 100 pulses a second at 1000 imp/kWh are 360 kW
BOOT_S = 20
AFTER_S = 12  # for the interval's entry to be durable
INTERVAL_S = 900
TOPUP_EVERY_S = 2
BROKER_DOWN_EVERY_S = 60
TOPUP_NCUR = 300 * desks.CUR  # what ten minutes cost, and more, before the first pulse
LOGIN = "host"  # and password, of a broker that lives for one run
GREETED_S_MAX = 120


class Host:
    """Sends sealed top-ups through the broker, each once; only counts what comes."""

    def __init__(self, site: Site, port: int, prepared: rig.Prepared) -> None:
        self.mac = cose.Mac(cose.derive(desks.ROOT_KEY, cose.DOWN))
        self.topic = topics.down(prepared.module.shard, prepared.module.module)
        self.kid = prepared.module.module.encode()
        self.ids = itertools.count(100)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench")
        self.mac_up = cose.Mac(cose.derive(desks.ROOT_KEY, cose.UP))
        self.greeted = threading.Event()
        self.hellos = 0  # one a connection
        up = topics.up(prepared.module.shard, prepared.module.module)
        self.client.on_connect = lambda client, *_: client.subscribe(up, 1)
        self.client.on_message = lambda *said: self.heard(said[-1].payload)
        self.client.username_pw_set(LOGIN, LOGIN)
        own = issue(site.ca, LOGIN).write(site.folder, LOGIN)
        self.client.tls_set(str(site.ca_file), *map(str, own))
        self.client.connect(HOST, port)
        self.client.loop_start()

    def heard(self, payload: bytes) -> None:
        if messages.kind_of(messages.unseal(payload, self.mac_up, False)) == messages.HELLO:
            self.hellos += 1
            self.greeted.set()

    def top_up(self, point: int, amount_ncur: int) -> None:
        number = next(self.ids)
        command = messages.Command(
            number, point, codes.TOPUP, 0, 1 << 33, [2 * number, 0, amount_ncur]
        )
        self.client.publish(self.topic, messages.seal(command, self.mac), 1)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Source:
    """Pulses at an even pace from `began_ms` on, so many and no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.began_ms: int | None = None

    def pulses(self, channel: int, at_ms: int) -> int:
        if self.began_ms is None or at_ms < self.began_ms:
            return 0
        return min(self.most, (at_ms - self.began_ms) * PULSES_A_S // 1000)


async def counted(prepared: rig.Prepared, seconds: int) -> tuple[int, int, int]:
    """(pulses sent, raw total in the journal, Wh in the ledger), the latter two since power-on."""
    source = Source(seconds * PULSES_A_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = Site(folder)
        broker = site.broker(mutual=True)
        host = Host(site, broker.port, prepared)
        # The interval ends shortly after the last pulse.
        length_s = BOOT_S + seconds + 8
        now_s = prepared.desk.now_ms // 1000
        end_s = (now_s + length_s + INTERVAL_S) // INTERVAL_S * INTERVAL_S
        time = VirtualTime(end_s - length_s, 1, folder / "time")
        module = rig.module(
            folder, time, prepared, source.pulses, lambda point: prepared.meters[point].register_wh
        )
        try:
            async with module:
                module.write_partition("journal", prepared.journal())
                module.write_files(secured(site, broker.port, prepared))
                module.power_on()
                rig.hurry(module.console.child_pid)
                if not await asyncio.to_thread(host.greeted.wait, GREETED_S_MAX):
                    raise RuntimeError("the module did not reach its broker")
                host.top_up(0, TOPUP_NCUR)
                await asyncio.sleep(2)
                source.began_ms = time.now_ms()
                if time.now_s() + seconds >= end_s:
                    raise RuntimeError("the module started too late for its interval")
                downs = 0
                while time.now_s() < end_s + AFTER_S:
                    host.top_up(1, 1_000_000)
                    await asyncio.sleep(TOPUP_EVERY_S)
                    since_s = time.now_s() - source.began_ms // 1000
                    if downs < min(since_s, seconds - 1) // BROKER_DOWN_EVERY_S:
                        downs += 1
                        broker.kill()
                        await asyncio.to_thread(broker.start)
                module.power_cut()
                if host.hellos <= downs:
                    raise RuntimeError(f"{host.hellos} connections after {downs} ends of a broker")
                print(f"pulses: {host.hellos} connections over TLS")
                journal = rig.journal_of(module.read_partition("journal"))
                print(f"pulses: {journal.states.newest} slots, {files(module)} outbox files")
                await asyncio.sleep(0.5)  # the bus comes to rest
        finally:
            host.stop()
            broker.kill()
            time.close()
    before = rig.journal_of(prepared.journal())
    wh = [point_module.unpack(each.state(0)).state.register_wh for each in (before, journal)]
    return source.most, journal.pulses(0) - before.pulses(0), wh[1] - wh[0]


def secured(site: Site, port: int, prepared: rig.Prepared) -> dict[str, bytes]:
    """The files of a module that knows this broker, and is known to it by its certificate."""
    login = {"broker_user": LOGIN, "broker_password": LOGIN}
    found = prepared.files(poll_ms=1000, broker_host=HOST, broker_port=port, tls=2, **login)
    own = issue(site.ca, prepared.module.module)
    return {**found, "ca.der": site.ca.der(), "cert.der": own.der(), "tls.key": own.key_der()}


def files(module: rig.VirtualModule) -> int:
    return len([name for name in module.read_files() if name.startswith("outbox/")])


def prepare() -> rig.Prepared:
    money = {"cap_ncur": 2000 * desks.CUR}
    return rig.Prepared(
        [
            rig.pulse_point(0, 0, current_max_ma=CURRENT_MAX_MA, **money),
            rig.modbus_point(1, **money),
            rig.modbus_point(2),
        ],
        LEFT_WH,
    )


def tried(seconds: int = SECONDS) -> dict[str, int]:
    with prepare() as prepared:
        sent, raw, wh = asyncio.run(counted(prepared, seconds))
    print(f"pulses: sent {sent}, {raw} in the journal, {wh} Wh in the ledger")
    # Raw totals are kept whole; of energy a rest of less than one Wh stays for the next entry.
    lost = max(abs(sent - raw), abs(sent * 1000 // rig.IMP_PER_KWH - wh))
    return {"pulses_sent": sent, "pulses_lost": lost}


def measure() -> dict[str, int]:
    with rig.hurried():
        return tried()


if __name__ == "__main__":
    sys.exit(figures.write("pulses", measure()))
