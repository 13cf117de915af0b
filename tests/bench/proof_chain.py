"""Runs every long proof and merges the figures into build/bench/chain.json.

    python -m tests.bench.proof_chain

Exits with 1 when a figure falls short of its target. The heap figure is the demo's: it is read
from build/demo.json, and the demo runs first when that file is not there.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.bench import codec_vectors, cuts, differential, figures, fuzz, heap

DEMO = figures.ROOT / "build" / "demo.json"
VECTORS_HEAP = "8m"
CHAIN_POLL_S = 300  # a cut at every operation of a day with few pulse checkpoints


def vectors() -> dict[str, int]:
    child = figures.child("tests.bench.codec_vectors", heap=VECTORS_HEAP)
    wrong = codec_vectors.Vectors().wrong()
    for name in wrong:
        print(f"vectors: {name}", file=sys.stderr)
    ours = len(wrong) + len(codec_vectors.wrong_seals())
    return {"codec_vectors_failed": ours + int(figures.answer(child))}


def demo() -> dict[str, int]:
    if not DEMO.exists():
        command = [str(Path(sys.executable).parent / "gridpurse"), "demo"]
        subprocess.run(command, cwd=figures.ROOT, check=True)
    return {"demo_heap_peak_bytes": int(json.loads(DEMO.read_text())["heap_peak_bytes"])}


PROOFS = {
    "vectors": vectors,
    "cuts": lambda: cuts.measure(poll_s=CHAIN_POLL_S),
    "fuzz": fuzz.measure,
    "differential": differential.measure,
    "demo": demo,
    **{f"heap_{kind}": partial(heap.measure, kind) for kind in heap.KINDS},
}


def main() -> int:
    status = 0
    merged = []
    for name, measure in PROOFS.items():
        status |= figures.write(name, measure(), targets=figures.TARGETS["chain"])
        merged += json.loads((figures.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    missing = set(figures.TARGETS["chain"]) - {row["figure"] for row in merged}
    if missing:
        raise RuntimeError(f"nobody measured {sorted(missing)}")
    text = json.dumps(merged, indent=1) + "\n"
    (figures.FOLDER / "chain.json").write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
