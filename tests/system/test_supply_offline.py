"""Real firmware, real Modbus, no network: what a module decides about its supply by itself."""

import asyncio

from host_tools.config import BrokerAddress
from host_tools.keys import KeyFiles
from host_tools.provisioning.module_files import module_files
from host_tools.simulator import image
from host_tools.simulator.bridge import Options
from host_tools.simulator.driver import Driver
from host_tools.simulator.household import Household
from host_tools.simulator.virtual_time import VirtualTime
from host_tools.simulator.wiring import BAUD, Place, module_settings, wired
from protocol import codes, settings
from protocol.units import NCUR_PER_CUR
from tests.firmware.desk import flat_book

START_S = 1_800_000_000 - 1_800_000_000 % 900
PLACE = Place("shop", "sdm630", 1, 0, (5, 2), -10, True, "family", 1000, 60_000)
# A clock that was kept: without one, and without a host, no ledger opens.
MAIN = f"""
import gc
gc.threshold(4096)
from boards.virtual import board
from firmware import main
module = board.build()
module.set_rtc_s({START_S})
main.run(module)
"""


def provisioned(folder) -> dict[str, bytes]:
    login = BrokerAddress("localhost", 1, "", "")
    module = module_settings("gp-1", 0, {0: PLACE}, login, 1000)
    point = module.points[0]._replace(
        nominal_mv=230_000, protect=3, tamper_trip=codes.COVER, rearm_ncur=-9 * NCUR_PER_CUR
    )
    module = module._replace(points=(point,))
    assert settings.module_from_wire(settings.module_to_wire(module)) == module
    key = KeyFiles(folder / "keys").create("gp-1")
    files = {**image.device_files(), **module_files(module, key, {0: flat_book()})}
    return {**files, "main.py": MAIN.encode()}


def test_hard_limits_and_a_latched_cover_act_without_a_network(tmp_path):
    moves: list[tuple[bool, int]] = []

    async def story() -> None:
        time = VirtualTime(START_S, 0, tmp_path / "time")
        driver = Driver(time)
        household = Household([500] * 96, START_S, closed=False)
        options = Options(baud=BAUD)
        module = wired("gp-1", time, tmp_path / "gp-1", {0: PLACE}, {0: household}, options)

        def moved(_: int, closed: bool, at_ms: int) -> None:
            household.set_closed(closed, at_ms)
            moves.append((closed, at_ms // 1000 - START_S))

        module.on_relay = moved
        async with module:
            module.write_files(provisioned(tmp_path))
            module.set_link(False)
            driver.add(module)
            module.power_on()
            await driver.run_for(60)
            assert [closed for closed, _ in moves] == [True]
            household.voltage_mv = 280_000
            await driver.run_for(5)
            assert [closed for closed, _ in moves] == [True, False]
            assert 61 <= moves[1][1] <= 63  # above 1.20 Un for a second
            household.voltage_mv = 231_000
            await driver.run_for(175)
            assert len(moves) == 2
            await driver.run_for(10)
            assert [closed for closed, _ in moves] == [True, False, True]
            module.tamper(codes.COVER)
            await driver.run_for(20)
            module.tamper(0)
            await driver.run_for(300)
            assert [closed for closed, _ in moves] == [True, False, True, False]
            assert not bytes(module.console.log).count(b"Traceback")
        time.close()

    asyncio.run(story())
