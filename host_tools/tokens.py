"""Token entry, issuing side: the digits a customer types for a top-up that is already booked.

The digits follow from the key and the stored top-up alone, so issuing again prints the same ones,
and the number is the one that the command carries: whichever arrives first is credited. Money is
nano-currency; token values are whole units of it. Keeps nothing.
"""

from dataclasses import dataclass

from host_tools import Refused
from host_tools.store.records import TopUp
from protocol import openpaygo, topup, voucher
from protocol.cose import Mac
from protocol.siphash import SipHash
from protocol.topup import Mark
from protocol.units import NCUR_PER_CUR

UNIT_NCUR = NCUR_PER_CUR  # of a token, where a module was provisioned with no other
# From here on a point nears the bound of its key, and issuing says so.
NUMBER_WARNING = openpaygo.NUMBER_BOUND - 100


@dataclass(frozen=True, slots=True, repr=False)
class TokenKey:
    """OpenPAYGO key and starting code of one generation of a point, and what a unit is worth."""

    siphash: SipHash
    starting_code: int
    generation: int
    unit_ncur: int

    @classmethod
    def derived(cls, root_key: bytes, point: int, generation: int, unit_ncur: int) -> "TokenKey":
        """From the module's root key, as the module derives it."""
        key = openpaygo.derived_key(Mac(root_key), point, generation)
        return cls.of(key, generation, unit_ncur)

    @classmethod
    def of(
        cls, key: bytes, generation: int, unit_ncur: int, starting_code: int | None = None
    ) -> "TokenKey":
        """From a key of 16 bytes; its default starting code unless another is given."""
        siphash = SipHash(key)
        if starting_code is None:
            starting_code = openpaygo.starting_code(siphash, key)
        if not 0 <= starting_code <= openpaygo.CODE_MAX:
            raise Refused("starting code: must be 0 to 999999999")
        if unit_ncur < 1:
            raise Refused("token unit: must be at least 1 nano-currency")
        return cls(siphash, starting_code, generation, unit_ncur)


@dataclass(frozen=True, slots=True, repr=False)
class VoucherKey:
    """The voucher key of a point and the names its vouchers are bound to."""

    mac: Mac
    module: str
    point: int

    @classmethod
    def derived(cls, root_key: bytes, module: str, point: int) -> "VoucherKey":
        """From the module's root key, as the module derives it."""
        return cls(Mac(voucher.derived_key(Mac(root_key), point)), module, point)


def token(
    key: TokenKey,
    given: TopUp,
    mark: Mark,
    oldest_owed: int | None = None,
    four_keys: bool = False,
) -> str:
    """The OpenPAYGO token of a top-up: nine digits, or fifteen digits 1 to 4.

    `mark` is the point's settled one, `oldest_owed` its lowest number paid and not credited.
    Refused when the module could not take it, or when it would shut out an older payment.
    """
    check_generation(given, key.generation, mark)
    if given.number > openpaygo.NUMBER_BOUND:
        raise Refused(
            f"top-up {given.number}: beyond {openpaygo.NUMBER_BOUND} tokens are too slow to check;"
            " rotate the point's token key"
        )
    if given.number > mark.highest + openpaygo.REACH:
        raise Refused(
            f"top-up {given.number}: the module looks no further than"
            f" {mark.highest + openpaygo.REACH}; enter the tokens before it first"
        )
    check_order(given, mark, oldest_owed)
    value, rest_ncur = divmod(given.amount_ncur, key.unit_ncur)
    if rest_ncur or not 1 <= value <= openpaygo.VALUE_MAX:
        raise Refused(
            f"top-up {given.number}: a token holds 1 to {openpaygo.VALUE_MAX} whole units of"
            f" {key.unit_ncur} nano-currency; use a voucher"
        )
    made = encode(key.siphash, key.starting_code, given.number, value)
    if counts_of(key.siphash, key.starting_code, made) != [given.number]:
        raise Refused(
            f"top-up {given.number}: by chance its token is that of another count too;"
            " use a voucher"
        )
    return four_key(made) if four_keys else nine(made)


def voucher_text(key: VoucherKey, given: TopUp, mark: Mark, oldest_owed: int | None = None) -> str:
    """The twenty digits of a top-up. Refused like `token`."""
    check_generation(given, given.generation, mark)
    if given.number - mark.highest > voucher.NUMBERS - topup.WINDOW:
        raise Refused(f"top-up {given.number}: too far ahead; enter the ones before it first")
    check_order(given, mark, oldest_owed)
    scale, value = voucher_scale(given.amount_ncur)
    return encode_voucher(key, given.generation, given.number, scale, value)


def near_bound(given: TopUp) -> bool:
    """True when the point's token key should be rotated soon."""
    return given.number >= NUMBER_WARNING


def check_generation(given: TopUp, generation: int, mark: Mark) -> None:
    if given.generation != mark.generation or generation != mark.generation:
        raise Refused(
            f"top-up {given.number}: its token key was replaced; a number of the present"
            f" generation {mark.generation} is needed"
        )


def check_order(given: TopUp, mark: Mark, oldest_owed: int | None) -> None:
    """Nothing is printed that no longer counts or that would make an older payment too old."""
    if given.number & 1 or not 0 < given.number <= topup.NUMBER_MAX:
        raise Refused(f"top-up {given.number}: numbers of top-ups are even")
    if given.state != "credited" and topup.check(mark, given.number) == topup.TOO_OLD:
        raise Refused(f"top-up {given.number}: too old for the module; adjust the balance instead")
    if oldest_owed is not None and given.number >= oldest_owed + topup.WINDOW:
        raise Refused(f"top-up {given.number}: top-up {oldest_owed} must be entered before it")


def encode(siphash: SipHash, starting_code: int, number: int, value: int) -> int:
    """The token of a value at a count. ValueError outside openpaygo.md sections 3 and 4."""
    if not 0 <= value <= openpaygo.VALUE_MAX and value not in (openpaygo.DISABLE, openpaygo.SYNC):
        raise ValueError(f"value {value}")
    if value > openpaygo.VALUE_MAX and not number & 1:
        raise ValueError(f"value {value} at an even count")
    if not 1 <= number <= openpaygo.NUMBER_BOUND:
        raise ValueError(f"count {number}")
    start = starting_code % openpaygo.MOD
    base = (start + value) % openpaygo.MOD
    code = starting_code - start + base
    for _ in range(number):
        code = openpaygo.next_code(siphash, code)
    return code - code % openpaygo.MOD + base


def counts_of(siphash: SipHash, starting_code: int, made: int) -> list[int]:
    """Every count from 1 on at which a module could take a token for its own.

    About one token in a thousand has a second one. It would be credited there when typed again.
    """
    base = made % openpaygo.MOD
    code = starting_code - starting_code % openpaygo.MOD + base
    counts = []
    for count in range(1, openpaygo.NUMBER_BOUND + 1):
        code = openpaygo.next_code(siphash, code)
        if code // openpaygo.MOD == made // openpaygo.MOD:
            counts.append(count)
    return counts


def nine(made: int) -> str:
    return f"{made:09d}"


def four_key(made: int) -> str:
    """Thirty bits, two to a digit, highest first, each digit one more than its bits."""
    return "".join(str((made >> shift & 3) + 1) for shift in range(28, -1, -2))


def voucher_scale(amount_ncur: int) -> tuple[int, int]:
    """(scale, value) of an amount, in the finest scale that holds it exactly."""
    for scale, step_ncur in enumerate(voucher.SCALES_NCUR):
        value, rest_ncur = divmod(amount_ncur, step_ncur)
        if not rest_ncur and 1 <= value <= voucher.VALUE_MAX:
            return scale, value
    raise Refused(
        f"amount of {amount_ncur} nano-currency: a voucher holds 1 to {voucher.VALUE_MAX} steps of"
        " 0.01, 0.1, 1 or 10; split the payment"
    )


def encode_voucher(key: VoucherKey, generation: int, number: int, scale: int, value: int) -> str:
    """The twenty digits. ValueError outside the fields of openpaygo.md section 11."""
    if not 0 <= scale < len(voucher.SCALES_NCUR) or not 0 <= value <= voucher.VALUE_MAX:
        raise ValueError(f"scale {scale}, value {value}")
    if number & 1 or not 0 < number <= topup.NUMBER_MAX:
        raise ValueError(f"number {number}")
    tag = voucher.tag(key.mac, key.module, key.point, generation, number, scale, value)
    low = number % voucher.NUMBERS
    bits = low << 47 | scale << 45 | value << 32 | int.from_bytes(tag, "big")
    digits = f"{bits:019d}"
    return f"{digits}{voucher.luhn(digits)}"
