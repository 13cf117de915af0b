# runs on: cpython micropython
"""Pulse totals: no drift, no double count, no more than the wires can carry."""

import asyncio

from firmware.meters.pulse import PulseMeter
from firmware.meters.readings import ALL
from protocol.quantities import IMPORT_WH

LIMIT_MW = 13800000


class Board:
    def __init__(self):
        self.now_ms = 0
        self.counts = [0, 0]

    def ticks_ms(self):
        return self.now_ms

    def pulse(self, channel):
        return self.counts[channel]


def read(meter, *arguments):
    return asyncio.run(meter.read(*arguments))


def test_totals_are_converted_so_that_3200_pulses_are_exactly_a_kilowatt_hour():
    board = Board()
    meter = PulseMeter(board, 0, 3200, 0, 0, LIMIT_MW)
    for count in range(1, 3201):
        board.now_ms += 1000
        board.counts[0] = count
        reading = read(meter)
        assert reading.register_wh == count * 1000 // 3200
        assert reading.pulses == count
    assert reading.register_wh == 1000
    assert meter.excess_pulses == 0


def test_the_persisted_total_and_the_commissioning_offset_are_added():
    board = Board()
    board.counts[1] = 5
    board.now_ms = 60000
    meter = PulseMeter(board, 1, 1000, 2000, 123456, LIMIT_MW)
    reading = read(meter, ALL)
    assert reading.pulses == 2005
    assert reading.register_wh == 123456 + 2005
    assert reading.values == {IMPORT_WH: 125461}
    assert reading.power_mw is None


def test_reading_twice_counts_once():
    board = Board()
    board.counts[0] = 3
    board.now_ms = 10000
    meter = PulseMeter(board, 0, 1000, 0, 0, LIMIT_MW)
    assert read(meter).pulses == 3
    assert read(meter).pulses == 3


def test_noise_beyond_the_largest_load_is_not_charged_and_is_counted():
    board = Board()
    meter = PulseMeter(board, 0, 1000, 0, 0, LIMIT_MW)
    board.now_ms, board.counts[0] = 10000, 500  # 38.3 pulses at most
    assert read(meter).pulses == 39
    assert meter.excess_pulses == 461
    board.now_ms, board.counts[0] = 20000, 520
    assert read(meter).pulses == 59
    assert meter.excess_pulses == 461


def test_a_ratio_multiplies_the_total_and_the_limit_is_the_primary_sides():
    board = Board()
    meter = PulseMeter(board, 0, 1000, 0, 500, LIMIT_MW, 40)
    board.now_ms, board.counts[0] = 60000, 6  # 230 Wh on the primary side are 5.75 pulses
    assert read(meter).register_wh == 500 + 6 * 40
    board.now_ms, board.counts[0] = 120000, 16
    assert read(meter).pulses == 12 and meter.excess_pulses == 4


def test_the_largest_load_itself_is_never_cut():
    board = Board()
    meter = PulseMeter(board, 0, 1000, 0, 0, LIMIT_MW)
    for ms in range(0, 100000, 700):
        board.now_ms = ms
        board.counts[0] = LIMIT_MW * ms // 3600000000
        assert read(meter).pulses == board.counts[0]
