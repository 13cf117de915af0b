"""Bytes and microseconds per reading beside others' forms, on the module's interpreter.

    python -m tests.bench.peers

No registry of Python, Debian or npm has the cbor2 of micropython-lib, and nothing else is asked:
MICROPYTHON_CBOR2 names a folder that holds its package `cbor2`, else it is left out.
"""

import json
import os
import sys

from tests.bench import figures

HEAP = "4m"


def measure() -> dict[str, int]:
    folder = os.environ.get("MICROPYTHON_CBOR2", "")
    if not folder:
        print("peers: without micropython-lib's cbor2; MICROPYTHON_CBOR2 would name its folder")
    child = figures.child("tests.bench.peers_child", folder, heap=HEAP)
    return dict(json.loads(figures.answer(child)))


if __name__ == "__main__":
    sys.exit(figures.write("peers", measure()))
