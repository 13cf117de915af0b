"""The loader on a real file system: a new program is tried; one that does not start goes back."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from firmware.events import EVENT
from firmware.events import TARGET as EVENTS
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
from protocol import cbor, codes
from protocol.units import MODULE_TARGET
from tests.bench import rig
from tests.host_tools.genuine import HANG_S
from tests.simulator.test_console import mpremote
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


def run(tmp_path, files: dict[str, bytes], done, then=None) -> tuple[list[str], dict[str, bytes]]:
    """Powers a module on until `done(module, events)`. -> (events, files it leaves).

    `then(module)` is awaited before its power is cut.
    """
    events: list[str] = []

    async def story() -> dict[str, bytes]:
        time = VirtualTime(START_S, 1, tmp_path / "time")
        async with AsyncExitStack() as stack, asyncio.timeout(HANG_S):
            stack.callback(time.close)
            module = VirtualModule("m", time, tmp_path / "m")
            await stack.enter_async_context(module)
            module.on_event = lambda kind, values: events.append(kind)
            stack.callback(lambda: print(events, module.console.log.decode(errors="replace")))
            module.write_files(files)
            module.power_on()
            while not done(module, events):
                await asyncio.sleep(0.02)
            if then:
                await then(module)
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


ERASED = b"\xff" * 4096


def trusted(copy: str, *whole: str) -> dict[str, bytes]:
    """A module that trusts a copy of which a file is erased; `whole` were trusted before it."""
    made = with_update()
    found = {path: data for path, data in made.items() if not path.startswith("a/")}
    for name in whole:
        files = {path[2:]: data for path, data in made.items() if path.startswith("a/")}
        found |= {f"{name}/{path}": data for path, data in files.items()}
        found |= {f"{name}/begun": b"1", f"{name}/trusted": b""}
    if copy != "-":
        found |= {f"{copy}/{path}": b"" for path in ("begun", "trusted", "firmware/__init__.py")}
        found[f"{copy}/files"] = b"%d\n" % 0x080000
    found[f"{copy}/firmware/main.mpy" if copy != "-" else "firmware/main.mpy"] = ERASED
    return {**found, "slot": f"{copy} - 0".encode()}


def events_of(module: VirtualModule) -> list[list[object]]:
    """What a module told, as its journal holds it: code, target, figures."""
    found: list[list[object]] = []

    def take(_number: int, target: int, payload: bytes) -> None:
        if target == EVENTS and cbor.decode(payload)[3] == EVENT:
            found.append(cbor.decode(payload)[4][2:])

    rig.journal_of(module.read_partition("journal")).records(take)
    return found


@pytest.mark.parametrize(("whole", "taken"), ((("b",), "b"), ((), "-")))
def test_a_trusted_program_that_does_not_start_any_more_gives_way_and_is_told(
    tmp_path, whole, taken
):
    told: list[list[object]] = []

    async def then(module: VirtualModule) -> None:
        told.extend(events_of(module))

    files = trusted("a", *whole)
    events, left = run(tmp_path, files, lambda module, _: module.signal is not None, then=then)
    assert events.count("reset") == 4
    assert left["slot"] == f"{taken} - 0".encode() and "failed" not in left
    figures = [codes.ROLLED_BACK, 0x080000, codes.NO_START]
    assert [codes.UPDATED, MODULE_TARGET, figures] in told


def test_where_nothing_else_can_start_the_relays_hold_and_the_console_answers(tmp_path):
    async def answers(module: VirtualModule) -> None:
        assert await mpremote(module, "exec", "print(6 * 7)") == "42\n"

    def holds(module: VirtualModule, _) -> bool:
        module.console.drain()
        return b"tried again in 900 s" in module.console.log

    events, left = run(tmp_path, trusted("-"), holds, then=answers)
    assert "relay" not in events and left["failed"] == b"- 4"


def test_the_same_program_makes_the_same_bundle():
    first, second = bundle(DEVICE, "1.2.3"), bundle(dict(reversed(DEVICE.items())), "1.2.3")
    assert first == second and first.version == 0x010203
    assert sum(1 for _ in first.steps()) < 400
