"""Damaged messages by the million through the doors of host and module.

    python -m tests.bench.fuzz

The host counts what is not Malformed, and any input that takes more memory than MEMORY_BYTES_MAX;
the module runs with its real heap, where too much memory is a failure by itself.
"""

import ast
import json
import struct
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from protocol import messages, tariff
from tests.bench import differential, figures, histories, mutations

HOST_INPUTS = 1_000_000
MODULE_INPUTS = 100_000
SEED = 1772726400
MODULE_HEAP = "192k"
MEMORY_BYTES_MAX = 400_000  # 4 kB of the densest nesting, decoded on 64 bits
VECTORS = figures.ROOT / "protocol" / "vectors" / "messages.json"


def corpus_rows() -> list[tuple[bool, bytes]]:
    """Golden messages, and batches as the ledger of a random history gives them."""
    loaded = json.loads(VECTORS.read_text(encoding="utf-8"))
    rows = [(row["down"], bytes.fromhex(row["payload"])) for row in loaded["good"]]
    for seed in range(6):
        rows.append((False, messages.pack(batch(seed))))
    return rows


def batch(seed: int) -> messages.Readings:
    """The first entries of a history as one message."""
    data = differential.history(seed)
    history = histories.played(data)
    items, _ = histories.travelled(history.entries[:20])
    version = tariff.Book(*history.book).version
    return messages.Readings(0, 1, 1, version, items, history.state.head)


def write_corpus(path: Path) -> None:
    with path.open("wb") as file:
        for down, payload in corpus_rows():
            file.write(struct.pack("<BH", down, len(payload)) + payload)


def weighed(enter: Callable[..., object], data: bytes, down: bool) -> object:
    """The call itself, and MemoryError when it took more than it may."""
    tracemalloc.start()
    try:
        return enter(data, down)
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        if peak_bytes > MEMORY_BYTES_MAX:
            raise MemoryError(peak_bytes)


def on_host(path: str, seed: int, count: int) -> tuple[int, int, str]:
    return mutations.run(path, seed, count, mutations.Doors(True), weighed)


def measure(host_inputs: int = HOST_INPUTS, module_inputs: int = MODULE_INPUTS) -> dict[str, int]:
    shares = figures.PROCESSES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus"
        write_corpus(path)
        with ProcessPoolExecutor(shares) as pool:
            found = list(
                pool.map(
                    on_host,
                    [str(path)] * shares,
                    range(SEED, SEED + shares),
                    [host_inputs // shares] * shares,
                )
            )
        values = tell("host", found, host_inputs // shares * shares)
        children = [
            figures.child(
                "tests.bench.mutations",
                str(path),
                SEED - 1 - share,
                module_inputs // shares,
                heap=MODULE_HEAP,
            )
            for share in range(shares)
        ]
        found = [ast.literal_eval(figures.answer(child).decode()) for child in children]
    return values | tell("module", found, module_inputs // shares * shares)


def tell(where: str, found: list[tuple[int, int, str]], inputs: int) -> dict[str, int]:
    accepted = sum(row[0] for row in found)
    print(f"fuzz: {where} accepted {accepted} of {inputs} inputs, the others were refused")
    for _, _, first in found:
        if first:
            print(f"fuzz: {where}: {first}", file=sys.stderr)
    failures = sum(row[1] for row in found)
    return {f"{where}_fuzz_inputs": inputs, f"{where}_fuzz_failures": failures}


if __name__ == "__main__":
    sys.exit(figures.write("fuzz", measure()))
