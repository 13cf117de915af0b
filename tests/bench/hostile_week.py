"""A week of bad network: does every entry of the module reach the host once, and no more?

    python -m tests.bench.hostile_week

The firmware on the virtual board, a real nats-server and the real settlement, in lockstep. Between
them a proxy cuts, resets, delays, truncates, swallows one or both directions; the broker restarts,
is killed, and the settlement dies; the module loses power. A seed is a week.
"""

import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from host_tools.settlement import commands
from host_tools.settlement.reconcile import reconcile, trial_balance
from protocol import codes, ledger
from tests.bench import figures
from tests.bench.hostile_proxy import DOWN, UP
from tests.bench.radio_world import MODULE, RadioWorld

SEED = 20261125
HOUR_S = 3600
DAY_S = 86400
CUR = 10**9
PAUSE_S = (600, 9000)  # between one blow and the next
QUIET_S = 4 * HOUR_S  # at the end: what is still waiting must arrive
SETTLED_S = 12 * HOUR_S


class Weather:
    """What happens to the connection; each blow is one method, drawn by the dice."""

    def __init__(self, world: RadioWorld, dice: random.Random) -> None:
        self.world = world
        self.dice = dice
        self.told: dict[str, int] = {}
        self.paid = 0

    async def strike(self) -> None:
        blows: list[Callable[[], object]] = [
            self.reset, self.close, self.cut_inside, self.half_open_up, self.half_open_down,
            self.silence, self.delays, self.refusals, self.outage, self.broker_restarts,
            self.broker_killed, self.settlement_dies, self.power_cut, self.pay, self.pay,
        ]  # fmt: skip
        blow = self.dice.choice(blows)
        name = blow.__name__
        self.told[name] = self.told.get(name, 0) + 1
        result = blow()
        if asyncio.iscoroutine(result):
            await result

    def reset(self) -> None:
        self.world.proxy.cut(reset=True)

    def close(self) -> None:
        self.world.proxy.cut(reset=False)

    def cut_inside(self) -> None:
        """The next packets end in the middle of one."""
        self.world.proxy.cut_after = self.dice.randrange(1, 150)

    async def swallow(self, *ways: str) -> None:
        self.world.proxy.swallowed = set(ways)
        await self.world.driver.run_for(self.dice.randrange(60, 2 * HOUR_S))
        self.world.proxy.swallowed = set()

    async def half_open_up(self) -> None:
        await self.swallow(UP)

    async def half_open_down(self) -> None:
        await self.swallow(DOWN)

    async def silence(self) -> None:
        await self.swallow(UP, DOWN)

    async def delays(self) -> None:
        longest_ms = self.dice.choice((500, 4000, 40_000))
        self.world.proxy.delay_ms = lambda: self.dice.randrange(longest_ms)
        await self.world.driver.run_for(self.dice.randrange(600, 3 * HOUR_S))
        self.world.proxy.delay_ms = lambda: 0

    async def refusals(self) -> None:
        self.world.proxy.refusing = True
        self.world.proxy.cut()
        await self.world.driver.run_for(self.dice.randrange(60, 2 * HOUR_S))
        self.world.proxy.refusing = False

    async def outage(self) -> None:
        """No network for half a day: the outbox moves into files."""
        self.world.module.set_link(False)
        await self.world.driver.run_for(self.dice.randrange(HOUR_S, DAY_S // 2))
        self.world.module.set_link(True)

    def broker_restarts(self) -> None:
        self.world.broker.restart()

    def broker_killed(self) -> None:
        self.world.broker.kill()
        self.world.broker.start(self.world.broker.users)

    def settlement_dies(self) -> None:
        self.world.settlement.end(self.dice.choice((signal.SIGKILL, signal.SIGTERM)))
        self.world.settlement.start()

    async def power_cut(self) -> None:
        self.world.module.power_cut()
        await self.world.driver.run_for(self.dice.randrange(1, 600))
        self.world.module.power_on()

    def pay(self) -> None:
        self.paid += 1
        store = self.world.store
        with store.transaction():
            point = store.fleet.point_known(MODULE, 0)
            amount_ncur = self.dice.randrange(CUR, 5 * CUR)
            reference = f"hostile {self.paid}"
            commands.pay(store, point, reference, amount_ncur, self.world.time.now_s())


async def endured(folder: Path, seed: int, duration_s: int) -> dict[str, int]:
    dice = random.Random(seed)
    async with RadioWorld(folder, batch_records=8) as world:
        world.settlement.start()
        weather = Weather(world, dice)
        weather.pay()
        world.module.power_on()
        end_s = world.time.now_s() + duration_s
        while world.time.now_s() < end_s:
            await world.driver.run_for(dice.randrange(*PAUSE_S))
            await weather.strike()
        await world.driver.run_for(QUIET_S)
        found = await judged(world)
        proxy = world.proxy
        print(f"hostile: {duration_s // HOUR_S} h, {weather.told}")
        print(f"hostile: {proxy.connections} connections, {dict(proxy.packets)}")
        return found


async def judged(world: RadioWorld) -> dict[str, int]:
    """Lost and double entries; a module that is not reconciled to the nano-unit has lost one."""
    store = world.store
    with store.transaction():
        commands.issue(store, MODULE, 0, codes.STATE, [], world.time.now_s(), DAY_S)

    def stated() -> bool:
        point = store.fleet.point_known(MODULE, 0)
        said = point.statement
        return said is not None and said.seq == point.state.seq == point.sent_seq

    silent = not await world.driver.wait_for(stated, SETTLED_S)
    point = store.fleet.point_known(MODULE, 0)
    said = point.statement
    (row,) = reconcile(store, world.time.now_s(), MODULE)
    entries = list(store.ledgers.entries(point.id))
    seqs = [entry.seq for entry in entries]
    newest = said.seq if said else 0
    lost = len(set(range(1, max(newest, row.readings_sent) + 1)) - set(seqs))
    double = len(seqs) - len(set(seqs))
    topups = [entry.number for entry in entries if entry.kind == ledger.TOPUP]
    double += len(topups) - len(set(topups))
    lost += len(store.payments.topups(point.id, "in flight")) + silent
    opened_wh = next(item.register_wh for item in entries if item.kind == ledger.OPENING)
    metered_wh = entries[-1].register_wh - opened_wh
    double += metered_wh != sum(entry.energy_wh for entry in entries)
    agreed = row.reconciled and trial_balance(store)
    if not agreed or row.balance_module_ncur != row.balance_host_ncur:
        print(f"hostile: not reconciled: {row.why}", file=sys.stderr)
        lost += 1
    events = store.intake.events(MODULE)
    lost += len(set(range(1, max(event.seq for event in events) + 1)) - {e.seq for e in events})
    print(f"hostile: {len(entries)} entries, {len(topups)} top-ups, {len(events)} events,"
          f" {row.duplicates_dropped} duplicates dropped, {row.rejected} rejected")  # fmt: skip
    return {"hostile_week_lost": lost, "hostile_week_double": double}


def measure(seed: int = SEED, duration_s: int = 7 * DAY_S) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(endured(Path(folder), seed, duration_s))


if __name__ == "__main__":
    sys.exit(figures.write("hostile_week", measure()))
