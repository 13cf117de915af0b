"""The meter reader over TCP as a MicroPython process, for test_modbus_tcp_gateway.py.

Reads a JSON line {port}, then one a job: [compiled map as pairs, unit, wait_ms, reply_ms_max];
answers each with [total or None, values or reason, connections so far, milliseconds taken].
"""

import asyncio
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

from firmware.meters.modbus_tcp import TcpBus
from firmware.meters.reader import Meter, Registers
from firmware.meters.readings import ALL
from protocol.units import Unavailable


class Clock:
    """Real milliseconds; waiting for a rest to end only moves it."""

    ahead_ms = 0

    def ticks_ms(self):
        return time.time_ns() // 1000000 + self.ahead_ms


class Link:
    async def connect(self, host, port):
        return await asyncio.open_connection(host, port)


async def main(order):
    clock, meters = Clock(), {}
    bus = TcpBus(Link(), "127.0.0.1", order["port"], clock.ticks_ms)
    while line := sys.stdin.readline():
        pairs, unit, wait_ms, bus._reply_ms_max = json.loads(line)
        clock.ahead_ms += wait_ms
        if unit not in meters:
            meters[unit] = Meter(Registers(dict(pairs)), unit, bus, clock.ticks_ms)
        start_ms = clock.ticks_ms()
        try:
            reading = await meters[unit].read(ALL)
            result = [reading.register_wh, list(reading.values.items())]
        except Unavailable as error:
            result = [None, error.args[0]]
        result.extend((bus.connects, clock.ticks_ms() - start_ms))
        print(json.dumps(result))
    await bus.close()


asyncio.run(main(json.loads(sys.stdin.readline())))
