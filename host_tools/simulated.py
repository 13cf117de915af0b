"""A virtual module of the store: its flash made once, its meters and its load kept between runs.

While nobody simulates, its whole street stands still. `load.json` has the load at its last change,
the rest follows from the curve and the last simulated second: a kill loses nothing. A meter may
gain a few Wh over a restart and never goes back.
"""

import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from littlefs import LittleFSError

from host_tools import Refused
from host_tools.broker import HOST, free_port
from host_tools.config import BrokerAddress
from host_tools.files import write_whole
from host_tools.keys import KEYS_FOLDER, KeyFiles
from host_tools.maps import MAPS, load
from host_tools.provisioning.module_files import module_files
from host_tools.simulator import image
from host_tools.simulator.bridge import Options
from host_tools.simulator.household import Household, load_curve
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import BAUD, Place, gateway, module_settings, wired
from host_tools.store.database import Store
from protocol import cbor, settings
from protocol.units import Malformed

MODULES_FOLDER = "modules"
LOAD_FILE = "load.json"
FIRST_METER = "sdm120"
PULSE, TCP = "pulse:", "tcp:"
PULSE_CURRENT_MAX_MA = 60_000
WARNINGS = (5, 2)
UNSEEN_S = 10  # simulated time that a kill may have taken from the time file


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of modules that are new. `meters` is by module and point."""

    meters: Mapping[tuple[str, int], str]
    curve: str
    auto_close: bool
    poll_ms: int


def meters_of(words: list[str], modules: list[str]) -> dict[tuple[str, int], str]:
    """`[ID/]POINT=MAP` words; without an ID for every module."""
    out = {}
    for word in words:
        where, _, meter = word.partition("=")
        name, _, point = where.rpartition("/")
        if not point.isascii() or not point.isdigit() or not meter:
            raise Refused(f"--meter {word}: write such as 0=sdm120 or 0=pulse:3200")
        if name and name not in modules:
            raise Refused(f"--meter {word}: {name} is not among the modules named")
        _meter(meter)
        for module in [name] if name else modules:
            out[module, int(point)] = meter
    return out


def last_s(path: Path) -> int:
    """The last second that was simulated here, 0 when there was none."""
    try:
        (now_ms,) = struct.unpack("<q", path.read_bytes())
    except (OSError, struct.error):
        return 0
    return int(now_ms) // 1000


def _meter(text: str) -> tuple[str, int, int]:
    """(map, impulses per kWh, largest mA) of a meter as the command line names it."""
    if text.startswith(PULSE):
        number = text.removeprefix(PULSE)
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 1_000_000:
            raise Refused(f"--meter {text}: name the impulses per kWh, such as pulse:3200")
        return "", int(number), PULSE_CURRENT_MAX_MA
    known = sorted(path.stem for path in MAPS.glob("*.toml"))
    name = text.removeprefix(TCP)
    if name not in known:
        raise Refused(f"--meter {text}: use one of {', '.join(known)}, or pulse:3200")
    return name, 0, load(MAPS / f"{name}.toml").imax_ma


class Simulated:
    """One module and its households, from the store and from what an earlier run left."""

    def __init__(
        self,
        store: Store,
        data: Path,
        name: str,
        login: BrokerAddress,
        time: VirtualTime,
        last_alive_s: int,
        asked: Asked,
    ) -> None:
        self.name = name
        self.folder = data / MODULES_FOLDER / name
        self._store, self._data, self._login, self._time = store, data, login, time
        self._asked = asked
        self._shard = store.fleet.module_known(name).shard
        self._kept = self._read()
        self._new = self._kept is None
        self.places = self._places()
        self.loads = {
            point: self._household(point, place, last_alive_s)
            for point, place in self.places.items()
        }
        behind = any(place.tcp for place in self.places.values())
        self._gateway_port = free_port() if behind else 0
        options = Options(baud=BAUD, relays_closed=self._closed(0))
        self.module = wired(name, time, self.folder, self.places, self.loads, options)
        self.module.on_relay = self._moved

    @asynccontextmanager
    async def mounted(self) -> AsyncIterator[None]:
        """Its terminals, and its flash: made the first time, else only its login brought up."""
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)  # a flash image holds a root key
        async with AsyncExitStack() as stack:
            if self._gateway_port:
                meters = gateway(self._gateway_port, self._time, self.places, self.loads)
                await stack.enter_async_context(meters)
            await stack.enter_async_context(self.module)
            if self._new:
                self.module.write_files(self._first_files())
            else:
                self._renew_login()
            self.save()
            try:
                yield
            finally:
                self.save()

    def save(self) -> None:
        """Where the load stands now; written whole, so that a kill loses nothing."""
        now_ms = self._time.now_ms()
        loads = {
            point: {
                "since_s": now_ms // 1000,
                # The next whole Wh: what the module has seen is never more.
                "register_wh": household.wh(now_ms) + 1,
                "closed": self.module.relays[0] if point == 0 else True,
            }
            for point, household in self.loads.items()
        }
        places = {point: asdict(place) for point, place in self.places.items()}
        text = json.dumps({"places": places, "loads": loads}, indent=1, ensure_ascii=False)
        write_whole(self.folder / LOAD_FILE, text + "\n")

    def last_words(self) -> str:
        """The console's last line."""
        self.module.console.drain()
        lines = bytes(self.module.console.log).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip(" \r>")), "")

    # from an earlier run

    def _read(self) -> dict[str, Any] | None:
        """What was kept of it; None for a module that never ran here."""
        path = self.folder / LOAD_FILE
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            {key: kept[key].items() for key in ("places", "loads")}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._anew(f"{path}: cannot be read") from error
        return dict(kept)

    def _anew(self, what: str) -> Refused:
        return Refused(f"{what}; remove {self.folder} to begin anew, its ledger goes with it")

    def _closed(self, point: int) -> bool:
        """Whether a load was supplied when last seen; only point 0 has a relay."""
        kept = self._kept["loads"].get(str(point)) if self._kept else None
        return bool(kept["closed"]) if kept else point != 0

    def _household(self, point: int, place: Place, last_alive_s: int) -> Household:
        curve, closed = load_curve(place.curve), self._closed(point)
        kept = self._kept["loads"].get(str(point)) if self._kept else None
        start_wh = 0
        if kept:
            since_s, start_wh = kept["since_s"], kept["register_wh"]
            before = Household(curve, since_s, closed=closed, start_wh=start_wh)
            start_wh = before.wh(max(since_s, last_alive_s + UNSEEN_S) * 1000)
        return Household(curve, self._time.now_s(), closed=closed, start_wh=start_wh)

    def _moved(self, _: int, closed: bool, at_ms: int) -> None:
        if 0 in self.loads:
            self.loads[0].set_closed(closed, at_ms)

    # what hangs on it and lies in its flash

    def _places(self) -> dict[int, Place]:
        asked = {point: text for (name, point), text in self._asked.meters.items()
                 if name == self.name}  # fmt: skip
        points = self._store.fleet.points(self.name)
        numbers = [each.point for each in points]
        for point, text in asked.items():
            if point not in numbers:
                raise Refused(f"--meter {point}={text}: {self.name} has no such point")
        if self._kept is None:
            return {
                each.point: self._place(each.point, each.label, asked.get(each.point, FIRST_METER))
                for each in points
            }
        places = {}
        for number, row in self._kept["places"].items():
            places[int(number)] = Place(**{**row, "warnings": tuple(row["warnings"])})
        for point, text in asked.items():
            place = places[point]
            was = (place.meter_map, place.imp_per_kwh, place.tcp)
            if (*_meter(text)[:2], text.startswith(TCP)) != was:
                raise self._anew(f"--meter {point}={text}: {self.name} has another meter there")
        return places

    def _place(self, point: int, label: str, meter: str) -> Place:
        meter_map, imp_per_kwh, current_max_ma = _meter(meter)
        return Place(
            label,
            meter_map,
            point + 1 if meter_map else 0,
            0 if point == 0 else settings.NO_RELAY,
            WARNINGS,
            0,
            self._asked.auto_close,
            self._asked.curve,
            1000,
            current_max_ma,
            imp_per_kwh,
            meter.startswith(TCP),
        )

    def _first_files(self) -> dict[str, bytes]:
        """Program, settings, key, tariffs and maps, as provisioning writes them."""
        key = KeyFiles(self._data / KEYS_FOLDER).load(self.name)
        if key is None:
            raise Refused(
                f"{self._data / KEYS_FOLDER / self.name}.key: is missing; restore it from a backup"
            )
        books = {}
        for point in self._store.fleet.points(self.name):
            version = self._store.fleet.assigned(point.id, self._time.now_s())
            book = None if version is None else self._store.fleet.book(version)
            if book is None:
                raise Refused(f"{self.name}/{point.point}: has no tariff in the store")
            books[point.point] = book
        wanted = module_settings(
            self.name,
            self._shard,
            self.places,
            self._login,
            self._asked.poll_ms,
            gateway_port=self._gateway_port,
        )
        return {**image.device_files(), **module_files(wanted, key, books)}

    def _renew_login(self) -> None:
        """Broker and gateway may have moved since; all else on the flash stays its own."""
        try:
            files = self.module.read_files()
            old = settings.module_from_wire(cbor.decode(files["config.cbor"], depth_max=8))
        except (LittleFSError, KeyError, Malformed):
            return  # the module says itself what is wrong
        new = old._replace(
            broker_host=self._login.host,
            broker_port=self._login.port,
            broker_fallbacks=self._login.fallbacks_text,
            broker_user=self._login.user,
            broker_password=self._login.password,
        )
        if self._gateway_port:
            new = new._replace(gateway_host=HOST, gateway_port=self._gateway_port)
        if new != old:
            files["config.cbor"] = cbor.encode(settings.module_to_wire(new))
            self.module.write_files(files)
