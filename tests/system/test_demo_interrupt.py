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

    def goes_on(self) -> bool:
        assert self.demo.process.poll() is None, self.demo.lines
        return True

    def until(self, what: str, ready: Callable[[], bool]) -> None:
        by_deadline(lambda: self.goes_on() and ready(), what)

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
        killed = play(stack, tmp_path / "killed")
        killed.until("its modules", lambda: killed.runs(MODULE) and killed.runs(SETTLE))
        assert killed.demo.end(signal.SIGKILL) == -signal.SIGKILL
        none_left(killed.folder)
        bereft = {
            BROKER: play(stack, tmp_path / "broker"),
            SETTLE: play(stack, tmp_path / "settle"),
        }

        def all_interrupted() -> bool:
            for part in [part for part, one in bereft.items() if one.goes_on() and one.died(part)]:
                bereft.pop(part).interrupt()
            return not bereft

        by_deadline(all_interrupted, "broker and settlement killed by the story")
        assert not (tmp_path / "settle" / "demo.json").exists()
