"""Our own voucher: twenty digits for amounts beyond a short token, forged once in 2**32 tries.

57 bits, highest first: low ten bits of the top-up number, scale 2, value 13, MAC 32; written as
19 digits and a Luhn digit (openpaygo.md section 11). Money is nano-currency. Never changes a mark
and never knows a cap.
"""

import struct
from collections import namedtuple

from protocol import topup
from protocol.cose import same
from protocol.lockout import INVALID
from protocol.units import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocol.cose import Mac

DIGITS = const(20)
VALUE_MAX = const(8191)
SCALES_NCUR = (10000000, 100000000, 1000000000, 10000000000)
NUMBERS = const(1024)  # that the truncated one tells apart
MAC_BYTES = const(4)

Fields = namedtuple("Fields", "low scale value mac")
# result as lockout.py counts them; number and amount_ncur are 0 for INVALID.
Result = namedtuple("Result", "result number amount_ncur")

_DOMAIN = b"gridpurse/1 voucher"


def derived_key(mac: "Mac", point: int) -> bytes:
    """The 32-byte voucher key of a point. `mac` is keyed with the module's root key."""
    name = "gridpurse/1 voucher key %d" % point
    return mac.digest(name.encode())


def luhn(digits: str) -> int:
    """The check digit of decimal digits."""
    total = 0
    for at in range(len(digits)):
        figure = ord(digits[-1 - at]) - 48
        if not at & 1:
            figure *= 2
            if figure > 9:
                figure -= 9
        total += figure
    return -total % 10


def parse(text: str) -> Fields | None:
    """The fields of what was typed, or None for FORMAT."""
    if len(text) != DIGITS:
        return None
    for digit in text:
        if not "0" <= digit <= "9":
            return None
    if luhn(text[:-1]) != ord(text[-1]) - 48:
        return None
    bits = int(text[:-1])
    if bits >> 57:  # a later version
        return None
    mac = struct.pack(">I", bits & 0xFFFFFFFF)
    return Fields(bits >> 47, bits >> 45 & 3, bits >> 32 & VALUE_MAX, mac)


def tag(
    mac: "Mac", module: str, point: int, generation: int, number: int, scale: int, value: int
) -> bytes:
    """The four MAC bytes. `mac` is keyed with the voucher key; the full counter is BE32 of the
    generation and BE32 of the number, so that a new generation makes old vouchers void."""
    meter = b" " + module.encode() + b" " + str(point).encode() + b" "
    facts = struct.pack(">IIBH", generation, number, scale, value)
    return mac.digest(_DOMAIN, meter, facts)[:MAC_BYTES]


def number_of(mark: topup.Mark, low: int) -> int:
    """The one number that a truncated one can mean: from the window of used numbers upwards."""
    lowest = max(mark.highest - topup.WINDOW + 1, 1)
    return int(lowest + (low - lowest) % NUMBERS)


def check(mac: "Mac", module: str, point: int, mark: topup.Mark, fields: Fields) -> Result:
    """What a voucher means under a mark: one try, and one per 1 024 numbers below the window,
    where a genuine voucher is TOO_OLD and no failure."""
    scale, value = fields.scale, fields.value
    number = number_of(mark, fields.low)
    while number > 0:
        if not number & 1 and number <= topup.NUMBER_MAX:
            made = tag(mac, module, point, mark.generation, number, scale, value)
            if same(made, fields.mac):
                return Result(topup.check(mark, number), number, value * SCALES_NCUR[scale])
        number -= NUMBERS
    return Result(INVALID, 0, 0)
