"""The chain in lockstep for two simulated hours: money on both sides, read independently."""

import asyncio

from boards.virtual import flash
from firmware.journal import Journal
from firmware.point import unpack
from host_tools.demo import cast
from host_tools.demo.story import Story
from host_tools.demo.world import World
from host_tools.settlement import commands
from host_tools.settlement.reconcile import reconcile, trial_balance
from protocol import codes

HOURS = 2
PAID = {"gp-101": 30, "gp-shop": 40, "gp-house": 50}


async def two_hours(world: World) -> None:
    story = Story(world)
    world.settlement.start()
    for module in world.modules.values():
        module.power_on()
    await story.seen("ledgers", lambda: all(point.state.seq for point in story.points()))
    for module, amount_cur in PAID.items():
        story.pay(module, 0, amount_cur, f"cash-{module}")
    await story.seen(
        "credited", lambda: all(story.point(module).state.topups_ncur for module in PAID)
    )
    world.modules["gp-101"].press_key()  # the others close by themselves
    await story.seen("supply", lambda: all(module.relays[0] for module in world.modules.values()))
    await story.run(HOURS * 3600)
    boundary_s = world.time.now_s() // 900 * 900
    await story.seen("settled", lambda: story.settled_upto(boundary_s))
    now_s = world.time.now_s()
    with world.store.transaction():
        for point in story.points():
            what = (point.module, point.point, codes.STATE, [], now_s, 3600)
            commands.issue(world.store, *what)
    await story.seen("statements", story.stated)


def kept_by(world: World, module: str) -> Journal:
    """The journal of a module that is off, out of its flash image."""
    image = bytearray(world.modules[module].read_partition("journal"))
    cells = flash.Flash(flash.Ram(image), len(image), flash.Power())
    journal = Journal(flash.Journal(cells))
    journal.load()
    return journal


def same_ledger(world: World, module: str, number: int) -> int:
    """Holds the module's own flash against the host's ledger. -> entries compared."""
    journal = kept_by(world, module)
    point = world.store.fleet.point_known(module, number)
    assert unpack(journal.state(number)).state == point.state
    settled = {entry.seq: entry for entry in world.store.ledgers.entries(point.id)}
    assert sorted(settled) == list(range(1, point.state.seq + 1))
    found = set()

    def take(_: int, target: int, payload: bytes) -> None:
        entry = unpack(payload).entry if target == number else None
        if entry is not None:
            host = settled[entry.seq]
            assert all(getattr(host, name) == getattr(entry, name) for name in entry._fields)
            found.add(entry.seq)

    journal.records(take)
    assert found == set(settled)
    return len(found)


def test_module_and_host_keep_the_same_ledger_to_the_nano(tmp_path):
    async def story() -> None:
        async with World(tmp_path / "run") as world:
            await two_hours(world)
            rows = reconcile(world.store, world.time.now_s())
            assert [row.why for row in rows] == [""] * 4
            assert trial_balance(world.store)
            for row in rows:
                assert row.charged_module_ncur == row.charged_host_ncur
                assert row.balance_module_ncur == row.balance_host_ncur
                if row.point == 0:
                    assert row.energy_wh > 0 and row.topups_ncur == PAID[row.module] * 10**9
            for module in world.modules.values():
                module.power_cut()
            compared = 0
            for part in cast.CAST:
                for number in range(len(part.places)):
                    compared += same_ledger(world, part.module, number)
            # Openings, top-ups and at least a charge an interval.
            assert compared >= 4 * (1 + HOURS * 4) + len(PAID)

    asyncio.run(story())
