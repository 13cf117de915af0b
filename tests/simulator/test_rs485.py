"""The bus: number formats arrive, pace and faults are those of a line, absence is silence."""

import asyncio
import struct

import pytest

from host_tools.simulator.bridge import Options
from host_tools.simulator.rs485 import Way, crc16
from host_tools.simulator.slave import words

MASTER = """
import asyncio, struct
from boards.virtual import board
b = board.build()
def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
async def answer():
    frame = b""
    while len(frame) < 5 or crc16(frame):
        frame += await b.rs485.read(64)
    return frame
async def ask(unit, code, address, count):
    frame = struct.pack(">BBHH", unit, code, address, count)
    b.rs485.purge()
    began = b.ticks_ms()
    await b.rs485.write(frame + struct.pack("<H", crc16(frame)))
    try:
        frame = await asyncio.wait_for_ms(answer(), 300)
    except asyncio.TimeoutError:
        print("silent", b.ticks_ms() - began)
    else:
        print(frame.hex(), b.ticks_ms() - began)
async def main():
    if LINE:
        b.rs485.configure(*LINE)
    for request in REQUESTS:
        await ask(*request)
    print("done")
    await asyncio.sleep_ms(100000000)
asyncio.run(main())
"""

REGISTERS = {
    0: ("f32", lambda: 230.5),
    2: ("u16", lambda: 65535),
    3: ("s16", lambda: -2),
    4: ("u32", lambda: 0x01020304),
    6: ("s32", lambda: -2),
    8: ("u32lw", lambda: 0x01020304),
    10: ("s32lw", lambda: -65536),
    12: ("s64", lambda: -2),
    20: ("u16", lambda: 7),
    21: ("u32", lambda: [1, 2]),
}


def told(bench, module) -> list[str]:
    return [line for line in bench.said(module) if line and line != "done"]


async def ask(bench, requests, prepare=lambda module: None, line=(), **more):
    program = MASTER.replace("REQUESTS", repr(requests)).replace("LINE", repr(line))
    async with bench.run(program, power=False, units={1: REGISTERS}, **more) as (driver, module):
        prepare(module)
        module.power_on()
        assert await driver.wait_for(lambda: "done" in bench.said(module), 100)
        return told(bench, module)


def test_all_formats_are_served_for_both_function_codes(bench):
    async def story():
        holding, inputs, tail = await ask(bench, [(1, 3, 0, 16), (1, 4, 0, 16), (1, 4, 18, 5)])
        frame = bytes.fromhex(holding.split()[0])
        assert frame[3:-2] == struct.pack(">f", 230.5) + bytes.fromhex(
            "ffff fffe 01020304 fffffffe 03040102 0000ffff fffffffffffffffe"
        )
        assert inputs.split()[0][4:-4] == holding.split()[0][4:-4]
        assert bytes.fromhex(tail.split()[0])[3:-2] == bytes.fromhex("0000 0000 0007 0001 0002")

    asyncio.run(story())


def test_missing_unit_is_silent_and_costs_the_full_timeout(bench):
    async def story():
        answers = await ask(bench, [(9, 4, 0, 2), (1, 4, 20, 1), (9, 3, 0, 2), (0, 4, 0, 2)])
        assert answers[0] == answers[2] == answers[3] == "silent 300"
        assert answers[1].endswith(" 0")

    asyncio.run(story())


def test_a_bus_without_meters_is_silent(bench):
    program = MASTER.replace("REQUESTS", "[(1, 4, 0, 2)] * 3").replace("LINE", "()")

    async def story():
        async with bench.run(program) as (driver, module):
            await driver.run_for(10)
            assert told(bench, module) == ["silent 300"] * 3

    asyncio.run(story())


def test_unknown_address_and_function_get_exceptions(bench):
    async def story():
        address, function = await ask(bench, [(1, 4, 100, 2), (1, 6, 2, 5)])
        assert address.startswith("018402")
        assert function.startswith("018601")

    asyncio.run(story())


def test_baud_rate_is_paced_in_virtual_time(bench):
    async def story():
        (answer,) = await ask(bench, [(1, 4, 0, 10)], options=Options(baud=9600))
        # 8 bytes there and 25 back, 11 bits each, rounded up to whole milliseconds
        assert answer.split()[1] == str(10 + 29)

    asyncio.run(story())


def test_a_module_set_to_another_line_is_not_understood(bench):
    async def story():
        options = Options(baud=9600, parity=2)
        for line, silent in (((9600, 2), False), ((9600, 0), True), ((2400, 2), True)):
            (answer,) = await ask(bench, [(1, 4, 20, 1)], line=line, options=options)
            assert (answer == "silent 300") == silent

    asyncio.run(story())


def test_faults_and_a_cut_line_are_silence(bench):
    def lose_first(module):
        def fault(way: Way, frame: bytes) -> bytes:
            frames.append(way)
            if len(frames) == 1:
                return b""
            if len(frames) == 2:
                return frame[:3] + bytes([frame[3] ^ 1]) + frame[4:]
            return frame

        frames: list[Way] = []
        module.bus.fault = fault

    async def story():
        answers = await ask(bench, [(1, 4, 20, 1)] * 3, lose_first)
        assert answers[:2] == ["silent 300"] * 2
        assert answers[2].startswith("0104020007")
        assert await ask(
            bench, [(1, 4, 20, 1)], lambda module: setattr(module.bus, "cut", True)
        ) == ["silent 300"]

    asyncio.run(story())


def test_observer_sees_whole_frames_of_both_directions(bench):
    seen = []

    def observe(module):
        module.bus.on_frame = lambda way, frame: seen.append((way, frame))

    asyncio.run(ask(bench, [(1, 4, 0, 16)], observe))
    assert [way for way, _ in seen] == [Way.REQUEST, Way.ANSWER]
    assert [len(frame) for _, frame in seen] == [8, 37]
    assert all(crc16(frame) == 0 for _, frame in seen)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("f32", 0.1, [0x3DCC, 0xCCCD]),
        ("u32lw", 0x12345678, [0x5678, 0x1234]),
        ("s64", -1, [0xFFFF] * 4),
        ("u16", 5.9, [5]),
    ],
)
def test_words(kind, value, found):
    assert words(kind, value) == found
