# runs on: cpython micropython
"""Modbus over TCP against a gateway that answers, stutters, lies, hangs up or is silent."""

import asyncio

from firmware.meters.modbus_tcp import TcpBus
from firmware.meters.reader import SILENT, Meter, Registers
from firmware.waits import sleep_ms
from protocol.units import BAD_FIELD, MALFORMED, Malformed, Unavailable

REPLY_MS = 400  # of real time, which a busy machine takes away
GOOD = b"\x46\x00\x00\x01"


def frame(transaction, content, protocol=0, size=None):
    size = len(content) if size is None else size
    words = (transaction & 0xFFFF, protocol, size)
    return b"".join([bytes((word >> 8, word & 0xFF)) for word in words]) + content


def good(request, data=GOOD):
    """The right answer to a request."""
    content = request[6:8] + bytes((len(data),)) + data
    return frame(request[0] << 8 | request[1], content)


class Gateway:
    """A link and what is at its end. `answer(request)` gives bytes, None to hang up."""

    def __init__(self, answer=good):
        self.answer = answer
        self.refuses = False
        self.piece = 1000
        self.open = []
        self.most_open = 0
        self.requests = []

    async def connect(self, host, port):
        await sleep_ms(1)
        if self.refuses:
            raise OSError(111)
        stream = Stream(self)
        self.open.append(stream)
        self.most_open = max(self.most_open, len(self.open))
        return stream, stream


class Stream:
    def __init__(self, gateway):
        self.gateway = gateway
        self.waiting = b""
        self.ended = False

    def write(self, request):
        if self.ended:
            return
        self.gateway.requests.append(bytes(request))
        answer = self.gateway.answer(request)
        if answer is None:
            self.ended = True
        elif isinstance(answer, tuple):  # bytes, then hanging up
            self.waiting += answer[0]
            self.ended = True
        else:
            self.waiting += answer

    async def drain(self):
        await sleep_ms(0)

    async def read(self, n):
        while not self.waiting and not self.ended:
            await sleep_ms(1)
        n = min(n, self.gateway.piece)
        out, self.waiting = self.waiting[:n], self.waiting[n:]
        return out

    def close(self):
        self.ended = True
        self.gateway.open.remove(self)

    async def wait_closed(self):
        pass


class Clock:
    now_ms = 0

    def ticks_ms(self):
        return self.now_ms


def bus_to(gateway, clock=None):
    return TcpBus(gateway, "gateway", 502, (clock or Clock()).ticks_ms, REPLY_MS)


async def outcome(bus, unit=1, function=4, address=0x48, count=2):
    """What the request gave: bytes, a code, or the error with its reason."""
    try:
        return await bus.request(unit, function, address, count)
    except Malformed as error:
        return ("malformed", error.reason)
    except Unavailable as error:
        return ("unavailable", error.args[0])


NONE = ("unavailable", SILENT)
BAD = ("malformed", MALFORMED)


def outcomes(bus, times, **request):
    async def story():
        results = []  # MicroPython has no await in a comprehension
        for _ in range(times):
            results.append(await outcome(bus, **request))
        return results

    return asyncio.run(story())


def test_a_request_is_the_one_that_the_specification_frames():
    gateway = Gateway()
    assert outcomes(bus_to(gateway), 1, unit=17, function=3, address=0x6B) == [GOOD]
    assert gateway.requests == [b"\x00\x01\x00\x00\x00\x06\x11\x03\x00\x6b\x00\x02"]


def test_one_connection_serves_all_requests_and_no_transaction_is_used_twice():
    gateway = Gateway()
    bus = bus_to(gateway)
    assert outcomes(bus, 20) == [GOOD] * 20
    assert bus.connects == 1
    assert len({request[:2] for request in gateway.requests}) == 20


def test_transactions_go_round_at_16_bits():
    gateway = Gateway()
    bus = bus_to(gateway)
    bus._transaction = 0xFFFE
    assert outcomes(bus, 3) == [GOOD] * 3
    assert [request[:2] for request in gateway.requests] == [b"\xff\xff", b"\0\0", b"\0\1"]


def test_an_answer_in_single_bytes_is_put_together():
    gateway = Gateway()
    gateway.piece = 1
    assert outcomes(bus_to(gateway), 2) == [GOOD] * 2


def test_no_function_but_reading_reaches_the_gateway():
    gateway = Gateway()
    bus = bus_to(gateway)
    for function in range(256):
        if function not in (3, 4):
            assert outcomes(bus, 1, function=function) == [("malformed", BAD_FIELD)]
    assert gateway.requests == []
    assert bus.connects == 0


def test_an_exception_of_the_meter_is_its_code():
    gateway = Gateway(lambda request: frame(request[1], b"\x01\x84\x02"))
    bus = bus_to(gateway)
    assert outcomes(bus, 2) == [2, 2]
    assert bus.connects == 1


def test_a_meter_that_is_silent_for_the_gateway_is_silent_and_keeps_the_connection():
    for code in (10, 11):
        gateway = Gateway()
        gateway.answer = lambda request: frame(request[1], bytes((1, 0x84, code)))  # noqa: B023
        bus = bus_to(gateway)
        assert outcomes(bus, 5) == [NONE] * 5
        gateway.answer = good
        assert outcomes(bus, 1) == [GOOD]
        assert bus.connects == 1


DAMAGED = (
    lambda r: frame(r[1] + 1, good(r)[6:]),
    lambda r: frame(r[1] - 1, good(r)[6:]),
    lambda r: frame(r[1], good(r)[6:], 1),
    lambda r: frame(r[1], good(r)[6:], 0, 2),
    lambda r: frame(r[1], good(r)[6:], 0, 254),
    lambda r: frame(r[1], good(r)[6:], 0, 0xFFFF),
    lambda r: frame(r[1], b"\x02" + good(r)[7:]),
    lambda r: frame(r[1], b"\x01\x03" + good(r)[8:]),
    lambda r: frame(r[1], b"\x01\x83\x02"),
    lambda r: frame(r[1], b"\x01\x84\x02\x00"),
    lambda r: good(r, GOOD + b"\x00\x00"),
    lambda r: good(r, GOOD[:2]),
    lambda r: frame(r[1], b"\x01\x04\x02" + GOOD),
    lambda r: frame(r[1], b"\x01\x04\x04"),
    lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n",
)


def test_every_damaged_answer_is_malformed_and_ends_the_connection():
    for i, damaged in enumerate(DAMAGED):
        gateway, clock = Gateway(damaged), Clock()
        bus = bus_to(gateway, clock)
        assert outcomes(bus, 1) == [BAD], i
        assert gateway.open == [], i
        gateway.answer = good
        clock.now_ms += 1000
        assert outcomes(bus, 1) == [GOOD], i


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one():
    gateway = Gateway()
    bus = bus_to(gateway)
    late = []

    def first_late(request):
        if not late:
            late.append(good(request, b"\xff\xff\xff\xff"))
            return b""
        return late[0] + good(request)

    gateway.answer = first_late
    assert outcomes(bus, 2) == [NONE, GOOD]
    assert bus.connects == 1


def test_a_late_answer_cut_in_two_by_the_time_limit_is_skipped_whole():
    gateway = Gateway()
    bus = bus_to(gateway)
    rest = []

    def cut(request):
        if not rest:
            whole = good(request, b"\xff\xff\xff\xff")
            rest.append(whole[8:])
            return whole[:8]
        return rest[0] + good(request)

    gateway.answer = cut
    assert outcomes(bus, 2) == [NONE, GOOD]
    assert bus.connects == 1


def test_an_answer_given_twice_is_malformed_not_another_meters():
    gateway = Gateway()
    bus = bus_to(gateway)
    first = []

    def repeating(request):
        first.append(good(request))
        return first[0]

    gateway.answer = repeating
    assert outcomes(bus, 2) == [GOOD, BAD]


def test_a_silent_gateway_is_connected_to_anew_after_three_requests():
    gateway, clock = Gateway(lambda _: b""), Clock()
    bus = bus_to(gateway, clock)
    assert outcomes(bus, 2) == [NONE] * 2
    assert len(gateway.open) == 1
    assert outcomes(bus, 1) == [NONE]
    assert gateway.open == []
    asked = len(gateway.requests)
    assert outcomes(bus, 5) == [NONE] * 5  # resting
    assert len(gateway.requests) == asked
    clock.now_ms += 1000
    gateway.answer = good
    assert outcomes(bus, 1) == [GOOD]
    assert bus.connects == 2


def test_a_connection_closed_while_idle_is_no_failure():
    gateway = Gateway()
    bus = bus_to(gateway)
    for _ in range(3):
        assert outcomes(bus, 1) == [GOOD]
        gateway.open[0].ended = True
    assert bus.connects == 3
    assert gateway.most_open == 1


def test_a_gateway_that_closes_after_every_answer_is_still_read():
    gateway = Gateway(lambda request: (good(request),))
    bus = bus_to(gateway)
    assert outcomes(bus, 4) == [GOOD] * 4
    assert bus.connects == 4


def test_a_connection_closed_mid_frame_is_unavailable():
    for size in range(len(good(bytes(12)))):
        gateway, clock = Gateway(), Clock()
        bus = bus_to(gateway, clock)
        assert outcomes(bus, 1) == [GOOD]
        gateway.answer = lambda request: (good(request)[:size],)  # noqa: B023
        assert outcomes(bus, 1) == [NONE], size
        assert gateway.open == []
        gateway.answer = good
        clock.now_ms += 1000
        assert outcomes(bus, 1) == [GOOD], size


def test_rests_between_connections_grow_to_a_minute_and_an_answer_ends_them():
    gateway, clock = Gateway(), Clock()
    gateway.refuses = True
    bus = bus_to(gateway, clock)
    rests = []
    for _ in range(9):
        assert outcomes(bus, 1) == [NONE]
        rests.append(bus._rest_until_ms - clock.now_ms)
        clock.now_ms = bus._rest_until_ms
    assert rests == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]
    gateway.refuses = False
    assert outcomes(bus, 1) == [GOOD]
    gateway.answer = lambda _: (b"\x00",)
    assert outcomes(bus, 1) == [NONE]
    assert bus._rest_until_ms - clock.now_ms == 1000


def test_one_request_is_in_flight_and_the_loop_runs_on():
    gateway = Gateway()
    gateway.answer = lambda request: good(request) if request[6] != 9 else b""
    bus = bus_to(gateway)
    ticks = []

    async def tick():
        while True:
            ticks.append(len(ticks))
            await sleep_ms(5)

    async def story():
        ticking = asyncio.create_task(tick())
        units = (1, 9, 2, 9, 3, 4)
        results = await asyncio.gather(*[outcome(bus, unit=unit) for unit in units])
        ticking.cancel()
        return results

    assert asyncio.run(story()) == [GOOD, NONE, GOOD, NONE, GOOD, GOOD]
    assert gateway.most_open == bus.connects == 1
    assert len(ticks) > 10  # while two requests waited in vain


def test_a_cancelled_request_frees_the_bus_and_the_gateway():
    gateway, clock = Gateway(lambda _: b""), Clock()
    bus = bus_to(gateway, clock)

    async def story():
        asking = asyncio.create_task(outcome(bus))
        while not gateway.requests:
            await sleep_ms(1)
        asking.cancel()
        while gateway.open:
            await sleep_ms(1)
        gateway.answer = good
        clock.now_ms += 1000
        return await outcome(bus)

    assert asyncio.run(story()) == GOOD


def test_close_frees_the_gateway_and_the_next_request_connects_again():
    gateway = Gateway()
    bus = bus_to(gateway)

    async def story():
        await bus.close()
        first = await outcome(bus)
        await bus.close()
        assert gateway.open == []
        return first, await outcome(bus)

    assert asyncio.run(story()) == (GOOD, GOOD)
    assert bus.connects == 2


def test_a_meter_reads_over_it_as_over_a_serial_bus():
    compiled = {1: "test", 2: 4, 3: 1, 4: 0, 5: [[1, 0x48, 8, 1000]], 6: 0, 7: 80}
    meter = Meter(Registers(compiled), 1, bus_to(Gateway()), Clock().ticks_ms)
    assert asyncio.run(meter.read()).register_wh == 8192001
