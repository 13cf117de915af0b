"""A bench for simulator tests: modules with a stand-in program instead of the firmware."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from host_tools.simulator.bridge import VirtualModule
from host_tools.simulator.driver import Driver
from host_tools.simulator.virtual_time import VirtualTime
from tests.host_tools.genuine import HANG_S

START_S = 1_800_000_000
LOCKSTEP, REAL = 0, 1


class Bench:
    start_s = START_S

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[tuple[str, list[Any]]] = []

    @asynccontextmanager
    async def run(
        self, *programs: str, factor: int = LOCKSTEP, power: bool = True, **more: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """(driver, module, ...) with a module for each program, a main.py."""
        time = VirtualTime(START_S, factor, self.folder / "time")
        driver = Driver(time, tcp_grace_s=more.pop("tcp_grace_s", 0.03), stuck_s=HANG_S)
        async with AsyncExitStack() as stack:
            modules = []
            for number, program in enumerate(programs):
                name = f"m{number}"
                module = VirtualModule(name, time, self.folder / name, **more)
                await stack.enter_async_context(module)
                module.on_event = lambda kind, values: self.events.append((kind, values))
                module.write_files({"main.py": program.encode()})
                driver.add(module)
                modules.append(module)
                if power:
                    module.power_on()
            yield driver, *modules
        time.close()

    def heard(self, kind: str) -> list[list[Any]]:
        return [values for each, values in self.events if each == kind]

    @staticmethod
    def said(module: VirtualModule) -> list[str]:
        """What the program printed so far."""
        return bytes(module.console.log).decode(errors="replace").replace("\r", "").split("\n")

    @staticmethod
    async def until(condition: Any, real_s: float = HANG_S) -> None:
        async with asyncio.timeout(real_s):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
