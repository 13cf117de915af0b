"""Child processes that never outlive us, and an orderly end when somebody interrupts us."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_PR_SET_PDEATHSIG = 1

T = TypeVar("T")


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child calls before it becomes its program; Linux only, elsewhere None.

    Made here, before the fork, because a forked child should call as little as it can.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return ask


async def until_interrupted(work: Coroutine[Any, Any, T]) -> T | None:
    """What the work returns; None when Ctrl-C or SIGTERM cancelled it and it took itself down."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None
