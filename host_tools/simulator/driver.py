"""Runs modules on one common virtual time: real, N times faster, or in lockstep.

In lockstep time moves to the nearest wake-up of any module, and only when every module is idle, no
meter owes an answer and the TCP peers had their grace. Powered-off modules do not hold time back.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from host_tools.simulator.bridge import VirtualModule
from host_tools.simulator.virtual_time import VirtualTime

PUBLISH_S = 0.02  # how often other processes see a new time when it runs by itself


class Stuck(Exception):
    """Lockstep time cannot go on: the named modules neither sleep nor end."""


class Driver:
    """`tcp_grace_s` and `stuck_s` are real seconds."""

    def __init__(
        self, time: VirtualTime, *, tcp_grace_s: float = 0.03, stuck_s: float = 120.0
    ) -> None:
        self.time = time
        self.modules: list[VirtualModule] = []
        self.tcp_grace_s = tcp_grace_s
        self.stuck_s = stuck_s
        self._target_ms = 0
        self._predicate: Callable[[], bool] | None = None
        self._done: asyncio.Future[bool] | None = None
        self._stepping = False
        self._grace_over: dict[VirtualModule, int] = {}
        self._steps = 0

    def add(self, module: VirtualModule) -> None:
        self.modules.append(module)
        module.on_change = self._step

    async def run_until(self, t_s: int) -> None:
        """Until all that is due by Unix second `t_s` has been done."""
        await self._run(t_s * 1000, None)

    async def run_for(self, seconds: int) -> None:
        await self._run(self.time.now_ms() + seconds * 1000, None)

    async def wait_for(self, predicate: Callable[[], bool], virtual_timeout_s: int) -> bool:
        """True as soon as `predicate` holds between two steps, False after the timeout."""
        return await self._run(self.time.now_ms() + virtual_timeout_s * 1000, predicate)

    async def _run(self, target_ms: int, predicate: Callable[[], bool] | None) -> bool:
        if not self.time.lockstep:
            return await self._run_scaled(target_ms, predicate)
        if self._done:
            raise RuntimeError("time is already being driven")
        self._target_ms, self._predicate = target_ms, predicate
        self._done = asyncio.get_running_loop().create_future()
        try:
            self._step()
            while True:
                steps = self._steps
                with suppress(TimeoutError):
                    return await asyncio.wait_for(asyncio.shield(self._done), self.stuck_s)
                if steps == self._steps:
                    self._unstick()
        finally:
            self._done = None

    async def _run_scaled(self, target_ms: int, predicate: Callable[[], bool] | None) -> bool:
        while not (predicate and predicate()):
            left_ms = target_ms - self.time.now_ms()
            if left_ms <= 0:
                return False
            await asyncio.sleep(min(PUBLISH_S, left_ms / 1000 / self.time.factor))
            self.time.publish()
        return True

    def _unstick(self) -> None:
        """A watchdog would end a module that hangs; without one somebody must be told."""
        holding = [module for module in self.modules if module.holds_time()]
        for module in holding:
            if module.bus.busy:
                raise Stuck(f"{module.name}: its meters owe an answer for {self.stuck_s} s")
            if not module.watchdog.armed:
                names = ", ".join(each.name for each in holding)
                raise Stuck(f"{names}: no idle moment for {self.stuck_s} s")
        for module in holding:
            module.bite()

    def _step(self) -> None:
        """Called at every change; moves time as far as it may go now."""
        if self._done is None or self._done.done() or self._stepping:
            return
        self._stepping = True
        try:
            while not self._done.done() and self._quiet():
                self._advance()
        except Exception as error:
            self._done.set_exception(error)
        finally:
            self._stepping = False

    def _advance(self) -> None:
        done = self._done
        if done is None:
            return
        if self._predicate:
            self._read_consoles()
            if self._predicate():
                done.set_result(True)
                return
        due = [ms for module in self.modules if (ms := module.due_ms()) is not None]
        timer_ms = self.time.next_timer_ms()
        if timer_ms is not None:
            due.append(timer_ms)
        next_ms = min(due, default=self._target_ms + 1)
        self._steps += 1
        self.time.advance(min(next_ms, self._target_ms))
        if next_ms > self._target_ms:
            self._read_consoles()
            done.set_result(False)
            return
        for module in self.modules:
            module_ms = module.due_ms()
            if module_ms is not None and module_ms <= next_ms:
                module.wake()

    def _read_consoles(self) -> None:
        """Nothing orders them with the control channel; whoever looks now shall see it all."""
        for module in self.modules:
            module.console.drain()

    def _quiet(self) -> bool:
        return not any(module.holds_time() or self._in_grace(module) for module in self.modules)

    def _in_grace(self, module: VirtualModule) -> bool:
        """A TCP peer may still answer; each write is waited for once."""
        idle = module.idle
        if not idle or not idle.unanswered or self._grace_over.get(module) == idle.unanswered:
            return False
        loop = asyncio.get_running_loop()
        left_s = module.idle_since_s + self.tcp_grace_s - loop.time()
        if left_s <= 0:
            self._grace_over[module] = idle.unanswered
            return False
        loop.call_later(left_s, self._step)
        return True
