"""The scene: broker and settlement as processes of their own, virtual modules, meters, households.

`World` owns everything it starts and leaves nothing behind. Virtual time is the driver's; the
settlement reads it from a file, so host and modules live in the same hours.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from host_tools import tariffs
from host_tools.broker import HOST, Broker, BrokerUser, free_port, new_password
from host_tools.clock import FileClock
from host_tools.config import BrokerAddress
from host_tools.demo import cast
from host_tools.files import PRIVATE, write_whole
from host_tools.flashing.device_code import PACKAGES
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.processes import Program, ours
from host_tools.provisioning.module_files import module_files
from host_tools.settlement import enrol
from host_tools.simulator import image
from host_tools.simulator.bridge import Options, VirtualModule
from host_tools.simulator.driver import Driver
from host_tools.simulator.household import Household, load_curve
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import BAUD, module_settings, wired
from host_tools.store.database import Store, open_store
from protocol import settings
from protocol.units import NO_RELAY

LOCKSTEP = 0
OPTIONS = Options(baud=BAUD, heap_bytes=176 * 1024, heap_probe_every=20)


class World:
    """Enter with `async with`; `module`, `household` and `store` are what the story looks at.

    `rules` may change the settings of each module before they are written to its flash.
    """

    def __init__(
        self,
        folder: Path,
        parts: Sequence[cast.Part] = cast.CAST,
        *,
        factor: int = LOCKSTEP,
        poll_ms: int = cast.POLL_MS,
        options: Options = OPTIONS,
        rules: Callable[[settings.Module], settings.Module] = lambda wanted: wanted,
    ) -> None:
        self.folder = folder
        self.parts = parts
        self.options = options
        self.rules = rules
        self.data = folder / "data"
        self.time_path = folder / "time"
        self.poll_ms = poll_ms
        self.modules: dict[str, VirtualModule] = {}
        self.households: dict[tuple[str, int], Household] = {}
        self.time = VirtualTime(cast.START_S, factor, self.time_path)
        self.clock = FileClock(self.time_path)
        self.driver = Driver(self.time)
        self.broker = Broker(folder / "broker", free_port())
        self._passwords = {part.module: new_password() for part in parts}
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> "World":
        users = [BrokerUser(part.module, part.shard, self._passwords[part.module])
                 for part in self.parts]  # fmt: skip
        self._exits.callback(self.time.close)
        self.broker.start(users)
        self._exits.callback(self.broker.kill)
        self.store = open_store(self.data)
        self._exits.callback(self.store.close)
        command = ours("settle", "--config", str(self._write_config()))
        self.settlement = Program("settle", command, self.folder / "settle.log")
        self._exits.callback(self.settlement.end)
        keys = KeyFiles(self.data / KEYS_FOLDER)
        try:
            for part in self.parts:
                await self._mount(part, self.store, keys)
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def _write_config(self) -> Path:
        """The settlement's configuration; the password goes into a file of its own."""
        address = self.broker.address
        secret = self.folder / "broker.secret"
        write_whole(secret, address.password, PRIVATE)
        path = self.folder / "gridpurse.toml"
        shards = sorted({part.shard for part in self.parts})
        write_whole(
            path,
            f'data_dir = "data"\nshards = {shards}\nclock_file = "time"\n'
            f'[broker]\nhost = "{address.host}"\nport = {address.port}\nuser = "{address.user}"\n'
            f'password_file = "{secret.name}"\n[settle]\npoll_ms = 20\n',
        )
        return path

    async def _mount(self, part: cast.Part, store: Store, keys: KeyFiles) -> None:
        """Enrol a module at the host, write its flash, wire its meters; power stays off."""
        books = {
            number: tariffs.read_book(cast.TARIFFS / f"{name}.toml")
            for number, name in enumerate(part.tariffs)
        }
        new = [
            enrol.NewPoint(number, place.label, part.tariffs[number], books[number])
            for number, place in enumerate(part.places)
        ]
        key = enrol.enrol(store, keys, part.module, part.shard, new, self.time.now_s())
        login = BrokerAddress(
            HOST, self.broker.address.port, part.module, self._passwords[part.module]
        )
        wanted = module_settings(
            part.module,
            part.shard,
            dict(enumerate(part.places)),
            login,
            self.poll_ms,
            part.start_wh,
        )
        module = self._wire(part)
        await self._exits.enter_async_context(module)
        module.write_files({**self._program(), **module_files(self.rules(wanted), key, books)})
        self.modules[part.module] = module
        self.driver.add(module)

    def _program(self) -> dict[str, bytes]:
        return image.device_files(() if self.options.firmware_in_rom else PACKAGES)

    def _wire(self, part: cast.Part) -> VirtualModule:
        places = dict(enumerate(part.places))
        loads = {
            number: Household(
                load_curve(place.curve),
                cast.START_S,
                scale_permille=place.scale_permille,
                closed=False,
                start_wh=part.start_wh if place.meter_map else 0,
            )
            for number, place in places.items()
        }
        for number, household in loads.items():
            self.households[part.module, number] = household
        folder = self.folder / part.module
        module = wired(part.module, self.time, folder, places, loads, self.options)

        def moved(index: int, closed: bool, at_ms: int) -> None:
            for number, household in loads.items():
                if places[number].relay in (index, NO_RELAY):  # a check meter sees the same
                    household.set_closed(closed, at_ms)

        module.on_relay = moved
        return module
