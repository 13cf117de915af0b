"""A module on the real interpreter dies with hours that nobody heard; its flash tells them."""

import asyncio
import json
from pathlib import Path

from firmware import journal, point
from host_tools.demo import cast
from host_tools.flashing import partition_table
from host_tools.simulator import image
from host_tools.store.database import opened
from protocol import ledger
from protocol.ledger import State
from tests.bench.module_care import (
    BY,
    HOUR_S,
    NEW,
    OLD,
    PLACE,
    POLL_MS,
    TARIFF,
    OneMeter,
    Replacement,
)


class Death(Replacement):
    """The broker goes away, the module meters on and dies; it never comes back."""

    rescued = 0

    async def play(self, hours: int) -> None:
        world = await self.begin()
        old, new = world.modules[OLD], world.modules[NEW]
        await self.run(hours * HOUR_S)
        world.broker.kill()
        await self.run(hours * HOUR_S)
        old.power_cut()
        world.served = NEW
        world.households[OLD, 0].set_closed(False, world.time.now_ms())
        world.broker.restart()
        before = self.point(OLD).state.seq
        dump = self.flash()
        told = json.loads(await self.do("module", "rescue", OLD, "--image", dump, "--json"))
        assert told["whole"] and told["refused"] == 0
        self.rescued = told["points"][0]["settled"] - before
        assert self.state() == self.journaled()
        again = await self.do("module", "rescue", OLD, "--image", dump)
        assert "0 records taken in" in again and self.state() == self.journaled()
        key = old.read_files()["key.bin"]
        assert key.hex() not in again and not self.differences()
        await self.do("module", "replace", OLD, NEW, *BY)
        new.power_on()
        await self.seen("moved in", lambda: bool(self.entries(NEW, ledger.TRANSFER)))
        await self.seen("supply again", lambda: new.relays[0])
        await self.run(hours * HOUR_S)
        await self.seen("quiet", self.quiet)

    def flash(self) -> Path:
        """The whole flash of the old module, as its boot loader would give it out."""
        old = self.world.modules[OLD]
        whole = bytearray(b"\xff" * (1 << 22))
        table = partition_table.to_binary(old.partitions)
        whole[partition_table.AT : partition_table.AT + len(table)] = table
        for name, row in old.partitions.items():
            whole[row.offset : row.offset + row.size] = old.read_partition(name)
        path = self.world.folder / "dump.bin"
        path.write_bytes(whole)
        return path

    def journaled(self) -> State:
        """The newest ledger of the old module's journal."""

        class Flash:
            sector = image.SECTOR
            content = self.world.modules[OLD].read_partition("journal")
            size = len(content)

            def read(self, at: int, buffer: bytearray) -> None:
                buffer[:] = self.content[at : at + len(buffer)]

        newest: list[tuple[int, bytes]] = []
        ring = journal.Journal(Flash())

        def take(number: int, target: int, payload: bytes) -> None:
            if target == 0:
                newest.append((number, payload))

        ring.records(take)
        state: State = point.unpack(max(newest)[1]).state
        return state

    def state(self) -> State:
        with opened(self.world.data, create=False) as store:
            return store.fleet.point_known(OLD, 0).state

    def differences(self) -> list[object]:
        with opened(self.world.data, create=False) as store:
            point_id = store.fleet.point_known(OLD, 0).id
            return list(store.ledgers.differences(point_id))


def test_the_last_hours_of_a_dead_module_are_settled_and_its_right_balance_moves(tmp_path):
    async def story() -> None:
        parts = tuple(cast.Part(name, 0, (PLACE,), (TARIFF,), 50_000) for name in (OLD, NEW))
        async with OneMeter(tmp_path, parts, poll_ms=POLL_MS) as world:
            death = Death(world)
            await death.play(12)
            assert death.rescued > 40 and death.difference() == 0

    asyncio.run(story())
