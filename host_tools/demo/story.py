"""The story, step by step. Each step does something to the scene, waits until it shows, and says
what it saw; a step that does not see it fails with the reason. Amounts are nano-currency.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from host_tools.demo import cast
from host_tools.demo.intruder import Intruder, forged
from host_tools.demo.world import World
from host_tools.settlement import commands, topup
from host_tools.settlement.common import decimal
from host_tools.store.records import Point, Settled
from protocol import cbor, codes, ledger, messages, topics
from protocol.units import FORGED, NCUR_PER_CUR, REPLAYED
from protocol.words import REASONS

CHINA = timezone(timedelta(hours=8))
CHUNK_S = 60
PACE_S = 0.004  # real time the processes get after each chunk of virtual time
FLAT, SHOP, HOUSE = (part.module for part in cast.CAST)
OFFLINE_S = 5 * 3600
REAL_S_MAX = 300.0  # a step that has not shown by then never will


# What happens, for a person of either language, and the method of Story that makes it happen.
STEPS = (
    ("modules get power and time, ledgers open 上电、对时、建账", "commission"),
    ("top-ups by signed command, relays arm and close 充值、合闸允许、合闸", "first_topups"),
    ("an evening crosses a tariff tier 用电跨阶梯", "tier"),
    ("a night crosses the hours of two prices 峰谷时段切换", "hours"),
    ("the broker is killed; credit ends, a relay opens 断网计量、欠费跳闸", "offline"),
    ("the broker is back; nothing is lost 恢复通信、补传", "catch_up"),
    ("a top-up arms, the customer's key closes 充值后按键合闸", "arm_and_close"),
    ("settlement is killed and restarted 结算服务中断与恢复", "settlement_killed"),
    ("power fails in the middle of a flash write 写闪存时掉电", "power_cut"),
    ("a forged message is rejected and listed 伪造报文拒收", "forgery"),
    ("a replayed message is rejected and listed 重放报文拒收", "replay"),
    ("a duplicate delivery is dropped 重复报文丢弃", "duplicate"),
    ("the last readings are settled 全部结算", "last_readings"),
)


class Failed(Exception):
    """A step did not see what the story promises; the text says what was there instead."""


def need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Failed(otherwise)


def cny(amount_ncur: int) -> str:
    return f"{decimal(amount_ncur)} CNY"


class Story:
    """Steps in order; `world` is the scene, `intruder` listens from the beginning."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.intruder = Intruder(world.broker.address)

    # what the steps look at

    def point(self, module: str, number: int = 0) -> Point:
        found = self.world.store.fleet.point(module, number)
        if found is None:
            raise Failed(f"{module}/{number} is not enrolled")
        return found

    def points(self) -> list[Point]:
        return self.world.store.fleet.points()

    def entries(self, module: str, kind: int, since_s: int = 0) -> list[Settled]:
        rows = self.world.store.ledgers.entries(self.point(module).id)
        return [row for row in rows if row.kind == kind and row.time_s >= since_s]

    def events(self, module: str, code: int) -> list[list[int]]:
        """Arguments of a module's events of one code, in order."""
        found = self.world.store.intake.events(module)
        return [
            list(cbor.decode(event.args))  # type: ignore[call-overload]
            for event in found
            if event.kind == messages.EVENTS and event.code == code
        ]

    def rejects(self, module: str, reason: int) -> int:
        rows = self.world.store.intake.rejects(module)
        return sum(row.count for row in rows if row.reason == reason)

    def now(self) -> str:
        now = datetime.fromtimestamp(self.world.time.now_s(), UTC).astimezone(CHINA)
        return now.strftime("%a %H:%M:%S")

    def at(self, at_s: int) -> str:
        return datetime.fromtimestamp(at_s, UTC).astimezone(CHINA).strftime("%H:%M")

    # how time passes

    async def run(self, seconds: int) -> None:
        """Virtual time passes in small pieces, so that the processes keep up."""
        end_s = self.world.time.now_s() + seconds
        while self.world.time.now_s() < end_s:
            await self.world.driver.run_until(min(end_s, self.world.time.now_s() + CHUNK_S))
            await asyncio.sleep(PACE_S)

    async def run_to(self, hour: int, minute: int = 0) -> None:
        """Until the next time the clock in China shows this."""
        now = datetime.fromtimestamp(self.world.time.now_s(), UTC).astimezone(CHINA)
        then = now.replace(hour=hour, minute=minute, second=0)
        if then <= now:
            then += timedelta(days=1)
        await self.run(int((then - now).total_seconds()))

    async def seen(self, what: str, predicate: Callable[[], bool]) -> None:
        """Let virtual time pass slowly until something shows; processes take real time for it."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + REAL_S_MAX
        while not predicate():
            need(loop.time() < end_s, f"not seen in {REAL_S_MAX:.0f} s: {what}")
            await self.run(5)
            await asyncio.sleep(0.05)

    def settled_upto(self, at_s: int) -> bool:
        return all(point.state.time_s >= at_s for point in self.points())

    # steps

    async def commission(self) -> str:
        self.world.settlement.start()
        self.intruder.start()
        for module in self.world.modules.values():
            module.power_on()
        await self.seen("every ledger open", lambda: all(p.state.seq for p in self.points()))
        return ", ".join(
            f"{p.module}/{p.point} at {p.state.register_wh} Wh" for p in self.points()
        )

    def pay(self, module: str, number: int, amount_cur: int, reference: str) -> None:
        data, clock = self.world.data, self.world.clock
        topup.top_up(data, clock, module, number, reference, amount_cur * NCUR_PER_CUR)

    async def first_topups(self) -> str:
        command = [sys.executable, "-m", "host_tools.cli", "topup", FLAT, "0", "7.00"]
        command += ["--reference", "cash-1", "--data", str(self.world.data)]
        command += ["--clock", str(self.world.time_path)]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
        need(done.returncode == 0, done.stderr.strip())
        self.pay(SHOP, 0, 60, "cash-2")
        self.pay(HOUSE, 0, 80, "cash-3")
        self.pay(HOUSE, 1, 40, "cash-4")
        relays = self.world.modules
        await self.seen(
            "top-ups credited", lambda: all(p.state.topups_ncur for p in self.points())
        )
        await self.seen("armed", lambda: bool(self.events(FLAT, codes.RELAY_ARMED)))
        relays[FLAT].press_key()
        await self.seen("relays closed", lambda: all(m.relays[0] for m in relays.values()))
        return done.stdout.strip()

    async def tier(self) -> str:
        since_s = self.world.time.now_s()
        await self.run_to(21, 46)
        first_wh = 6000
        crossing = None
        before_wh = 0
        for entry in self.entries(FLAT, ledger.CHARGE, since_s):
            if before_wh < first_wh < entry.used_wh:
                crossing = (before_wh, entry)
            before_wh = entry.used_wh
        if crossing is None:
            raise Failed(f"used {before_wh} Wh by {self.at(self.world.time.now_s())}")
        used_wh, entry = crossing
        return (
            f"{FLAT}: {used_wh} -> {entry.used_wh} Wh in the interval to {self.at(entry.time_s)},"
            f" {cny(-entry.amount_ncur)} over two prices"
        )

    async def hours(self) -> str:
        await self.run_to(22, 16)
        await self.seen("22:15 settled", lambda: self.settled_upto(self.world.time.now_s() - 120))
        entries = self.entries(SHOP, ledger.CHARGE)[-2:]
        prices = [-entry.amount_ncur // max(1, entry.energy_wh) for entry in entries]
        need(prices == [568000, 288000], f"prices were {prices}")
        return ", ".join(
            f"to {self.at(entry.time_s)}: {entry.energy_wh} Wh for {cny(-entry.amount_ncur)}"
            for entry in entries
        )

    async def offline(self) -> str:
        await self.run_to(0, 30)
        self.world.broker.kill()
        await self.run(OFFLINE_S)
        need(not self.world.modules[FLAT].relays[0], f"{FLAT} still supplies")
        need(self.world.modules[HOUSE].relays[0], f"{HOUSE} was cut though it has credit")
        return f"five hours without a network; {FLAT} is open, the others supply"

    async def catch_up(self) -> str:
        self.world.broker.restart()
        boundary_s = self.world.time.now_s() // 900 * 900
        await self.seen("all readings", lambda: self.settled_upto(boundary_s))
        await self.seen("events", lambda: bool(self.events(FLAT, codes.RELAY_OPENED)))
        zones = [args[0] for args in self.events(FLAT, codes.WARNING)]
        need(zones[-3:] == [1, 2, 4], f"warnings were {zones}")
        rule, balance_ncur, limit_ncur, _ = self.events(FLAT, codes.RELAY_OPENED)[-1]
        return (
            f"warning 1, warning 2, opened by rule {rule} at {cny(balance_ncur)},"
            f" limit {cny(limit_ncur)}; all intervals of the night are settled"
        )

    async def arm_and_close(self) -> str:
        module = self.world.modules[FLAT]
        armed = len(self.events(FLAT, codes.RELAY_ARMED))
        self.pay(FLAT, 0, 20, "cash-5")
        await self.seen("armed", lambda: len(self.events(FLAT, codes.RELAY_ARMED)) > armed)
        need(not module.relays[0], "the relay closed without the key")
        module.press_key()
        await self.seen("closed", lambda: module.relays[0])
        return f"{FLAT} armed at {cny(self.point(FLAT).state.balance_ncur)}, closed by the key"

    async def settlement_killed(self) -> str:
        self.world.settlement.end(signal.SIGKILL)
        before = sum(point.state.seq for point in self.points())
        await self.run(2 * 3600)
        need(before == sum(point.state.seq for point in self.points()), "somebody settled")
        self.world.settlement.start()
        boundary_s = self.world.time.now_s() // 900 * 900
        await self.seen("caught up", lambda: self.settled_upto(boundary_s))
        after = sum(point.state.seq for point in self.points())
        return f"two hours unsettled, then {after - before} records at once"

    async def power_cut(self) -> str:
        module = self.world.modules[SHOP]
        before = self.point(SHOP).state
        module.power_cut(at_op=4, torn="half", seed=7)
        await self.seen("power is gone", lambda: not module.powered)
        await self.run(600)
        module.power_on()
        since_s = self.world.time.now_s()
        await self.seen("settled again", lambda: self.point(SHOP).state.time_s > since_s)
        after = self.point(SHOP).state
        need(after.seq > before.seq, "no entry after the cut")
        need(not self.world.store.ledgers.differences(self.point(SHOP).id), "a difference opened")
        return (
            f"{SHOP} lost power at flash operation {module.flash_ops_at_cut}, half written;"
            f" entries {before.seq} to {after.seq} without a gap"
        )

    async def forgery(self) -> str:
        shard = cast.CAST[0].shard
        gift = messages.Command(9999, 0, codes.TOPUP, 0, 1 << 40, [2, 0, 10**12])
        balance = self.point(FLAT).state.topups_ncur
        self.intruder.repeat(topics.down(shard, FLAT), forged(gift))
        ack = messages.Events(1, 1, [[self.world.time.now_s(), 0, 1, 255, []]])
        self.intruder.repeat(topics.up(shard, FLAT), forged(ack))
        await self.seen("both listed", lambda: self.rejects(FLAT, FORGED) >= 2)
        need(self.point(FLAT).state.topups_ncur == balance, "money moved")
        return (
            f"{self.rejects(FLAT, FORGED)} rejects: {REASONS[FORGED]}, one by host, one by module"
        )

    async def replay(self) -> str:
        shard = cast.CAST[1].shard
        up, down = topics.up(shard, SHOP), topics.down(shard, SHOP)
        old_hello = self.intruder.first(up, messages.HELLO)
        self.intruder.repeat(up, old_hello)
        self.pay(SHOP, 0, 5, "cash-6")
        number = self.point(SHOP).state.mark.highest
        await self.seen("credited", lambda: self.point(SHOP).state.mark.highest > number)
        await self.run(600)
        topups_ncur = self.point(SHOP).state.topups_ncur
        self.intruder.repeat(down, self.intruder.last(down, messages.COMMAND))
        await self.seen("both listed", lambda: self.rejects(SHOP, REPLAYED) >= 2)
        need(self.point(SHOP).state.topups_ncur == topups_ncur, "money moved")
        return f"{self.rejects(SHOP, REPLAYED)} rejects: an old hello, a credited top-up once more"

    async def duplicate(self) -> str:
        up = topics.up(cast.CAST[2].shard, HOUSE)
        before = [self.point(HOUSE, number) for number in (0, 1)]
        self.intruder.repeat(up, self.intruder.last(up, messages.READINGS))
        dropped = sum(point.duplicates for point in before)

        def now_dropped() -> int:
            return sum(self.point(HOUSE, number).duplicates for number in (0, 1))

        await self.seen("dropped", lambda: now_dropped() > dropped)
        return f"{HOUSE}: came twice, billed once: {now_dropped() - dropped} of its records"

    async def last_readings(self) -> str:
        await self.run_to(10, 1)
        boundary_s = self.world.time.now_s() // 900 * 900
        await self.seen("all settled", lambda: self.settled_upto(boundary_s))
        with self.world.store.transaction():
            for point in self.points():
                commands.issue(
                    self.world.store,
                    point.module,
                    point.point,
                    codes.STATE,
                    [],
                    self.world.time.now_s(),
                    3600,
                )
        await self.seen("statements", self.stated)
        return f"until {self.at(boundary_s)} on the next day"

    def stated(self) -> bool:
        """Every module has stated the very entry that the host has settled last."""
        return all(
            point.statement is not None
            and point.statement.seq == point.state.seq == point.sent_seq
            for point in self.points()
        )
