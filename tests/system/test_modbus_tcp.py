"""A meter behind a TCP gateway, from pymodbus through the whole firmware on the virtual board."""

import asyncio

from boards.virtual import flash
from firmware.journal import Journal
from firmware.point import unpack
from host_tools import tariffs
from host_tools.broker import free_port
from host_tools.config import BrokerAddress
from host_tools.keys import RootKey
from host_tools.provisioning.module_files import module_files
from host_tools.simulator import image
from host_tools.simulator.bridge import Options
from host_tools.simulator.driver import Driver
from host_tools.simulator.household import Household, load_curve
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import BAUD, Place, gateway, module_settings, wired
from protocol import settings
from tests.host_tools.genuine import HANG_S
from tests.system.commands import TARIFF

START_S = 1_800_000_000
NOBODY = BrokerAddress("127.0.0.1", 1, "m", "secret")
SERIAL = Place("Flat", "sdm120", 1, settings.NO_RELAY, (5, 2), 0, False, "family", 1000, 45_000)
BEHIND = Place(
    "Shop", "iem3155", 1, settings.NO_RELAY, (5, 2), 0, False, "family", 3000, 63_000, tcp=True
)
CLOCK_SET = b"from boards.virtual import board\nboard.build().set_rtc_s(%d)\n" % START_S
PLACES = {0: SERIAL, 1: BEHIND}


def ledger(module, point):
    image_bytes = bytearray(module.read_partition("journal"))
    cells = flash.Flash(flash.Ram(image_bytes), len(image_bytes), flash.Power())
    journal = Journal(flash.Journal(cells))
    journal.load()
    return unpack(journal.state(point)).state


def test_an_iem3155_behind_a_gateway_is_charged_beside_a_meter_on_the_bus(tmp_path):
    async def story():
        time = VirtualTime(START_S, 0, tmp_path / "time")
        port = free_port()
        book = tariffs.read_book(TARIFF)
        wanted = module_settings("m", 0, PLACES, NOBODY, 5000, gateway_port=port)
        files = module_files(wanted, RootKey(bytes(32)), dict.fromkeys(PLACES, book))
        houses = {
            point: Household(load_curve(place.curve), START_S, closed=True, start_wh=5_000_000)
            for point, place in PLACES.items()
        }
        module = wired("m", time, tmp_path / "m", PLACES, houses, Options(baud=BAUD))
        driver = Driver(time, tcp_grace_s=HANG_S)  # a gateway always answers
        async with gateway(port, time, PLACES, houses), module:
            program = image.device_files()
            files["main.py"] = CLOCK_SET + program["main.py"]
            module.write_files({**program, **files})
            driver.add(module)
            module.power_on()
            await driver.run_for(2 * 3600)
            module.power_cut()
            for point in PLACES:
                state = ledger(module, point)
                charged_s = state.time_s
                assert charged_s >= START_S + 3600
                assert state.register_wh == houses[point].wh(charged_s * 1000)
                assert state.charged_ncur and state.balance_ncur < 0
        time.close()

    asyncio.run(story())
