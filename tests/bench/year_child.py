"""One year of one module in a clock that jumps, and a host that computes every charge again.

MicroPython. The firmware is the real one on the desk; what it sends is taken out of the outbox as
it would travel. The host here knows only the messages, the tariff and the payments it made.
"""

import asyncio
import gc
import json

from protocol import codes, facts, ledger, messages, tariff
from tests.firmware import desk as desks

CUR = desks.CUR
DAY_S = 86400
POLL_S = 300
PAID_NCUR = 5 * CUR // 2  # a day, as people with little money pay
# Heap is compared from here on: all code was loaded, and what is bounded by number (the answers of
# the last 32 commands) is full.
EARLY_DAY = 60
SPRING_S = desks.START_S + 60 * DAY_S
AUTUMN_S = desks.START_S + 240 * DAY_S
SWITCH_S = desks.START_S + 150 * DAY_S + 7 * 3600 + 420


def book(peak=568000):
    """Peak and valley over annual tiers, a daily charge, a later price, two clock changes."""
    days = ((((0, 1), (480, 0), (1320, 1)),),)
    first = tariff.Rates(((peak, 288000),), CUR // 10, ((101, 0),), (0,) * 7, (), days)
    later = tariff.Rates(((617000, 307000),), CUR // 8, ((101, 0),), (0,) * 7, (), days)
    ladder = tariff.Ladder(tariff.YEAR, 1, (2760000, 4800000), (0, 50000, 300000))
    zone = ((0, 28800), (SPRING_S, 32400), (AUTUMN_S, 28800))
    return tariff.Book(1, "CNY", zone, ((0, first), (SWITCH_S, later)), ((0, ladder),))


class Host:
    def __init__(self, module, peak):
        self.state = ledger.genesis(module, 0)
        self.paid_ncur = 0
        self.book = book(peak)
        self.entries = 0

    def settle(self, firmware):
        """Take all that waits, compute it again, acknowledge it."""
        outbox = firmware.outbox
        found = outbox.batch(0, self.state.seq, 64)
        while found:
            message = messages.unpack(found[0])
            if message.first_seq != self.state.seq + 1:
                raise ValueError("a gap")
            state = self.state
            for fact in facts.of_items(state.time_s, message.version, message.items):
                state = ledger.apply(state, facts.rebuild(state, self.book, fact))
                self.entries += 1
            if state.head != message.head:
                raise ValueError("entry %d is not what the module wrote" % state.seq)
            self.state = state
            found = outbox.batch(0, state.seq, 64)
        streams = {0: self.state.seq, messages.EVENT_STREAM: firmware.events.seq}
        firmware.uplink.trim(messages.Ack(firmware.module.epoch, streams))


def load_wh(minute):
    """A household's use in five minutes, from a cheap repeatable noise."""
    noise = (minute * 1103515245 + 12345) >> 8 & 0x3FF
    evening = 1 if minute % 1440 > 1050 else 0
    return 8 + noise * (60 if evening and noise > 700 else 12) // 1024


def main(days, peak=568000):
    """`peak` is the price that the host believes in."""
    desk = desks.Desk(desks.folder("year-%d" % days))
    desks.provision(desk.root, [desks.point_settings(auto_close=1)], book())
    board, firmware = desk.power_on()
    host = Host("desk-1", peak)
    number = 0
    early = 0
    for day in range(days):
        asyncio.run(firmware.metering.poll())
        number += 2
        command = messages.Command(number, 0, codes.TOPUP, 0, 1 << 40, [number, 0, PAID_NCUR])
        firmware.commands.take(command)
        if desks.results(firmware)[-1] != codes.DONE:
            raise ValueError("top-up %d was refused" % number)
        host.paid_ncur += PAID_NCUR
        for step in range(DAY_S // POLL_S):
            desk.now_ms += POLL_S * 1000
            if desk.contact.closed:
                desk.meter.register_wh += load_wh(day * 1440 + step * 5)
            asyncio.run(firmware.metering.poll())
        host.settle(firmware)
        for noted in (desk.meter.asked, desk.contact.moves, board.signals):
            noted[:] = []  # what the desk writes down for tests is no part of a module
        gc.collect()
        if day == EARLY_DAY:
            early = gc.mem_alloc()
    gc.collect()
    growth = gc.mem_alloc() - early
    own = firmware.points[0].state
    ours = host.state
    owed = host.paid_ncur - ours.charged_ncur
    differences = (own.balance_ncur - ours.balance_ncur, ours.balance_ncur - owed)
    print(
        json.dumps(
            {
                "entries": host.entries,
                "energy_wh": own.register_wh - 1000000,
                "difference_ncur": sum([abs(value) for value in differences]),
                "growth_bytes": max(0, growth),
                "same_head": own.head == ours.head,
            }
        )
    )
