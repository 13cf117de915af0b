"""How long a module may be alone: days of 15-minute readings that its outbox keeps.

    python -m tests.bench.outbox_room

MicroPython on the real LittleFS of a plain ESP32's size. Records go through the journal as they do
on a module; a file system is filled until the first record would be lost, erases are counted.
"""

import json
import sys
from pathlib import Path

from tests.bench import figures

HEAP = "256m"
POINTS = (1, 8)


def measure() -> dict[str, int]:
    out = {}
    for points in POINTS:
        child = figures.child("tests.bench.outbox_child", points, heap=HEAP)
        found = json.loads(figures.answer(child))
        print(f"outbox: {points} points: {found}")
        out[f"outbox_days_{points}_point" + ("s" if points > 1 else "")] = found["days"]
        if points == 1:
            out["outbox_index_bytes"] = found["index_bytes"]
    return out


if __name__ == "__main__":
    sys.exit(figures.write(Path(__file__).stem, measure()))
