"""SipHash-2-4 (Aumasson and Bernstein 2012) in 16-bit limbs, lowest first.

No intermediate leaves 30 bits, so that on ESP32, where small integers end at 2**30, hashing leaves
nothing on the heap: state and result live in lists made once, and no statement packs more than
three values, which would be a tuple. Never keeps a message.
"""

from protocol.units import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_BYTES = const(16)

_LIMB = const(0xFFFF)
# "somepseudorandomlygeneratedbytes", as the paper starts the four words of the state.
_SOME = (0x6575, 0x7073, 0x6D65, 0x736F)
_DORAND = (0x6F6D, 0x6E64, 0x7261, 0x646F)
_LYGEN = (0x7261, 0x6E65, 0x6765, 0x6C79)
_TEDBYTES = (0x6573, 0x7974, 0x6462, 0x7465)


class SipHash:
    """The hash under one key of 16 bytes. `out` holds the limbs of the latest result."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("key of 16 bytes")
        low, high = _limbs(key, 0), _limbs(key, 8)
        self._start = (
            _xor(low, _SOME),
            _xor(high, _DORAND),
            _xor(low, _LYGEN),
            _xor(high, _TEDBYTES),
        )
        self._v0 = [0] * 4
        self._v1 = [0] * 4
        self._v2 = [0] * 4
        self._v3 = [0] * 4
        self.out = [0] * 4

    def __repr__(self) -> str:
        return "SipHash(hidden)"

    def hash(self, message: bytes) -> list[int]:
        """The four limbs of the hash of a message of any length."""
        self.begin()
        whole = len(message) & ~7
        for at in range(0, whole, 8):
            self.absorb(*_limbs(message, at))
        rest = message[whole:] + bytes(7 - (len(message) & 7)) + bytes((len(message) & 0xFF,))
        self.absorb(*_limbs(rest, 0))
        return self.finish()

    def begin(self) -> None:
        k0, k1, k2, k3 = self._start
        v0, v1 = self._v0, self._v1
        v2, v3 = self._v2, self._v3
        for at in range(4):
            v0[at] = k0[at]
            v1[at] = k1[at]
            v2[at] = k2[at]
            v3[at] = k3[at]

    def absorb(self, m0: int, m1: int, m2: int, m3: int) -> None:
        """One message word of 64 bits, as four limbs."""
        v0, v3 = self._v0, self._v3
        v3[0] ^= m0
        v3[1] ^= m1
        v3[2] ^= m2
        v3[3] ^= m3
        self._rounds(2)
        v0[0] ^= m0
        v0[1] ^= m1
        v0[2] ^= m2
        v0[3] ^= m3

    def finish(self) -> list[int]:
        """`out`, which the next hash writes over."""
        self._v2[0] ^= 0xFF
        self._rounds(4)
        v0, v1 = self._v0, self._v1
        v2, v3, out = self._v2, self._v3, self.out
        for at in range(4):
            out[at] = v0[at] ^ v1[at] ^ v2[at] ^ v3[at]
        return out

    def _rounds(self, count: int) -> None:
        v0, v1 = self._v0, self._v1
        v2, v3 = self._v2, self._v3
        while count:
            _mix(v0, v1, 13, 2)
            _mix(v2, v3, 16, 0)
            _mix(v0, v3, 21, 0)
            _mix(v2, v1, 17, 2)
            count -= 1


def _mix(a: list[int], b: list[int], left: int, half: int) -> None:
    """a += b; b = (b <<< left) ^ a; then a <<< 32 when `half` is 2. `left` is below 32."""
    a0, a1, a2, a3 = a
    b0, b1, b2, b3 = b
    a0 += b0
    a1 += b1 + (a0 >> 16)
    a2 += b2 + (a1 >> 16)
    a3 = (a3 + b3 + (a2 >> 16)) & _LIMB
    a0 &= _LIMB
    a1 &= _LIMB
    a2 &= _LIMB
    if left >= 16:
        left -= 16
        top = b3
        b3 = b2
        b2 = b1
        b1 = b0
        b0 = top
    right = 16 - left
    b[0] = (b0 << left & _LIMB | b3 >> right) ^ a0
    b[1] = (b1 << left & _LIMB | b0 >> right) ^ a1
    b[2] = (b2 << left & _LIMB | b1 >> right) ^ a2
    b[3] = (b3 << left & _LIMB | b2 >> right) ^ a3
    a[half] = a0
    a[half + 1] = a1
    a[2 - half] = a2
    a[3 - half] = a3


def _limbs(data: bytes, at: int) -> list[int]:
    """Eight bytes from `at` on as a little-endian word."""
    return [data[at + low] | data[at + low + 1] << 8 for low in (0, 2, 4, 6)]


def _xor(left: "Sequence[int]", right: "Sequence[int]") -> list[int]:
    return [left[at] ^ right[at] for at in range(4)]
