"""How much of a small heap the firmware takes over a simulated week, its own code included.

    python -m tests.bench.heap [1_point] [8_points] [1_point_romfs] [--heap BYTES]

A virtual board in lockstep with a real broker and a real settlement: meters turning with a
household's load, top-ups and a correction, a relay opened and closed by command, a tariff change,
the broker away for a day. A figure is the most bytes in use after a collection at idle moments,
one in PROBE_EVERY of them; that the week ends with as little heap as the target covers what is
needed between two of them. The simulated hardware is no part of a module: what it has in use
before the firmware begins is exchanged for what the Python of a real board has by then, measured
in the same run, in the figure as in the heap that is given. Meters are read every POLL_MS, less
often than on a real module, so that a week takes minutes.

In the `romfs` figure the same .mpy files are executed in place out of a ROMFS image.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from host_tools import tariffs
from host_tools.demo import cast
from host_tools.demo.story import Failed, Story
from host_tools.demo.world import World
from host_tools.flashing import device_code
from host_tools.settlement import commands
from host_tools.simulator import image
from host_tools.simulator.bridge import Options
from host_tools.simulator.wiring import BAUD, Place
from protocol import codes, settings
from protocol.units import NCUR_PER_CUR
from tests.bench import figures

POLL_MS = {1: 30_000, 8: 120_000}  # by the number of points
PROBE_EVERY = 20
DAY_S = 86400
MODULE = "gp-heap"
SCRIPT = Path(__file__).with_name("board_esp32.py")
LARGE_HEAP_BYTES = 1 << 20
HOURS = cast.TARIFFS / "hours.toml"


def place(point: int) -> Place:
    """Modbus and pulse meters in turn, a relay each; the first one is large and soon in debt."""
    modbus = not point & 1
    return Place(
        f"Flat {point}",
        "sdm120" if modbus else "",
        point + 1 if modbus else 0,
        point,
        (5, 2),
        0,
        True,
        ("family", "two_employees", "two_over_65", "single_under_30")[point % 4],
        2000,
        45_000,
        0 if modbus else 1000,
    )


def part(points: int) -> cast.Part:
    places = tuple(place(point) for point in range(points))
    return cast.Part(MODULE, 0, places, ("tiers",) * points, 1_234_567)


def all_rules(wanted: settings.Module) -> settings.Module:
    """Everything that a point can be told to watch, so that it takes its memory."""
    calendar = (0, ((127, 0, 420), (31, 1080, 1440)), (20000, 20001))
    points = [
        each._replace(
            warning_1_days=7,
            warning_2_days=2,
            courtesy_trip=1,
            emergency_offer_ncur=NCUR_PER_CUR,
            emergency_limit_ncur=3 * NCUR_PER_CUR,
            emergency_load_mw=2_000_000,
            friendly=(calendar,),
            friendly_floor_ncur=-10 * NCUR_PER_CUR,
            friendly_delay_s=600,
            load_limit_mw=30_000_000,
            open_current_max_ma=40_000,
            trip_delay_s=60,
            nominal_mv=230_000,
            protect=3,
            token_unit_ncur=NCUR_PER_CUR,
        )
        for each in wanted.points
    ]
    return wanted._replace(points=tuple(points), plan=2, hold_records=8)


class Week(Story):
    """The week, a day at a time; a day that does not show what it should is Failed."""

    def __init__(self, world: World, day_s: int) -> None:
        super().__init__(world)
        self.day_s = day_s
        self.module = world.modules[MODULE]

    def top_up(self, amount_cur: int) -> None:
        for point in self.points():
            reference = f"day-{self.world.time.now_s()}-{point.point}"
            self.pay(MODULE, point.point, amount_cur, reference)

    def order(self, action: int, args: list[object]) -> None:
        now_s = self.world.time.now_s()
        with self.world.store.transaction():
            for point in self.points():
                commands.issue(self.world.store, MODULE, point.point, action, args, now_s, DAY_S)

    async def ended(self) -> None:
        """Every command has been answered and all that was due is settled."""
        boundary_s = self.world.time.now_s() // 900 * 900
        await self.seen("settled", lambda: self.settled_upto(boundary_s))
        await self.seen("answered", lambda: not self.world.store.payments.open_commands(MODULE))

    async def play(self) -> None:
        self.world.settlement.start()
        self.module.power_on()
        await self.seen("ledgers", lambda: all(point.state.seq for point in self.points()))
        self.top_up(100)
        await self.seen("closed", lambda: all(self.module.relays))
        await self.run(self.day_s)
        await self.change_tariff()
        await self.run(self.day_s)
        await self.order_relays()
        await self.run(self.day_s)
        self.world.broker.kill()
        await self.run(self.day_s)
        self.world.broker.restart()
        await self.ended()
        self.order(codes.ADJUST, [1, -NCUR_PER_CUR])
        self.top_up(50)
        await self.run(2 * self.day_s)
        self.order(codes.STATE, [])
        await self.run(self.day_s)
        await self.ended()

    async def change_tariff(self) -> None:
        book = tariffs.read_book(HOURS)
        now_s = self.world.time.now_s()
        with self.world.store.transaction():
            self.world.store.fleet.store_book("hours", book, now_s)
            for point in self.points():
                commands.set_tariff(self.world.store, point, book, now_s)
        await self.ended()

    async def order_relays(self) -> None:
        self.order(codes.RELAY, [codes.TRIP, 1])
        await self.seen("open", lambda: not any(self.module.relays))
        await self.run(self.day_s // 24)
        self.order(codes.RELAY, [codes.DIRECT_CLOSE])
        await self.seen("closed again", lambda: all(self.module.relays))
        await self.ended()


def world(path: Path, points: int, heap_bytes: int, in_rom: bool) -> World:
    options = Options(
        relays=points,
        baud=BAUD,
        heap_bytes=heap_bytes,
        firmware_in_rom=in_rom,
        heap_probe_every=PROBE_EVERY,
    )
    parts = (part(points),)
    return World(path, parts, poll_ms=POLL_MS[points], options=options, rules=all_rules)


async def simulated_board_bytes(points: int, in_rom: bool) -> int:
    """What the simulated hardware has in use before the firmware begins."""
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), points, LARGE_HEAP_BYTES, in_rom) as small:
            module = small.modules[MODULE]
            module.power_on()
            await Story(small).seen("a board", lambda: module.heap_board > 0)
            return module.heap_board


def real_board_bytes(in_rom: bool) -> int:
    """What a real board has in use by then, see board_esp32.py."""
    folder = device_code.device_folder()
    arguments = [str(SCRIPT)]
    with tempfile.NamedTemporaryFile() as rom:
        if in_rom:
            files = folder.rglob("*.mpy")
            named = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
            rom.write(image.build_rom(named))
            rom.flush()
            arguments.append(rom.name)
        return _printed(["-c", "import gc; gc.collect(); print(gc.mem_alloc())"], folder) + (
            _printed(arguments, folder)
        )


def _printed(arguments: list[str], folder: Path) -> int:
    command = [str(Options().interpreter), "-X", f"heapsize={LARGE_HEAP_BYTES}", *arguments]
    where = {"MICROPYPATH": f"{folder}:.frozen"}
    return int(
        subprocess.run(command, env=where, capture_output=True, text=True, check=True).stdout
    )


async def week(points: int, heap_bytes: int, in_rom: bool, day_s: int) -> int:
    """The most bytes in use, the simulated hardware included."""
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), points, heap_bytes, in_rom) as whole:
            module = whole.modules[MODULE]
            boots: list[object] = []
            module.on_event = lambda kind, values: boots.append(kind) if kind == "boot" else None
            story = Week(whole, day_s)
            try:
                await story.play()
            except Failed:
                module.console.drain()
                print(bytes(module.console.log).decode(errors="replace")[-2000:], file=sys.stderr)
                raise
            if len(boots) != 1:
                raise Failed(f"the module booted {len(boots)} times")
            return module.heap_peak


# Figure: (points, executed in place).
KINDS = {"1_point": (1, False), "8_points": (8, False), "1_point_romfs": (1, True)}


def measured(kind: str, heap_bytes: int = 0, day_s: int = DAY_S) -> dict[str, int]:
    """`heap_bytes` 0 is the figure's target; a short day is for a quick look."""
    figure = f"heap_peak_bytes_{kind}"
    points, in_rom = KINDS[kind]
    started = time.monotonic()
    simulated = asyncio.run(simulated_board_bytes(points, in_rom))
    real = real_board_bytes(in_rom)
    heap_bytes = (heap_bytes or figures.MODULE[figure][2]) + simulated - real
    peak = asyncio.run(week(points, heap_bytes, in_rom, day_s))
    print(
        f"{kind}: {time.monotonic() - started:.0f} s, {peak} bytes with the simulated hardware, "
        f"which has {simulated} in use where a real board has {real}",
        flush=True,
    )
    board = {"heap_board_bytes": real} if kind == "1_point" else {}
    return {figure: peak - simulated + real, **board}


def measure() -> dict[str, int]:
    """Every kind, one after the other; one that does not get through its week has no figure."""
    values: dict[str, int] = {}
    for kind in KINDS:
        try:
            values |= measured(kind)
        except Failed as failed:
            print(f"{kind}: {failed}", file=sys.stderr)
    return values


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--heap", type=int, default=0, help="give it this heap, not its target")
    given = parser.parse_args()
    return max(
        figures.write(f"heap_{kind}", measured(kind, given.heap)) for kind in given.kinds or KINDS
    )


if __name__ == "__main__":
    sys.exit(main())
