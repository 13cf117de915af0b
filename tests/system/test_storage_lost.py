"""A module in service loses its flash; the same board serves the same flat again as another."""

import asyncio
from pathlib import Path
from tests.system.fast_lab import fast_lab
from host_tools.lab.module import OTHER_WIFI

OLD, NEW = "gp-1", "gp-1b"
BY = ("--by", "Li Na", "--reason", "work order 7")

def test_explore(tmp_path: Path) -> None:
    asyncio.run(story(tmp_path))

async def story(folder: Path) -> None:
    async with fast_lab(folder) as lab:
        import time
        t=time.monotonic()
        def say(x): print(f"{time.monotonic()-t:.1f}", x, flush=True)
        board = await lab.module(1)
        board.power_on()
        say(await lab.say(*lab.provision(board, OLD)))
        say(lab.point(OLD).state)
        await lab.done("topup", OLD, 0, "50.00", "--reference", "cash-1")
        await lab.until("supply", lambda: board.relays[0])
        say("supply")
        seq = lab.point(OLD).state.seq
        await lab.until("charged", lambda: lab.point(OLD).state.charged_ncur)
        say(lab.point(OLD).state)
        board.set_wifi(*OTHER_WIFI)
        say(await lab.say("topup", OLD, 0, "20.00", "--reference", "cash-2"))
        say(await lab.say("topup", OLD, 0, "7.00", "--reference", "cash-3"))
        tok = await lab.say("token", "cash-2")
        say(tok)
        say(await lab.say("module","status",OLD,"--port",board.console_path))
        board.erase(); board.power_on()
        say(await lab.say(*lab.provision(board, OLD)))
        say(await lab.say(*lab.provision(board, NEW)))
        assert 0
