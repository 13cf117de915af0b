"""Child processes that never outlive us, and an orderly end when somebody interrupts us."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1


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


async def until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C and SIGTERM cancel the work; it takes down what it started, then this returns."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
