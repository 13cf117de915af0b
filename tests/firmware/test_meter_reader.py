# runs on: cpython micropython
"""Reading meters over a bus that answers, stutters, lies or is silent."""

import asyncio

from firmware.meters import modbus
from firmware.meters.reader import (
    EXCEPTION,
    GARBLED,
    INVALID,
    RESTING,
    SILENT,
    Bus,
    Meter,
    Registers,
)
from firmware.meters.readings import ALL, ENERGY, IDENTITY, LIVE
from firmware.waits import sleep_ms
from protocol.units import BAD_FIELD, Malformed, Unavailable

U16, S32LW, F32 = 1, 6, 8
IMPORT, EXPORT, POWER, VOLTAGE, CURRENT, FREQUENCY, SERIAL = 1, 2, 64, 65, 66, 67, 192

SINGLE = {
    1: "test",
    2: 4,
    3: 1,
    4: 0,
    5: [
        [VOLTAGE, 0, F32, 1000],
        [POWER, 0x0C, F32, 1000],
        [IMPORT, 0x48, F32, 1000],
        [EXPORT, 0x4A, F32, 1000],
        [SERIAL, 0x100, U16, 1],
    ],
    6: 10,
    7: 80,
}
THREE = {
    1: "three",
    2: 4,
    3: 3,
    4: 100,
    5: [
        [72, 0, U16, 100],
        [73, 1, U16, 100],
        [74, 2, U16, 100],
        [75, 3, U16, 1],
        [76, 4, U16, 1],
        [77, 5, U16, 1],
        [IMPORT, 6, S32LW, 100],
    ],
    6: 0,
    7: 80,
}

FLOATS = {0x00: 0x43663334, 0x0C: 0xC4FA2000, 0x48: 0x46000001, 0x4A: 0}


def words(floats):
    table = {0x100: 4711}
    for address, bits in floats.items():
        table[address] = bits >> 16
        table[address + 1] = bits & 0xFFFF
    return table


class Line:
    """An RS-485 line with meters: unit -> registers. Faults are functions of the answer."""

    def __init__(self, units):
        self.units = units
        self.requests = []
        self.fault = None
        self.waiting = b""
        self.stale = b""
        self.busy = 0
        self.overlaps = 0
        self.piece = 100

    def purge(self):
        self.stale = b""

    async def write(self, frame):
        self.busy += 1
        if self.busy > 1:
            self.overlaps += 1
        unit, function, address, count = frame[0], frame[1], frame[3] | frame[2] << 8, frame[5]
        self.requests.append((unit, address, count))
        self.waiting = self.stale
        if unit in self.units:
            answer = self.answer(unit, function, address, count)
            self.waiting += self.fault(answer) if self.fault else answer
        await sleep_ms(0)  # no timer, which would fall due with the reader's in a stalled process
        self.busy -= 1

    def answer(self, unit, function, address, count):
        registers = self.units[unit]
        if function != 4 or address > 0x1000:
            return with_crc(bytes((unit, function | 0x80, 2)))
        data = b""
        for i in range(address, address + count):
            word = registers.get(i, 0)
            data += bytes((word >> 8, word & 0xFF))
        return with_crc(bytes((unit, function, len(data))) + data)

    async def read(self, n):
        while not self.waiting:
            await sleep_ms(5)
        n = min(n, self.piece)
        out, self.waiting = self.waiting[:n], self.waiting[n:]
        return out


def with_crc(frame):
    crc = modbus.crc16(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))


class Clock:
    now_ms = 0

    def ticks_ms(self):
        return self.now_ms


def meter_on(line, compiled=SINGLE, unit=1, clock=None):
    return Meter(Registers(compiled), unit, Bus(line, 19200), (clock or Clock()).ticks_ms)


def failure(coroutine):
    try:
        asyncio.run(coroutine)
    except Unavailable as error:
        return error.args[0]
    return None


def test_the_energy_group_is_one_small_request():
    line = Line({1: words(FLOATS)})
    reading = asyncio.run(meter_on(line).read())
    assert reading.register_wh == 8192001
    assert reading.pulses is None
    assert reading.power_mw is None
    assert line.requests == [(1, 0x48, 2)]


def test_all_quantities_come_in_merged_blocks():
    line = Line({1: words(FLOATS)})
    reading = asyncio.run(meter_on(line).read(ALL))
    assert reading.register_wh == 8192001
    assert reading.power_mw == -2001000
    assert reading.voltage_mv == 230200
    assert reading.current_ma is None
    assert reading.values[EXPORT] == 0
    assert SERIAL not in reading.values
    assert line.requests == [(1, 0, 14), (1, 0x48, 4)]


def test_the_identity_is_read_on_its_own():
    line = Line({1: words(FLOATS)})
    reading = asyncio.run(meter_on(line).read(IDENTITY))
    assert reading.values == {SERIAL: 4711}
    assert reading.register_wh is None


def test_chosen_quantities_are_read_by_number():
    line = Line({1: words(FLOATS)})
    assert asyncio.run(meter_on(line).values([VOLTAGE, 99])) == {VOLTAGE: 230200}
    assert line.requests == [(1, 0, 2)]


def test_the_live_group_has_energy_voltage_current_power_and_frequency_only():
    compiled = dict(SINGLE)
    compiled[5] = SINGLE[5] + [[68, 0x18, F32, 1000], [78, 0x20, F32, 1000]]
    line = Line({1: words(FLOATS)})
    reading = asyncio.run(meter_on(line, compiled).read(LIVE))
    assert sorted(reading.values) == [IMPORT, POWER, VOLTAGE, 78]


def test_energy_is_read_although_the_meter_refuses_or_garbles_something_else():
    compiled = dict(SINGLE)
    compiled[5] = SINGLE[5] + [[CURRENT, 0x2000, F32, 1000]]
    line = Line({1: words(FLOATS)})
    meter = meter_on(line, compiled)
    reading = asyncio.run(meter.read(ALL))
    assert reading.register_wh == 8192001 and reading.voltage_mv == 230200
    assert reading.current_ma is None and meter.failures[EXCEPTION] == 1
    line.fault = lambda answer: answer if len(answer) < 15 else answer[:-1] + b"?"
    reading = asyncio.run(meter.read(ALL))
    assert reading.register_wh == 8192001 and reading.voltage_mv is None


def test_ratios_of_transformers_multiply_exactly_what_lies_behind_them():
    line = Line({1: words({0x00: 0x42CD6666, 0x0C: 0xC4FA2000, 0x48: 0x46000001})})
    meter = Meter(Registers(SINGLE, 40, 100), 1, Bus(line, 19200), Clock().ticks_ms)
    reading = asyncio.run(meter.read(ALL))
    # 8 192.0009765625 kWh times 4 000, rounded once: not 4 000 times the rounded 8 192 001 Wh
    assert reading.register_wh == 32768003906
    assert reading.voltage_mv == 10270000  # 102.7 V times 100
    assert reading.power_mw == -2001000 * 4000
    assert asyncio.run(meter.read(IDENTITY)).values == {SERIAL: 4711}
    three = Meter(Registers(THREE, 20, 1), 1, Bus(line, 19200), Clock().ticks_ms)
    line.units[1] = {0: 2300, 1: 2300, 2: 2310, 3: 500, 4: 7000, 5: 0, 6: 2, 7: 1}
    reading = asyncio.run(three.read(ALL))
    assert reading.voltage_mv == 230000 and reading.current_ma == 140000
    assert reading.register_wh == 100 * 0x10002 * 20 and three.resolution_wh == 2000


def test_three_phases_give_their_worst_voltage_and_current():
    line = Line({1: {0: 2300, 1: 0, 2: 2310, 3: 500, 4: 7000, 5: 0, 6: 2, 7: 1}})
    reading = asyncio.run(meter_on(line, THREE).read(ALL))
    assert reading.voltage_mv == 0
    assert reading.current_ma == 7000
    assert reading.register_wh == 100 * 0x10002
    assert reading.values[72] == 230000


def test_an_answer_in_single_bytes_is_put_together():
    line = Line({1: words(FLOATS)})
    line.piece = 1
    assert asyncio.run(meter_on(line).read()).register_wh == 8192001


def test_stale_bytes_are_purged_before_a_request():
    line = Line({1: words(FLOATS)})
    line.stale = b"\x01\x04\x04\x00\x00\x00\x00\xfb\x84"
    assert asyncio.run(meter_on(line).read()).register_wh == 8192001


def test_a_total_that_is_no_number_or_negative_is_invalid_not_zero():
    for bits in (0x7FC00000, 0x7F800000, 0xFF800000, 0xBFC00000):
        line = Line({1: words({0x48: bits})})
        meter = meter_on(line)
        assert failure(meter.read()) == INVALID
        assert meter.failures[INVALID] == 1


def test_a_momentary_value_that_is_no_number_is_left_out():
    line = Line({1: words({0x00: 0x7FC00000, 0x48: 0x46000001})})
    reading = asyncio.run(meter_on(line).read(ALL))
    assert reading.voltage_mv is None
    assert reading.register_wh == 8192001


def test_a_damaged_answer_is_garbled_and_does_not_rest_the_meter():
    def flipped(answer):
        return answer[:3] + bytes((answer[3] ^ 1,)) + answer[4:]

    def from_another(answer):
        return with_crc(b"\x02" + answer[1:-2])

    for fault in (flipped, from_another):
        line = Line({1: words(FLOATS)})
        meter = meter_on(line)
        line.fault = fault
        assert failure(meter.read()) == GARBLED
        line.fault = None
        assert asyncio.run(meter.read()).register_wh == 8192001
        assert meter.failures[GARBLED] == 1


def test_an_exception_answer_is_told_with_its_code():
    compiled = dict(SINGLE)
    compiled[5] = [[IMPORT, 0x2000, F32, 1000]]
    meter = meter_on(Line({1: {}}), compiled)
    assert failure(meter.read()) == EXCEPTION
    assert meter.exception == 2


def test_a_cut_answer_is_silence():
    line = Line({1: words(FLOATS)})
    line.fault = lambda answer: answer[:-1]
    assert failure(meter_on(line).read()) == SILENT


def test_a_silent_meter_rests_longer_and_longer_up_to_a_minute_and_recovers():
    line = Line({})
    clock = Clock()
    meter = meter_on(line, clock=clock)
    heard = line.read

    async def nothing(_):  # sooner than by waiting for it
        raise OSError

    line.read = nothing
    rests = []
    for _ in range(8):
        assert failure(meter.read()) == SILENT
        asked = len(line.requests)
        began = clock.now_ms
        while failure(meter.read()) == RESTING:
            clock.now_ms += 500
            if clock.now_ms - began > 100000:
                raise AssertionError("rests for ever")
            if len(line.requests) > asked:
                break
        rests.append(clock.now_ms - began)
        clock.now_ms += 1000000
    assert rests[0] == 1000
    assert rests[-1] == 60000
    assert sorted(rests) == rests
    line.units[1] = words(FLOATS)
    line.read = heard
    assert asyncio.run(meter.read()).register_wh == 8192001
    del line.units[1]
    assert failure(meter.read()) == SILENT
    clock.now_ms += 1000  # the first rest is short again
    assert failure(meter.read()) == SILENT


def test_a_silent_meter_does_not_disturb_another_on_the_same_bus_nor_the_loop():
    line = Line({2: words(FLOATS)})
    bus = Bus(line, 19200)
    silent = Meter(Registers(SINGLE), 1, bus, Clock().ticks_ms)
    good = Meter(Registers(SINGLE), 2, bus, Clock().ticks_ms)
    turns = [0]
    marks = []  # turns of the loop when the wait for the silent meter begins, ends and is told
    heard = line.read

    async def turn():
        while True:
            turns[0] += 1
            await sleep_ms(0)

    async def read(n):
        if line.waiting:
            return await heard(n)
        marks.append(turns[0])
        try:
            return await heard(n)
        finally:
            marks.append(turns[0])

    line.read = read

    async def silence():
        try:
            await silent.read()
        except Unavailable as error:
            marks.append(turns[0])
            return error.args[0]

    async def both():
        turning = asyncio.create_task(turn())
        results = await asyncio.gather(silence(), good.read())
        for _ in range(3):
            assert (await good.read()).register_wh == 8192001
        turning.cancel()
        return results

    results = asyncio.run(both())
    assert results[0] == SILENT
    assert results[1].register_wh == 8192001
    began, ended, told = marks
    assert began < ended < told


def test_one_request_is_in_flight_per_bus():
    line = Line({1: words(FLOATS), 2: words(FLOATS)})
    bus = Bus(line, 19200)
    meters = [Meter(Registers(SINGLE), unit, bus, Clock().ticks_ms) for unit in (1, 2, 1, 2)]

    async def all_at_once():
        return await asyncio.gather(*[meter.read(ALL) for meter in meters])

    readings = asyncio.run(all_at_once())
    assert [reading.register_wh for reading in readings] == [8192001] * 4
    assert line.overlaps == 0
    assert len(line.requests) == 8


def test_a_cancelled_read_frees_the_bus():
    line = Line({2: words(FLOATS)})
    bus = Bus(line, 19200)

    async def story():
        reading = asyncio.create_task(
            Meter(Registers(SINGLE), 1, bus, Clock().ticks_ms).read(ENERGY)
        )
        await sleep_ms(20)
        reading.cancel()
        return await Meter(Registers(SINGLE), 2, bus, Clock().ticks_ms).read(ENERGY)

    assert asyncio.run(story()).register_wh == 8192001


def test_a_map_that_cannot_be_read_or_would_write_is_malformed():
    for key, value in ((2, 6), (2, 0x42), (5, [[1, 2, 3]]), (5, [[1, 2, 99, 1]]), (5, None)):
        compiled = dict(SINGLE)
        compiled[key] = value
        try:
            meter_on(Line({}), compiled)
        except Malformed as error:
            assert error.reason == BAD_FIELD
        else:
            raise AssertionError(key)
    for key in (2, 3, 4, 5, 6, 7):
        compiled = dict(SINGLE)
        del compiled[key]
        try:
            meter_on(Line({}), compiled)
        except Malformed as error:
            assert error.reason == BAD_FIELD
        else:
            raise AssertionError(key)
