"""The power fails and the clock is lost: what real firmware charged meanwhile is priced anew.

As test_catch_up: the real firmware over a socket, the real settlement behind it, in one process.
"""

import asyncio
from pathlib import Path

from host_tools.validation import adjusting, mending
from host_tools.validation.command import caught_up
from host_tools.validation.following import Follower
from host_tools.validation.versions import Versions
from tests.firmware import desk as desks
from tests.host_tools.desk import TOU_BOOK
from tests.system.test_catch_up import MODULE, SHARD, Scene

HOUR_S = 3600
PEAK, VALLEY = 568_000, 288_000  # from 08:00 and from 22:00 on
RUN = 10  # quarters of an hour without a clock, 250 Wh each


class Lost(Scene):
    """A module that is charged by the hour."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "clock")
        store = self.host.store
        with store.transaction():
            store.fleet.store_book("tou", TOU_BOOK, 0)
            store.fleet.assign(store.fleet.point_known(MODULE, 0).id, TOU_BOOK.version, 0)
        key = Path(self.desk.root, "key.bin").read_bytes()
        item = desks.point_settings(tamper_notify=0)
        desks.provision(self.desk.root, [item], TOU_BOOK, shard=SHARD)
        Path(self.desk.root, "key.bin").write_bytes(key)
        _, self.firmware = self.desk.power_on()

    def power_cut(self, seconds: int) -> None:
        self.desk.now_ms += seconds * 1000
        self.host.clock.s = self.desk.now_ms // 1000
        _, self.firmware = self.desk.power_on(rtc=False)

    def give_orders(self) -> None:
        self.host.clock.ms += 10_000_000
        self.host.consumer.send_due()
        self.broker.settle()

    def agreed(self) -> bool:
        return self.done() and all(
            order.state == "done" for order in adjusting.ordered(self.host.store, self.point())
        )

    def point(self):
        return self.host.store.fleet.point_known(MODULE, 0)


def test_charges_of_a_lost_clock_are_made_good_by_one_order(tmp_path: Path) -> None:
    scene = Lost(tmp_path)

    async def play() -> None:
        await scene.quarters(40)  # from midnight to ten in the morning
        scene.power_cut(11 * HOUR_S)  # it is nine in the evening, the module thinks it is ten
        await scene.quarters(RUN)
        follower = Follower(scene.host.store, scene.host.clock.now_s)

        async def story() -> None:
            await scene.until(scene.done)
            assert caught_up(follower).adjustments == 1
            assert scene.host.differences() == []
            scene.give_orders()
            await scene.until(scene.agreed)

        await scene.connected(story)
        (order,) = adjusting.ordered(scene.host.store, scene.point())
        assert (order.rule, order.charges) == (mending.CLOCK_RULE, RUN + 1)
        in_valley_wh = sum(
            each.energy_wh
            for each in Versions(scene.host.store).standing(scene.point().id).values()
            if each.origin == "clock set" and each.start_s % 86400 >= 14 * HOUR_S
        )
        assert in_valley_wh == 6 * 250  # from 22:00 to 23:30 in China
        assert order.amount_ncur == in_valley_wh * (PEAK - VALLEY)
        assert scene.point().state == scene.firmware.points[0].state

    asyncio.run(play())
