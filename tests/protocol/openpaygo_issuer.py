"""OpenPAYGO tokens by plain 64-bit integers, straight from the paper and the specification.

Independent of protocol/siphash.py and of the host's encoder, and runs on both interpreters.
"""

from protocol import openpaygo
from protocol.lockout import ACCEPTED
from protocol.siphash import SipHash

MASK = (1 << 64) - 1


def rotated(word, left):
    return (word << left | word >> (64 - left)) & MASK


def siphash(key, message):
    k0 = int.from_bytes(key[:8], "little")
    k1 = int.from_bytes(key[8:], "little")
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573
    padded = message + bytes(7 - len(message) % 8) + bytes((len(message) & 255,))
    words = [int.from_bytes(padded[at : at + 8], "little") for at in range(0, len(padded), 8)]
    for word in words + [None]:
        if word is None:
            v2 ^= 0xFF
        else:
            v3 ^= word
        for _ in range(4 if word is None else 2):
            v0 = (v0 + v1) & MASK
            v1 = rotated(v1, 13) ^ v0
            v0 = rotated(v0, 32)
            v2 = (v2 + v3) & MASK
            v3 = rotated(v3, 16) ^ v2
            v0 = (v0 + v3) & MASK
            v3 = rotated(v3, 21) ^ v0
            v2 = (v2 + v1) & MASK
            v1 = rotated(v1, 17) ^ v2
            v2 = rotated(v2, 32)
        if word is not None:
            v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


def red9(value):
    code = ((value >> 32) ^ (value & 0xFFFFFFFF)) >> 2
    return code - 73741825 if code > 999999999 else code


def red12(value):
    code = value >> 24
    return code - 99511627777 if code > 999999999999 else code


def token(key, code, number, value):
    """Nine digits of any value at any count, whether or not one may issue it."""
    base = (code + value) % 1000
    code = code - code % 1000 + base
    for _ in range(number):
        code = red9(siphash(key, code.to_bytes(4, "big") * 2))
    return "%09d" % (code - code % 1000 + base)


def enter(key, code, mark, text, sync=False, stride=1000):
    """A Result, as the module computes it."""
    typed = openpaygo.parse(text)
    assert typed >= 0, text
    walk = openpaygo.Walk(SipHash(key), code, mark, typed, sync)
    while not walk.step(stride):
        pass
    return walk.result


def credited(result):
    return result.result == ACCEPTED
