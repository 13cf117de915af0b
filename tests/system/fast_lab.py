"""A lab whose hours pass quickly: one meter, its modules, broker and settlement, and commands.

Everything is real but the pace: time runs `FACTOR` times faster for modules, host and commands.
"""

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from host_tools.broker import Broker, free_port
from host_tools.config import DEFAULT_FILE, read_settings
from host_tools.files import PRIVATE, write_whole
from host_tools.lab.desk import WIFI_SECRET
from host_tools.lab.module import UNIT, WIFI, LabModule
from host_tools.processes import Program, ours
from host_tools.setup import BROKER_FOLDER, TARIFF, prepared
from host_tools.simulator.driver import Driver
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.store.database import opened
from host_tools.store.records import Point
from tests.host_tools.genuine import HANG_S
from tests.system.commands import ROOT

FACTOR = 60
FOREVER_S = 1 << 40


class Said(NamedTuple):
    code: int | None
    text: str


class FastLab:
    """A board on a meter of its own, broker and settlement; `point` is what the host knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        # Near today, and no tier period ends within hours.
        tenth = datetime.now(UTC).replace(day=10, hour=0, minute=1, second=0)
        self.time = VirtualTime(int(tenth.timestamp()), FACTOR, folder / "time")
        self._exits = AsyncExitStack()

    async def begin(self, exits: AsyncExitStack) -> None:
        exits.callback(self.time.close)
        self._exits = exits
        port = free_port()
        list(prepared(self.data, port, [0]))
        write_whole(self.data / WIFI_SECRET, WIFI[1], PRIVATE)
        config = self.data / DEFAULT_FILE
        broker = Broker(
            self.data.resolve() / BROKER_FOLDER, port, read_settings(config, {}).broker.password
        )
        broker.start([])
        exits.callback(broker.stop)
        words = ("settle", "--config", str(config), "--clock", str(self.time.path))
        settlement = Program("settle", ours(*words), self.folder / "settle.log")
        settlement.start()
        exits.callback(settlement.end)
        pace = asyncio.create_task(Driver(self.time).run_for(FOREVER_S))
        exits.callback(pace.cancel)

    async def board(self) -> LabModule:
        """Bare, at its meter, switched on."""
        made = LabModule(1, self.time, self.folder / "lab", "sdm120")
        await self._exits.enter_async_context(made)
        self._exits.callback(made.power_cut)
        made.erase()
        made.power_on()
        return made

    @asynccontextmanager
    async def _command(self, words: tuple[object, ...]) -> AsyncIterator[Process]:
        where = ("--data", self.data, "--clock", self.time.path)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-m", "host_tools.cli", *map(str, (*words, *where))),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()

    async def say(self, *words: object) -> Said:
        """A command beside all of it, which ends by itself."""
        async with self._command(words) as child:
            out, _ = await asyncio.wait_for(child.communicate(), HANG_S)
            return Said(child.returncode, out.decode())

    async def killed(self, part: str, *words: object) -> None:
        """A command that is killed as soon as it has said something."""
        async with self._command(words) as child:
            assert child.stdout
            while part not in (line := (await child.stdout.readline()).decode()):
                assert line, f"it ended before {part!r}"

    async def done(self, *words: object) -> str:
        said = await self.say(*words)
        assert said.code == 0, said.text
        return said.text

    async def refused(self, code: int, *words: object) -> str:
        """The last line of a command that has to end with this code."""
        said = await self.say(*words)
        assert said.code == code, said.text
        return said.text.splitlines()[-1]

    def provision(self, module: LabModule, name: str, *more: object) -> tuple[object, ...]:
        """The words that make a module of it."""
        return (
            *("provision", module.console_path, "--board", "virtual", "--module", name),
            *("--point", "0=Flat-1", "--meter", f"0=sdm120:{UNIT}", "--tariff", TARIFF),
            *("--auto-close", "--poll-ms", 1000, "--wifi", WIFI[0]),
            *("--wifi-secret", self.data / WIFI_SECRET, *more),
        )

    def point(self, name: str) -> Point:
        with opened(self.data, create=False) as store:
            return store.fleet.point_known(name, 0)

    async def until(
        self, what: str, ready: Callable[[], object], seen: Callable[[], str] = str
    ) -> None:
        """Waits for what others do; a miss names it, and what is `seen` instead."""
        end_s = time.monotonic() + HANG_S
        while not ready():
            assert time.monotonic() < end_s, f"not within {HANG_S} s: {what}; {seen()}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def fast_lab(folder: Path) -> AsyncIterator[FastLab]:
    async with AsyncExitStack() as exits:
        lab = FastLab(folder)
        await lab.begin(exits)
        yield lab
