# runs on: cpython
"""On ESP32 an integer beyond 30 bits is an object on the heap: hashing makes none."""

from protocol import openpaygo, topup
from protocol.siphash import SipHash

LIMIT = 1 << 30


class Small(int):
    """An integer that stays small, or fails where it would not."""

    most = 0


def watched(name: str) -> None:
    plain = getattr(int, name)

    def operation(self: Small, other: int) -> Small:
        value = plain(self, other)
        assert -LIMIT <= value < LIMIT, (name, int(self), int(other))
        Small.most = max(Small.most, value)
        return Small(value)

    setattr(Small, name, operation)


for each in ("add", "sub", "and", "or", "xor", "lshift", "rshift", "floordiv", "mod"):
    watched(f"__{each}__")
    watched(f"__r{each}__")


def test_nothing_in_a_walk_leaves_thirty_bits() -> None:
    for seed in range(4):
        siphash = SipHash(bytes([seed * 77 % 256] * 15 + [seed]))
        siphash._start = tuple([Small(limb) for limb in word] for word in siphash._start)
        code = Small(999_999_999 - seed)
        walk = openpaygo.Walk(siphash, code, topup.START, Small(123_456_789))
        assert walk.step(100)
        assert type(walk._code) is Small
        assert all(type(limb) is Small for limb in siphash.out)
    assert Small.most > LIMIT * 9 // 10


def test_the_watch_would_notice() -> None:
    try:
        Small(LIMIT - 1) + 1
    except AssertionError:
        return
    raise AssertionError("unwatched")
