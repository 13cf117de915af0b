"""One module at which everybody types: customers, guessers, the host's commands, power and clock.

MicroPython. What must come of each step is worked out here from what was typed before, without
protocol/topup.py and protocol/lockout.py: numbers spent, failures, seconds of power since the last
one. Money in whole units of currency.
"""

import asyncio

from boards.virtual import flash
from firmware import entry, main
from firmware import point as points
from protocol import codes, messages, openpaygo, siphash
from protocol import lockout as results
from protocol.units import Unavailable
from tests.firmware import desk as desks
from tests.firmware import keypad

CUR = desks.CUR
SECTORS = 6
VALUES = 24  # token values are 1 to this
NUMBERS = 150  # counts that are looked at for a second meaning of a token
CAP, TOPUP_MAX = 60, 20
LATCH = 20


class Cheap:
    """Stands in for SipHash: a 32-bit mix, which is enough to tell counts apart."""

    def __init__(self, key):
        self.key = int.from_bytes(key[:3], "big") | 1
        self.out = [0] * 4
        self.sum = 0

    def hash(self, message):
        self.sum = self.key
        for byte in message:
            self.sum = (self.sum * 31 + byte) & 0xFFFFFFF
        return self.finish()

    def begin(self):
        self.sum = self.key

    def absorb(self, m0, m1, m2, m3):
        self.sum = (self.sum * 0x9E375 + m0 * 0x10001 + m1) & 0xFFFFFFFF

    def finish(self):
        mixed = (self.sum ^ self.sum >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
        mixed = (mixed ^ mixed >> 12) * 0x297A2D39 & 0xFFFFFFFF
        self.out[0] = mixed & 0xFFFF
        self.out[1] = mixed >> 16
        return self.out


class Booklet:
    """Every token of the point, by value and count, none of which means two counts."""

    def __init__(self, make_hash):
        key = keypad.token_key()
        self.hashing = make_hash(key)
        self.code = openpaygo.starting_code(self.hashing, key)
        self.good = {}
        self.prefixes = {}
        start = self.code % openpaygo.MOD
        for value in range(VALUES + 1):
            base = (start + value) % openpaygo.MOD
            code = self.code - start + base
            seen = [code // openpaygo.MOD]
            for _ in range(NUMBERS):
                code = openpaygo.next_code(self.hashing, code)
                seen.append(code // openpaygo.MOD)
            for number in range(1, NUMBERS + 1):
                if seen.count(seen[number]) == 1:
                    self.good[value, number] = seen[number] * openpaygo.MOD + base
            self.prefixes[value] = base, set(seen)

    def keys(self, commands, point):
        return self.hashing, self.code

    def wrong(self, dice):
        """A token of no count."""
        base, seen = self.prefixes[1 + dice.below(VALUES)]
        prefix = dice.below(1000000)
        while prefix in seen:
            prefix = (prefix + 1) % 1000000
        return "%09d" % (prefix * openpaygo.MOD + base)


class Site:
    """A commissioned module's flash, to begin each history from."""

    def __init__(self, root, booklet):
        desk = desks.Desk(root, SECTORS)
        limits = desks.point_settings(
            token_unit_ncur=CUR, token_set=1, cap_ncur=CAP * CUR, topup_max_ncur=TOPUP_MAX * CUR
        )
        desks.provision(root, [limits], desks.flat_book())
        _, firmware = desk.power_on()
        asyncio.run(firmware.metering.poll())
        self.root = root
        self.cells = bytes(desk.cells.cells)
        self.booklet = booklet


class World(desks.Desk):
    """What outlives a power cut, and what should have come of everything so far."""

    def __init__(self, site, dice):
        self.site = site
        self.dice = dice
        self.root = site.root
        self.sectors = SECTORS
        self.cells = flash.Ram(bytearray(site.cells))
        self.meter = desks.Meter()
        self.contact = desks.Contact()
        self.now_ms = desks.START_S * 1000
        self.amounts = {}  # number: whole units, as the host booked it
        self.spent = set()
        self.floor = 1
        self.topups = 0
        self.failures = 0
        self.served_ms = 0  # powered, since the last failure
        self.lost_ms = 0  # what restarts may have taken of it
        self.command_id = 0
        self.double_accepts = self.bypasses = self.wrong = 0
        self.accepted = self.capped = self.locked = self.cuts = self.latched = 0
        self.first = ""
        self.boot(True)

    def boot(self, rtc):
        self.board = desks.Board(self, rtc, flash.Power())
        self.firmware = main.Firmware(self.board, lambda *_: self.meter)
        self.point = self.firmware.points[0]
        asyncio.run(self.firmware.metering.poll())

    def tell(self, what):
        if not self.first:
            self.first = what

    # what should come of it

    def highest(self):
        return max(self.spent | {1})

    def fresh(self, number):
        highest = self.highest()
        if number > highest:
            return number <= highest + 64
        even = not number & 1
        return even and number > max(highest - 16, self.floor) and number not in self.spent

    def owed_ms(self):
        return 60000 << min(self.failures - 2, 9) if self.failures > 2 else 0

    def must_lock(self):
        """1 it must be, 0 it must not be, None either: part of a minute is lost at a restart."""
        owed_ms = self.owed_ms()
        if self.failures >= LATCH or self.served_ms < owed_ms:
            return 1
        return None if owed_ms and self.served_ms < owed_ms + self.lost_ms else 0

    def note(self, result, number, expected):
        """A shown result against what it had to be."""
        self.accepted += result == results.ACCEPTED
        self.capped += result == results.CAP_EXCEEDED
        self.locked += result == results.LOCKED
        locked = self.must_lock()
        if locked and result not in (results.LOCKED, results.FORMAT):
            self.bypasses += 1
            self.tell("bypass: %d failures, %d s" % (self.failures, self.served_ms // 1000))
        if result == results.LOCKED and locked == 0:
            self.wrong += 1
            self.tell("locked for too long")
        if result == results.ACCEPTED and not self.fresh(number):
            self.double_accepts += 1
            self.tell("accepted again: %d" % number)
        if result not in (results.LOCKED, results.FORMAT) and result != expected:
            self.wrong += 1
            self.tell("%d instead of %d for %d" % (result, expected, number))

    def spend(self, number, amount):
        self.spent.add(number)
        if number & 1:
            self.floor = number
        else:
            self.topups += amount
        self.failures = self.served_ms = self.lost_ms = 0

    def failed(self):
        self.failures += 1
        self.served_ms = self.lost_ms = 0

    def check(self):
        """Money and lock-out of the module against ours; from the journal when it just booted."""
        state = self.point.state
        if state.topups_ncur != self.topups * CUR or state.mark.highest != self.highest():
            self.double_accepts += 1
            self.tell("credited %d, paid %d" % (state.topups_ncur // CUR, self.topups))
        if self.point.slot.more[points.M_FAILURES] != self.failures:
            self.bypasses += 1
            self.tell("failures forgotten")

    def judged(self, number, amount, set_to=None):
        """The result that genuine digits must have now, unless locked."""
        if not self.fresh(number):
            old = not number & 1 and number <= max(self.floor, self.highest() - 16)
            return results.TOO_OLD if old else results.USED
        balance_ncur = self.point.state.balance_ncur if set_to is None else 0
        if amount > TOPUP_MAX or balance_ncur + amount * CUR > CAP * CUR:
            return results.CAP_EXCEEDED
        return results.ACCEPTED

    # what happens

    def guarded(self, act):
        """Whatever `act` returns; None when the power failed in it, and the module is up again."""
        cut = self.dice.below(10) == 0
        if cut:
            self.board.power.arm(
                self.dice.below(4), flash.TORN[self.dice.below(4)], self.command_id
            )
        try:
            out = act()
        except (OSError, Unavailable):
            out = None
        if self.board.power.dead:
            self.cuts += 1
            self.restart()
            return out
        self.board.power.cut_op = -1
        return out

    def restart(self):
        self.lost_ms += 60000
        self.boot(self.dice.below(4) != 0)

    def type(self, text, number=0, amount=0, set_to=None, expected=None):
        if expected is None:
            expected = self.judged(number, amount, set_to)
        keys = self.site.booklet.keys
        work = lambda: asyncio.run(  # noqa: E731
            entry.take(self.firmware.commands, self.point, text, keys)
        )
        shown = self.guarded(work)
        if shown is not None:
            self.note(shown[0], number, expected)
            if shown[0] == results.ACCEPTED:
                self.spend(number, amount)
            elif shown[0] == results.INVALID:
                self.failed()
        elif not self.must_lock():
            # Nobody saw a result: the one slot is there or it is not.
            now = self.point.slot.more[points.M_FAILURES]
            if expected == results.ACCEPTED and self.took(number):
                self.spend(number, amount)
            elif expected == results.INVALID and now == self.failures + 1:
                self.failed()
        self.check()

    def took(self, number):
        """Whether the module holds a number, which was fresh, for spent."""
        mark = self.point.state.mark
        if number > mark.highest or number & 1:
            return mark.floor == number
        even = mark.highest - (mark.highest & 1)
        return bool(mark.used >> ((even - number) // 2) & 1)

    def pick(self):
        """(number, amount) of a payment: a new one, or any of the newest ones again."""
        newest = max(self.amounts) if self.amounts else 0
        if not newest or (self.dice.below(2) and newest < NUMBERS - 80):
            number = newest + 2 + 2 * (self.dice.below(3) if not self.dice.below(4) else 0)
            amount = 1 + self.dice.below(VALUES)
            while (amount, number) not in self.site.booklet.good:
                amount = 1 + self.dice.below(VALUES)
            self.amounts[number] = amount
            return number, amount
        known = sorted(self.amounts)[-12:]
        number = known[self.dice.below(len(known))]
        return number, self.amounts[number]

    def type_token(self):
        number, amount = self.pick()
        text = "%09d" % self.site.booklet.good[amount, number]
        if self.dice.below(3) == 0:
            text = keypad.four_key(text)
        self.type(text, number, amount)

    def type_voucher(self):
        number, amount = self.pick()
        self.type(keypad.voucher_digits(number, 2, amount), number, amount)

    def type_set(self):
        number = (self.highest() | 1) + 2 * self.dice.below(2)
        amount = self.dice.below(VALUES)
        if number < NUMBERS - 80 and (amount, number) in self.site.booklet.good:
            text = "%09d" % self.site.booklet.good[amount, number]
            self.type(text, number, amount, set_to=amount)

    def guess(self):
        for _ in range(1 + self.dice.below(3)):
            if self.dice.below(3):
                text = self.site.booklet.wrong(self.dice)
            else:
                text = keypad.voucher_digits(2 + 2 * self.dice.below(9), 2, 5, module="desk-2")
            self.type(text, expected=results.INVALID)

    def garbage(self):
        texts = ("", "12345678", "5" * 15, "1" * 20, "123456789a")
        self.type(texts[self.dice.below(5)], expected=results.FORMAT)

    def command(self):
        """The same numbers by MQTT; not a digit is typed, so no lock-out holds it."""
        number, amount = self.pick()
        expected = self.judged(number, amount)
        if not number & 1 and number > self.highest() + 64:
            return
        self.order(codes.TOPUP, number, 0, amount * CUR)
        before = self.topups
        if expected == results.ACCEPTED and self.took(number):
            self.spent.add(number)
            self.topups += amount
        if self.point.state.topups_ncur != self.topups * CUR:
            self.double_accepts += 1
            self.tell("command %d: %d on top of %d" % (number, amount, before))
        self.check()

    def order(self, action, *args):
        self.command_id += 1
        command = messages.Command(self.command_id, 0, action, 0, 1 << 40, list(args))
        self.guarded(lambda: self.firmware.commands.take(command))

    def clear(self):
        self.latched += 1
        self.order(codes.CLEAR, codes.CLEAR_LOCKOUT)
        if not self.point.slot.more[points.M_FAILURES]:
            self.failures = self.served_ms = self.lost_ms = 0
        self.check()

    def lower(self):
        """Spend some of the balance, so that a cap refusal may be tried again."""
        self.order(codes.ADJUST, 1, -(1 + self.dice.below(40)) * CUR)
        self.check()

    def wait(self):
        owed_s = max(self.owed_ms() - self.served_ms, 0) // 1000
        longest_s = (60, 2 * owed_s, owed_s + 2, owed_s + 100)[self.dice.below(4)]
        total_s = 1 + self.dice.below(longest_s + 1)
        for _ in range(6):
            step_ms = total_s * 1000 // 6
            self.now_ms += step_ms
            self.served_ms += step_ms
            asyncio.run(self.firmware.metering.poll())

    def move_clock(self):
        by_ms = (self.dice.below(400) - 200) * 86400000
        self.firmware.clock.set(max(self.now_ms + by_ms, 1000000000))

    def cut(self):
        self.restart()
        self.check()


# Shares of each step, out of their sum.
STEPS = (
    ("type_token", 8), ("type_voucher", 3), ("command", 3), ("guess", 5), ("wait", 8),
    ("move_clock", 2), ("cut", 2), ("type_set", 1), ("garbage", 1), ("lower", 2),
)  # fmt: skip
DECK = [name for name, share in STEPS for _ in range(share)]


def history(site, dice, steps, make_world=World):
    """-> the World after so many random steps."""
    desks.clean(site.root + "/outbox")
    world = make_world(site, dice)
    if dice.below(20) == 0:  # few guess twenty times by chance
        near = world.point.with_more(world.point.plain(), points.M_FAILURES, 19)
        world.firmware.metering.commit(world.point, near)
        world.failures, world.served_ms = 19, 1 << 30
    for _ in range(steps):
        getattr(world, DECK[dice.below(len(DECK))])()
        if world.failures >= LATCH and dice.below(3) == 0:
            world.clear()
    return world


def real_hash(key):
    return siphash.SipHash(key)
