"""One module with a pulse meter, a real broker and settlement, and a proxy between them.

The scene of the demo, cut down to what a long time in lockstep needs; see hostile_proxy.
"""

from contextlib import AsyncExitStack
from pathlib import Path

from host_tools.demo.cast import Part
from host_tools.demo.world import World
from host_tools.simulator.wiring import Place
from protocol import settings
from tests.bench.hostile_proxy import Proxy

MODULE = "gp-101"
PLACE = Place("一单元 101 Flat 101", "", 0, 0, (3, 1), 0, True, "family", 1000, 60_000, 1000)


class RadioWorld(World):
    """Enter with `async with`; the module's power is still off then."""

    def __init__(self, folder: Path, *, tariff: str = "tiers", **others: object) -> None:
        """`others` are settings that the module shall have."""
        self._others = {"keepalive_s": 3600} | others
        part = Part(MODULE, 0, (PLACE,), (tariff,), 1_234_567)
        super().__init__(folder, (part,), poll_ms=60_000, rules=self.changed)
        self.proxy = Proxy(self.time, self.broker.address.port)
        self._proxied = AsyncExitStack()

    async def __aenter__(self) -> "RadioWorld":
        await self._proxied.enter_async_context(self.proxy)
        await super().__aenter__()
        self.driver.add(self.proxy)  # type: ignore[arg-type]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._proxied.aclose()
        await super().__aexit__()

    def changed(self, wanted: settings.Module) -> settings.Module:
        return wanted._replace(broker_port=self.proxy.port, **self._others)

    @property
    def module(self):  # type: ignore[no-untyped-def]
        return self.modules[MODULE]
