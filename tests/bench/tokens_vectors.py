"""Every published vector: hashes, and tokens typed at the module in both alphabets."""

import asyncio
from binascii import unhexlify

from firmware import point as points
from protocol import ledger, lockout, openpaygo, topup
from protocol.siphash import SipHash
from tests.firmware import desk as desks
from tests.firmware import keypad
from tests.protocol import openpaygo_issuer
from tests.protocol import test_openpaygo as published

CUR = desks.CUR


class Vectors:
    def __init__(self, root):
        desk = desks.Desk(root)
        limits = desks.point_settings(
            token_unit_ncur=CUR, token_set=1, cap_ncur=1000 * CUR, topup_max_ncur=1000 * CUR
        )
        desks.provision(root, [limits], desks.flat_book())
        _, self.firmware = desk.power_on()
        asyncio.run(self.firmware.metering.poll())
        self.point = self.firmware.points[0]
        self.blank = self.point.slot
        self.checked = 0
        self.wrong = []

    def check(self, name, good):
        self.checked += 1
        if not good:
            self.wrong.append(name)

    def typed(self, key, code, highest, text):
        """What the module says to digits under a mark, its slot before and after aside."""
        state = self.blank.state
        mark = topup.Mark(0, highest, highest, 0)
        state = ledger.State(*(state[:8] + (mark,) + state[9:]))
        self.point.slot = points.Slot(*(self.blank[:1] + (state,) + self.blank[2:]))
        found = keypad.type_in(self.firmware, text, 0, lambda *_: (SipHash(key), code))
        return found, self.point.slot

    def token(self, key, code, number, value, text, other):
        """A token of the module's, as nine digits and as fifteen."""
        highest = max(1, number - 60)
        for digits in (text, other):
            found, slot = self.typed(key, code, highest, digits)
            mark = slot.state.mark
            if value == openpaygo.SYNC:  # not taken: the host can read the counter
                good = found == (lockout.INVALID, 0, 0) and slot.more[points.M_FAILURES] == 1
            elif value == openpaygo.DISABLE or (not value and not number & 1):
                good = found[:2] == (lockout.REFUSED, number) and mark.highest == highest
            else:
                good = found == (lockout.ACCEPTED, number, value * CUR) and mark.highest == number
                good = good and slot.state.balance_ncur == value * CUR
            self.check(digits, good)
        decoded = openpaygo_issuer.enter(key, code, topup.Mark(0, highest, highest, 0), text, True)
        self.check(text, decoded == openpaygo.Result(lockout.ACCEPTED, number, value))

    def run(self):
        loaded = published.vectors()
        for row in loaded["hashes"]:
            limbs = SipHash(unhexlify(row["key"])).hash(unhexlify(row["message"]))
            self.check(row["hash"], "%016x" % published.number_of(limbs) == row["hash"])
        for text, expected in loaded["starting_codes"].items():
            key = unhexlify(text)
            self.check(text, openpaygo.starting_code(SipHash(key), key) == expected)
        for row in loaded["tokens"]:
            key = unhexlify(row["key"])
            where = row["starting_code"], row["count"], row["value"]
            self.token(key, *(where + (row["token"], row["four_key"])))
        for number, value, text in published.PUBLISHED:
            other = keypad.four_key(text)
            self.token(published.K, published.CODE, number, value, text, other)
        return self


def main():
    done = Vectors(desks.folder("token-vectors")).run()
    print(len(done.wrong) if done.checked > 200 else done.checked + 1)
