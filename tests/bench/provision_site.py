"""A lab inside this process, and `gridpurse provision` as processes beside it.

What each command printed is kept in `said/`, where the search for keys looks too.
"""

import asyncio
import itertools
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from host_tools.broker import free_port
from host_tools.flashing import label
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.lab.desk import Desk
from host_tools.lab.module import METERS, LabModule
from host_tools.store.database import opened
from protocol import cbor, settings
from tests import scratch
from tests.bench.figures import ROOT
from tests.bench.key_watch import LABELS, KeyWatch

ENDS_S = 150
NUMBER = itertools.count()


class Said(NamedTuple):
    code: int | None
    out: str
    error: str


class Site:
    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self.data = desk.folder
        (folder / "said").mkdir(exist_ok=True)

    def module(self, number: int) -> LabModule:
        return self.desk.modules[number]

    async def run(
        self,
        *words: object,
        program: str = "host_tools.cli",
        within_s: int = ENDS_S,
        **more: str,
    ) -> Said:
        """A command that ends by itself; `more` goes into its environment."""
        command = [sys.executable, "-m", program, *map(str, words)]
        child = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **more},
        )
        try:
            out, error = await asyncio.wait_for(child.communicate(), within_s)
        except TimeoutError:
            child.kill()
            raise
        said = Said(child.returncode, out.decode(), error.decode())
        path = self.folder / "said" / f"{next(NUMBER)}.txt"
        path.write_text(f"{command}\n{said.code}\n{said.out}\n{said.error}", encoding="utf-8")
        return said

    async def provision(self, number: int, *more: object) -> Said:
        return await self.run("provision", *self.desk.words(self.module(number)), *more)

    async def labels(self, *numbers: int) -> None:
        """Prints them in every format, where the search for keys looks."""
        words = [f"gp-{number}" for number in numbers]
        for form in (label.SVG, label.PNG, label.PAGE):
            where = ("--data", self.data, "--format", form, "--out", self.folder / LABELS)
            said = await self.run("label", *words, *where)
            assert said.code == 0, said.error

    def wrongs(self, number: int, serial: str = "") -> list[str]:
        """What a commissioned module would not look like."""
        name, module = f"gp-{number}", self.module(number)
        wrong = []
        key = KeyFiles(self.data / KEYS_FOLDER).load(name)
        files = module.read_files()
        if key is None or files.get("key.bin") != key.reveal():
            wrong.append("the key of the module is not the host's")
        config = files.get("config.cbor", b"\xa0")
        if settings.module_from_wire(cbor.decode(config, depth_max=8)).module != name:
            wrong.append("the settings name another module")
        wrong += [f"{path} on the module" for path in files if path.endswith(".new")]
        with opened(self.data) as store:
            points = store.fleet.points(name)
        if len(points) != 1 or not points[0].state.seq or not points[0].state.version:
            wrong.append("no reading is settled")
        card = self.card(serial or module.unique_id)
        if not card["ok"] or card["module"] != name or len(card["steps"]) != 12:
            wrong.append("the card is not whole")
        return wrong

    def card(self, serial: str) -> dict[str, object]:
        path = self.data / "cards" / f"{serial}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def orphans(self, numbers: list[int]) -> list[str]:
        """Whatever in the host's folder belongs to none of these modules, or is half a file."""
        names = {f"gp-{number}" for number in numbers}
        chips = {self.module(number).unique_id for number in numbers}
        with opened(self.data) as store:
            wrong = [f"row {each.id}" for each in store.fleet.modules() if each.id not in names]
            wrong += [f"no row {name}" for name in names if store.fleet.module(name) is None]
        for folder, known in (
            (KEYS_FOLDER, names), ("passwords", names), ("provisioning", chips), ("cards", chips),
        ):  # fmt: skip
            there = {path.stem for path in (self.data / folder).iterdir()}
            wrong += [f"{folder}: {name}" for name in there ^ known]
        return wrong + [str(path) for path in self.data.rglob("*.new")]


@asynccontextmanager
async def site(
    count: int, meters: tuple[str, ...] = METERS
) -> AsyncIterator[tuple[Site, KeyWatch]]:
    """A lab of so many bare modules, watched; gone afterwards."""
    with tempfile.TemporaryDirectory(dir=scratch.root()) as name:
        folder = Path(name)
        with KeyWatch(folder) as watch:
            async with Desk(folder / "data", count, free_port(), meters) as desk:
                yield Site(desk, folder), watch


async def in_turn(items: list, work, at_once: int) -> None:
    """`work(item)` for each, so many at a time."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
