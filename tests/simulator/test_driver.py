"""Virtual time: exact in lockstep, common to all modules, held by nobody who is off."""

import asyncio
import struct

import pytest

from host_tools.simulator.bridge import Options
from host_tools.simulator.driver import Stuck

# Prints its own milliseconds at each of `count` wake-ups, then sleeps on.
TICKER = """
import asyncio
from boards.virtual import board
b = board.build()
async def main():
    for _ in range({count}):
        print(b.ticks_ms())
        await asyncio.sleep_ms({period})
    while True:
        await asyncio.sleep_ms(1000000)
asyncio.run(main())
"""


def test_lockstep_is_exact_to_the_millisecond_on_all_modules(bench):
    async def story():
        programs = [TICKER.format(count=200, period=period) for period in (997, 1501)]
        async with bench.run(*programs) as (driver, fast, slow):
            await driver.run_until(bench.start_s + 400)
            assert driver.time.now_ms() == (bench.start_s + 400) * 1000
            assert bench.said(fast)[:-1] == [str(997 * n) for n in range(200)]
            assert bench.said(slow)[:-1] == [str(1501 * n) for n in range(200)]
            shared = driver.time.path.read_bytes()
            assert struct.unpack("<q", shared) == ((bench.start_s + 400) * 1000,)

    asyncio.run(story())


def test_timeouts_are_exact_and_cancel_what_sleeps(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
async def long():
    await asyncio.sleep_ms(3600000)
async def main():
    task = asyncio.create_task(long())
    try:
        await asyncio.wait_for_ms(task, 90000)
    except asyncio.TimeoutError:
        print("timeout", b.ticks_ms())
    task = asyncio.create_task(long())
    await asyncio.sleep_ms(5000)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled", b.ticks_ms())
asyncio.run(main())
"""

    async def story():
        async with bench.run(program) as (driver, module):
            assert await driver.wait_for(lambda: not module.running, 10_000)
            assert bench.said(module)[:2] == ["timeout 90000", "cancelled 95000"]

    asyncio.run(story())


def test_wait_for_stops_at_the_condition_or_at_the_timeout(bench):
    async def story():
        async with bench.run(TICKER.format(count=100, period=1000)) as (driver, module):
            assert await driver.wait_for(lambda: "5000" in bench.said(module), 60)
            assert driver.time.now_ms() <= (bench.start_s + 6) * 1000
            assert not await driver.wait_for(lambda: False, 60)

    asyncio.run(story())


def test_a_module_without_power_does_not_hold_time(bench):
    async def story():
        programs = [TICKER.format(count=9, period=1000)] * 2
        async with bench.run(*programs) as (driver, one, other):
            await driver.run_for(2)
            other.power_cut()
            await driver.run_for(3600)
            assert not other.powered and one.powered
            other.power_on()
            await driver.run_for(3)
            assert bench.said(other)[:-1] == ["0", "1000", "2000", "0", "1000", "2000", "3000"]

    asyncio.run(story())


def test_clock_is_lost_without_power_and_kept_over_a_reset(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
print(b.reset_cause(), b.rtc_s())
async def main():
    await asyncio.sleep_ms(10000)
    if b.rtc_s() is None:
        b.set_rtc_s(1000)
        await asyncio.sleep_ms(5000)
        b.reset()
    await asyncio.sleep_ms(100000000)
asyncio.run(main())
"""

    async def story():
        async with bench.run(program) as (driver, module):
            await driver.run_for(60)
            module.power_cut()
            module.power_on()
            await driver.run_for(1)
            assert bench.said(module)[:-1] == ["1 None", "2 1005", "1 None"]

    asyncio.run(story())


def test_watchdog_resets_a_module_that_sleeps_without_feeding(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
print(b.reset_cause())
async def main():
    for _ in range(20):
        b.wdt_feed()
        await asyncio.sleep_ms(1000)
    await asyncio.sleep_ms(10000000)
asyncio.run(main())
"""

    async def story():
        options = Options(wdt_ms=8000)
        async with bench.run(program, options=options) as (driver, module):
            await driver.run_for(26)
            assert bench.said(module)[:-1] == ["1"]
            await driver.run_for(10)
            assert bench.said(module)[:-1] == ["1", "3"]

    asyncio.run(story())


def test_a_module_that_hangs_is_named(bench):
    async def story():
        async with bench.run("while True:\n    pass\n") as (driver, _):
            driver.stuck_s = 0.3
            with pytest.raises(Stuck, match="m0"):
                await driver.run_for(1)

    asyncio.run(story())


def test_keys_relay_pulses_and_signal_reach_the_other_side(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
async def main():
    relay = b.relays[0]
    print(relay.actual(), b.pulse(0))
    relay.close()
    print(relay.actual())
    await asyncio.sleep_ms(10000)
    print(b.key_presses(), b.key_presses(), b.pulse(0))
    relay.open()
    print(relay.actual())
    b.signal(7)
    await asyncio.sleep_ms(10000)
    relay.open()
    print(relay.actual())
    await asyncio.sleep_ms(1000000)
asyncio.run(main())
"""

    async def story():
        moves = []
        start_ms = bench.start_s * 1000

        def pulses(channel: int, at_ms: int) -> int:
            return 500 + (at_ms - start_ms) // 100

        async with bench.run(program, pulses=pulses) as (driver, module):
            module.on_relay = lambda *values: moves.append(values)
            driver.time.call_at(start_ms + 4000, lambda: module.press_key(2))
            driver.time.call_at(start_ms + 15_000, lambda: module.weld(0))
            await driver.run_for(30)
            assert bench.said(module)[:-1] == ["False 0", "True", "2 0 100", "False", "True"]
            assert moves == [
                (0, True, start_ms),
                (0, False, start_ms + 10_000),
                (0, True, start_ms + 15_000),
            ]
            assert module.signal == 7

    asyncio.run(story())


def test_protection_inputs_reach_the_module_and_outlast_a_power_off(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
async def main():
    for _ in range(3):
        print(b.tampers())
        await asyncio.sleep_ms(10000)
asyncio.run(main())
"""

    async def story():
        start_ms = bench.start_s * 1000
        async with bench.run(program) as (driver, module):
            driver.time.call_at(start_ms + 4000, lambda: module.tamper(5))
            driver.time.call_at(start_ms + 14_000, lambda: module.tamper(0))
            await driver.run_for(25)
            assert bench.said(module)[:3] == ["0", "5", "0"]
            module.power_cut()
            module.tamper(1)
            module.power_on()
            await driver.run_for(5)
            assert bench.said(module)[3:4] == ["1"]

    asyncio.run(story())


def test_scaled_time_agrees_between_host_and_module(bench):
    program = """
import asyncio
from boards.virtual import board
b = board.build()
b.set_rtc_s(0)
async def main():
    while True:
        await asyncio.sleep_ms(1000)
        print(b.rtc_s())
asyncio.run(main())
"""

    async def story():
        before_ms = bench.start_s * 1000
        async with bench.run(program, factor=20) as (driver, module):
            await bench.until(lambda: bench.heard("rtc"))
            (told,) = bench.heard("rtc")
            # The instant of the module at which it set its clock to 0.
            assert before_ms <= -told[0] <= driver.time.now_ms()
            await bench.until(lambda: len(bench.said(module)) > 5)
            seconds = [int(each) for each in bench.said(module)[:5]]
            assert seconds[0] >= 1 and seconds == sorted(set(seconds))
            assert seconds[-1] * 1000 <= driver.time.now_ms() + told[0]

    asyncio.run(story())
