"""Writes protocol/vectors/openpaygo.json with the `openpaygo` package, independent of ours.

The package installs modules named `test` and `utils`, so it is no dependency of ours. Run it in a
throw-away environment; only the encoder is used, its decoder is not safe (openpaygo.md, 10):

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install openpaygo==0.6.3
    /tmp/peers/bin/python tests/peers/openpaygo_vectors.py
"""

import json
import random
from pathlib import Path

import siphash
from openpaygo import TokenType, generate_token
from openpaygo.token_shared import OpenPAYGOTokenShared

TARGET = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "openpaygo.json"
K = "bc41ec9530f6dac86b1a29ab82edc5fb"
CODE = 516959010
TYPES = {
    "add": TokenType.ADD_TIME,
    "set": TokenType.SET_TIME,
    "disable": TokenType.DISABLE_PAYG,
    "sync": TokenType.COUNTER_SYNC,
}
MARKED = {"disable": 998, "sync": 999}


def default_code(key: str) -> int:
    return int(OpenPAYGOTokenShared.generate_starting_code(bytes.fromhex(key)))


def token(key: str, code: int, before: int, kind: str, value: int) -> dict[str, object]:
    """Issued by a sender whose last count was `before`."""
    arguments = {
        "secret_key": key,
        "count": before,
        "value": value if kind not in MARKED else None,
        "token_type": TYPES[kind],
        "starting_code": code,
    }
    count, nine = generate_token(**arguments)
    _, fifteen = generate_token(**arguments, restricted_digit_set=True)
    shown = MARKED.get(kind, value)
    return {
        "key": key,
        "starting_code": code,
        "kind": kind,
        "value": shown,
        "count": count,
        "token": nine,
        "four_key": fifteen,
    }


def tokens() -> list[dict[str, object]]:
    made = []
    for before in (1, 2, 5, 32, 61):
        for kind, value in (("add", 1), ("add", 995), ("set", 0), ("set", 995)):
            made.append(token(K, CODE, before, kind, value))
        made.append(token(K, CODE, before, "disable", 0))
        made.append(token(K, CODE, before, "sync", 0))
    made.append(token(K, default_code(K), 5, "add", 7))
    made.append(token(K, default_code(K), 5, "set", 0))
    dice = random.Random(20260301)
    for _ in range(40):
        key = dice.randbytes(16).hex()
        code = dice.choice((default_code(key), dice.randrange(1, 1000000000)))
        kind = dice.choice(("add", "add", "set"))
        made.append(token(key, code, dice.randrange(1, 200), kind, dice.randrange(996)))
    return made


def hashes() -> list[dict[str, str]]:
    """Every length around a word, so that padding is covered."""
    message = bytes(range(64))
    keys = (bytes(range(16)), bytes.fromhex(K))
    return [
        {
            "key": key.hex(),
            "message": message[:length].hex(),
            "hash": hashed(key, message[:length]),
        }
        for key in keys
        for length in (0, 1, 7, 8, 9, 15, 16, 17, 63)
    ]


def hashed(key: bytes, message: bytes) -> str:
    return format(siphash.SipHash_2_4(key, message).hash(), "016x")


if __name__ == "__main__":
    zero, rising = "00" * 16, bytes(range(16)).hex()
    vectors = {
        "source": "openpaygo 0.6.3",
        "hashes": hashes(),
        "starting_codes": {key: default_code(key) for key in (K, zero, rising)},
        "tokens": tokens(),
    }
    TARGET.write_text(json.dumps(vectors, indent=1) + "\n")
