"""`gridpurse simulate`: virtual modules of the store against the configured broker, at a desk.

Each module has a folder `modules/<id>` with its flash, console and load; what is there is kept, so
that its ledger and its meter go on where they were. Energies in Wh, times in Unix seconds.
"""

import argparse
import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host_tools import Refused, simulated
from host_tools.broker import HOST, HOST_USER, Broker, BrokerUser
from host_tools.clock import SystemClock
from host_tools.config import BrokerAddress, Settings
from host_tools.files import lock_file
from host_tools.processes import until_interrupted
from host_tools.provisioning import login
from host_tools.settlement.common import add_folder_arguments, settings_of
from host_tools.setup import BROKER_FOLDER
from host_tools.simulated import Asked, Simulated
from host_tools.simulator.driver import Driver
from host_tools.simulator.household import CURVES
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.store.database import Store, opened

TIME_FILE = "simulate.time"
FACTOR_MAX = 100
POLL_MS = 1000
CHUNK_S = 3600
CAUSES = {1: "powered on", 2: "reset", 3: "reset by its watchdog", 5: "soft reset"}
LEDS = {0: "normal", 1: "warning 1", 2: "warning 2", 3: "overdraft", 4: "credit exhausted"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--module", nargs="+", action="extend", required=True, metavar="ID")
    parser.add_argument("--factor", type=int, default=1, help="times real time, 1 to 100 (1)")
    parser.add_argument("--broker", action="store_true", help="start the folder's own broker too")
    parser.add_argument(
        "--meter",
        action="append",
        default=[],
        metavar="[ID/]POINT=MAP",
        help="a map of boards/meter_maps, tcp:MAP behind a gateway, or pulse:IMPULSES_PER_KWH"
        " (first point: sdm120)",
    )
    parser.add_argument("--curve", choices=CURVES, default=CURVES[0], help="the households' load")
    parser.add_argument("--auto-close", action="store_true", help="relays close without the key")
    parser.add_argument("--poll-ms", type=int, default=POLL_MS, help=f"meter polls ({POLL_MS})")
    add_folder_arguments(parser)
    parser.set_defaults(clock=None)  # it makes the time that others read


def run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.factor <= FACTOR_MAX:
        raise Refused(f"--factor {arguments.factor}: must be 1 to {FACTOR_MAX}")
    settings = settings_of(arguments)
    names = list(dict.fromkeys(arguments.module))
    asked = Asked(
        simulated.meters_of(arguments.meter, names),
        arguments.curve,
        arguments.auto_close,
        arguments.poll_ms,
    )
    with opened(settings.store(), create=False) as store, only_one(settings.data_dir):
        scene = Scene(settings, arguments.factor)
        try:
            asyncio.run(until_interrupted(scene.play(store, names, asked, arguments.broker)))
        except OSError as error:
            raise Refused(f"{error.filename or scene.data}: {error.strerror}") from error
    print("simulate: stopped")
    return 0


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """One simulator a data folder, because it has one simulated time; ends with the process."""
    path = folder / "simulate.lock"
    with lock_file(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                f"{path}: another simulate runs on this folder; stop it, then name all modules"
            ) from error
        yield


def broker_users(data: Path, store: Store) -> list[BrokerUser]:
    """Every module of the store, with the password that it has or gets now."""
    return [
        BrokerUser(module.id, module.shard, login.password(data, module.id))
        for module in store.fleet.modules()
    ]


class Scene:
    """What runs together: perhaps a broker, and modules in one time."""

    def __init__(self, settings: Settings, factor: int) -> None:
        self.settings = settings
        self.data = settings.data_dir.resolve()
        self.time_path = self.data / TIME_FILE
        self.factor = factor
        self.modules: list[Simulated] = []

    async def play(self, store: Store, names: list[str], asked: Asked, broker: bool) -> None:
        """Until it is cancelled."""
        for name in names:
            if store.fleet.module(name) is None:
                raise Refused(f"{name}: no such module; see `gridpurse modules`, enrol with --add")
        async with AsyncExitStack() as exits:
            if broker:
                exits.enter_context(self._broker(store))
            last_s, now_s = simulated.last_s(self.time_path), SystemClock().now_s()
            time = VirtualTime(max(now_s, last_s + 1), self.factor, self.time_path)
            exits.callback(time.close)
            driver = Driver(time)
            for name in names:
                address = self._login(name)
                new = Simulated(store, self.data, name, address, time, last_s, asked)
                new.module.on_event = self._teller(new, time)
                await exits.enter_async_context(new.mounted())
                driver.add(new.module)
                self.modules.append(new)
            self._introduce(now_s < last_s)
            exits.enter_context(self._keyboard())
            for each in self.modules:
                each.module.power_on()
            while True:
                await driver.run_for(CHUNK_S)

    @contextmanager
    def _broker(self, store: Store) -> Iterator[None]:
        """The data folder's own broker, which lets in every module of the store."""
        address = self.settings.broker
        if (address.host, address.user) != (HOST, HOST_USER) or not address.password:
            raise Refused(
                f"--broker: serves {HOST} and user {HOST_USER} with a password file;"
                " configure that under [broker], or leave --broker out"
            )
        with ExitStack() as exits:
            broker = Broker(self.data / BROKER_FOLDER, address.port, address.password)
            exits.callback(broker.stop)
            broker.start(broker_users(self.data, store))
            print(f"broker: {HOST}:{address.port}, its log is {broker.log}", flush=True)
            yield

    def _login(self, module: str) -> BrokerAddress:
        """What a module logs in with."""
        path = login.password_path(self.data, module)
        try:
            password = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(
                f"{path}: no password of {module} at the broker; write it there (mode 0600),"
                " or use --broker"
            ) from error
        return replace(self.settings.broker, user=module, password=password)

    def _introduce(self, ahead: bool) -> None:
        for each in self.modules:
            print(f"{each.name}: mpremote connect {each.module.console_path}", flush=True)
        if self.factor > 1 or ahead:
            print(f"time is simulated: give the other commands --clock {self.time_path}")
        print("Enter presses the customer's key; Ctrl-C stops", flush=True)

    def _teller(self, one: Simulated, time: VirtualTime) -> Any:
        """One line for what somebody in front of the module would see."""

        def tell(kind: str, values: list[Any]) -> None:
            if kind == "relay":
                what = f"relay {values[0]} {'closed' if values[1] else 'opened'}"
                try:
                    one.save()
                except OSError as error:  # it lives on; only a restart would miss this
                    what += f"; {error.filename}: {error.strerror}"
            elif kind == "signal":
                what = f"LED: {LEDS.get(values[0], values[0])}"
            elif kind == "boot":
                what = CAUSES.get(values[0], "started")
            elif kind == "ended" or (kind == "exit" and one.module.broken):
                what = f"the program ended: {one.last_words()}"
            else:
                return
            now = datetime.fromtimestamp(time.now_s(), UTC)
            print(f"{now:%Y-%m-%d %H:%M:%S}Z  {one.name}: {what}", flush=True)

        return tell

    @contextmanager
    def _keyboard(self) -> Iterator[None]:
        """Every line presses the key of one module, named on it, or of all."""
        loop = asyncio.get_running_loop()
        file = sys.stdin.fileno()

        def typed() -> None:
            data = os.read(file, 4096)
            if not data:
                loop.remove_reader(file)
            for line in data.decode(errors="replace").split("\n")[:-1]:
                for each in self.modules:
                    if line.strip() in ("", each.name):
                        each.module.press_key()

        with suppress(PermissionError):  # a file or /dev/null, which never waits
            loop.add_reader(file, typed)
        try:
            yield
        finally:
            loop.remove_reader(file)
