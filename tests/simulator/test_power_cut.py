"""Power cuts on a running module: what it acknowledged is there, and it boots and writes on."""

import asyncio

WRITER = """
import asyncio, os
from boards.virtual import board
b = board.build()
names = [name for name in os.listdir() if name.startswith("r")]
print("found", len(names))
async def main():
    number = len(names)
    while True:
        with open("r%d" % number, "w") as file:
            file.write("record %d" % number)
        print("wrote", number)
        number += 1
        await asyncio.sleep_ms(1000)
asyncio.run(main())
"""

JOURNAL = """
from boards.virtual import board
b = board.build()
slot = bytearray(32)
at = 0
while True:
    b.journal.read(at, slot)
    if slot == b"\\xff" * 32:
        break
    at += 32
print("slots", at // 32)
while at < 512:
    b.journal.program(at, b"s" * 32)
    at += 32
    print("slot", at // 32)
"""


def numbers(lines: list[str], word: str) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith(word + " ")]


def test_a_cut_in_mid_write_loses_nothing_that_was_closed(bench):
    async def story():
        async with bench.run(WRITER, power=False) as (driver, module):
            for cut, torn in ((3, "none"), (9, "half"), (14, "all"), (20, "random")):
                module.power_cut(at_op=cut, torn=torn, seed=cut)
                module.power_on()
                assert await driver.wait_for(lambda: not module.powered, 100)
                assert bench.heard("dead")[-1] == [cut + 1]
                acknowledged = len(numbers(bench.said(module), "wrote"))
                module.console.log.clear()
                module.power_on()
                await driver.run_for(1)
                found = numbers(bench.said(module), "found")[0]
                assert acknowledged <= found <= acknowledged + 1
                assert len(numbers(bench.said(module), "wrote")) == 2  # it writes once more
                module.power_cut()
                files = module.read_files()
                closed = [*range(acknowledged), found, found + 1]
                assert all(files[f"r{n}"] == b"record %d" % n for n in closed)
                module.write_files({"main.py": WRITER.encode()})
                module.console.log.clear()

    asyncio.run(story())


def test_a_cut_is_armed_on_a_running_module(bench):
    async def story():
        async with bench.run(WRITER) as (driver, module):
            await driver.run_for(5)
            module.power_cut(at_op=0)
            assert await driver.wait_for(lambda: not module.powered, 10)
            assert len(numbers(bench.said(module), "wrote")) == 6

    asyncio.run(story())


def test_cut_counts_operations_on_the_journal_too(bench):
    async def story():
        async with bench.run(JOURNAL, power=False) as (driver, module):
            module.power_cut(at_op=5, torn="all")
            module.power_on()
            assert await driver.wait_for(lambda: not module.powered, 10)
            assert numbers(bench.said(module), "slot") == [1, 2, 3, 4, 5]
            assert module.read_partition("journal")[:192] == b"s" * 192
            module.power_on()
            assert await driver.wait_for(lambda: not module.running, 10)
            assert numbers(bench.said(module), "slots") == [0, 6]
            assert module.read_partition("journal")[:512] == b"s" * 512

    asyncio.run(story())
