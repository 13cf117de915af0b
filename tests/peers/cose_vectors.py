"""Writes protocol/vectors/cose.json with pycose, an implementation independent of ours.

pycose holds cbor2 back at 5.9, so it is no dependency of ours. Run it in a throw-away environment:

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install pycose==1.1.0
    /tmp/peers/bin/python tests/peers/cose_vectors.py
"""

import json
from pathlib import Path

from pycose.algorithms import HMAC256, HMAC25664
from pycose.headers import Algorithm
from pycose.keys import SymmetricKey
from pycose.messages import Mac0Message

TARGET = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "cose.json"
CASES = (
    (4, b"", bytes(range(16))),
    (4, bytes.fromhex("a201000218ff"), bytes(range(32))),
    (4, b"x" * 23, b"\xff" * 32),
    (5, b"y" * 24, bytes(range(32, 64))),
    (5, bytes(range(256)), b"\x00" * 32),
    (5, b"z" * 1000, bytes(range(24))),
    (4, bytes(range(255)), bytes(range(24))),
)


def sealed(alg: int, payload: bytes, key: bytes) -> dict[str, object]:
    message = Mac0Message(
        phdr={Algorithm: {4: HMAC25664, 5: HMAC256}[alg]}, uhdr={}, payload=payload
    )
    message.key = SymmetricKey(k=key)
    return {
        "alg": alg,
        "payload": payload.hex(),
        "key": key.hex(),
        "sealed": message.encode(tag=False).hex(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps([sealed(*case) for case in CASES], indent=1) + "\n")
