"""Power cuts at every flash operation of a simulated day: how many, and what they broke.

    python -m tests.bench.cuts

See cuts_world for the day and cuts_child for the look after each cut.
"""

import json
import sys

from tests.bench import figures

HEAP = "256m"
POLL_S = 10
FIGURES = (
    "tried", "records_lost", "double_charges", "double_credits", "mount_failures", "wrong_ends",
)  # fmt: skip


def measure(every: int = 1, poll_s: int = POLL_S) -> dict[str, int]:
    """`every` thins the operations out, fewer polls make a day of fewer checkpoints."""
    shares = figures.PROCESSES
    children = [
        figures.child("tests.bench.cuts_child", share, shares, every, poll_s, heap=HEAP)
        for share in range(shares)
    ]
    counts = [json.loads(figures.answer(child)) for child in children]
    for count in counts:
        if count["first"]:
            print(f"cuts: {count['first']}", file=sys.stderr)
    print(f"cuts: {counts[0]['operations']} operations, each in 4 torn forms")
    return {f"cuts_{name}": sum(count[name] for count in counts) for name in FIGURES}


if __name__ == "__main__":
    sys.exit(figures.write("cuts", measure()))
