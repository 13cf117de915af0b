"""`gridpurse demo` leaves no process behind, whenever and however it is ended."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.host_tools.genuine import by_deadline
from tests.system.commands import Leg, leg, none_left, processes

BROKER, SETTLE, MODULE = "nats-server", "settle --config", "bootstrap.py"


class Play:
    """One demo in a folder of its own, and which of its processes have been seen."""

    def __init__(self, folder: Path, demo: Leg) -> None:
        self.folder = folder
        self.demo = demo
        self.seen: set[str] = set()

    def runs(self, part: str) -> bool:
        running = any(part in line for line in processes(self.folder))
        if running:
            self.seen.add(part)
        return running

    def died(self, part: str) -> bool:
        """It ran before and does not now: the story has killed it."""
        return not self.runs(part) and part in self.seen

    def until(self, what: str, ready: Callable[[], bool]) -> None:
        def reached() -> bool:
            assert self.demo.process.poll() is None, self.demo.lines
            return ready()

        by_deadline(reached, what)

    def interrupt(self) -> None:
        assert self.demo.end() == 130, self.demo.lines
        assert "interrupted" in self.demo.lines[-1]
        none_left(self.folder)


def play(stack: ExitStack, folder: Path) -> Play:
    words = ("demo", "--folder", folder / "run", "--out", folder / "demo.json")
    return Play(folder / "run", stack.enter_context(leg(*words)))


def test_ctrl_c_at_any_moment_and_a_kill_leave_nothing(tmp_path):
    with ExitStack() as stack:
        first = play(stack, tmp_path / "first")
        first.until("its broker", lambda: first.runs(BROKER))
        first.interrupt()
        broker_dead = play(stack, tmp_path / "broker")
        settle_dead = play(stack, tmp_path / "settle")
        killed = play(stack, tmp_path / "killed")
        killed.until("its modules", lambda: killed.runs(MODULE) and killed.runs(SETTLE))
        assert killed.demo.end(signal.SIGKILL) == -signal.SIGKILL
        none_left(killed.folder)
        broker_dead.until("its broker killed", lambda: broker_dead.died(BROKER))
        broker_dead.interrupt()
        settle_dead.until("its settlement killed", lambda: settle_dead.died(SETTLE))
        settle_dead.interrupt()
        assert not (tmp_path / "settle" / "demo.json").exists()
