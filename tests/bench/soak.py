"""One worker for an hour: what it has in memory does not grow.

    .venv/bin/python -m tests.bench.settlement proof soak
    SOAK_S=1200 ...                          a shorter form

2,000 points report through nats-server in turn, one reading a message, 200 readings a second; the
time of the worker goes 90 times as fast, so that each point is heard at each of its quarter-hours.
It begins with a burst that waits, as after an outage, and its metrics are asked for every second.
The worker's resident memory is read from /proc every 10 s; its slope is that of least squares
after the warm-up, in which what is kept of each point, and the largest batches, come into memory.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

from host_tools.backup import archive
from host_tools.broker import Broker, free_port
from host_tools.cluster.nodes import answer
from host_tools.config import PREFIX
from host_tools.store.database import FILE
from protocol import reading
from tests.bench import figures, fleet, lanes, pouring, restore
from tests.host_tools.genuine import Settle, by_deadline

METERS = 2000
RATE = 200
RUN_S = int(os.environ.get("SOAK_S", "3600"))
WARM_S_MAX = 600
BURST = 12_000  # more than two of the worker's largest batches
SAMPLE_S = 10
CLOCK_S = 1
HOUR_S = 3600
QUARTER_S = reading.next_boundary_s(fleet.START_S) - fleet.START_S
START_S = fleet.START_S + 7200  # of the worker's clock: no reading comes from the future


def rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has ended")


def set_clock(path: Path, now_s: int) -> None:
    """In place: who reads it meanwhile never finds it empty."""
    with path.open("r+b") as clock:
        clock.write((now_s * 1000).to_bytes(8, "little"))


def slope_per_h(samples: list[tuple[int, int]]) -> int:
    """Of (ms, KiB) by least squares, KiB an hour, rounded up."""
    count = len(samples)
    sum_x, sum_y = sum(x for x, _ in samples), sum(y for _, y in samples)
    above = sum((count * x - sum_x) * (count * y - sum_y) for x, y in samples)
    below = sum((count * x - sum_x) ** 2 for x, _ in samples)
    return -(-above * HOUR_S * 1000 // below) if below else 0


def watched(
    worker: Settle, running: lanes.Fleet, run_s: int, port: int, meters: int
) -> list[tuple[int, int]]:
    """(ms, KiB) after the warm-up, until the fleet has sent everything."""
    assert worker.process is not None
    started_s = time.monotonic()
    warm_s = min(WARM_S_MAX, run_s // 4)
    due_s, samples = warm_s, []
    while running.process.is_alive():
        passed_s = time.monotonic() - started_s
        set_clock(worker.clock, START_S + int(passed_s * RATE * QUARTER_S / meters))
        answer(port, "/metrics")
        if passed_s >= due_s:
            due_s += SAMPLE_S
            samples.append((int(passed_s * 1000), rss_kib(worker.process.pid)))
            print(f"soak: {int(passed_s)} s, {samples[-1][1]} KiB", flush=True)
        running.process.join(CLOCK_S)
    return samples


def run(made: Path, run_s: int, meters: int = METERS, burst: int = BURST) -> dict[str, int]:
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        folder = Path(name)
        data = folder / "data"
        shutil.copytree(made / fleet.STORE, data)
        (data / archive.KEYS).symlink_to(made / fleet.KEYS)
        broker = Broker(folder / "nats", free_port(), nats_port=free_port())
        broker.start([])
        worker = Settle(data, broker.nats_address, START_S)
        port = free_port()
        worker.more = {f"{PREFIX}HTTP_PORT": str(port)}
        begun, count = restore.entries(data / FILE), burst + RATE * run_s
        try:
            pouring.pour(broker.address, [], "first")
            worker.start()  # asks the broker to keep the messages
            worker.end()
            waiting = lanes.messages(made / "single", 1, 0, burst)
            pouring.pour(broker.address, waiting, "burst")
            worker.start()
            running = lanes.Fleet(broker.address, (made / "single", 1, burst, count), RATE)
            samples = watched(worker, running, run_s, port, meters)
            _, _, took_ms = running.result()
            by_deadline(lambda: restore.entries(data / FILE) >= begun + count, "all settled")
            settled = restore.entries(data / FILE) - begun
        finally:
            worker.end()
            broker.kill()
        return {
            "soak_s": -(-took_ms // 1000),
            "soak_points": meters,
            "soak_readings": settled,
            "soak_readings_s": (settled - burst) * 1000 // took_ms,
            "soak_rss_kib": samples[-1][1],
            "soak_rss_slope_kib_per_h": slope_per_h(samples),
        }


def measure() -> dict[str, int]:
    folder = figures.FOLDER / "fleet-soak"
    made = fleet.made(folder, METERS, (BURST + RATE * RUN_S) // METERS, batches=0)
    return run(made, RUN_S)
