# runs on: cpython micropython
"""The pulse that exhausts a balance opens the relay at once, not at the next poll."""

import asyncio

from firmware import main
from firmware.meters.pulse import PulseMeter
from firmware.waits import sleep_ms
from protocol import codes, messages, settings
from tests.firmware import desk as desks

CUR = desks.CUR
LIMIT_MW = 60000 * 276
WH_A_CUR = 2000  # at half a unit a kilowatt-hour


class Counted:
    """A desk whose one meter is a pulse meter, closed, with a balance of one unit."""

    def __init__(self, imp_per_kwh=1000):
        self.desk = desks.Desk(desks.folder("pulse-watch"))
        point = desks.point_settings(
            0, 1, meter=settings.PULSE, meter_map="", unit=0, imp_per_kwh=imp_per_kwh
        )
        desks.provision(self.desk.root, [point], desks.flat_book())
        self.board, _ = self.desk.power_on()
        self.pulses = 0
        self.board.pulse = lambda channel: self.pulses

        def meter(item, so_far):
            return PulseMeter(self.board, 0, imp_per_kwh, so_far, 0, LIMIT_MW)

        self.firmware = main.Firmware(self.board, meter)
        self.metering = self.firmware.metering
        self.metering.poll_ms = 1000
        self.poll(0)
        command = messages.Command(1, 0, codes.TOPUP, 0, 1 << 33, [2, 0, CUR])
        self.firmware.commands.take(command)
        for _ in range(6):
            self.poll(10)
        assert self.desk.contact.closed

    def poll(self, seconds):
        self.desk.now_ms += seconds * 1000
        asyncio.run(self.metering.poll())

    def near(self):
        return self.firmware.points[0].near

    def watched(self, pulses):
        """The loop that watches, while so many pulses come one by one; no poll."""

        async def come():
            task = asyncio.create_task(self.metering.watch_pulses())
            for _ in range(pulses):
                await sleep_ms(25)
                self.desk.now_ms += 250
                self.pulses += 1
            await sleep_ms(60)
            task.cancel()

        asyncio.run(come())


def test_far_from_the_limit_nothing_is_watched():
    module = Counted()
    module.pulses += WH_A_CUR // 2
    module.poll(3600)
    assert not module.near()


def test_the_exhausting_pulse_opens_the_relay_between_polls():
    module = Counted()
    module.pulses += WH_A_CUR - 5
    module.poll(3600)
    assert module.near() and module.desk.contact.closed
    module.watched(4)
    assert module.desk.contact.closed
    module.watched(1)
    assert not module.desk.contact.closed and not module.near()
    assert module.firmware.points[0].state.balance_ncur == 0


def test_a_coarse_pulse_is_no_jump():
    module = Counted(imp_per_kwh=100)
    module.pulses += WH_A_CUR // 10 - 1
    module.poll(3600)
    module.watched(1)
    assert module.firmware.points[0].verdict == 0 and not module.desk.contact.closed


class Eight:
    """Eight pulse meters that never rest."""

    def __init__(self):
        self.desk = desks.Desk(desks.folder("pulse-watch"))
        points = [
            desks.point_settings(
                number, meter=settings.PULSE, meter_map="", unit=0, pulse_channel=number,
                imp_per_kwh=1000, relay=settings.NO_RELAY,
            )
            for number in range(8)
        ]  # fmt: skip
        desks.provision(self.desk.root, points, desks.flat_book())
        self.pulses = 0
        self.power_on()

    def power_on(self):
        self.board, _ = self.desk.power_on()
        before = self.pulses
        self.board.pulse = lambda channel: self.pulses - before

        def meter(item, so_far):
            return PulseMeter(self.board, item.pulse_channel, 1000, so_far, 0, LIMIT_MW)

        self.firmware = main.Firmware(self.board, meter)
        asyncio.run(self.firmware.metering.poll())

    def worked(self, seconds):
        for _ in range(seconds):
            self.desk.now_ms += 1000
            self.pulses += 1
            asyncio.run(self.firmware.metering.poll())


def test_eight_points_wear_the_ring_no_faster_than_one():
    module = Eight()
    module.worked(100)
    counters = module.firmware.journal.counters
    before = counters.newest
    module.worked(240)
    assert counters.newest - before <= 24


def test_every_points_pulses_are_kept_at_least_every_eighty_seconds():
    module = Eight()
    module.worked(100)
    for _ in range(20):
        module.worked(7)
        for number in range(8):
            assert module.pulses - module.firmware.journal.pulses(number) <= 80


def test_pulses_are_kept_before_the_entry_that_charges_them():
    module = Eight()
    module.worked(3)
    module.desk.now_ms += 900000
    module.worked(2)
    module.power_on()
    for point in module.firmware.points.values():
        assert point.seen_wh == point.state.register_wh > 0
