"""A report: every part in a process of its own, merged into build/bench/<name>.json.

    python -m tests.bench.<name> bench      what it is made for
    python -m tests.bench.<name> proof      what must never happen
    python -m tests.bench.<name> bench one two      only these parts of it

Exits with 1 when a figure of the list falls short; one that nobody measured does. A part that dies
is named and the others still run. Figures of the other list stay in the report while they were
measured on the same sources.
"""

import hashlib
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.bench import figures

SOURCES = ("protocol", "firmware", "boards", "host_tools", "tests/bench")
KINDS = (".py", ".sql", ".toml")
PART_S = 7200


def fingerprint() -> str:
    """Of everything a figure may depend on."""
    told = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((figures.ROOT / folder).rglob("*.*")):
            if path.suffix in KINDS:
                name = path.relative_to(figures.ROOT).as_posix()
                told.update(name.encode() + path.read_bytes())
    return told.hexdigest()[:16]


class Report:
    """`parts`: list: names of parts, each tests/bench/<part>.py with measure() -> {figure: value}.
    `lists`: list: its name in figures.TARGETS."""

    def __init__(
        self, name: str, parts: dict[str, tuple[str, ...]], lists: dict[str, str]
    ) -> None:
        self.name = name
        self.parts = parts
        self.lists = lists
        self.folder = figures.FOLDER / name
        self.path = figures.FOLDER / f"{name}.json"

    def targets(self) -> figures.Targets:
        out: figures.Targets = {}
        for name in self.lists.values():
            out |= figures.TARGETS[name]
        return out

    def run_part(self, part: str) -> int:
        """Inside the part's own process."""
        values = importlib.import_module(f"tests.bench.{part}").measure()
        return figures.write(part, values, self.folder, self.targets())

    def measured(self, part: str, folder: Path | None = None) -> list[figures.Row]:
        """Rows of a part that has run on these sources."""
        folder = folder or self.folder
        try:
            kept = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
            known = (folder / f"{part}.sources").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return []
        return list(kept) if known == fingerprint() else []

    def run(self, part: str, folder: Path | None = None) -> bool:
        """Runs a part and says how long it took. False when it died."""
        folder = folder or self.folder
        folder.mkdir(parents=True, exist_ok=True)
        for ending in ("json", "sources"):
            (folder / f"{part}.{ending}").unlink(missing_ok=True)
        print(f"{part}:", flush=True)
        started_s = time.monotonic()
        command = [sys.executable, "-m", f"tests.bench.{self.name}", "part", part]
        try:
            code = subprocess.run(
                command, cwd=figures.ROOT, timeout=PART_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
        written = (folder / f"{part}.json").exists()
        if written:
            (folder / f"{part}.sources").write_text(fingerprint(), encoding="utf-8")
        else:
            print(f"{part}: ended with {code} before it had its figures", file=sys.stderr)
        print(f"{part}: {time.monotonic() - started_s:.0f} s", flush=True)
        return written

    def merged(
        self, name: str, folder: Path | None = None
    ) -> tuple[list[figures.Row], list[figures.Row]]:
        """(every row known, those of the list `name` with what is missing of it)."""
        targets = figures.TARGETS[self.lists[name]]
        parts = [part for parts in self.parts.values() for part in parts]
        known = [row for part in parts for row in self.measured(part, folder)]
        found = {row["figure"] for row in known}
        own = [row for row in known if row["figure"] in targets]
        lacking = [
            figures.missing(figure, targets)
            for figure, (_, op, _) in targets.items()
            if figure not in found and op != figures.REPORTED
        ]
        return known + lacking, own + lacking

    def main(self, name: str, only: list[str]) -> int:
        if name == "part":
            return self.run_part(only[0])
        parts = self.parts[name]
        unknown = [part for part in only if part not in parts]
        if unknown:
            told = f"{self.name} {name}: no part {', '.join(unknown)}; say {', '.join(parts)}"
            print(told, file=sys.stderr)
            return 2
        died = [part for part in only or parts if not self.run(part)]
        everything, own = self.merged(name)
        self.path.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
        short = [row for row in own if not row["ok"]]
        for row in short:
            print(figures.line(row))
        for part in died:
            print(f"{part}: died", file=sys.stderr)
        where = self.path.relative_to(figures.ROOT)
        print(f"{where}: {len(everything)} figures, {len(short)} fall short")
        return 1 if short or died else 0
