"""Some hours of the hostile week, and a judge that would notice what is missing."""

import asyncio
from pathlib import Path

import pytest

from tests.bench import hostile_week
from tests.bench.hostile_proxy import UP, Packets, name_of
from tests.bench.radio_world import RadioWorld
from tests.host_tools.genuine import by_deadline

HOUR_S = 3600


def test_hours_of_bad_network_lose_and_double_nothing() -> None:
    found = hostile_week.measure(7, 4 * HOUR_S)
    assert found == {"hostile_week_lost": 0, "hostile_week_double": 0}


def test_what_never_arrives_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_week, "SETTLED_S", HOUR_S)

    async def play() -> dict[str, int]:
        async with RadioWorld(tmp_path) as world:
            world.settlement.start()
            # Else hours may pass before it listens, and nothing of the module is known.
            by_deadline(lambda: b"settle ready" in world.settlement.log.read_bytes(), "settle")
            world.module.power_on()
            await world.driver.run_for(2 * HOUR_S)
            world.proxy.swallowed = {UP}
            await world.driver.run_for(HOUR_S)
            return await hostile_week.judged(world)

    assert asyncio.run(play())["hostile_week_lost"] > 0


def test_the_proxy_finds_packets_however_the_stream_is_cut() -> None:
    sealed = b"\x84\x43\xa1\x01\x04\xa0\x58\xc8\xa2\x00\x10" + bytes(197) + b"\x48" + bytes(8)
    long = b"\x30\xe5\x01\x00\x0au/3/gp-101" + sealed
    assert len(long) == 3 + 0xE5
    stream = b"\xc0\x00" + long + b"\x40\x02\x00\x01"
    for step in (1, 3, 50, len(stream)):
        packets = Packets()
        found = []
        for at in range(0, len(stream), step):
            found += packets.feed(stream[at : at + step])
        assert [name_of(packet) for packet in found] == ["ping", "publish 16", "puback"]
