"""Cuts the power at every flash operation of the day, in every torn form, and looks.

MicroPython only. The uncut run records its flash operations; a cut is the image rebuilt up to one
of them plus what is left of it, booted afresh, looked at, and worked on for a bounded while: the
interrupted step again, payments sent twice, one more interval. Now and then the day goes on until
the journal's ring has gone round.
"""

import gc
import json

from boards.virtual import flash
from firmware import point as points
from firmware import relay
from protocol import codes
from protocol.units import Malformed, Unavailable
from tests.bench import cuts_day as days
from tests.bench import cuts_look as look
from tests.bench import cuts_world as worlds

LONG_EVERY = 199  # cuts, a prime: all torn forms get their turn
LONG_STEPS = 1500
TAIL = ("use", 900, 41, 29)
NEW_IDS = 1000  # command ids of a payment that somebody sends again as another command

# A boot or a step after the cut may fail in these ways; each is a finding, none ends the run.
BROKEN = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, Malformed, Unavailable,
)  # fmt: skip


class Count:
    """Figures of one share; `first` says how the first failure looked."""

    def __init__(self):
        self.operations = 0
        self.tried = 0
        self.records_lost = 0
        self.double_charges = 0
        self.double_credits = 0
        self.mount_failures = 0
        self.wrong_ends = 0
        self.first = ""

    def tell(self, where, error):
        if not self.first:
            self.first = f"{where}: {error!r}"


class Uncut:
    """The uncut run: every flash operation with the step it fell in, and the worlds around it."""

    def __init__(self, steps, chosen, make_journal=worlds.Watched):
        worlds.unmount()
        look.known.forget()
        gc.collect()  # or images would find no place in one piece
        blank = worlds.blank(worlds.JOURNAL_SECTORS)
        self.disk_before = worlds.provisioned()
        # What is replayed, and what every cut works on.
        self.replayed = [bytearray(blank), bytearray(self.disk_before)]
        self.worked_on = [bytearray(blank), bytearray(self.disk_before)]
        self.world = worlds.World(blank, bytearray(self.disk_before))
        self.steps = steps
        self.chosen = chosen  # of an operation's number: whether it is to be cut
        self.make_journal = make_journal
        self.step = 0
        self.operations = []
        self.copies = {}
        self.filed = 0  # most outbox files at once

    def run(self):
        firmware = self.world.power_on(worlds.Supply(self.keep), self.make_journal)
        for number, step in enumerate(self.steps):
            self.step = number
            worlds.move(self.world, step)
            worlds.act(self.world, firmware, step)
            shelves = firmware.outbox.shelves
            self.filed = max(self.filed, sum([each.last - each.first + 1 for each in shelves]))
        return firmware

    def keep(self, cells, at, pattern, size):
        number = len(self.operations)
        self.operations.append((self.step, cells is self.world.disk, at, pattern, size))
        if self.chosen(number):
            self.copies[number] = self.world.copy_of()

    def images(self):
        """(number, journal, disk) before every operation to be cut, once; the images move on."""
        journal, disk = [flash.Ram(cells) for cells in self.replayed]
        for number, (_, on_disk, at, pattern, size) in enumerate(self.operations):
            if number in self.copies:
                yield number, journal.cells, disk.cells
            flash.put(disk if on_disk else journal, at, pattern, size)


def judged(count, world, firmware, steps, base_pulses):
    """Counts what the ledgers say beyond or below what is owed after these steps."""
    wrong = ""
    pulses = base_pulses + firmware.board.pulse(0)
    meters = (
        (worlds.desks.Meter().register_wh, world.meter.register_wh),
        (worlds.BASE_WH, worlds.BASE_WH + pulses * 1000 // worlds.IMP_PER_KWH),
    )
    for number, (opened_wh, register_wh) in enumerate(meters):
        slot = firmware.points[number].slot
        state = slot.state
        topups, charged, adjusted = days.owed(world, steps, number, opened_wh, register_wh)
        # The day before the first interval is not charged; each begun day costs once.
        charged += (state.day - worlds.desks.START_S // 86400 - 1) * days.FIXED_NCUR
        taken = 0
        least, most = days.recovered_ncur(world, state) if number else (0, 0)
        if number and days.orders(steps, codes.DEBT, number):
            taken = days.DEBT_NCUR - sum(slot.more[points.M_DEBTS][:1])
        if state.charged_ncur > charged or taken > most:
            count.double_charges += 1
        elif state.topups_ncur > topups:
            count.double_credits += 1
        elif (state.charged_ncur, state.topups_ncur) != (charged, topups) or taken < least:
            count.records_lost += 1
        elif state.balance_ncur != topups + adjusted - charged - taken:
            count.wrong_ends += 1
        else:
            continue
        said = (state.topups_ncur, state.charged_ncur, state.balance_ncur, taken)
        wrong = f"point {number} ends with {said}, owed {topups, charged, adjusted, most}"
    if world.contact.closed != relay.is_closed(firmware.points[0].slot.relay):
        count.wrong_ends += 1
        wrong = "the contact disagrees"
    return wrong


def lost_at_boot(world, firmware):
    """Records lost: what was committed before the cut and is not waiting, or in another form."""
    lost = 0
    committed = look.committed(world.kept())
    for stream in (0, 1, 8):
        upto = world.settled.get(stream, 0)
        found, states = look.waiting(world, firmware, stream)
        there = dict(found)
        numbers = [seq for other, seq in committed if other == stream and seq > upto]
        lost += len([seq for seq in numbers if there.get(seq) != committed[stream, seq]])
        # One more may have been committed as the power failed, and the boot is an event itself.
        begun = max(numbers, default=upto) + (2 if stream == 8 else 1)
        if len(found) + upto > begun:
            raise ValueError(f"stream {stream} found more than was begun")
        if stream in world.states and states[-1] != firmware.points[stream].state:
            raise ValueError(f"balance of point {stream} is not the fold of its entries")
    return lost


class Bench:
    """The cuts of an uncut run; `count` is what was found so far."""

    def __init__(self, uncut):
        self.uncut = uncut
        self.steps = uncut.steps
        self.journal, self.disk = uncut.worked_on
        self.count = Count()
        self.count.operations = len(uncut.operations)

    def cut(self, number, journal, disk, torn):
        """One power cut and everything after it."""
        count = self.count
        at_step, on_disk, at, pattern, size = self.uncut.operations[number]
        self.journal[:], self.disk[:] = journal, disk
        world = worlds.World(self.journal, self.disk)
        world.restore(self.uncut.copies[number], self.uncut.world)
        power = flash.Power()
        power.torn, power.seed = torn, number
        power.tear(world.disk if on_disk else world.cells, at, pattern, size)
        where = f"operation {number} torn {torn} in step {at_step}"
        count.tried += 1
        pulses = [world.saved_pulses]
        if not on_disk and len(pattern) == worlds.journal.COUNTER_SLOT_BYTES:
            pulses.append(worlds.checkpointed(pattern))
        try:
            firmware = world.power_on(worlds.Supply(), self.uncut.make_journal)
        except BROKEN as error:
            count.mount_failures += 1
            count.tell(where + " boot", error)
            return
        base_pulses = firmware.journal.pulses(1)
        try:
            lost = lost_at_boot(world, firmware) + int(base_pulses not in pulses)
            if lost:
                count.tell(where, lost)
            count.records_lost += lost
        except BROKEN as error:
            count.records_lost += 1
            count.tell(where + " look", error)
            return
        try:
            done = self.go_on(world, firmware, at_step)
            wrong = judged(count, world, firmware, done, base_pulses)
        except BROKEN as error:
            count.wrong_ends += 1
            wrong = error
        if wrong:
            count.tell(where + " end", wrong)

    def go_on(self, world, firmware, at_step):
        """Work after a boot. -> the steps that have been done by then."""
        worlds.act(world, firmware, ("use", 0, 0, 0))  # the metering loop reads first
        worlds.act(world, firmware, self.steps[at_step])
        last = at_step + 1
        if self.count.tried % LONG_EVERY == 0:
            last = min(last + LONG_STEPS, len(self.steps))
        for step in self.steps[at_step + 1 : last]:
            worlds.move(world, step)
            worlds.act(world, firmware, step)
        done = self.steps[:last]
        self.pay_again(world, firmware, done)
        worlds.move(world, TAIL)
        worlds.act(world, firmware, TAIL)
        return done

    def pay_again(self, world, firmware, done):
        """The newest payment of each point once more: as it came, and every other way."""
        for target in (0, 1):
            for number, amount_ncur, step in days.payments(done, target)[-1:]:
                worlds.act(world, firmware, step)
                again = days.order(NEW_IDS + number, target, codes.TOPUP, number, 0, amount_ncur)
                worlds.act(world, firmware, again)
                units = amount_ncur // days.CUR
                worlds.act(world, firmware, days.typed_voucher(target, number, units))


def tried(share, shares, every, poll_s, torn=flash.TORN, make_journal=worlds.Watched):
    """-> Count of one share of the operations; `every` thins them out for a short run."""

    def chosen(number):
        return number % every == 0 and number // every % shares == share

    uncut = Uncut(days.workload(poll_s), chosen, make_journal)
    firmware = uncut.run()
    bench = Bench(uncut)
    uncut.chosen = lambda number: False
    worlds.move(uncut.world, TAIL)
    worlds.act(uncut.world, firmware, TAIL)
    wrong = judged(bench.count, uncut.world, firmware, uncut.steps, 0)
    if wrong:
        bench.count.tell("uncut", wrong)
    for number, journal, disk in uncut.images():
        for how in torn:
            bench.cut(number, journal, disk, how)
    worlds.unmount()
    return bench.count


def main(share, shares, every, poll_s):
    print(json.dumps(tried(share, shares, every, poll_s).__dict__))
