"""What the chain head of a charge is the hash of, put together by the million.

The bytes are those that `ledger.apply` has encoded of an entry, behind the head before it. Meters
share their intervals, so what all charges of one have in common is encoded once. Of the rest each
number is tried in the widths that it mostly has; cbor2 does any other.
"""

from struct import Struct

import cbor2

from protocol import ledger
from protocol.units import NCUR_MAX, SYNCHRONISED

# What CBOR has before a whole number of 2, 4 or 8 bytes, and before one below zero.
_IN_2, _IN_4, _IN_8, _BELOW_IN_4, _BELOW_IN_8 = 0x19, 0x1A, 0x1B, 0x3A, 0x3B
_any = cbor2.dumps
_SHORT = [_any(number) for number in range(0x100)]
_MIDDLE = Struct(">BH").pack
_LONG = Struct(">BI").pack
_MONEY = Struct(">BIHBQ").pack  # amount, number and channel, balance


def timed(to_s: int) -> bytes:
    """Kind, instant and quality of a charge, by a good clock."""
    return b"".join(map(_any, (ledger.CHARGE, to_s, SYNCHRONISED)))


def rated(version: int, period: int) -> bytes:
    """Its tariff version and tier period."""
    return b"".join(map(_any, (version, period)))


def charged(
    head: bytes,
    seq: int,
    when: bytes,
    register_wh: int,
    energy_wh: int,
    how: bytes,
    used_wh: int,
    charge_ncur: int,
    balance_ncur: int,
) -> bytes:
    """A head and the charge behind it; `when` it was is `timed`, `how` is `rated`."""
    if not 0x10000 < charge_ncur <= 0x100000000 or not 0x100000000 < abs(balance_ncur) <= NCUR_MAX:
        money = b"%b\x00\x00%b" % (_any(-charge_ncur), _any(balance_ncur))
    elif balance_ncur > 0:
        money = _MONEY(_BELOW_IN_4, charge_ncur - 1, 0, _IN_8, balance_ncur)
    else:
        money = _MONEY(_BELOW_IN_4, charge_ncur - 1, 0, _BELOW_IN_8, -1 - balance_ncur)
    return b"%b\x8d%b%b%b%b%b%b%b" % (
        head,
        _SHORT[seq] if seq < 0x100
        else _MIDDLE(_IN_2, seq) if seq < 0x10000
        else _any(seq),
        when,
        _LONG(_IN_4, register_wh) if 0x10000 <= register_wh < 0x100000000
        else _MIDDLE(_IN_2, register_wh) if 0x100 <= register_wh < 0x10000
        else _any(register_wh),
        _SHORT[energy_wh] if energy_wh < 0x100
        else _MIDDLE(_IN_2, energy_wh) if energy_wh < 0x10000
        else _any(energy_wh),
        how,
        _SHORT[used_wh] if used_wh < 0x100
        else _MIDDLE(_IN_2, used_wh) if used_wh < 0x10000
        else _LONG(_IN_4, used_wh) if used_wh < 0x100000000
        else _any(used_wh),
        money,
    )  # fmt: skip
