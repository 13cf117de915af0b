"""A million damaged inputs through every parser that faces a wire, under MicroPython.

    python -m tests.bench.wires

See wires_child for the parsers and for what counts as a failure.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.bench import figures, fuzz

INPUTS = 1_000_000
SEED = 20260306
HEAP = "1m"


def measure(inputs: int = INPUTS) -> dict[str, int]:
    shares = figures.PROCESSES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        fuzz.write_corpus(path)
        children = [
            figures.child(
                "tests.bench.wires_child", str(path), share, SEED, inputs // shares, heap=HEAP
            )
            for share in range(shares)
        ]
        counts = [json.loads(figures.answer(child)) for child in children]
    for wire in counts[0]:
        tell(wire, [count[wire] for count in counts])
    rows = [row for count in counts for row in count.values()]
    return {
        "fuzz_inputs": sum(row["inputs"] for row in rows),
        "fuzz_failures": sum(row["failures"] for row in rows),
    }


def tell(wire: str, rows: list[dict[str, int]]) -> None:
    inputs, accepted = (sum(row[key] for row in rows) for key in ("inputs", "accepted"))
    heap, ms = (max(row[key] for row in rows) for key in ("heap", "ms"))
    print(
        f"fuzz: {wire}: {inputs} inputs, {accepted} accepted, at most {heap} heap bytes, {ms} ms"
    )
    for row in rows:
        if row["first"]:
            print(f"fuzz: {wire}: {row['first']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(figures.write("wires", measure()))
