"""`gridpurse demo`: play the story, print each step as it happens, prove the outcome.

Writes build/demo.json and exits 0 only when every step was seen and module and host agree on every
point to the nano-unit. Interrupted at any moment, it leaves no process behind.
"""

import argparse
import asyncio
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from host_tools import Refused
from host_tools.demo.story import STEPS, Failed, Story
from host_tools.demo.world import World
from host_tools.processes import until_interrupted
from host_tools.settlement.common import decimal, table
from host_tools.settlement.reconcile import Row, reconcile, trial_balance
from protocol import codes

OUT = Path("build/demo.json")
RUN = Path("build/demo")
FIGURES = (
    "module", "point", "energy_wh", "charged_module_ncur", "charged_host_ncur", "topups_ncur",
    "balance_module_ncur", "balance_host_ncur", "readings_sent", "readings_settled",
    "duplicates_dropped", "rejected",
)  # fmt: skip
LIVE_REPORT_S = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="go on after the story until Ctrl-C")
    parser.add_argument("--folder", type=Path, default=RUN, help=f"working folder ({RUN})")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the outcome ({OUT})")


def run(arguments: argparse.Namespace) -> int:
    code = asyncio.run(until_interrupted(play(arguments.folder, arguments.out, arguments.live)))
    if code is None:
        print("demo: interrupted, everything is stopped 已中断")
        return 130
    return code


async def play(folder: Path, out: Path, live: bool) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    async with World(folder) as world:
        story = Story(world)
        told: list[dict[str, object]] = []
        try:
            await _tell(story, told)
            rows = reconcile(world.store, world.time.now_s())
            agreed = bool(rows) and trial_balance(world.store)
            agreed = agreed and all(row.reconciled and _equal(row) for row in rows)
            agreed = agreed and all(bool(step["ok"]) for step in told)
            points = [_figures(story, row) for row in rows]
            _print(rows, points, agreed)
            _write(out, world, agreed, points, told)
            if live and agreed:
                await _live(story)
        finally:
            story.intruder.stop()
    return 0 if agreed else 1


async def _tell(story: Story, told: list[dict[str, object]]) -> None:
    """Step after step until one fails; what follows would only fail with it."""
    for name, method in STEPS:
        start = story.now()
        try:
            detail, ok = await getattr(story, method)(), True
        except (Failed, Refused) as error:
            detail, ok = str(error), False
        told.append({"step": name, "ok": ok, "detail": detail})
        print(f"{start}  {'ok ' if ok else 'NOT'}  {name}\n              {detail}", flush=True)
        if not ok:
            return


def _equal(row: Row) -> bool:
    """To the nano-unit, on the module's own word against the host's ledger."""
    return (
        row.charged_module_ncur == row.charged_host_ncur
        and row.balance_module_ncur == row.balance_host_ncur
        and row.readings_sent == row.readings_settled
    )


def _figures(story: Story, row: Row) -> dict[str, object]:
    shown = asdict(row)
    moves = 0
    if row.point == 0:
        for code in (codes.RELAY_OPENED, codes.RELAY_CLOSED):
            moves += len(story.events(row.module, code))
    return {**{name: shown[name] for name in FIGURES}, "relay_operations": moves}


def _print(rows: list[Row], points: list[dict[str, object]], agreed: bool) -> None:
    heads = ["point", "energy_wh", "charged_module", "charged_host", "topups", "balance_module",
             "balance_host", "readings_sent", "readings_settled", "duplicates_dropped",
             "rejected", "relay_operations"]  # fmt: skip
    lines = []
    for row, point in zip(rows, points, strict=True):
        money = [row.charged_module_ncur, row.charged_host_ncur, row.topups_ncur]
        money += [row.balance_module_ncur, row.balance_host_ncur]
        lines.append(
            [
                f"{row.module}/{row.point}",
                row.energy_wh,
                *("-" if amount is None else decimal(amount, 9) for amount in money),
                row.readings_sent,
                row.readings_settled,
                row.duplicates_dropped,
                row.rejected,
                point["relay_operations"],
            ]
        )
    print(f"\n{table(heads, lines)}")
    for row in rows:
        if row.why:
            print(f"{row.module}/{row.point}: {row.why}")
    print("reconciled to the nano-unit 对账一致" if agreed else "NOT reconciled 对账不符")


def _write(
    out: Path,
    world: World,
    agreed: bool,
    points: list[dict[str, object]],
    told: list[dict[str, object]],
) -> None:
    outcome = {
        "reconciled": agreed,
        "points": points,
        "story": told,
        "heap_peak_bytes": max(module.heap_peak for module in world.modules.values()),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(outcome, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


async def _live(story: Story) -> None:
    """The same three modules, an hour of theirs at a time, until somebody interrupts."""
    print(f"\nlive: consoles under {story.world.folder}; Ctrl-C ends it", flush=True)
    while True:
        await story.run(LIVE_REPORT_S)
        for point in story.points():
            balance = decimal(point.state.balance_ncur)
            print(f"{story.now()}  {point.module}/{point.point}  {balance} {point.currency}")
