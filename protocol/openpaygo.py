"""OpenPAYGO Token, the strict decoder: nine digits, or fifteen digits 1 to 4, typed by a customer.

A token is code_c of a chain of hashes, with its value in the last three digits (openpaygo.md
sections 2 to 7); its count c is the top-up number, even ADD, odd SET. The window of used numbers
is topup's. Values are token units; never changes a mark and never knows a cap.
"""

from collections import namedtuple

from protocol import topup
from protocol.lockout import ACCEPTED, INVALID, TOO_OLD, USED
from protocol.units import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.cose import Mac
    from protocol.siphash import SipHash

DIGITS = const(9)
FOUR_KEY_DIGITS = const(15)  # the same 30 bits, two to a digit
CODE_MAX = const(999999999)
MOD = const(1000)

VALUE_MAX = const(995)
DISABLE = const(998)
SYNC = const(999)

REACH = const(64)  # counts above the highest one that are tried
SYNC_REACH = const(100)
# One entry costs a hash per count, so none is tried above this one: the key is rotated before.
NUMBER_BOUND = const(1000)

# number and value are 0 unless ACCEPTED, USED or TOO_OLD.
Result = namedtuple("Result", "result number value")

_FOLD = const(73741825)
_LENGTH_LIMB = const(0x0800)  # the last word of an eight-byte message


def derived_key(mac: "Mac", point: int, generation: int) -> bytes:
    """The 16-byte key of a point's token generation. `mac` is keyed with the module's root key."""
    name = "gridpurse/1 openpaygo %d %d" % (point, generation)
    return mac.digest(name.encode())[:16]


def starting_code(siphash: "SipHash", key: bytes) -> int:
    """The default of a key: the nine-digit reduction of its hash of itself."""
    siphash.hash(key)
    return _reduced(siphash)


def next_code(siphash: "SipHash", code: int) -> int:
    """The code after a code: hash of BE32(code) || BE32(code), reduced. Allocates nothing."""
    high, low = code >> 16, code & 0xFFFF
    high = high >> 8 | (high & 0xFF) << 8
    low = low >> 8 | (low & 0xFF) << 8
    siphash.begin()
    siphash.absorb(high, low, high, low)
    siphash.absorb(0, 0, 0, _LENGTH_LIMB)
    siphash.finish()
    return _reduced(siphash)


def parse(text: str) -> int:
    """The token of what was typed, or -1 for FORMAT."""
    if len(text) == DIGITS:
        low, high = "0", "9"
    elif len(text) == FOUR_KEY_DIGITS:
        low, high = "1", "4"
    else:
        return -1
    token = 0
    for digit in text:
        if not low <= digit <= high:
            return -1
        token = token * 10 + ord(digit) - 48 if low == "0" else token << 2 | ord(digit) - 49
    return token if token <= CODE_MAX else -1


def is_set(result: Result) -> bool:
    """True when the value of an accepted token replaces the balance."""
    return bool(result.number & 1) and result.value <= VALUE_MAX


def amount_ncur(result: Result, unit_ncur: int, balance_ncur: int) -> int:
    """The signed effect of an accepted token: ADD adds, SET replaces, the others move nothing."""
    if result.value > VALUE_MAX:
        return 0
    given_ncur = result.value * unit_ncur
    return int(given_ncur - balance_ncur if is_set(result) else given_ncur)


class Walk:
    """One entry, tried at every count so that its duration tells nothing but `mark.highest`.

    Call `step` until it is True, yielding between; then `result` stands. The mark must not have
    moved meanwhile: check `topup.check(mark, number)` again where it is consumed.
    """

    def __init__(
        self,
        siphash: "SipHash",
        starting_code: int,
        mark: topup.Mark,
        token: int,
        sync: bool = False,
    ) -> None:
        base = token % MOD
        value = (base - starting_code % MOD) % MOD
        reach = SYNC_REACH if value == SYNC and sync else REACH
        self._siphash = siphash
        self._mark = mark
        self._prefix = token // MOD  # exact split: the rest is `base`
        self._value = value
        self._mute = VALUE_MAX < value < DISABLE or (value == SYNC and not sync)
        self._code = starting_code - starting_code % MOD + base
        self._count = 0
        self._last = min(mark.highest + reach, NUMBER_BOUND)
        self.result = Result(INVALID, 0, 0)

    def step(self, hashes: int) -> bool:
        """Up to so many counts further. -> whether all were tried."""
        code, count = self._code, self._count
        last = min(self._last, count + hashes - 1)
        while count <= last:
            if code // MOD == self._prefix:
                self._matched(count)
            count += 1
            if count <= self._last:
                code = next_code(self._siphash, code)
        self._code, self._count = code, count
        return count > self._last

    def _matched(self, count: int) -> None:
        """The first acceptable match stands; without one, the latest refusal."""
        if self._mute or self.result.result == ACCEPTED:
            return
        if self._value >= DISABLE and not count & 1:
            return
        fresh = topup.check(self._mark, count)
        result = USED
        if fresh == topup.FRESH:
            result = ACCEPTED
        elif fresh == topup.TOO_OLD:
            result = TOO_OLD
        self.result = Result(result, count, self._value)


def _reduced(siphash: "SipHash") -> int:
    """red9: both halves folded, the two low bits dropped, cut to nine digits."""
    out = siphash.out
    code = (out[3] ^ out[1]) << 14 | (out[2] ^ out[0]) >> 2
    return code if code <= CODE_MAX else code - _FOLD
