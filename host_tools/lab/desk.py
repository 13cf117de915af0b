"""The lab as a whole: a data folder, a broker, settlement, and bare modules in real time.

Everything it starts ends with it, also when it is killed. Without a folder of its own it leaves
nothing on the disk either.
"""

import asyncio
import os
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from host_tools import Refused, setup
from host_tools.broker import Broker
from host_tools.clock import SystemClock
from host_tools.config import DEFAULT_FILE, Settings, read_settings
from host_tools.files import PRIVATE, write_whole
from host_tools.lab.module import FAULTS, IMPULSES, METERS, PULSE, UNIT, WIFI, LabModule
from host_tools.processes import Program, ours
from host_tools.provisioning import login
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.store.database import opened

WIFI_SECRET = "wifi.secret"  # noqa: S105 - the name of a file
TIME_FILE = "lab.time"
MODULES_MAX = 64
# Interpreters that start at the same moment would all be slow.
STARTS_AT_ONCE = 4


class Desk:
    """`async with`; `modules` by number. `quiet` leaves the modules off."""

    def __init__(self, folder: Path, count: int, port: int, meters: tuple[str, ...] = METERS):
        if not 1 <= count <= MODULES_MAX:
            raise Refused(f"{count} modules: name 1 to {MODULES_MAX} 请输入 1 至 {MODULES_MAX}")
        self.folder = folder
        self.count = count
        self.port = port
        self.meters = meters
        self.modules: dict[int, LabModule] = {}
        command = ours("settle", "--config", str(folder / DEFAULT_FILE))
        self._settlement = Program("settle", command, folder / "settle.log")
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> "Desk":
        try:
            await self._begin()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def _begin(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        list(setup.prepared(self.folder, self.port, [0]))
        write_whole(self.folder / WIFI_SECRET, WIFI[1], PRIVATE)
        settings = read_settings(self.folder / DEFAULT_FILE, os.environ)
        self._exits.enter_context(self._broker(settings))
        self._exits.callback(self.end_settlement)
        self._settlement.start()
        time = VirtualTime(SystemClock().now_s(), 1, self.folder / TIME_FILE)
        self._exits.callback(time.close)
        for number in range(1, self.count + 1):
            meter = self.meters[(number - 1) % len(self.meters)]
            folder = self.folder / "lab" / str(number)
            new = not (folder / "vfs.bin").exists()
            module = LabModule(number, time, folder, meter)
            await self._exits.enter_async_context(module)
            if new:
                module.erase()
            self.modules[number] = module
        self._exits.callback(self._all_off)  # before their meters go
        for number, module in self.modules.items():
            module.power_on()
            if number % STARTS_AT_ONCE == 0:
                await asyncio.sleep(0.1)

    def _all_off(self) -> None:
        for module in self.modules.values():
            module.power_cut()

    def _broker(self, settings: Settings) -> ExitStack:
        stack = ExitStack()
        address = settings.broker
        broker = Broker(
            self.folder.resolve() / setup.BROKER_FOLDER, address.port, address.password
        )
        with opened(self.folder) as store:
            users = login.users(self.folder, store)
        stack.callback(broker.stop)
        broker.start(users)
        return stack

    def end_settlement(self) -> None:
        """Orderly; nothing is settled from then on."""
        self._settlement.end()

    def module(self, word: str) -> LabModule:
        """Of a number as it was typed."""
        number = int(word) if word.isascii() and word.isdigit() else 0
        if number not in self.modules:
            raise Refused(f"{word}: no such module; 1 to {self.count} 无此模块")
        return self.modules[number]

    def fault(self, module: LabModule, name: str) -> None:
        if name not in FAULTS:
            raise Refused(f"{name}: no such fault; see help 无此故障，见 help")
        if name not in module.faults:
            module.faults.add(name)
            FAULTS[name].apply(module)

    def repair(self, module: LabModule) -> list[str]:
        """Everything that was wrong with it. -> the faults"""
        found = sorted(module.faults)
        module.faults.clear()
        for name in found:
            FAULTS[name].repair(module)
        return found

    def words(self, module: LabModule) -> list[str]:
        """The arguments of `gridpurse provision` for it."""
        meter = f"0=pulse:{IMPULSES}" if module.meter == PULSE else f"0={module.meter}:{UNIT}"
        return [
            str(module.console_path),
            *("--data", str(self.folder), "--board", "virtual"),
            *("--module", f"gp-{module.number}", "--point", f"0=Flat-{module.number}"),
            *("--meter", meter, "--tariff", str(setup.TARIFF)),
            *("--wifi", WIFI[0], "--wifi-secret", str(self.folder / WIFI_SECRET)),
        ]
