"""Supervision: every task has a heartbeat, a failed one restarts with back-off, the watchdog is
fed only while metering beats. Network tasks never gate it.
"""

import asyncio

from firmware import log
from protocol import codes
from protocol.units import Unavailable

TICK_MS = 10000
BACKOFF_MS = (1000, 60000)
STEADY_MS = 600000  # a task that ran this long starts its back-off anew
FAILURES_MAX = 20


class Health:
    def __init__(self, board, device_log):
        self.board = board
        self.log = device_log
        self.beats = {}  # vital task: last heartbeat in board milliseconds
        self.limits_ms = {}
        self.tasks = []
        self.failures = 0
        self.failure = ""  # the last one, for whoever asks at the prompt
        self.restart = False  # somebody asks for a restart at the next look
        self.due_ms = None  # when the life of the module is looked at, see life.py
        self.firmware = None  # whose life it is

    def vital(self, name, limit_ms):
        """A task without which the watchdog must bite."""
        self.limits_ms[name] = limit_ms
        self.beats[name] = self.board.ticks_ms()

    def beat(self, name):
        self.beats[name] = self.board.ticks_ms()

    def healthy(self):
        now_ms = self.board.ticks_ms()
        return all([now_ms - self.beats[name] < self.limits_ms[name] for name in self.limits_ms])

    def start(self, name, run):
        """Run a coroutine function for ever, restarting it when it ends or fails."""
        self.tasks.append(asyncio.create_task(self._keep(name, run)))

    async def _keep(self, name, run):
        low, high = BACKOFF_MS
        pause_ms = low
        while True:
            started_ms = self.board.ticks_ms()
            try:
                await run()
            except Exception as error:  # the outermost place of a task: anything is a bug here
                self.failed(name, error)
            if self.board.ticks_ms() - started_ms > STEADY_MS:
                pause_ms = low
            await asyncio.sleep_ms(pause_ms)
            pause_ms = min(high, pause_ms * 2)

    def failed(self, name, error):
        self.failures += 1
        self.log.add(log.TASK_FAILED, self.failures)
        self.failure = "%s: %s" % (name, repr(error))
        if self.failures > FAILURES_MAX:
            from firmware import life

            life.crash(self.firmware, codes.BY_TASKS)

    def stray(self, loop, context):
        """An error of a task that nobody waits for; of ours there should be none."""
        self.failed("", context.get("exception"))

    def look(self):
        """Whatever the life of the module has due."""
        from firmware import life

        try:
            left_s = life.progress(self.firmware)
        except (Unavailable, OSError):  # metering meets the same flash, and its watchdog decides
            left_s = BACKOFF_MS[1] // 1000
        self.due_ms = None if left_s is None else self.board.ticks_ms() + left_s * 1000

    async def watch(self):
        """The supervisor itself: feeds the watchdog while all vital tasks beat."""
        while True:
            if self.healthy():
                self.board.wdt_feed()
            now_ms = self.board.ticks_ms()
            if self.restart or (self.due_ms is not None and now_ms >= self.due_ms):
                self.look()
            await asyncio.sleep_ms(TICK_MS)
