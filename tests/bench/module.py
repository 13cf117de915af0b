"""The module's report: every part in a process of its own, merged into build/bench/module.json.

    python -m tests.bench.module bench      sizes, times, wear
    python -m tests.bench.module proof      what must never happen
    python -m tests.bench.module bench peers cuts      only these parts of it

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

FOLDER = figures.FOLDER / "module"
REPORT = figures.FOLDER / "module.json"
# List: parts. Each is tests/bench/<part>.py with measure() -> {figure: value}.
PARTS = {
    "bench": ("relay_open", "pulses", "flash_life", "air", "heap", "peers"),
    "proof": (
        "cuts",
        "cuts_updates",
        "wires",
        "outbox_room",
        "relay_rules",
        "tokens",
        "hostile_week",
        "year",
    ),
}
SOURCES = ("protocol", "firmware", "boards", "host_tools", "tests/bench")
PART_S = 3600


def fingerprint() -> str:
    """Of everything a figure may depend on."""
    told = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((figures.ROOT / folder).rglob("*.py")):
            told.update(path.relative_to(figures.ROOT).as_posix().encode() + path.read_bytes())
    return told.hexdigest()[:16]


def run_part(part: str) -> int:
    """Inside the part's own process."""
    values = importlib.import_module(f"tests.bench.{part}").measure()
    return figures.write(part, values, FOLDER)


def measured(part: str, folder: Path) -> list[figures.Row]:
    """Rows of a part that has run on these sources."""
    try:
        kept = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        known = (folder / f"{part}.sources").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    return list(kept) if known == fingerprint() else []


def run(part: str, folder: Path = FOLDER) -> bool:
    """Runs a part and says how long it took. False when it died."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending in ("json", "sources"):
        (folder / f"{part}.{ending}").unlink(missing_ok=True)
    print(f"{part}:", flush=True)
    started_s = time.monotonic()
    command = [sys.executable, "-m", "tests.bench.module", "part", part]
    try:
        code = subprocess.run(command, cwd=figures.ROOT, timeout=PART_S, check=False).returncode
    except subprocess.TimeoutExpired:
        code = -1
    written = (folder / f"{part}.json").exists()
    if written:
        (folder / f"{part}.sources").write_text(fingerprint(), encoding="utf-8")
    else:
        print(f"{part}: ended with {code} before it had its figures", file=sys.stderr)
    print(f"{part}: {time.monotonic() - started_s:.0f} s", flush=True)
    return written


def merged(name: str, folder: Path = FOLDER) -> tuple[list[figures.Row], list[figures.Row]]:
    """(every row known, those of the list `name` with what is missing of it)."""
    known = [row for parts in PARTS.values() for part in parts for row in measured(part, folder)]
    found = {row["figure"] for row in known}
    own = [row for row in known if row["figure"] in figures.TARGETS[name]]
    lacking = [
        figures.missing(figure)
        for figure, (_, op, _) in figures.TARGETS[name].items()
        if figure not in found and op != figures.REPORTED
    ]
    return known + lacking, own + lacking


def main(name: str, only: list[str]) -> int:
    if name == "part":
        return run_part(only[0])
    died = [part for part in only or PARTS[name] if not run(part)]
    everything, own = merged(name)
    REPORT.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    short = [row for row in own if not row["ok"]]
    for row in short:
        print(figures.line(row))
    for part in died:
        print(f"{part}: died", file=sys.stderr)
    print(
        f"{REPORT.relative_to(figures.ROOT)}: {len(everything)} figures, {len(short)} fall short"
    )
    return 1 if short or died else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
