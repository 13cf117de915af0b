"""100 pulses a second for ten minutes beside everything else a module does: how many are lost.

    python -m tests.bench.pulses

Real time, on a virtual module whose flash takes a chip's time (see rig): two Modbus meters at
9 600 baud, a broker, a top-up every two seconds that nobody acknowledges, so that journal and
files are written. The bridge counts the pulses, as the hardware counter of an ESP32 does; what the
module makes of the count is the subject. Counted is what its journal holds after the interval.
"""

import asyncio
import itertools
import os
import sys
import tempfile
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware import point as point_module
from host_tools.broker import HOST, Broker, BrokerUser, free_port
from host_tools.simulator.virtual_time import VirtualTime
from protocol import codes, cose, messages, topics
from tests.bench import figures, rig
from tests.firmware import desk as desks

PULSES_A_S = 100
SECONDS = 600
LEFT_WH = 1900
CURRENT_MAX_MA = 2_000_000  # 100 pulses a second at 1000 imp/kWh are 360 kW
BOOT_S = 5
AFTER_S = 12  # for the interval's entry to be durable
INTERVAL_S = 900
TOPUP_EVERY_S = 2
TOPUP_NCUR = 300 * desks.CUR  # what ten minutes cost, and more, before the first pulse
PASSWORD = "bench"  # of a broker that lives for one run


class Host:
    """Sends sealed top-ups through the broker, each once; takes nothing."""

    def __init__(self, broker: Broker, prepared: rig.Prepared) -> None:
        self.mac = cose.Mac(cose.derive(desks.ROOT_KEY, cose.DOWN))
        self.topic = topics.down(prepared.module.shard, prepared.module.module)
        self.kid = prepared.module.module.encode()
        self.ids = itertools.count(100)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench")
        self.client.username_pw_set(broker.address.user, broker.address.password)
        self.client.connect(broker.address.host, broker.address.port)
        self.client.loop_start()

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
    # The interval ends shortly after the last pulse.
    length_s = BOOT_S + seconds + 8
    now_s = prepared.desk.now_ms // 1000
    end_s = (now_s + length_s + INTERVAL_S) // INTERVAL_S * INTERVAL_S
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        time = VirtualTime(end_s - length_s, 1, folder / "time")
        broker = Broker(folder / "broker", free_port())
        broker.start([BrokerUser("desk-1", prepared.module.shard, PASSWORD)])
        host = Host(broker, prepared)
        module = rig.module(
            folder, time, prepared, source.pulses, lambda point: prepared.meters[point].register_wh
        )
        try:
            async with module:
                module.write_partition("journal", prepared.journal())
                login = {"broker_host": HOST, "broker_port": broker.address.port}
                login |= {"broker_user": "desk-1", "broker_password": PASSWORD}
                module.write_files(prepared.files(poll_ms=1000, **login))
                module.power_on()
                rig.hurry(module.console.child_pid)
                await asyncio.sleep(BOOT_S - 2)
                host.top_up(0, TOPUP_NCUR)
                await asyncio.sleep(2)
                source.began_ms = time.now_ms()
                while time.now_s() < end_s + AFTER_S:
                    host.top_up(1, 1_000_000)
                    await asyncio.sleep(TOPUP_EVERY_S)
                module.power_cut()
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


def measure(seconds: int = SECONDS) -> dict[str, int]:
    rig.hurry(os.getpid())
    with prepare() as prepared:
        sent, raw, wh = asyncio.run(counted(prepared, seconds))
    print(f"pulses: sent {sent}, {raw} in the journal, {wh} Wh in the ledger")
    # Raw totals are kept whole; of energy a rest of less than one Wh stays for the next entry.
    lost = max(abs(sent - raw), abs(sent * 1000 // rig.IMP_PER_KWH - wh))
    return {"pulses_sent": sent, "pulses_lost": lost}


if __name__ == "__main__":
    sys.exit(figures.write("pulses", measure()))
