"""Provisioning killed at every moment, the module's supply cut at its flash operations, and run
again: the same end state, one identity, one key, no orphan.

Moments are found by running it once. How many flash operations the module makes before it restarts
depends on time: a cut that no operation came to leaves a commissioned module, is counted apart and
not as tried. GRIDPURSE_EVERY=n takes every n-th moment only, for a look.
"""

import asyncio
import os
import signal
from typing import NamedTuple

from host_tools.lab.module import METERS
from tests.bench.provision_site import Site, in_turn, site

ROUND = 24  # more meters in this one process would answer late
AT_ONCE = 3
CUTS = range(0, 24, 2)
ALIKE = METERS[:1]  # one kind for all modules, so that all come to the same moments
ALONE = "os.mkdir"  # of folders that only the first module of a site does not find
CHILD = "tests.bench.provision_child"


class Kill(NamedTuple):
    """A signal at a moment of the command, or a cut at a flash operation of the module."""

    at: str  # name of the moment, or number of the operation
    signal: int  # 0: the supply


class Tally:
    """Of all kills."""

    unreached = 0
    failed = 0


async def moments() -> list[str]:
    async with site(1, ALIKE) as (lab, _):
        said = await lab.run(*lab.desk.words(lab.module(1)), program=CHILD)
        assert said.code == 0, said.error
        names = said.out.strip().split("\n")[-1].split()[1:]
        assert len(names) > 60, names
        return names


async def killed(lab: Site, number: int, kill: Kill, tally: Tally) -> list[str]:
    """What is wrong after the kill and one more run."""
    module = lab.module(number)
    words = lab.desk.words(module)
    if kill.signal:
        more = {"GRIDPURSE_KILL_AT": kill.at, "GRIDPURSE_KILL_SIGNAL": str(kill.signal)}
        said = await lab.run(*words, program=CHILD, **more)
        ended = {-kill.signal, 130} if kill.signal == signal.SIGINT else {-kill.signal}
        if said.code not in ended:
            return [f"ended with {said.code}: {said.error}"]
    else:
        module.power_cut(int(kill.at), "half")
        said = await lab.run("provision", *words)
        if module.powered:
            tally.unreached += 1
            return lab.wrongs(number) if not said.code else [f"uncut {said.code}: {said.error}"]
        module.power_on()
    said = await lab.provision(number)
    if said.code:
        return [f"then ended with {said.code}: {said.error}"]
    return lab.wrongs(number)


async def all_kills(kills: list[Kill]) -> Tally:
    tally = Tally()
    rounds = [[kill] for kill in kills if kill.at.startswith(ALONE)]
    others = [kill for kill in kills if not kill.at.startswith(ALONE)]
    rounds += [others[start : start + ROUND] for start in range(0, len(others), ROUND)]
    for place, some in enumerate(rounds):
        async with site(len(some), ALIKE) as (lab, watch):

            async def one(item: tuple[int, Kill], lab: Site = lab) -> None:
                number, kill = item
                wrong = await killed(lab, number, kill, tally)
                if wrong:
                    tally.failed += 1
                    print(f"{kill}: {wrong}", flush=True)

            await in_turn(list(enumerate(some, 1)), one, AT_ONCE)
            orphans = lab.orphans(list(range(1, len(some) + 1)))
            if orphans:
                tally.failed += 1
                print(f"orphans: {orphans}")
            watch.told(f"provision_kills_{place}")
        print(f"round {place + 1} of {len(rounds)}: {tally.failed} failed", flush=True)
    return tally


def chosen(names: list[str], every: int) -> list[Kill]:
    kills = [Kill(name, signal.SIGKILL) for name in names]
    kills += [Kill(names[at], signal.SIGINT) for at in range(3, len(names), 12)]
    kills += [Kill(str(at), 0) for at in CUTS]
    return kills[::every]


def measure() -> dict[str, int]:
    kills = chosen(asyncio.run(moments()), int(os.environ.get("GRIDPURSE_EVERY", "1")))
    tally = asyncio.run(all_kills(kills))
    return {
        "kill_points_tried": len(kills) - tally.unreached,
        "kill_points_unreached": tally.unreached,
        "kill_points_failed": tally.failed,
    }
