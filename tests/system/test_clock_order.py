"""A clock is ordered to be set: real firmware and real settlement agree on every watt-hour.

As test_catch_up: the real firmware over a socket, the real settlement behind it, in one process.
The clock is wrong because the host's own was, or has no time because the answer came late.
"""

import asyncio
from pathlib import Path

from host_tools.settlement import commands
from host_tools.store.records import Order
from protocol import cbor, codes, messages
from protocol.units import INVALID, MODULE_TARGET, SYNCHRONISED
from tests.system.test_catch_up import MODULE, Scene

HOUR_S = 3600
DAY_S = 86400
LATE_S = 11
RETRY_S = 61


class Wrong(Scene):
    """A module whose clock is wrong, and the host that orders it to be set."""

    def hellos(self) -> int:
        return sum(isinstance(item, messages.Hello) for item in self.broker.got)

    def now_s(self) -> int:
        return self.desk.now_ms // 1000

    def wait(self, seconds: int) -> None:
        self.desk.now_ms += seconds * 1000
        self.host.clock.s = self.now_s()

    def power_cut(self, rtc: bool) -> None:
        self.wait(HOUR_S)
        _, self.firmware = self.desk.power_on(rtc=rtc)

    def order(self, life_s: int = HOUR_S) -> int:
        store, now_s = self.host.store, self.host.clock.s
        with store.transaction():
            what = (MODULE, MODULE_TARGET, codes.CLOCK, [], now_s, life_s)
            return commands.issue(store, *what)

    def dispatch(self) -> None:
        self.host.clock.ms += 10_000_000
        self.host.consumer.send_due()
        self.broker.settle()

    def sent(self, command_id: int) -> Order:
        found = self.host.store.payments.command(MODULE, command_id)
        assert found
        return found

    async def obeyed(self, command_id: int) -> None:
        """Sent now, the clock is right; answered when the host may believe what was noted ahead,
        hours later. Then both ledgers are one."""
        self.dispatch()
        await self.until(lambda: command_id in self.firmware.commands.answered)
        assert self.firmware.clock.now() == (self.now_s(), SYNCHRONISED)
        for _ in range(16):
            await self.quarters(1)
        while not self.done():  # the module sends again what was refused, a minute later or more
            self.wait(RETRY_S)
            self.firmware.uplink.wake.set()
            await asyncio.sleep(0.1)
        assert self.sent(command_id).state == "done"
        state = self.firmware.points[0].state
        assert self.host.store.fleet.point_known(MODULE, 0).state == state
        assert state.register_wh == self.desk.meter.register_wh
        assert self.host.differences() == []

    def steps(self) -> list[object]:
        """[old s, new s] of every step of the clock that the host was told of."""
        events = self.host.store.intake.events(MODULE)
        told = [each for each in events if each.kind == messages.EVENTS]
        return [cbor.decode(each.args) for each in told if each.code == codes.CLOCK_SET]


def test_a_clock_that_was_told_wrong_is_right_after_the_order(tmp_path: Path) -> None:
    async def play(off_s: int) -> None:
        scene = Wrong(tmp_path / str(off_s), f"clock-{off_s}")
        await scene.quarters(4)
        scene.host.clock.s += off_s

        async def story() -> None:
            def is_wrong() -> bool:
                return scene.firmware.clock.now()[0] == scene.now_s() + off_s

            await scene.until(is_wrong)
            await scene.quarters(2)
            assert is_wrong()
            greeted = scene.hellos()
            before_s = scene.firmware.clock.now()[0]
            await scene.obeyed(scene.order())
            assert scene.hellos() == greeted + 1
            assert scene.steps()[-1] == [before_s, before_s - off_s]

        await scene.connected(story)

    for off_s in (HOUR_S, -HOUR_S):
        asyncio.run(play(off_s))


def test_an_order_gives_the_time_to_a_module_that_heard_it_too_late(tmp_path: Path) -> None:
    async def play() -> None:
        scene = Wrong(tmp_path, "clock-late")
        await scene.quarters(4)
        await scene.connected(lambda: scene.until(scene.done))
        scene.power_cut(rtc=False)
        scene.broker.answers = False
        greeted = scene.hellos()

        async def story() -> None:
            await scene.until(lambda: scene.hellos() == greeted + 1)
            scene.wait(LATE_S)
            scene.broker.answers = True
            scene.broker.settle()
            await scene.until(lambda: scene.firmware.uplink.asked_ms is None)
            assert scene.firmware.clock.now()[1] == INVALID
            await scene.obeyed(scene.order())

        await scene.connected(story)

    asyncio.run(play())


def test_a_power_cut_between_order_and_answer_leaves_the_order_to_be_said_again(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        scene = Wrong(tmp_path, "clock-cut")
        await scene.quarters(4)
        await scene.connected(lambda: scene.until(scene.done))
        command_id = scene.order(DAY_S)

        async def asks() -> None:
            await scene.until(lambda: scene.firmware.uplink.client.connected)
            await scene.until(scene.done)
            greeted = scene.hellos()
            scene.dispatch()
            scene.broker.answers = False
            await scene.until(lambda: scene.hellos() == greeted + 1)

        await scene.connected(asks)
        assert scene.sent(command_id).state == "sent"
        scene.broker.kept.clear()
        scene.broker.answers = True
        scene.power_cut(rtc=True)

        greeted = scene.hellos()

        async def again() -> None:
            await scene.until(lambda: scene.hellos() > greeted)
            await scene.obeyed(command_id)

        await scene.connected(again)

    asyncio.run(play())
