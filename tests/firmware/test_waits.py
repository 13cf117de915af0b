# runs on: cpython micropython
"""A task that waits ends when it is cancelled, also at the moment when its wait is over."""

import asyncio

from firmware.waits import wait_for_ms


async def scene(turns):
    """Whether a task of waits had ended when its event came `turns` turns before its end."""
    event = asyncio.Event()

    async def waits():
        for _ in range(2):
            await wait_for_ms(event.wait(), 1000)
            event.clear()

    task = asyncio.create_task(waits())
    for _ in range(4):
        await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    except asyncio.TimeoutError:  # noqa: UP041  MicroPython has only this one
        return False
    return False


def test_a_cancelled_wait_ends_its_task_whatever_comes_with_it():
    for turns in range(8):
        assert asyncio.run(scene(turns)), turns


def test_a_wait_has_its_result_or_its_timeout():
    async def story():
        event = asyncio.Event()
        event.set()
        assert await wait_for_ms(event.wait(), 1000) is True
        event.clear()
        try:
            await wait_for_ms(event.wait(), 10)
        except asyncio.TimeoutError:  # noqa: UP041  MicroPython has only this one
            return
        assert False, "it waited for nothing and had it"

    asyncio.run(story())
