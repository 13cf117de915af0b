"""The care of modules on real firmware: one replaced under load, one bundle rolled out to many.

    python -m tests.bench.module_care [--short] [replace] [update]

replace_difference: what a replacement under load leaves unlike a ledger that metered all along,
in nano-units and watt-hours together, and one for everything that does not reconcile. The broker
is away, settlement is killed, money is paid, and the old module tells its last hours at the end.

update_bricked: modules that do not meter after a roll-out with three bad copies of a bundle: one
crashes at its start, one never hears the host, one is damaged on the wire.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from host_tools import tariffs
from host_tools.broker import HOST, free_port
from host_tools.demo import cast
from host_tools.demo.story import Story, need
from host_tools.demo.world import World
from host_tools.flashing import bundle_file, device_code
from host_tools.flashing.bundle import Bundle, bundle
from host_tools.settlement import posting, reconcile
from host_tools.simulator.bridge import VirtualModule
from host_tools.simulator.wiring import Place, wired
from protocol import ledger, settings
from protocol.units import NCUR_PER_CUR, SYNCHRONISED

HOUR_S = 3600
OLD, NEW = "gp-old", "gp-new"
TARIFF = "hours"  # what is told late has other prices than what was thought
BY = ("--by", "bench", "--reason", "proof")
PLACE = Place("Flat", "sdm120", 1, 0, (3, 1), 0, True, "family", 3000, 45_000)
POLL_MS = 10_000


class Told(Story):
    """A story that may also say sub-commands, beside a running settlement."""

    async def say(self, *words: object) -> tuple[int, str]:
        """A sub-command as a process of its own: (exit code, output)."""
        where = ["--data", self.world.data, "--clock", self.world.time_path]
        command = [sys.executable, "-m", "host_tools.cli", *map(str, [*words, *where])]
        ended = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
        return ended.returncode, ended.stdout + ended.stderr

    async def do(self, *words: object) -> str:
        code, out = await self.say(*words)
        need(code == 0, out.strip())
        return out

    def kill_settlement(self) -> None:
        self.world.settlement.end(signal.SIGKILL)
        self.world.settlement.start()


# A replacement


class OneMeter(World):
    """Both modules hang on one meter; whose relay supplies the flat, the story says."""

    served = OLD

    def _wire(self, part: cast.Part) -> VirtualModule:
        if part.module == OLD:
            module = super()._wire(part)
        else:
            places = dict(enumerate(part.places))
            loads = {0: self.households[OLD, 0]}
            folder = self.folder / part.module
            module = wired(part.module, self.time, folder, places, loads, self.options)

        def moved(_: int, closed: bool, at_ms: int) -> None:
            if self.served == part.module:
                self.households[OLD, 0].set_closed(closed, at_ms)

        module.on_relay = moved
        return module


class Replacement(Told):
    """A flat whose module dies while the broker is away, and comes back to tell its last hours."""

    paid_ncur = 0

    def paid(self, module: str, amount_cur: int, reference: str) -> None:
        self.pay(module, 0, amount_cur, reference)
        self.paid_ncur += amount_cur * NCUR_PER_CUR

    def balance(self, module: str) -> int:
        return int(self.point(module).state.balance_ncur)

    async def begin(self) -> OneMeter:
        """The old module supplies the flat."""
        world = self.world
        assert isinstance(world, OneMeter)
        old = world.modules[OLD]
        world.settlement.start()
        old.power_on()
        await self.seen("old ledger", lambda: bool(self.point(OLD).state.version))
        self.paid(OLD, 60, "cash-1")
        await self.seen("supply", lambda: old.relays[0])
        return world

    async def play(self, hours: int) -> None:
        world = await self.begin()
        old, new = world.modules[OLD], world.modules[NEW]
        await self.run_to(21, 20)
        world.broker.kill()
        self.paid(OLD, 5, "cash-2")  # on its way to a module that is gone
        await self.run(hours * HOUR_S)
        old.power_cut()
        world.served = NEW
        world.households[OLD, 0].set_closed(False, world.time.now_ms())
        world.broker.restart()
        await self.run(700)
        await self.do("module", "replace", OLD, NEW, *BY)
        new.power_on()
        self.kill_settlement()
        await self.seen("moved in", lambda: bool(self.entries(NEW, ledger.TRANSFER)))
        await self.seen("supply again", lambda: new.relays[0])
        self.paid(NEW, 20, "cash-3")
        await self.run(hours * HOUR_S)
        before = self.point(OLD).state.seq
        old.power_on()  # at the same meter still, with its last hours
        await self.seen("late records", lambda: self.point(OLD).state.seq > before)
        self.kill_settlement()
        await self.do("module", "replace", OLD, NEW, *BY)
        await self.run(hours * HOUR_S)
        old.power_cut()
        await self.run(HOUR_S)
        await self.seen("quiet", self.quiet)
        need(len(self.entries(NEW, ledger.TRANSFER)) > 1, "what came late moved nothing")

    def quiet(self) -> bool:
        """Everything that was ordered has come back as an entry, and the module agrees."""
        point = self.point(NEW)
        open_ = self.world.store.payments.open_commands(NEW)
        settled = point.sent_seq == point.state.seq
        return not open_ and settled and self.left() == 0

    def left(self) -> int:
        """What is still on its way between the two, in the books."""
        accounts = self.world.store.ledgers.accounts()
        return abs(accounts.get(("CNY", posting.TRANSFER), 0))

    def difference(self) -> int:
        """Everything that is not as one module would have it."""
        store = self.world.store
        truth = self.truth()
        has = self.point(NEW).state
        owned = store.ledgers.account_by_point(posting.CUSTOMER)
        unlike = [
            has.balance_ncur - (self.paid_ncur - truth.charged_ncur),
            has.used_wh - truth.used_wh if has.period == truth.period else 1,
            has.register_wh - truth.register_wh,
            self.left(),
            owned.get(self.point(OLD).id, 0),
            not reconcile.trial_balance(store),
        ]
        rows = reconcile.reconcile(store, self.world.time.now_s())
        unlike += [not row.reconciled for row in rows]
        print(f"module_care: {unlike}, {len(self.entries(NEW, ledger.TRANSFER))} transfers")
        return sum(abs(int(each)) for each in unlike)

    def truth(self) -> ledger.State:
        """One ledger over the readings of both, made with protocol/ alone."""
        book = tariffs.read_book(cast.TARIFFS / f"{TARIFF}.toml")
        (first,) = self.entries(OLD, ledger.OPENING)
        (then,) = self.entries(NEW, ledger.OPENING)
        readings = [
            (each.time_s, each.register_wh)
            for each in self.entries(OLD, ledger.CHARGE)
            if each.register_wh <= then.register_wh and each.time_s <= then.time_s
        ]
        readings.append((then.time_s, then.register_wh))
        new = self.entries(NEW, ledger.CHARGE)
        readings += [(each.time_s, each.register_wh) for each in new]
        state = ledger.genesis("truth", 0)
        what = (first.time_s, SYNCHRONISED, first.register_wh)
        state = ledger.apply(state, ledger.opening(state, book, *what))
        for time_s, register_wh in readings:
            entry = ledger.charge(state, book, time_s, SYNCHRONISED, register_wh)
            state = ledger.apply(state, entry)
            for day in range(*ledger.fixed_days_due(state, book, time_s)):
                state = ledger.apply(state, ledger.fixed(state, book, SYNCHRONISED, day))
        return state


async def replaced(hours: int) -> int:
    parts = tuple(cast.Part(name, 0, (PLACE,), (TARIFF,), 50_000) for name in (OLD, NEW))
    with tempfile.TemporaryDirectory() as folder:
        async with OneMeter(Path(folder), parts, poll_ms=POLL_MS) as world:
            story = Replacement(world)
            await story.play(hours)
            difference = story.difference()
            await story.do("module", "retire", OLD, "--yes", *BY)
            return difference + story.difference()


# A roll-out

CRASHES, DEAF, DAMAGED = "u-crashes", "u-deaf", "u-damaged"
BAD = (CRASHES, DEAF, DAMAGED)
LARGE_BYTES = 500  # only what carries a piece of a program


def bad_bundle() -> Bundle:
    """A newer program that starts everywhere but in two modules."""
    texts = device_code.sources()
    uplink, main = "firmware/uplink.py", "firmware/main.py"
    texts[uplink] = texts[uplink].replace('FIRMWARE = "0.1.0"', 'FIRMWARE = "9.0.0"')
    texts[uplink] = texts[uplink].replace(
        "brokers.client(board, clock, settings, events, device_log, self.receive)",
        "brokers.client(board, clock, settings, events, device_log,"
        f' self.receive if settings.module != "{DEAF}" else lambda *_: None)',
    )
    need("lambda *_" in texts[uplink], f"{uplink} has changed")
    texts[main] += (
        f'\nif b"{CRASHES}" in open("/config.cbor", "rb").read():\n'
        '    raise ValueError("bad program")\n'
    )
    return bundle(device_code.compiled(texts), "9.0.0")


class Wire:
    """A TCP proxy that damages every piece of a program on its way to a module."""

    def __init__(self, port: int, broker_port: int) -> None:
        self.port, self._broker_port = port, broker_port
        self.damaged = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._join, HOST, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up = down = None
        with suppress(OSError):
            theirs, ours = await asyncio.open_connection(HOST, self._broker_port)
            up = asyncio.create_task(self._pass(reader, ours, lambda data: data))
            down = asyncio.create_task(self._pass(theirs, writer, self._damage))
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            ours.close()
        for task in (up, down):
            if task:
                task.cancel()
        writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        change: Callable[[bytes], bytes],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                writer.write(change(data))
                await writer.drain()

    def _damage(self, data: bytes) -> bytes:
        if len(data) < LARGE_BYTES:
            return data
        self.damaged += 1
        return data[:-1] + bytes((data[-1] ^ 1,))  # of its tag, so that no length is wrong


class Rollout(Told):
    """A campaign over a street of modules that meter all the while."""

    async def play(self, wire: Wire) -> None:
        world = self.world
        world.settlement.start()
        for module in world.modules.values():
            module.power_on()
        await self.seen("ledgers", lambda: all(p.state.version for p in self.points()))
        path = world.folder / "update.bundle"
        path.write_bytes(bundle_file.packed(bad_bundle()))
        good = [name for name in world.modules if name not in BAD]
        names = [good[0], *BAD, *good[1:]]
        waves = ("--canary", 1, "--waves", "70,100", "--halt", 2)
        await self.do("update", "start", path, "--modules", *names, *waves, *BY)
        await self.seen("canary", lambda: self.firmware(good[0]) == "9.0.0")
        self.kill_settlement()
        self.world_status: dict[str, Any] = {}
        while self.world_status.get("state") != "halted":
            await self.run(300)
            self.world_status = json.loads((await self.say("update", "status", "--json"))[1])
            need(self.world_status["state"] != "done", "nothing halted it")
        need(wire.damaged > 0, "nothing was damaged on the wire")
        await self.run(2 * HOUR_S)  # what is on trial decides by itself

    def firmware(self, name: str) -> str | None:
        return self.world.store.fleet.module_known(name).firmware

    async def bricked(self) -> int:
        """Modules that do not meter any more, after another power-on as well."""
        dead = await self._silent()
        for module in self.world.modules.values():
            module.power_cut()
            module.power_on()
        dead |= await self._silent()
        state = json.loads((await self.say("update", "status", "--json"))[1])
        has = {name: self.firmware(name) for name in self.world.modules}
        for name in BAD:
            need(has[name] == "0.1.0", f"{name} runs {has[name]}")
        untouched = [each for each in state["modules"] if each["state"] == "waiting"]
        need(bool(untouched), "nobody was spared")
        print(f"module_care: {state['reason']}; {state['counts']}; bricked {sorted(dead)}")
        return len(dead)

    async def _silent(self) -> set[str]:
        before = {point.module: point.state.seq for point in self.points()}
        await self.run(HOUR_S)
        since_s = self.world.time.now_s()
        with suppress(Exception):
            await self.seen(
                "metering",
                lambda: all(p.state.time_s > since_s - HOUR_S // 2 for p in self.points()),
            )
        return {p.module for p in self.points() if p.state.seq == before[p.module]}


async def rolled_out(count: int) -> int:
    names = [*(f"u-{number:02d}" for number in range(count - len(BAD))), *BAD]
    parts = tuple(
        cast.Part(name, 0, (replace(PLACE, label=name),), (TARIFF,), 50_000) for name in names
    )
    wire_port = free_port()

    def rules(wanted: settings.Module) -> settings.Module:
        through = wanted.module == DAMAGED
        return wanted._replace(broker_port=wire_port) if through else wanted

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), parts, poll_ms=6 * POLL_MS, rules=rules)
        async with world, Wire(wire_port, world.broker.address.port) as wire:
            story = Rollout(world)
            await story.play(wire)
            return await story.bricked()


SHORT, LONG = (1, 5), (6, 20)  # hours of each part of a replacement, modules of a roll-out


def replace_difference(short: bool = False) -> int:
    return asyncio.run(replaced((SHORT if short else LONG)[0]))


def update_bricked(short: bool = False) -> int:
    return asyncio.run(rolled_out((SHORT if short else LONG)[1]))


def measure(short: bool = False) -> dict[str, int]:
    """The two figures, both to be zero."""
    return {
        "replace_difference": replace_difference(short),
        "update_bricked": update_bricked(short),
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=["replace", "update", []], default=[])
    parser.add_argument("--short", action="store_true", help="for a look, not for the figure")
    given = parser.parse_args()
    figures = {"replace": replace_difference, "update": update_bricked}
    values = {part: figures[part](given.short) for part in given.parts or figures}
    print(values)
    return 1 if any(values.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
