"""Every meter map over real TCP: pymodbus as the gateway, the reader on real MicroPython.

And gateways as they are: single-client, with a wrong transaction, hanging up mid-frame, silent.
"""

import asyncio
import contextlib
import socket
import threading

from pymodbus.server import ModbusTcpServer

from firmware.meters.reader import GARBLED, SILENT
from host_tools.broker import free_port
from host_tools.maps import compile_map, load_all
from tests.firmware.test_meter_serial import (
    NOBODY,
    NUMBERS,
    answers_of,
    device,
    plausible,
    silence_missing_units,
)
from tests.host_tools.genuine import HANG_S

MAPS = load_all()
WAIT_MS = 70000  # longer than any rest
TOTAL_WH = 8192001
SILENCE_MS = 300  # for a request that nobody answers
ANSWER_MS = 60000  # for one that is answered, on a machine that stalls


@contextlib.contextmanager
def gateway(devices, silent, missed=None):
    """A pymodbus TCP server in its own thread. About units it does not have it is silent, or
    answers as a gateway whose meter did not answer; `missed` is set then. Gives its port."""
    started, box, port = threading.Event(), {}, free_port()

    async def serve():
        server = ModbusTcpServer(
            devices, address=("127.0.0.1", port), ignore_missing_devices=silent
        )
        silence_missing_units(server.context, missed)
        await server.serve_forever(background=True)
        box["loop"], box["done"] = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await box["done"].wait()
        await server.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(HANG_S)
    try:
        yield port
    finally:
        box["loop"].call_soon_threadsafe(box["done"].set)
        thread.join()


def read_on_micropython(port, jobs):
    """Answers to jobs (compiled map, unit, wait_ms, reply_ms_max)."""
    lines = [[list(compiled.items()), *more] for compiled, *more in jobs]
    return answers_of("modbus_tcp_child.py", {"port": port}, lines)


def test_every_map_reads_back_over_tcp_the_integers_that_its_slave_serves():
    names = sorted(MAPS)
    values = [plausible(MAPS[name]) for name in names]
    devices = [
        device(unit, MAPS[name], {key: lambda v=v: v for key, v in values[unit - 1].items()})
        for unit, name in enumerate(names, 1)
    ]
    jobs = [(compile_map(MAPS[name]), unit, 0, ANSWER_MS) for unit, name in enumerate(names, 1)]
    with gateway(devices, silent=False) as port:
        answers = list(read_on_micropython(port, jobs))
    for (register_wh, pairs, connects, _), expected in zip(answers, values, strict=True):
        assert register_wh == expected["import_wh"]
        assert dict(pairs) == {NUMBERS[key]: value for key, value in expected.items()}
        assert connects == 1


def test_an_absent_meter_is_silent_and_the_next_one_answers_on_the_same_connection():
    compiled = compile_map(MAPS["sdm120"])
    present = device(1, MAPS["sdm120"], {"import_wh": lambda: TOTAL_WH})
    for silent, reply_ms_max in ((False, ANSWER_MS), (True, SILENCE_MS)):
        missed = threading.Event()
        jobs = [(compiled, NOBODY, 0, reply_ms_max), (compiled, 1, 0, ANSWER_MS)]
        with gateway([present], silent, missed) as port:
            answers = read_on_micropython(port, jobs)
            *absent, _, took_ms = next(answers)
            assert missed.wait(HANG_S)  # pymodbus answers one of two requests at once
            ((register_wh, _, connects, _),) = answers
        assert absent == [None, SILENT]
        assert (register_wh, connects) == (TOTAL_WH, 1)
        told = took_ms < reply_ms_max - 50
        assert told != silent  # by the gateway, or found by waiting


# One import register, so that every reading is one request.
ONE = dict(compile_map(MAPS["sdm120"])) | {5: [[1, 0x48, 8, 1000]]}
RIGHT = b"\x00\x00\x00\x07\x01\x04\x04\x46\x00\x00\x01"


def right(request):
    return request[:2] + RIGHT


def next_transaction(request):
    return bytes((request[0], request[1] + 1)) + RIGHT


class Faulty:
    """A gateway for one client at a time: one entry of `answers` for each request, over all
    connections; it gives (bytes, whether to hang up). Counts connections."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.connections = 0
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()

    def _serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            with client, contextlib.suppress(OSError):
                self._client(client)

    def _client(self, client):
        while len(request := client.recv(12, socket.MSG_WAITALL)) == 12:
            answer, hang_up = self.answers.pop(0)(request) if self.answers else (b"", True)
            client.sendall(answer)
            if hang_up:
                return


def story(*answers, silent=0):
    """(results of one reading after the other, each long after the last, connections seen); the
    first `silent` of them get no answer."""
    limits_ms = [SILENCE_MS] * silent + [ANSWER_MS] * (len(answers) - silent)
    with Faulty(answers) as faulty:
        jobs = [(ONE, 1, WAIT_MS, limit_ms) for limit_ms in limits_ms]
        results = list(read_on_micropython(faulty.port, jobs))
    return [result[:2] for result in results], faulty.connections


GOOD = [TOTAL_WH, [[1, TOTAL_WH]]]


def test_a_wrong_transaction_is_garbled_and_a_new_connection_reads_on():
    results, connections = story(
        lambda r: (right(r), False),
        lambda r: (next_transaction(r), False),
        lambda r: (right(r), False),
    )
    assert results == [GOOD, [None, GARBLED], GOOD]
    assert connections == 2


def test_a_gateway_that_closes_mid_frame_is_silent_and_a_new_connection_reads_on():
    results, connections = story(
        lambda r: (right(r)[:3], True),
        lambda r: (right(r), False),
        lambda r: (right(r)[:11], True),
        lambda r: (right(r), False),
    )
    assert results == [[None, SILENT], GOOD, [None, SILENT], GOOD]
    assert connections == 3


def test_a_silent_gateway_costs_its_time_limit_and_is_connected_to_anew_after_three():
    results, connections = story(
        *[lambda _: (b"", False)] * 3,
        lambda r: (right(r), False),
        silent=3,
    )
    assert results == [[None, SILENT]] * 3 + [GOOD]
    assert connections == 2


def test_a_gateway_that_closes_after_each_answer_is_read_without_a_failure():
    results, connections = story(*[lambda r: (right(r), True)] * 4)
    assert results == [GOOD] * 4
    assert connections == 4


def test_a_late_answer_is_skipped_on_the_same_connection():
    late = []

    def silent(request):
        late.append(request)
        return b"", False

    answers = silent, lambda r: (right(late[0]) + right(r), False)
    results, connections = story(*answers, silent=1)
    assert results == [[None, SILENT], GOOD]
    assert connections == 1


def test_nobody_listening_is_silence_not_a_crash():
    jobs = [(ONE, 1, wait_ms, ANSWER_MS) for wait_ms in (0, 100, WAIT_MS)]
    results = list(read_on_micropython(free_port(), jobs))
    assert [result[0] for result in results] == [None] * 3
    assert results[0][1] == results[2][1] == SILENT
