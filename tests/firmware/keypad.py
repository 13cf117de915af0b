"""What a customer of the desk's module types: its genuine digits, wrong ones, and the typing.

Runs on both interpreters. Digits are made by the independent issuer of tests/protocol.
"""

import asyncio

from firmware import entry
from protocol import openpaygo, siphash, voucher
from protocol.cose import Mac
from tests.firmware import desk as desks
from tests.protocol import openpaygo_issuer

CUR = desks.CUR
MODULE = "desk-1"


def token_key(point=0, generation=0):
    return openpaygo.derived_key(Mac(desks.ROOT_KEY), point, generation)


def token(number, value, point=0):
    """Nine digits of whole units."""
    key = token_key(point)
    code = openpaygo.starting_code(siphash.SipHash(key), key)
    return openpaygo_issuer.token(key, code, number, value)


def four_key(text):
    """The same token in fifteen digits."""
    code = int(text)
    return "".join([str((code >> shift & 3) + 1) for shift in range(28, -1, -2)])


def voucher_digits(number, scale, value, point=0, module=MODULE):
    mac = Mac(voucher.derived_key(Mac(desks.ROOT_KEY), point))
    tag = voucher.tag(mac, module, point, 0, number, scale, value)
    bits = (number & 1023) << 47 | scale << 45 | value << 32 | int.from_bytes(tag, "big")
    text = "%019d" % bits
    return text + str(voucher.luhn(text))


def type_in(firmware, text, point=0, token_keys=None):
    """-> (result, number, amount_ncur)."""
    work = entry.take(firmware.commands, firmware.points[point], text, token_keys)
    return asyncio.run(work)
