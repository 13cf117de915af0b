"""The whole firmware behind TLS: a clock without time, a dead first broker, a mutual handshake."""

import asyncio
import time

import pytest

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
from host_tools.simulator.wiring import BAUD, Place, module_settings, wired
from protocol import cose, messages, topics
from protocol.units import INVALID
from tests.firmware.certificates import issue
from tests.firmware.test_mqtt_client import Host
from tests.firmware.test_mqtt_tls import Site, TimeServer
from tests.host_tools.genuine import HANG_S
from tests.system.commands import TARIFF

LOCKSTEP, REAL = 0, 1
KEY = bytes(range(32))
PLACE = Place("Flat", "sdm120", 1, 0, (5, 2), 0, False, "family", 1000, 45_000)


class Settlement(Host):
    """Hears the module and answers its hello with the time."""

    def __init__(self, broker, site):
        super().__init__(broker.port, site.ca_file)
        self.client.on_message = lambda _c, _u, message: self.got.put(message.payload)
        self.client.subscribe(topics.up(0, "m"), 1)
        self.mac_up = cose.Mac(cose.derive(KEY, cose.UP))
        self.mac_down = cose.Mac(cose.derive(KEY, cose.DOWN))

    def heard(self):
        """The messages so far."""
        out = []
        while not self.got.empty():
            out.append(messages.unseal(self.got.get(), self.mac_up, False))
        return out

    def say(self, message):
        sealed = messages.seal(message, self.mac_down)
        self.client.publish(topics.down(0, "m"), sealed, qos=1)


def provisioned(site, broker, time_server):
    """The files of the module: it knows the broker as its second."""
    login = BrokerAddress("localhost", free_port(), "host", "host")
    wanted = module_settings("m", 0, {0: PLACE}, login, 1000)._replace(
        tls=2, broker_fallbacks=f"localhost:{broker.port}", ntp_host=time_server.name
    )
    own = issue(site.ca, "m")
    files = module_files(wanted, RootKey(KEY), {0: tariffs.read_book(TARIFF)})
    files |= {"ca.der": site.ca.der(), "cert.der": own.der(), "tls.key": own.key_der()}
    return {**image.device_files(), **files}


async def heard_of(settlement, driver, kind):
    """Runs the module until a message of the kind came."""
    for _ in range(120):
        await driver.run_for(1)
        for message in settlement.heard():
            if messages.kind_of(message) == kind:
                return message
    raise AssertionError(kind)


@pytest.mark.parametrize("factor", (LOCKSTEP, REAL))
def test_a_module_without_a_time_greets_its_second_broker_and_opens_its_ledger(tmp_path, factor):
    site = Site(tmp_path)
    broker = site.broker()

    async def story(settlement, time_server):
        start_s = int(time.time())
        virtual = VirtualTime(start_s, factor, tmp_path / "time")
        house = Household(load_curve(PLACE.curve), start_s, closed=True, start_wh=1000)
        module = wired("m", virtual, tmp_path / "m", {0: PLACE}, {0: house}, Options(baud=BAUD))
        driver = Driver(virtual, tcp_grace_s=2)
        async with module:
            module.write_files(provisioned(site, broker, time_server))
            driver.add(module)
            module.power_on()
            hello = await heard_of(settlement, driver, messages.HELLO)
            assert hello.quality == INVALID  # that server's word opens no ledger
            before = module.idle.number if module.idle else 0
            settlement.say(messages.Time(hello.boot_id, hello.ticks_ms, virtual.now_ms()))
            async with asyncio.timeout(HANG_S):  # simulated time must not overtake the answer
                while factor == LOCKSTEP and (not module.idle or module.idle.number == before):
                    await asyncio.sleep(0.005)
            batch = await heard_of(settlement, driver, messages.READINGS)
            assert abs(batch.items[0][1] - time.time()) < 300
            assert len(time_server.requests) == 1
        virtual.close()

    settlement = Settlement(broker, site)
    time_server = TimeServer(lambda request, good: good)
    try:
        asyncio.run(story(settlement, time_server))
    finally:
        time_server.close()
        settlement.close()
        broker.kill()
