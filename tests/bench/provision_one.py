"""provision_s: one command from a bare virtual module to its first settled reading, the slowest of
three kinds of meter, whole seconds rounded up. Not shown: a real cable, which is slower."""

import asyncio
import time

from tests.bench.provision_site import site


async def commissioned() -> int:
    slowest_ns = 0
    async with site(3) as (lab, watch):
        for number in (1, 2, 3):
            began_ns = time.monotonic_ns()
            said = await lab.provision(number)
            slowest_ns = max(slowest_ns, time.monotonic_ns() - began_ns)
            assert said.code == 0, said.error
            wrong = lab.wrongs(number)
            assert not wrong, wrong
            steps = lab.card(lab.module(number).unique_id)["steps"]
            print(f"{number}:", *(f"{step['name']} {step['took_ms']}" for step in steps))
        await lab.labels(1, 2, 3)
        watch.told("provision_one")
    return -(-slowest_ns // 1_000_000_000)


def measure() -> dict[str, int]:
    return {"provision_s": asyncio.run(commissioned())}
