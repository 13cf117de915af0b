"""Typed top-ups: published vectors, and random histories with restarts, cuts and clock moves.

    python -m tests.bench.tokens

Two processes share the histories. Most run under a stand-in for SipHash, see tokens_world, and the
first ones of each process under the real one.
"""

import json
import sys
import tempfile

from tests.bench import figures, tokens_vectors

HISTORIES = 20_000
GENUINE = 2_000  # of them under SipHash
HEAP = "64m"


def measure(histories: int = HISTORIES, genuine: int = GENUINE) -> dict[str, int]:
    shares = figures.PROCESSES
    each = histories // shares
    children = [
        figures.child("tests.bench.tokens_child", share * each, each, genuine // shares, heap=HEAP)
        for share in range(shares)
    ]
    vectors = figures.child("tests.bench.tokens_vectors", heap=HEAP)
    with tempfile.TemporaryDirectory() as folder:
        ours = tokens_vectors.Vectors(folder + "/module").run()
    counts = [json.loads(figures.answer(child)) for child in children]
    for text in [*ours.wrong, *(count["first"] for count in counts if count["first"])]:
        print(f"tokens: {text}", file=sys.stderr)

    def total(name: str) -> int:
        return sum(count[name] for count in counts)

    seen = {name: total(name) for name in ("accepted", "capped", "locked", "cuts", "latched")}
    print(f"tokens: {shares * each} histories, {seen}")
    if total("wrong") or not all(seen.values()):
        raise RuntimeError(f"{total('wrong')} results other than expected, or never seen: {seen}")
    return {
        "token_vectors_failed": len(ours.wrong) + int(figures.answer(vectors)),
        "token_double_accepts": total("double_accepts"),
        "token_lockout_bypasses": total("bypasses"),
    }


if __name__ == "__main__":
    found = measure()
    print(json.dumps(found))
    sys.exit(1 if any(found.values()) else 0)
