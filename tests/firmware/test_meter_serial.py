"""Every meter map over a real tty: pymodbus as the meter, the reader on real MicroPython."""

import asyncio
import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import tty
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware.meters.reader import SILENT
from host_tools.maps import compile_map, load_all, to_slave
from protocol.quantity_names import quantity_numbers
from tests.host_tools.genuine import HANG_S, ROOT

MICROPYTHON = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
MAPS = load_all()
NUMBERS = quantity_numbers()
BAUD = 19200
NOBODY = 200


class NullModem:
    """Two raw ttys joined; `ends` are their paths. Reads on them never block."""

    def __init__(self):
        pairs = [pty.openpty() for _ in range(2)]
        self.masters = [pair[0] for pair in pairs]
        self.slaves = [pair[1] for pair in pairs]
        self.ends = [os.ttyname(slave) for slave in self.slaves]
        for slave in self.slaves:
            tty.setraw(slave)
            flags = termios.tcgetattr(slave)
            flags[6][termios.VMIN] = flags[6][termios.VTIME] = 0
            termios.tcsetattr(slave, termios.TCSANOW, flags)
        self.stop_out, self.stop_in = os.pipe()
        self.thread = threading.Thread(target=self._carry)
        self.thread.start()

    def _carry(self):
        one, other = self.masters
        while True:
            ready, _, _ = select.select([one, other, self.stop_out], [], [])
            if self.stop_out in ready:
                return
            for master in ready:
                os.write(other if master == one else one, os.read(master, 4096))

    def close(self):
        os.write(self.stop_in, b".")
        self.thread.join()
        for descriptor in (*self.masters, *self.slaves, self.stop_out, self.stop_in):
            os.close(descriptor)


def silence_missing_units(context, missed=None):
    """pymodbus answers for units it does not have; a bus does not. Then `missed` is set."""
    original = context.async_getValues

    async def known_only(unit, *arguments):
        if unit not in context.devices:
            if missed:
                missed.set()
            raise NoSuchIdException(str(unit))
        return await original(unit, *arguments)

    context.async_getValues = known_only


def device(unit, meter_map, values):
    """A SimDevice with all registers of a map; what lies between them reads 0."""
    served = to_slave(meter_map, values)
    words = {}
    for address, (_, getter) in served.items():
        words.update(enumerate(getter(), address))
    first, last = min(words), max(words)
    table = [words.get(address, 0) for address in range(first, last + 1)]
    return SimDevice(unit, SimData(first, values=table, datatype=DataType.REGISTERS))


@contextlib.contextmanager
def slaves(path, devices, missed=None):
    """A pymodbus RTU server in its own thread."""
    started, box = threading.Event(), {}

    async def serve():
        server = ModbusSerialServer(
            devices,
            framer=FramerType.RTU,
            port=path,
            baudrate=BAUD,
            ignore_missing_devices=True,
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
        yield
    finally:
        box["loop"].call_soon_threadsafe(box["done"].set)
        thread.join()


@pytest.fixture
def modem():
    modem = NullModem()
    yield modem
    modem.close()


def answers_of(script, order, jobs):
    """Yields what a MicroPython child answers to each job, which it is told when the answer to the
    last one has been taken."""
    child = subprocess.Popen(
        [MICROPYTHON, "-X", "heapsize=192k", str(ROOT / "tests" / "firmware" / script), str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    hung = threading.Timer(HANG_S, child.kill)
    hung.daemon = True
    hung.start()
    try:
        child.stdin.write(json.dumps(order) + "\n")
        for job in jobs:
            child.stdin.write(json.dumps(job) + "\n")
            with contextlib.suppress(BrokenPipeError):  # its traceback says more
                child.stdin.flush()
            line = child.stdout.readline()
            assert line.startswith("["), line + child.stdout.read()
            yield json.loads(line)
        rest, _ = child.communicate()
        assert child.returncode == 0 and not rest, rest
    finally:
        hung.cancel()
        child.kill()
        child.communicate()


def read_on_micropython(path, jobs):
    """Answers to jobs (compiled map, unit, whether it is there)."""
    lines = [[list(compiled.items()), unit, there] for compiled, unit, there in jobs]
    return answers_of("meter_child.py", {"tty": path, "baud": BAUD}, lines)


def plausible(meter_map):
    """A value for each quantity that its register holds to the unit; some negative."""
    values = {}
    for i, register in enumerate(meter_map.registers.values()):
        value = 1001 * (i + 1) * (1 if register.type == "f32" else register.multiplier)
        signed = NUMBERS[register.quantity] >= 64 and not register.type.startswith("u")
        values[register.quantity] = -value if signed and not i % 2 else value
    return values


def test_every_map_reads_back_the_integers_that_its_slave_serves(modem):
    names = sorted(MAPS)
    values = [plausible(MAPS[name]) for name in names]
    devices = [
        device(unit, MAPS[name], {key: lambda v=v: v for key, v in values[unit - 1].items()})
        for unit, name in enumerate(names, 1)
    ]
    jobs = [(compile_map(MAPS[name]), unit, True) for unit, name in enumerate(names, 1)]
    with slaves(modem.ends[0], devices):
        answers = list(read_on_micropython(modem.ends[1], jobs))
    for (register_wh, pairs), expected in zip(answers, values, strict=True):
        assert register_wh == expected["import_wh"]
        got = dict(pairs)
        assert got == {NUMBERS[key]: value for key, value in expected.items()}


def test_an_absent_unit_is_silent_and_the_next_meter_answers(modem):
    sdm120 = MAPS["sdm120"]
    present = device(1, sdm120, {"import_wh": lambda: 8192001})
    jobs = [(compile_map(sdm120), NOBODY, False), (compile_map(sdm120), 1, True)]
    missed = threading.Event()
    with slaves(modem.ends[0], [present], missed):
        answers = read_on_micropython(modem.ends[1], jobs)
        assert next(answers) == [None, SILENT]
        assert missed.wait(HANG_S)  # pymodbus takes two requests at once for one
        (answer,) = answers
    assert answer[0] == 8192001
