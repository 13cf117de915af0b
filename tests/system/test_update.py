"""The loader on a real file system: a new program is tried; one that does not start goes back."""

import asyncio
from contextlib import AsyncExitStack

from host_tools import tariffs
from host_tools.config import BrokerAddress
from host_tools.flashing import device_code
from host_tools.flashing.bundle import bundle
from host_tools.keys import RootKey
from host_tools.provisioning.module_files import module_files
from host_tools.simulator import image
from host_tools.simulator.bridge import VirtualModule
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import Place, module_settings
from tests.system.commands import TARIFF

START_S = 1_800_000_000
BOOK = tariffs.read_book(TARIFF)
PLACE = Place("Flat", "sdm120", 1, 0, (5, 2), 0, False, "family", 1000, 45_000)
SETTINGS = module_settings("m", 0, {0: PLACE}, BrokerAddress("127.0.0.1", 1, "m", "secret"), 1000)
DEVICE = image.device_files()
GOOD = {**DEVICE, **module_files(SETTINGS, RootKey(bytes(32)), {0: BOOK})}


def with_update(**broken: bytes) -> dict[str, bytes]:
    """A module whose copy in /a is armed; `broken` replaces files of it."""
    made = bundle({**DEVICE, **broken}, "9.0.0")
    lines = made.listing.decode().split("\n")[1:-1]
    copy = {f"a/{line.split()[0]}": part for line, part in zip(lines, made.parts[1:], strict=True)}
    return {**GOOD, **copy, "a/files": made.listing, "slot": b"- a 3"}


def run(tmp_path, files: dict[str, bytes], done) -> tuple[list[str], dict[str, bytes]]:
    """Powers a module on until `done(module, events)`. -> (events, files it leaves)."""
    events: list[str] = []

    async def story() -> dict[str, bytes]:
        time = VirtualTime(START_S, 1, tmp_path / "time")
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            stack.callback(time.close)
            module = VirtualModule("m", time, tmp_path / "m")
            await stack.enter_async_context(module)
            module.on_event = lambda kind, values: events.append(kind)
            module.write_files(files)
            module.power_on()
            while not done(module, events):
                await asyncio.sleep(0.02)
            print(bytes(module.console.log).decode())
            module.power_cut()
            return module.read_files()

    return events, asyncio.run(story())


def test_the_next_start_runs_the_new_program(tmp_path):
    events, files = run(tmp_path, with_update(), lambda module, _: module.signal is not None)
    assert files["slot"] == b"- a 2"
    assert "reset" not in events


def test_a_program_that_does_not_start_is_tried_three_times_and_left(tmp_path):
    raising = "raise ValueError('no program')\n"
    broken = device_code.compile_text(raising, "firmware/main.py", tmp_path)
    files = with_update(**{"firmware/main.mpy": broken})
    events, left = run(tmp_path, files, lambda module, _: module.signal is not None)
    assert events.count("reset") == 3
    assert left["slot"] == b"- - 0"
    assert left["a/files"] == files["a/files"]  # still there for a second attempt


def test_the_same_program_makes_the_same_bundle():
    first, second = bundle(DEVICE, "1.2.3"), bundle(dict(reversed(DEVICE.items())), "1.2.3")
    assert first == second and first.version == 0x010203
    assert sum(1 for _ in first.steps()) < 400
