"""What a person sees of a long job, and the same as a record: steps, times, what came of each.

A terminal gets a bar that is drawn over itself, anything else one line a step.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from host_tools.files import write_whole

BAR_CHARS = 30
DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"
RESULTS = {
    "ok": "正常",
    "written": "已写入",
    "erased": "已擦除",
    "already right": "已正确，跳过",
    "kept": "保留",
    "verified": "已校验",
    FAILED: "失败",
    INTERRUPTED: "中断",
}


@dataclass
class Step:
    """`result` is a key of RESULTS; `note` says more."""

    name: str
    chinese: str
    facts: dict[str, object]
    result: str = "ok"
    note: str = ""


@dataclass
class Record:
    """One job from its first step to its end, for people and for a report."""

    stream: TextIO
    head: dict[str, object]
    clock_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    steps: list[dict[str, object]] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    end: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began_ms = self.clock_ms()
        self.head["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._step = ""
        self._drawn = False

    @contextmanager
    def step(self, name: str, chinese: str, **facts: object) -> Iterator[Step]:
        step = Step(name, chinese, facts)
        began_ms = self.clock_ms()
        self._step = f"{name} {chinese}" if name != chinese else name
        try:
            yield step
        except KeyboardInterrupt:
            step.result = INTERRUPTED
            raise
        except BaseException:
            step.result = FAILED
            raise
        finally:
            took_ms = self.clock_ms() - began_ms
            self._add(step, took_ms)

    def _add(self, step: Step, took_ms: int) -> None:
        row = {"step": step.name, **step.facts, "result": step.result, "ms": took_ms}
        self.steps.append({**row, "note": step.note} if step.note else row)
        seconds = f"{took_ms // 1000}.{took_ms % 1000 // 100} s"
        line = f"{step.name:<16} {step.note or step.result}, {seconds}"
        self.say(f"{line}  {step.chinese} {RESULTS[step.result]}")

    def say(self, line: str) -> None:
        if self._drawn:
            self.stream.write("\r\x1b[K")
            self._drawn = False
        self.stream.write(line + "\n")
        self.stream.flush()

    def progress(self, done: int, of: int) -> None:
        if not of or not self.stream.isatty():
            return
        filled = BAR_CHARS * done // of
        bar = "#" * filled + "." * (BAR_CHARS - filled)
        self.stream.write(f"\r\x1b[K[{bar}] {100 * done // of:3} %  {self._step}")
        self.stream.flush()
        self._drawn = True

    def retry(self, reason: str) -> None:
        self.retries.append(reason)
        self.say(f"once more 重试一次: {reason}")

    def finish(self, result: str, **facts: object) -> None:
        self.end = {"result": result, **facts, "ms": self.clock_ms() - self._began_ms}

    def write(self, path: Path) -> None:
        whole = {**self.head, **self.end, "retries": self.retries, "steps": self.steps}
        write_whole(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
