"""Figures of the long proofs, their targets, and the files they are written to.

Each program writes build/bench/<name>.json; proof_chain merges them. A figure that has no target
here does not exist, and one that nobody measured falls short.
"""

import json
import operator
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "bench"

OPS = {">=": operator.ge, "<=": operator.le, "==": operator.eq}
TARGETS = {
    "cuts_tried": ("cuts", ">=", 1000),
    "cuts_records_lost": ("records", "==", 0),
    "cuts_double_charges": ("cuts", "==", 0),
    "cuts_mount_failures": ("cuts", "==", 0),
    "codec_vectors_failed": ("vectors", "==", 0),
    "host_fuzz_inputs": ("inputs", ">=", 1_000_000),
    "host_fuzz_failures": ("inputs", "==", 0),
    "module_fuzz_inputs": ("inputs", ">=", 100_000),
    "module_fuzz_failures": ("inputs", "==", 0),
    "differential_histories": ("histories", ">=", 20_000),
    "differential_differences": ("histories", "==", 0),
    "air_bytes_per_reading_single": ("bytes", "<=", 110),
    "air_bytes_per_reading_batch8": ("bytes", "<=", 24),
    "outbox_days_1_point": ("days", ">=", 90),
    "outbox_days_8_points": ("days", ">=", 60),
    "outbox_index_bytes": ("bytes", "<=", 3072),
    "hostile_week_lost": ("records", "==", 0),
    "hostile_week_double": ("records", "==", 0),
    "demo_heap_peak_bytes": ("bytes", "<=", 196_608),
    "relay_cases": ("cases", ">=", 100_000),
    "relay_illegal_openings": ("cases", "==", 0),
    "relay_illegal_stays": ("cases", "==", 0),
    "heap_peak_bytes_1_point": ("bytes", "<=", 163_840),
    "heap_peak_bytes_8_points": ("bytes", "<=", 212_992),
    "heap_peak_bytes_1_point_romfs": ("bytes", "<=", 114_688),
    "heap_board_bytes": ("bytes", "<=", 32_768),
}
PROCESSES = 2


def rows(values: dict[str, int]) -> list[dict[str, object]]:
    out = []
    for figure, value in values.items():
        unit, op, target = TARGETS[figure]
        ok = OPS[op](value, target)
        out.append(
            {"figure": figure, "value": value, "unit": unit, "op": op, "target": target, "ok": ok}
        )
    return out


def write(name: str, values: dict[str, int], folder: Path = FOLDER) -> int:
    """Writes and prints a program's figures. -> its exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    found = rows(values)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found:
        mark = "ok " if row["ok"] else "BAD"
        print(f"{mark} {row['figure']} {row['value']} {row['unit']}"
              f" (target {row['op']} {row['target']})")  # fmt: skip
    return 0 if all(row["ok"] for row in found) else 1


def interpreter() -> str:
    return os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")


def child(module: str, *arguments: object, heap: str) -> subprocess.Popen[bytes]:
    """Starts `module.main(*arguments)` under MicroPython; the arguments are literals."""
    call = ", ".join(repr(argument) for argument in arguments)
    name = module.rsplit(".", 1)[1]
    script = (
        f"import sys\nsys.path[:] = [{str(ROOT)!r}, '.frozen']\n"
        f"from tests.bench import {name}\n{name}.main({call})\n"
    )
    command = [interpreter(), "-X", f"heapsize={heap}", "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def answer(process: subprocess.Popen[bytes]) -> bytes:
    """What a child printed; an error when it failed."""
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"MicroPython child ended with {process.returncode}: {out[-500:]!r}")
    return out
