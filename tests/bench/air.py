"""Bytes on the air for one reading: MQTT and application, both directions, at a real broker.

    python -m tests.bench.air

The firmware on the virtual board, a real nats-server and the real settlement; a proxy counts what
passes over whole days. Pings are counted apart, hello and connection are over before.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from host_tools.settlement import commands
from protocol import ledger
from tests.bench import figures
from tests.bench.hostile_proxy import DOWN, UP
from tests.bench.radio_world import MODULE, RadioWorld

DAY_S = 86400
CUR = 10**9
COUNTED = ("publish 1", "publish 2", "publish 3", "publish 16", "puback")
BEFORE_DAYS = 3  # then sequence numbers have the length that they keep for two years


async def counted(hold: int, days: int, before_days: int) -> tuple[int, int, int]:
    """(bytes, readings, ping bytes) of some days in a steady state."""
    with tempfile.TemporaryDirectory() as folder:
        async with RadioWorld(Path(folder), hold_records=hold) as world:
            world.settlement.start()
            with world.store.transaction():
                point = world.store.fleet.point_known(MODULE, 0)
                commands.pay(world.store, point, "air", 150 * CUR, world.time.now_s())
            world.module.power_on()
            await world.driver.run_for(before_days * DAY_S)
            first_seq = world.store.fleet.point_known(MODULE, 0).state.seq
            begun = world.proxy.bytes.copy()
            await world.driver.run_for(days * DAY_S)
            passed = world.proxy.bytes - begun
            entries = list(world.store.ledgers.entries(point.id, first_seq + 1))
            readings = sum(entry.kind == ledger.CHARGE for entry in entries)
            total = sum(passed[way, kind] for way in (UP, DOWN) for kind in COUNTED)
            pings = passed[UP, "ping"] + passed[DOWN, "pong"]
            print(
                f"air: hold {hold}: entries {first_seq + 1} to {entries[-1].seq}, {dict(passed)}"
            )
            return total, readings, pings


def measure(days: int = 1, before_days: int = BEFORE_DAYS) -> dict[str, int]:
    out = {}
    for name, hold in (("single", 1), ("batch8", 8)):
        total, readings, pings = asyncio.run(counted(hold, days, before_days))
        out[f"air_bytes_per_reading_{name}"] = -(-total // readings)
        print(f"air: {name} {total / readings:.1f} bytes a reading, pings {pings / readings:.1f}")
    return out


if __name__ == "__main__":
    sys.exit(figures.write("air", measure()))
