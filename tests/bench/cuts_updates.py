"""Power cuts at every flash operation of updates, settings on trial and safe mode.

    python -m tests.bench.cuts_updates

See cuts_life for what happens and for the look after each cut.
"""

import json
import sys

from tests.bench import figures

HEAP = "256m"
FIGURES = ("tried", "unbootable", "wrong")


def measure(every: int = 1) -> dict[str, int]:
    """`every` thins the operations out."""
    shares = figures.PROCESSES
    children = [
        figures.child("tests.bench.cuts_life", share, shares, every, heap=HEAP)
        for share in range(shares)
    ]
    counts = [json.loads(figures.answer(child)) for child in children]
    for count in counts:
        if count["first"]:
            print(f"life cuts: {count['first']}", file=sys.stderr)
    print(f"life cuts: {counts[0]['operations']} operations, each in 4 torn forms")
    return {f"life_cuts_{name}": sum(count[name] for count in counts) for name in FIGURES}


if __name__ == "__main__":
    sys.exit(figures.write("cuts_updates", measure()))
