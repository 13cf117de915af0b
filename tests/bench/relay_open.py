"""From the moment a balance is exhausted to the relay's contact: hundreds of openings, p99.

    python -m tests.bench.relay_open

Real time, on virtual modules whose flash takes a chip's time (see rig). Of a pulse meter it counts
from the arrival of the pulse that exhausts the balance; of a Modbus meter from the answer that
shows it. The contact is where the coil is driven: what the relay itself takes is not in it. An
opening during which the processor was somebody else's is told and tried again, not counted.
"""

import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from host_tools.simulator.virtual_time import VirtualTime
from tests.bench import figures, rig

OPENINGS = 320
MODULES = 2  # at a time
LEFT_WH = 12
GAP_MS = 240  # between pulses of 15 kW
BOOT_MS = 1500
WITHIN_S = 15
MISSED_MS = 9999
SEED = 7
WAITED_MS_MAX = 4  # for a processor, by module and bridge together
LOOK_S = 0.01
RUNS_A_RUN = 4  # so many times as many runs as a quiet machine needs, at most


class Openings:
    """One module, powered on again and again shortly before its balances are exhausted."""

    def __init__(self, folder: Path, prepared: rig.Prepared, seed: int) -> None:
        self.dice = random.Random(seed)
        self.prepared = prepared
        start_s = prepared.desk.now_ms // 1000 + 60
        self.time = VirtualTime(start_s, 1, folder / "time")
        self.module = rig.module(folder, self.time, prepared, self.pulses, self.served)
        self.module.on_relay = self.moved
        self.began_ms = {point.point: 0 for point in prepared.points}
        self.due_ms: dict[int, int] = {}  # when the balance was exhausted
        self.took_ms: dict[int, int] = {}
        self.waited: list[tuple[int, int]] = []  # (when, ms waited for a processor by then)
        self.disturbed: set[int] = set()

    def pulses(self, channel: int, at_ms: int) -> int:
        if at_ms < self.began_ms[channel]:
            return 0
        return 1 + (at_ms - self.began_ms[channel]) // GAP_MS

    def served(self, point: int) -> int:
        """A register; the first answer that shows the exhausted balance counts."""
        now_ms = self.time.now_ms()
        used_wh = self.pulses(point, now_ms)
        if used_wh >= LEFT_WH:
            self.due_ms.setdefault(point, now_ms)
        return self.prepared.meters[point].register_wh + used_wh

    def moved(self, index: int, closed: bool, at_ms: int) -> None:
        if closed or index in self.took_ms:
            return
        due_ms = self.due_ms.get(index, at_ms - MISSED_MS)
        self.took_ms[index] = at_ms - due_ms
        before = [ms for looked_ms, ms in self.waited if looked_ms <= due_ms] or [0]
        if self.waited_ms() - before[-1] > WAITED_MS_MAX:
            self.disturbed.add(index)

    def waited_ms(self) -> int:
        """How long this process and the module's were ready to run and had no processor."""
        ids = (os.getpid(), self.module.console.child_pid)
        texts = [Path(f"/proc/{each}/schedstat").read_text() for each in ids]
        return sum(int(text.split()[1]) for text in texts) // 1_000_000

    async def once(self) -> dict[int, int]:
        """Milliseconds by point."""
        module = self.module
        module.write_partition("journal", self.prepared.journal())
        module.relays[:] = [True] * len(module.relays)
        self.due_ms, self.took_ms = {}, {}
        self.waited, self.disturbed = [], set()
        for point in self.began_ms:
            self.began_ms[point] = self.time.now_ms() + BOOT_MS + self.dice.randrange(1500)
            if self.prepared.points[point].meter == rig.settings_module.PULSE:
                self.due_ms[point] = self.began_ms[point] + (LEFT_WH - 1) * GAP_MS
        module.power_on()
        rig.hurry(module.console.child_pid)
        until_ms = self.time.now_ms() + WITHIN_S * 1000
        while len(self.took_ms) < len(self.began_ms) and self.time.now_ms() < until_ms:
            self.waited.append((self.time.now_ms(), self.waited_ms()))
            await asyncio.sleep(LOOK_S)
        module.power_cut()
        return {
            point: self.took_ms.get(point, MISSED_MS)
            for point in self.began_ms
            if point not in self.disturbed
        }


async def series(prepared: rig.Prepared, number: int, runs: int) -> list[tuple[str, int]]:
    """(kind of meter, ms) of every opening of one module."""
    out = []
    tried = 0
    with tempfile.TemporaryDirectory() as folder:
        openings = Openings(Path(folder), prepared, SEED + number)
        async with openings.module as module:
            module.set_link(False)
            module.write_files(prepared.files(poll_ms=1000))
            for _ in range(runs * RUNS_A_RUN):
                for point, ms in (await openings.once()).items():
                    pulse = prepared.points[point].meter == rig.settings_module.PULSE
                    out.append(("pulse" if pulse else "modbus", ms))
                tried += len(prepared.points)
                if len(out) >= runs * len(prepared.points):
                    break
            print(
                f"relay_open: {tried - len(out)} of {tried} openings had to wait for a processor"
            )
            await asyncio.sleep(0.5)  # the bus comes to rest
        openings.time.close()
    return out


def p99(values: list[int]) -> int:
    """The smallest value that 99 of 100 do not exceed."""
    return sorted(values)[-(-len(values) * 99 // 100) - 1]


async def measured(prepared: rig.Prepared, openings: int, modules: int) -> list[tuple[str, int]]:
    runs = -(-openings // (len(prepared.points) * modules))
    parts = await asyncio.gather(*(series(prepared, each, runs) for each in range(modules)))
    return [each for part in parts for each in part]


def tried(openings: int = OPENINGS, modules: int = MODULES) -> dict[str, int]:
    points = [
        rig.pulse_point(0, 0),
        rig.pulse_point(1, 1),
        rig.modbus_point(2),
        rig.modbus_point(3),
    ]
    with rig.Prepared(points, LEFT_WH) as prepared:
        found = asyncio.run(measured(prepared, openings, modules))
    values = {"relay_open_ms_p99": p99([ms for _, ms in found])} if found else {}
    for kind in ("pulse", "modbus"):
        own = [ms for other, ms in found if other == kind]
        if not own:
            continue
        print(f"relay_open: {kind}: median {sorted(own)[len(own) // 2]} ms, most {max(own)} ms")
        values[f"relay_open_{kind}_ms_p99"] = p99(own)
    return values | {"relay_open_trials": len(found)}


def measure() -> dict[str, int]:
    with rig.hurried():
        return tried()


if __name__ == "__main__":
    sys.exit(figures.write("relay_open", measure()))
